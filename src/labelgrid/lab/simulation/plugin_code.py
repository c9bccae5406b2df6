"""Digests the source of a study's own plug-ins, to notice runs of other code.

Imports none of it.
"""

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

from labelgrid.basics.entry_points import installed_plugins, source_file
from labelgrid.basics.plugins import FOLDERS, names

#: The name of a plug-in outside this package.
OWN = re.compile(r"(?!labelgrid[.:])[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def digests(values: Any) -> dict[str, str]:
    """Digest the source of each plug-in from outside labelgrid that JSON values name.

    They name it as "package.module:object", or as an installed package does. The source is the
    module's file and the modules of the same package that it imports, directly or indirectly.
    Words that look like a plug-in, but have no source, are left out.
    """
    code = {}
    for name in sorted(set(_words(values))):
        files: dict[str, Path] = {}
        for target in _targets(name):
            files |= _sources(target.partition(":")[0])
        hasher = hashlib.blake2b(digest_size=16)
        for module, path in sorted(files.items()):
            content = path.read_bytes()
            hasher.update(f"{module}\0{len(content)}\0".encode() + content)
        if files:
            code[name] = hasher.hexdigest()
    return code


def changed_plugins(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Name the plug-ins whose source has changed.

    Example:
        >>> now = {"a:build": "1", "b:build": "3", "c:build": "4"}
        >>> changed_plugins({"a:build": "1", "b:build": "2"}, now)
        ['b:build']
    """
    changed = []
    for name, digest in before.items():
        if now.get(name, digest) != digest:
            changed.append(name)
    return changed


def _targets(name: str) -> list[str]:
    """The code that a word may mean."""
    if OWN.fullmatch(name):
        return [name]
    targets = []
    for folder in FOLDERS:
        if name not in names(folder):
            targets += [plugin.target for plugin in installed_plugins(folder).get(name, ())]
    return targets


def _words(values: Any) -> Iterator[str]:
    """Find the words among nested keys and values."""
    if isinstance(values, Mapping):
        values = [*values.keys(), *values.values()]
    if isinstance(values, str):
        yield values
    elif isinstance(values, Sequence):
        for value in values:
            yield from _words(value)


def _sources(module: str) -> dict[str, Path]:
    """The files of a module and of the imported modules of the same package, by name."""
    package = module.split(".")[0]
    files = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in files:
            continue
        path = source_file(name)
        if path:
            files[name] = path
            imported = _imports(name, path)
            waiting += [other for other in imported if other.split(".")[0] == package]
    return files


def _imports(module: str, path: Path) -> Iterator[str]:
    """Find the imported names of a file that may be modules."""
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
    """The names of a `from` import that may be modules; none outside the package."""
    depth = package.count(".") + 1 if package else 0
    if node.level > depth:
        return
    base = node.module or ""
    if node.level:
        base = resolve_name("." * node.level + base, package)
    yield base
    for alias in node.names:
        yield f"{base}.{alias.name}"
