"""Digests the source of a study's own plug-ins, so that runs made by other code are noticed.

Imports none of it.
"""

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

#: The name of a plug-in outside this package.
OWN = re.compile(r"(?!labelgrid[.:])[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def digests(values: Any) -> dict[str, str]:
    """The plug-ins that JSON values name as "package.module:object", each with the digest of its source.

    The source is the module's file and the modules of the same package that it imports, directly or
    indirectly. Words that look like a plug-in, but have no source, are left out.
    """
    found = {}
    for name in sorted(set(_names(values))):
        files = _sources(name.partition(":")[0])
        if files:
            hasher = hashlib.blake2b(digest_size=16)
            for module, path in sorted(files.items()):
                content = path.read_bytes()
                hasher.update(f"{module}\0{len(content)}\0".encode() + content)
            found[name] = hasher.hexdigest()
    return found


def changed_plugins(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The plug-ins whose source has changed.

    Example:
        >>> changed({"a:build": "1", "b:build": "2"}, {"a:build": "1", "b:build": "3", "c:build": "4"})
        ['b:build']
    """
    return [name for name, digest in before.items() if now.get(name, digest) != digest]


def _names(values: Any) -> Iterator[str]:
    """The words among nested keys and values that are written like a plug-in's name."""
    if isinstance(values, Mapping):
        values = [*values.keys(), *values.values()]
    if isinstance(values, str):
        yield from [values] if OWN.fullmatch(values) else []
    elif isinstance(values, Sequence):
        for value in values:
            yield from _names(value)


def _sources(module: str) -> dict[str, Path]:
    """A module and those of its package that it imports -> file."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = None if name in found else _file(name)
        if path:
            found[name] = path
            waiting += [
                other
                for other in _imports(name, path)
                if other.split(".")[0] == module.split(".")[0]
            ]
    return found


def _file(module: str) -> Path | None:
    """The source file of a module, found without importing a package above it.

    None if there is none.
    """
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    bases = [Path(base).joinpath(*rest) for base in spec.submodule_search_locations or ()]
    candidates = [
        path for base in bases for path in (base.with_name(f"{base.name}.py"), base / "__init__.py")
    ]
    if not rest:
        candidates = [Path(spec.origin or "")]
    return next((path for path in candidates if path.suffix == ".py" and path.is_file()), None)


def _imports(module: str, path: Path) -> Iterator[str]:
    """The names that a file imports and that may be modules."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    try:
        tree = ast.parse(path.read_bytes())
    except (
        SyntaxError,
        ValueError,
        RecursionError,
        MemoryError,
    ):  # found when the plug-in is loaded
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level <= (
            package.count(".") + 1 if package else 0
        ):
            base = (
                resolve_name("." * node.level + (node.module or ""), package)
                if node.level
                else str(node.module)
            )
            yield from (base, *(f"{base}.{alias.name}" for alias in node.names))
