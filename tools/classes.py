"""Checks that no two public classes of the package share a name; only plug-ins' `Options` may."""

import ast
from collections import defaultdict
from pathlib import Path

from tools.source import ROOT, modules, report

#: The name that every plug-in gives its options, by contract.
SHARED = {"Options"}


def faults(root: Path) -> list[str]:
    """The names of public classes that more than one module defines."""
    defined_in: dict[str, list[Path]] = defaultdict(list)
    for module in modules(root, "src"):
        for node in module.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                defined_in[node.name].append(module.path)
    return [
        f"{paths[0]}: the class {name} shares its name with one of {', '.join(map(str, paths[1:]))}"
        for name, paths in defined_in.items()
        if len(paths) > 1 and name not in SHARED
    ]


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
