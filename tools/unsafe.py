"""Checks that the package has no call which would execute code from a file that it reads."""

import ast
from pathlib import Path

from tools.source import ROOT, Module, modules, report

#: Calls that execute code from a file or a string.
FORBIDDEN = frozenset(
    {
        "eval",
        "exec",
        "builtins.eval",
        "builtins.exec",
        "yaml.load",
        "yaml.unsafe_load",
        "yaml.full_load",
    }
    | {
        f"{library}.{name}"
        for library in ("pickle", "dill", "marshal")
        for name in ("load", "loads", "Unpickler")
    }
    | {"joblib.load", "shelve.open"}
)
#: Calls that take what another process of this program sends, or what this one has just made, and
#: not a file.
MESSAGES = frozenset(
    {
        ("src/labelgrid/executors/ray_worker.py", "pickle.loads"),
        ("src/labelgrid/testing/kinds.py", "pickle.loads"),
        ("src/labelgrid/testing/layouts.py", "pickle.loads"),
        ("src/labelgrid/testing/makers.py", "pickle.loads"),
        ("src/labelgrid/testing/partitions.py", "pickle.loads"),
    }
)
#: Keywords with the only value that they may have.
ONLY = {"weights_only": True, "allow_pickle": False}


def faults(root: Path) -> list[str]:
    """The calls in src/ that execute a file's content, or may execute it."""
    return [fault for module in modules(root, "src") for fault in _faults_of(module)]


def _faults_of(module: Module) -> list[str]:
    aliases = _aliases(module.tree)
    lines = []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and not _takes_message(module, node, aliases):
            lines += [
                f"{module.path}:{node.lineno}: {fault}" for fault in _faults_of_call(node, aliases)
            ]
    return lines


def _takes_message(module: Module, call: ast.Call, aliases: dict[str, str]) -> bool:
    return (module.path.as_posix(), _dotted(call.func, aliases)) in MESSAGES


def _faults_of_call(call: ast.Call, aliases: dict[str, str]) -> list[str]:
    name = _dotted(call.func, aliases)
    lines = [f"{name} runs what it reads"] if name in FORBIDDEN else []
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    for keyword, only in ONLY.items():
        value = given.get(keyword)
        if value is not None and not (isinstance(value, ast.Constant) and value.value is only):
            lines.append(f"{keyword} of {name} must be {only}")
    if _reads_checkpoint(name) and "weights_only" not in given:
        lines.append(f"{name} without weights_only=True runs what it reads")
    return lines


def _reads_checkpoint(name: str) -> bool:
    """Whether it is `torch.load`, or Fabric's `load` or `load_raw`, which unpickle local files by default."""
    *owners, last = name.split(".")
    return name == "torch.load" or (
        last in {"load", "load_raw"} and bool(owners) and "fabric" in owners[-1].lower()
    )


def _aliases(tree: ast.Module) -> dict[str, str]:
    """The full names of the names that a module imports."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {name.asname: name.name for name in node.names if name.asname}
        elif isinstance(node, ast.ImportFrom):
            names |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
    return names


def _dotted(node: ast.expr, aliases: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return aliases.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, aliases)}.{node.attr}"
    return ""


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
