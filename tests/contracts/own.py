"""What a plug-in's own test module tells the contract tests of its folder.

So a new plug-in is its file, its test module and a line of the changelog: no table of another file
is edited for it.
"""

import importlib
import importlib.util
from typing import Any

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


def declared(folder: str, name: str, attribute: str) -> Any:
    """What the plug-in's test module holds under this name; None if there is none."""
    if ":" in name:
        return None
    module = f"{TESTS[folder]}.test_{name}"
    if importlib.util.find_spec(module) is None:
        return None
    return getattr(importlib.import_module(module), attribute, None)
