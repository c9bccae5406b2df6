"""Checks that every module has a test module at the same path in tests/unit, or is in a `COVERS` list."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tools.source import ROOT, Module, modules, report


def faults(root: Path) -> list[str]:
    """The modules without a test module, and the names in COVERS lists that are not modules."""
    sources = {module.name: module for module in modules(root, "src", "tools", "research")}
    claims = [(test.path, name) for test in modules(root, "tests") for name in _covers(test)]
    lines = [
        f"{path}: COVERS names {name}, which is not a module (use names such as labelgrid.select.strategies.partal)"
        for path, name in claims
        if name not in sources
    ]
    covered = {name for _, name in claims}
    for name, module in sources.items():
        test = test_of(module)
        if (
            module.path.name != "__init__.py"
            and not (root / test).exists()
            and not _is_covered(name, covered)
        ):
            lines.append(
                f"{module.path}: no {test}, and no test module has '{name}' in its COVERS list"
            )
    return lines


def test_of(module: Module) -> Path:
    """The path of a module's own tests."""
    package = (
        module.path.parent.relative_to("src/labelgrid")
        if module.path.parts[0] == "src"
        else module.path.parent
    )
    return Path("tests/unit") / package / f"test_{module.path.name}"


def _covers(test: Module) -> Iterator[str]:
    for node in test.tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "COVERS" for t in node.targets
        ):
            yield from ast.literal_eval(node.value)


def _is_covered(name: str, covered: set[str]) -> bool:
    """Whether a COVERS list names the module or one of its packages."""
    return any(name == claim or name.startswith(f"{claim}.") for claim in covered)


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
