"""Checks that code is not packed: one thought a line, arguments with their names.

`python -m tools.density --count` prints how dense each package is.
"""

import ast
import builtins
import io
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tools.source import ROOT, Module, modules, modules_by_package, report

#: The folders that are checked.
FOLDERS = ("src", "tools", "research", "examples")
#: The most positional arguments in a call of our own code.
MOST_ARGUMENTS = 4
#: The most fields of a dataclass that may be given by position.
MOST_FIELDS = 4
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
#: Methods of tensors and arrays that take one argument for each axis.
AXES = {"view", "reshape", "expand", "permute", "repeat", "new_zeros", "transpose", "tile"}
COLUMNS = (
    "lines of code",
    "nodes",
    "imports, %",
    "packed, %",
    "comprehensions",
    "ternaries",
    "5 or more arguments",
)


def faults(root: Path) -> list[str]:
    """The places where code is packed."""
    lines = []
    for module in modules(root, *FOLDERS):
        for line, fault in sorted(_faults_in(module)):
            lines.append(f"{module.path}:{line}: {fault}")
    return lines


def _faults_in(module: Module) -> Iterator[tuple[int, str]]:
    own_names = _own_names(module.tree)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assign) and _is_packed(node):
            yield node.lineno, "assigns unrelated values on one line; write one line each"
        elif isinstance(node, COMPREHENSIONS) and _is_nested(node):
            yield node.lineno, "a comprehension inside another; name the inner one, or write a loop"
        elif isinstance(node, ast.Call) and _is_long_call(node, own_names):
            yield node.lineno, f"more than {MOST_ARGUMENTS} arguments by position; name them"
        elif isinstance(node, ast.ClassDef) and _is_long_record(node):
            yield node.lineno, f"{node.name} has more than {MOST_FIELDS} fields; make it kw_only"


def _is_packed(node: ast.Assign) -> bool:
    """Whether a line assigns a value each to several names; swaps of these names are fine."""
    if not isinstance(node.value, ast.Tuple):
        return False
    values = sorted(ast.unparse(value) for value in node.value.elts)
    for target in node.targets:
        if not isinstance(target, ast.Tuple):
            continue
        if sorted(ast.unparse(name) for name in target.elts) != values:
            return True
    return False


def _is_nested(node: ast.AST) -> bool:
    inner = (child for child in ast.walk(node) if child is not node)
    return any(isinstance(child, COMPREHENSIONS) for child in inner)


def _is_long_call(node: ast.Call, own_names: set[str]) -> bool:
    arguments = [one for one in node.args if not isinstance(one, ast.Starred)]
    if len(arguments) <= MOST_ARGUMENTS:
        return False
    if isinstance(node.func, ast.Attribute) and node.func.attr in AXES:
        return False
    return _root_name(node.func) in own_names


def _root_name(node: ast.expr) -> str:
    """The first name of `a.b.c`; "" for another expression."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _own_names(tree: ast.Module) -> set[str]:
    """The names in a module that are not imported from other packages."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names -= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not _is_own(node.module or ""):
            names -= {alias.asname or alias.name for alias in node.names}
    return names - set(dir(builtins))


def _is_own(module: str) -> bool:
    return module.partition(".")[0] in {"labelgrid", "tools", "research", "benchmarks"}


def _is_long_record(node: ast.ClassDef) -> bool:
    """Whether a dataclass takes many fields by position."""
    for decorator in node.decorator_list:
        text = ast.unparse(decorator)
        if text.startswith("dataclass") and "kw_only=True" not in text:
            return sum(isinstance(item, ast.AnnAssign) for item in node.body) > MOST_FIELDS
    return False


def counts(root: Path) -> dict[str, Counter[str]]:
    """How many lines, assignments, comprehensions and so on each package has, and all."""
    by_package: dict[str, Counter[str]] = {}
    everything: Counter[str] = Counter()
    for package, files in modules_by_package(root).items():
        by_package[package] = Counter()
        for module in files:
            by_package[package].update(_counts_of(module))
        everything.update(by_package[package])
    return {**by_package, "all": everything}


def _counts_of(module: Module) -> Counter[str]:
    own_names = _own_names(module.tree)
    counted = Counter({"modules": 1, "lines of code": _code_lines(module)})
    for node in ast.walk(module.tree):
        counted["nodes"] += 1
        if isinstance(node, ast.Import | ast.ImportFrom):
            counted["import lines"] += (node.end_lineno or node.lineno) - node.lineno + 1
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            counted["assignments"] += 1
        if isinstance(node, ast.Assign) and _is_packed(node):
            counted["packed"] += 1
        elif isinstance(node, COMPREHENSIONS):
            counted["comprehensions"] += 1
        elif isinstance(node, ast.IfExp):
            counted["ternaries"] += 1
        elif isinstance(node, ast.Call) and _is_long_call(node, own_names):
            counted["long calls"] += 1
    return counted


def _code_lines(module: Module) -> int:
    """The number of lines that hold code, without blank lines, comments and docstrings."""
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER}
    skipped |= {tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - _docstring_lines(module.tree))


def _docstring_lines(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        if ast.get_docstring(node) is not None:
            first = node.body[0]
            lines.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return lines


def table(by_package: dict[str, Counter[str]]) -> str:
    """The counts as a Markdown table, comprehensions and ternaries per 1,000 lines of code."""
    rows = ["| package | modules | " + " | ".join(COLUMNS) + " |"]
    rows.append("| --- | " + " | ".join(["---:"] * (len(COLUMNS) + 1)) + " |")
    for package, one in sorted(by_package.items(), key=lambda item: (item[0] == "all", item[0])):
        lines = max(one["lines of code"], 1)
        cells = [
            f"{one['modules']:,}",
            f"{one['lines of code']:,}",
            f"{one['nodes']:,}",
            f"{100 * one['import lines'] / lines:.0f}",
            f"{100 * one['packed'] / max(one['assignments'], 1):.1f}",
            f"{1000 * one['comprehensions'] / lines:.0f}",
            f"{1000 * one['ternaries'] / lines:.0f}",
            f"{one['long calls']}",
        ]
        rows.append(f"| {package} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


if __name__ == "__main__":
    if "--count" in sys.argv[1:]:
        print(table(counts(ROOT)))
        raise SystemExit
    raise SystemExit(report(faults(ROOT)))
