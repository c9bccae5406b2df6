"""Checks that a kind of task appears as a literal only in its own file, and in readers of files.

A kind named elsewhere is a branch to which every new kind would have to be added.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from tools.source import ROOT, Module, modules, report

#: The folder with one file for each kind.
KINDS = Path("src/labelgrid/tasks/kinds")
#: Folders that may name kinds: readers of published layouts and formats, relations between kinds,
#: recipes, the generator of scenes, and the made tasks in which plug-ins are held to laws.
READERS = (
    "src/labelgrid/data",
    "src/labelgrid/formats/codecs",
    "src/labelgrid/relations/derivations",
    "src/labelgrid/recipes",
    "src/labelgrid/lab/scenes",
    "src/labelgrid/testing",
)


def faults(root: Path) -> list[str]:
    """The lines outside a kind's own file that name the kind."""
    kinds = {file.stem for file in (root / KINDS).glob("[!_]*.py")}
    found = []
    for module in modules(root, "src"):
        if any(module.path.is_relative_to(folder) for folder in READERS):
            continue
        own = module.path.stem if module.path.parent == KINDS else ""
        found += [
            f"{module.path}:{node.lineno}: the kind '{node.value}' is named outside tasks/kinds/{node.value}.py"
            for node in _literals(module)
            if node.value in kinds - {own}
        ]
    return found


def _literals(module: Module) -> Iterator[ast.Constant]:
    """String constants, except those in a `Literal[...]` type."""
    in_types = {
        id(constant)
        for node in ast.walk(module.tree)
        if _is_literal_type(node)
        for constant in ast.walk(node)
    }
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in in_types
        ):
            yield node


def _is_literal_type(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Literal"
    )


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
