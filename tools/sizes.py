"""Checks that modules and functions do not exceed their limits of lines."""

import ast
from pathlib import Path

from tools.source import ROOT, Module, modules, report

#: The largest number of lines of a module, by folder.
MODULE_LINES = {"src": 300, "tools": 300, "examples": 300, "benchmarks": 300, "tests": 400}
#: The largest number of lines of a function, without its docstring.
FUNCTION_LINES = 40


def faults(root: Path) -> list[str]:
    """The modules and functions that are too long."""
    found = []
    for folder, limit in MODULE_LINES.items():
        for module in modules(root, folder):
            lines = len(module.text.splitlines())
            if lines > limit:
                found.append(f"{module.path}: {lines} lines, at most {limit} are allowed")
            if folder in {"src", "tools"}:
                found += _long_functions(module)
    return found


def _long_functions(module: Module) -> list[str]:
    return [
        f"{module.path}:{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES} are allowed"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := _length(node)) > FUNCTION_LINES
    ]


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
