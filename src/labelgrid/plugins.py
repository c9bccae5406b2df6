"""How a plug-in is found: the folder is the registry, one file adds one thing. Its options are had without the rest."""

import ast
import difflib
import importlib
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from labelgrid.errors import PluginError

#: Folders of plug-ins -> the modules in them that are the folder's own machinery.
FOLDERS: dict[str, frozenset[str]] = {
    "tasks": frozenset({"task", "pictures", "placement"}),
    "data": frozenset({"dataset", "transforms", "frame", "batch", "loader"}),
    "nets": frozenset({"network", "backbones", "blocks", "dropout", "options"}),
    "train.balance": frozenset(),
    "train.terms": frozenset(),
    "score": frozenset({"pool", "table", "statistic", "fit", "weights"}),
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
    """Import the module of plug-in `name`, or that of the object which `"package.module:object"` names.

    Raises:
        PluginError: there is no such plug-in (the message lists the folder and the nearest match), or it cannot be
            imported.
    """
    path = _path(folder, name)
    if ":" not in name:
        return importlib.import_module(path)
    try:
        return importlib.import_module(path)
    except ImportError as error:
        raise _not_importable(name, error) from error


def resolve(folder: str, name: str) -> Any:
    """The `build` of plug-in `name`, or the object that `"package.module:object"` names.

    Raises:
        PluginError: there is no such plug-in, or it cannot be imported.

    Example:
        >>> resolve("nets", "pad_net").__name__
        'build'
    """
    return resolve_in((folder,), name)


def resolve_in(folders: Sequence[str], name: str) -> Any:
    """As `resolve`, of the first of several folders that has the plug-in.

    Raises:
        PluginError: none has it (the message lists the folders and the nearest match), or it cannot be imported.
    """
    folder = next((folder for folder in folders if ":" in name or name in names(folder)), None)
    if folder is None:
        raise _unknown(folders, name)
    try:
        return getattr(module(folder, name), name.partition(":")[2] or "build")
    except AttributeError as error:
        raise _not_importable(name, error) from error


def options_class(folder: str, name: str) -> Any:
    """The dataclass `Options` of a plug-in; where its module is not loaded yet, only `Options` is run of its file.

    So the options of a network are checked without torch, which its module imports.

    Raises:
        PluginError: there is no such plug-in, it cannot be imported, or it has no options.

    Example:
        >>> options_class("nets", "pad_net")().width
        256
    """
    path = _path(folder, name)
    source = sys.modules.get(path) or _options_alone(path, name) or module(folder, name)
    if not hasattr(source, "Options"):
        raise PluginError(f"The {folder} plug-in '{name}' takes no options.", next_step="Leave its options away.")
    return source.Options


def _options_alone(path: str, name: str) -> ModuleType | None:
    """A module of the part of a file that makes `Options`; None where another file does."""
    part = f"{path}__options"  # beside it in its package, so that relative imports hold
    try:
        spec = find_spec(path)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            return None
        loader = _OptionsLoader(part, spec.loader.path)
        made = sys.modules[part] = module_from_spec(ModuleSpec(part, loader, origin=loader.path))
        loader.exec_module(made)
    except ImportError as error:
        raise _not_importable(name, error) from error
    return made if hasattr(made, "Options") else None


class _OptionsLoader(SourceFileLoader):
    """Loads of a file the class `Options`, and the imports, constants and helpers that it refers to."""

    def get_code(self, fullname: str) -> CodeType:
        """The code of that part; the compiled file that Python keeps is of the whole."""
        tree = ast.parse(self.get_data(self.path), self.path)
        tree.body = _needed(tree.body)
        code: CodeType = self.source_to_code(tree, self.path)
        return code


def _needed(statements: list[ast.stmt]) -> list[ast.stmt]:
    """The statements that `Options` is made by: those that bind it, a name they use, a name these use, and so on."""
    wanted, before = {"Options", "annotations", "*"}, set[str]()  # the last two: of __future__, and of any import
    while wanted != before:
        before = set(wanted)
        kept = [part for statement in statements if (part := _part(statement, wanted)) is not None]
        wanted |= {node.id for part in kept for node in ast.walk(part) if isinstance(node, ast.Name)}
    return kept


def _part(statement: ast.stmt, wanted: set[str]) -> ast.stmt | None:
    """A statement, of an import only the wanted names; None where it binds none of them."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        names = [alias for alias in statement.names if _alias(alias) in wanted]
        fields = {name: value for name, value in ast.iter_fields(statement) if name != "names"}
        return ast.copy_location(type(statement)(names=names, **fields), statement) if names else None
    return statement if wanted.intersection(_bound(statement)) else None


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that a statement binds where it stands."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name
    elif isinstance(node, ast.alias):
        yield _alias(node)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    else:
        for child in ast.iter_child_nodes(node):
            yield from _bound(child)


def _alias(alias: ast.alias) -> str:
    return (alias.asname or alias.name).partition(".")[0]


def _path(folder: str, name: str) -> str:
    """The dotted name of a plug-in's module."""
    if ":" in name:
        return name.partition(":")[0]
    if name not in names(folder):
        raise _unknown((folder,), name)
    return f"labelgrid.{folder}.{name}"


def _unknown(folders: Sequence[str], name: str) -> PluginError:
    known = {folder: names(folder) for folder in folders}
    near = difflib.get_close_matches(name, {plugin for own in known.values() for plugin in own}, 1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    lists = (f"labelgrid/{f.replace('.', '/')} has: {', '.join(own) or 'nothing yet'}" for f, own in known.items())
    return PluginError(
        f"There is no {' or '.join(folders)} plug-in '{name}'.",
        next_step=f"{hint}{'; '.join(lists)}; code of your own goes by 'package.module:name'.",
    )


def _not_importable(name: str, error: Exception) -> PluginError:
    return PluginError(f"'{name}' cannot be imported: {error}.", next_step="Check the spelling and PYTHONPATH.")


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
