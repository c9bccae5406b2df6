"""Finds the plug-ins of installed packages by entry points, without importing the packages."""

import ast
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from labelgrid.basics.trusted_code import NAME, is_never_trusted, is_trusted

#: What the groups of labelgrid's entry points begin with.
PREFIX = "labelgrid."
#: A name that recipes, commands and paths of files can hold.
PLAIN = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True)
class InstalledPlugin:
    """A plug-in that an installed package brings.

    Args:
        name: what recipes and commands call it.
        target: its code, as "package.module:object".
        package: the package and its version.
    """

    name: str
    target: str
    package: str

    @property
    def origin(self) -> str:
        """The package of the plug-in, and the code in the package."""
        return f"{self.package} ('{self.target}')"

    @property
    def fault(self) -> str:
        """The reason why nobody can use the plug-in, whatever is trusted; "" if usable."""
        why = ""
        if not PLAIN.fullmatch(self.name):
            why = f"its name '{self.name}' has more than letters, digits, '_', '-' and '.'"
        elif not NAME.fullmatch(self.target):
            why = f"its code '{self.target}' is not of the form 'package.module:name'"
        elif is_never_trusted(self.target.partition(":")[0]):
            why = f"its code '{self.target}' is labelgrid's or Python's own"
        if not why:
            return ""
        return f"cannot be used: {why}; its package's author must mend the entry point"

    @property
    def summary(self) -> str:
        """The sentence on the plug-in in a list of plug-ins."""
        if self.fault:
            return f"It {self.fault}. From the package {self.package}: {self.target}."
        module = self.target.partition(":")[0]
        trust = ""
        if not is_trusted(module):
            trust = f"; runs with --trust {module.partition('.')[0]}"
        return f"{_first_line(module)} From the package {self.package}: {self.target}{trust}."


def installed_plugins(folder: str) -> dict[str, list[InstalledPlugin]]:
    """Find the plug-ins of a sort, such as "strategies", by name.

    A name has several plug-ins if several packages bring it.
    """
    plugins: dict[str, list[InstalledPlugin]] = {}
    installed = _by_group(tuple(sys.path)).get(f"{PREFIX}{folder}", ())
    for plugin in sorted(installed, key=lambda plugin: (plugin.name, plugin.package)):
        plugins.setdefault(plugin.name, []).append(plugin)
    return plugins


@lru_cache
def _by_group(_path: tuple[str, ...]) -> dict[str, list[InstalledPlugin]]:
    """Read the metadata of all packages once: all sorts take as long as a single sort."""
    points = entry_points()
    groups: dict[str, list[InstalledPlugin]] = {}
    for group in points.groups:
        if not group.startswith(PREFIX):
            continue
        for point in points.select(group=group):
            package = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown"
            groups.setdefault(group, []).append(InstalledPlugin(point.name, point.value, package))
    return groups


def source_file(module: str) -> Path | None:
    """Find the source file of a module without importing a package above it.

    None if there is none.
    """
    top, *rest = module.split(".")
    spec = None
    with suppress(ImportError, ValueError):
        spec = find_spec(top)
    if spec is None:
        return None
    sources = (path for path in _candidates(spec.origin, spec.submodule_search_locations, rest))
    return next((path for path in sources if path.suffix == ".py" and path.is_file()), None)


def _candidates(origin: str | None, folders: list[str] | None, inner: list[str]) -> Iterator[Path]:
    if not inner:
        yield Path(origin or "")
        return
    for folder in folders or ():
        base = Path(folder).joinpath(*inner)
        yield base.with_name(f"{base.name}.py")
        yield base / "__init__.py"


def _first_line(module: str) -> str:
    """The first line of a module's docstring, or why it cannot be read."""
    path = source_file(module)
    if path is None:
        return f"There is no module `{module}`."
    try:
        text = ast.get_docstring(ast.parse(path.read_bytes()))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"Its module is no Python: {type(error).__name__}."
    return (text or "It has no description.").partition("\n")[0]
