"""How a plug-in is found: the folder is the registry, one file adds one thing."""

import ast
import difflib
import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from labelgrid.errors import PluginError

#: Folders of plug-ins -> the modules in them that are the folder's own machinery.
FOLDERS: dict[str, frozenset[str]] = {
    "tasks": frozenset({"task", "pictures"}),
    "data": frozenset({"dataset", "transforms", "frame", "batch", "loader"}),
    "nets": frozenset({"network", "backbones", "blocks", "dropout", "options"}),
    "train.balance": frozenset(),
    "train.terms": frozenset(),
    "score": frozenset({"pool", "table"}),
    "select": frozenset({"strategy", "parts"}),
    "annotate": frozenset({"connector", "request", "answers", "matching", "returned"}),
}


def names(folder: str) -> list[str]:
    """The plug-ins of a folder, in alphabetical order, without importing them.

    Example:
        >>> "pad_net" in names("nets")
        True
    """
    package = importlib.import_module(f"labelgrid.{folder}")
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name for name in found if name not in FOLDERS[folder] and not name.startswith("_"))


def module(folder: str, name: str) -> ModuleType:
    """Import the plug-in `name` of `folder`.

    Raises:
        PluginError: there is no such plug-in; the message lists the folder and the nearest match.
    """
    if name not in names(folder):
        raise _unknown((folder,), name)
    return importlib.import_module(f"labelgrid.{folder}.{name}")


def resolve(folder: str, name: str) -> Any:
    """The `build` of plug-in `name`, or the object that `"package.module:object"` names.

    Example:
        >>> resolve("nets", "pad_net").__name__
        'build'
    """
    return resolve_in((folder,), name)


def resolve_in(folders: Sequence[str], name: str) -> Any:
    """As `resolve`, of the first of several folders that has the plug-in.

    Raises:
        PluginError: none has it; the message lists the folders and the nearest match.
    """
    if ":" not in name:
        folder = next((folder for folder in folders if name in names(folder)), None)
        if folder is None:
            raise _unknown(folders, name)
        return module(folder, name).build
    path, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(path), attribute)
    except (ImportError, AttributeError) as error:
        raise PluginError(
            f"'{name}' cannot be imported: {error}.", next_step="Check the spelling and PYTHONPATH."
        ) from error


def _unknown(folders: Sequence[str], name: str) -> PluginError:
    known = {folder: names(folder) for folder in folders}
    near = difflib.get_close_matches(name, {plugin for own in known.values() for plugin in own}, 1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    lists = (f"labelgrid/{f.replace('.', '/')} has: {', '.join(own) or 'nothing yet'}" for f, own in known.items())
    return PluginError(
        f"There is no {' or '.join(folders)} plug-in '{name}'.",
        next_step=f"{hint}{'; '.join(lists)}; code of your own goes by 'package.module:name'.",
    )


def describe(folder: str) -> dict[str, str]:
    """The plug-ins of a folder with the first line of their docstrings, read without importing them."""
    package = importlib.import_module(f"labelgrid.{folder}")
    base = Path(next(iter(package.__path__)))
    return {name: _first_line(base / f"{name}.py") for name in names(folder)}


def recipes() -> dict[str, str]:
    """The recipes of the package with their first line."""
    base = Path(next(iter(importlib.import_module("labelgrid.recipes").__path__)))
    return {
        path.stem: path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        for path in sorted(base.glob("*.toml"))
    }


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]
