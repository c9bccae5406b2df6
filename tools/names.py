"""Checks names: kinds of tasks stand only where they belong, and few variables have vague names.

A kind appears as a literal only in its own file, and in readers of files: a kind named elsewhere is
a branch to which every new kind would have to be added. `python -m tools.names --list` prints where
variables and parameters have vague names.
"""

import ast
import sys
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
#: Names of variables and parameters that say nothing of the value.
VAGUE = frozenset(["found", "known", "what", "own", "each"])
#: The most variables and parameters of the program with such a name.
MOST_VAGUE_NAMES = 35


def faults(root: Path) -> list[str]:
    """The lines outside a kind's own file that name the kind; and too many vague names."""
    kinds = {file.stem for file in (root / KINDS).glob("[!_]*.py")}
    lines = []
    for module in modules(root, "src"):
        if any(module.path.is_relative_to(folder) for folder in READERS):
            continue
        own_kind = module.path.stem if module.path.parent == KINDS else ""
        lines += [
            f"{module.path}:{node.lineno}: the kind '{node.value}' is named outside tasks/kinds/{node.value}.py"
            for node in _literals(module)
            if node.value in kinds - {own_kind}
        ]
    count = len(vague_names(root))
    if count > MOST_VAGUE_NAMES:
        lines.append(
            f"{count} variables and parameters are called {', '.join(sorted(VAGUE))}, at most "
            f"{MOST_VAGUE_NAMES}: name them by what they hold (python -m tools.names --list)"
        )
    return lines


def vague_names(root: Path) -> list[str]:
    """The lines of the program that assign a vague name, or declare a parameter of that name."""
    lines = []
    for module in modules(root, "src/labelgrid"):
        named = []
        for node in ast.walk(module.tree):
            if isinstance(node, ast.arg):
                named.append((node.lineno, node.arg))
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                named.append((node.lineno, node.id))
        lines += [f"{module.path}:{line}: {name}" for line, name in sorted(named) if name in VAGUE]
    return lines


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
    raise SystemExit(report(vague_names(ROOT) if "--list" in sys.argv else faults(ROOT)))
