"""What a plug-in's own test module tells the contract tests of its folder.

So a new plug-in is its file, its test module and a line of the changelog: no table of another file
is edited for it.
"""

import importlib
import importlib.util
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

from labelgrid.basics import plugins

#: The folder of plug-ins -> the package of their test modules.
TESTS = {
    "strategies": "tests.unit.select.strategies",
    "kinds": "tests.unit.tasks.kinds",
    "relations": "tests.unit.relations.derivations",
}


def place_of_test(folder: str, name: str) -> str:
    """The path of a plug-in's test module.

    Example:
        >>> place_of_test("strategies", "margin")
        'tests/unit/select/strategies/test_margin.py'
    """
    return f"{TESTS[folder]}.test_{name}".replace(".", "/") + ".py"


def told(folder: str, name: str) -> ModuleType | None:
    """The plug-in's test module; None if there is none."""
    module = f"{TESTS[folder]}.test_{name}"
    if ":" in name or importlib.util.find_spec(module) is None:
        return None
    return importlib.import_module(module)


def declared(folder: str, name: str, attribute: str) -> Any:
    """What the plug-in's test module holds under this name; None if there is none."""
    return getattr(told(folder, name), attribute, None)


def modules(folder: str, arguments: list[str]) -> dict[str, ModuleType]:
    """The shipped plug-ins of a folder, and those of tests/plugins whose `build` takes such arguments."""
    shipped = {name: plugins.module(folder, name) for name in plugins.names(folder)}
    files = sorted((Path(__file__).parents[1] / "plugins").glob("*.py"))
    own = {
        path.stem: importlib.import_module(f"tests.plugins.{path.stem}")
        for path in files
        if "test_" not in path.stem
    }
    takes = {
        name: list(inspect.signature(m.build).parameters)
        for name, m in own.items()
        if hasattr(m, "build")
    }
    return shipped | {name: own[name] for name, found in takes.items() if found == arguments}
