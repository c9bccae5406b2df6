"""Prints every module with the first line of its docstring, folder by folder.

A module without such a line is a fault, and so is a folder that nobody can survey.

`python -m tools.modulemap`, or `python -m tools.modulemap select` for the modules below one folder.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tools.source import ROOT, Module, modules

#: The most modules of a folder, without those of the folders in it.
MOST = 40


def module_list(root: Path, below: str = "") -> str:
    """The modules below a folder of the package, one a line."""
    lines = []
    for module in _described(root):
        path = module.path.relative_to("src/labelgrid").as_posix()
        if not path.startswith(below):
            continue
        if module.path.name == "__init__.py":
            folder = path.removesuffix("__init__.py") or "labelgrid/"
            lines.append(f"\n{folder}: {_first_line(module)}")
        else:
            lines.append(f"  {path}: {_first_line(module)}")
    return "\n".join(lines).strip("\n")


def faults(root: Path) -> list[str]:
    """The modules whose docstring has no first line, and folders with more than `MOST` modules."""
    counts = Counter(module.path.parent for module in _described(root) if not _is_package(module))
    wide = [
        f"{folder}: {count} modules; more than {MOST} are several topics"
        for folder, count in sorted(counts.items())
        if count > MOST
    ]
    bare = [
        f"{module.path}: the module has no docstring"
        for module in _described(root)
        if not _first_line(module)
    ]
    return [*wide, *bare]


def _described(root: Path) -> Iterator[Module]:
    """The modules of the package, except the ledger's migrations."""
    return (module for module in modules(root, "src") if "migrations" not in module.path.parts)


def _is_package(module: Module) -> bool:
    return module.path.name == "__init__.py"


def _first_line(module: Module) -> str:
    return (ast.get_docstring(module.tree) or "").partition("\n")[0].strip()


def main(words: list[str]) -> int:
    """Print the list, or the faults; returns the exit status."""
    wrong = faults(ROOT)
    print("\n".join(wrong) if wrong else module_list(ROOT, *words[:1]))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
