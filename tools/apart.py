"""Checks that the plug-ins of a folder do not import each other; shared code belongs in the folder's other modules."""

import ast
from collections.abc import Iterator
from pathlib import Path

from labelgrid.plugins import FOLDERS
from tools.source import ROOT, Module, modules, report


def faults(root: Path) -> list[str]:
    """The imports of one plug-in by another plug-in of the same folder."""
    return [fault for folder, machinery in FOLDERS.items() for fault in _faults_of(root, folder, machinery)]


def _faults_of(root: Path, folder: str, machinery: frozenset[str]) -> list[str]:
    path = Path("src/labelgrid", *folder.split("."))
    files = [m for m in modules(root, str(path)) if m.path.parent == path]
    plugins = {f"labelgrid.{folder}.{m.path.stem}": m for m in files if m.path.stem not in machinery}
    return [
        f"{module.path}:{line}: imports {name}, a plug-in of the same folder"
        for own, module in plugins.items()
        for name, line in _imports(module)
        if name in plugins and name != own
    ]


def _imports(module: Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module), node.lineno
            yield from ((f"{node.module}.{name.name}", node.lineno) for name in node.names)


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
