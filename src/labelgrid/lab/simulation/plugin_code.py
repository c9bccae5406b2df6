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
    """Digest the source of each plug-in that JSON values name as "package.module:object".

    The source is the module's file and the modules of the same package that it imports, directly or
    indirectly. Words that look like a plug-in, but have no source, are left out.
    """
    code = {}
    for name in sorted(set(_plugin_names(values))):
        files = _sources(name.partition(":")[0])
        if files:
            code[name] = _digest(files)
    return code


def _digest(files: Mapping[str, Path]) -> str:
    """Digest the files of modules with their names."""
    hasher = hashlib.blake2b(digest_size=16)
    for module, path in sorted(files.items()):
        content = path.read_bytes()
        hasher.update(f"{module}\0{len(content)}\0".encode() + content)
    return hasher.hexdigest()


def changed_plugins(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Name the plug-ins whose source has changed.

    Example:
        >>> now = {"a:build": "1", "b:build": "3", "c:build": "4"}
        >>> changed_plugins({"a:build": "1", "b:build": "2"}, now)
        ['b:build']
    """
    return [name for name, digest in before.items() if now.get(name, digest) != digest]


def _plugin_names(values: Any) -> Iterator[str]:
    """Find the words among nested keys and values that are written like a plug-in's name."""
    if isinstance(values, Mapping):
        values = [*values.keys(), *values.values()]
    if isinstance(values, str):
        if OWN.fullmatch(values):
            yield values
    elif isinstance(values, Sequence):
        for value in values:
            yield from _plugin_names(value)


def _sources(module: str) -> dict[str, Path]:
    """Find the files of a module and of those modules of its package that it imports, by module."""
    package = module.split(".")[0]
    files = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in files:
            continue
        path = _file(name)
        if path:
            files[name] = path
            imports = _imports(name, path)
            waiting += [other for other in imports if other.split(".")[0] == package]
    return files


def _file(module: str) -> Path | None:
    """Find the source file of a module without importing a package above it.

    None if there is none.
    """
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    candidates = []
    if rest:
        for folder in spec.submodule_search_locations or ():
            base = Path(folder).joinpath(*rest)
            candidates += [base.with_name(f"{base.name}.py"), base / "__init__.py"]
    else:
        candidates.append(Path(spec.origin or ""))
    for path in candidates:
        if path.suffix == ".py" and path.is_file():
            return path
    return None


def _imports(module: str, path: Path) -> Iterator[str]:
    """Find the names that a file imports and that may be modules."""
    package = module
    if path.name != "__init__.py":
        package = module.rpartition(".")[0]
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # loading the plug-in reports it
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            yield from _from_imports(node, package)


def _from_imports(node: ast.ImportFrom, package: str) -> Iterator[str]:
    """Find the names of a `from` import that may be modules; none if it leaves the top package."""
    depth = 0
    if package:
        depth = package.count(".") + 1
    if node.level > depth:
        return
    if node.level:
        base = resolve_name("." * node.level + (node.module or ""), package)
    else:
        base = str(node.module)
    yield base
    for alias in node.names:
        yield f"{base}.{alias.name}"
