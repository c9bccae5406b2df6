"""Has every key that a TOML file may have a row, with its default, in the tables written by hand?

A recipe's and the settings' keys are in docs/recipes.md, those of label files in docs/labels.md: a row a key. What is
asked for comes from the code itself. Tables of commands and plug-ins are made by `tools.reference`.
"""

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from labelgrid import plugins
from tools.source import ROOT, report, sections

#: A page and the headings that lead to a table of keys.
Place = tuple[str, ...]
#: A key -> its default, as the table shows it.
Keys = Mapping[str, str]


def faults(root: Path) -> list[str]:
    """What the documentation leaves out."""
    found = []
    for place, wanted in {**recipe_keys(), **label_keys()}.items():
        found += key_faults(read(root, place[0]), place, wanted)
    return found


def recipe_keys() -> dict[Place, Keys]:
    """The keys of a recipe's tables and of a project's settings."""
    recipe = importlib.import_module("labelgrid.recipes.schema").Recipe()
    project = importlib.import_module("labelgrid.project.folder")
    settings = project.Settings()
    tables = {f"[{field.name}]": getattr(recipe, field.name) for field in fields(recipe)}
    tables |= {project.SETTINGS: settings, "[strategy]": settings.strategy}
    return {("docs/recipes.md", name): keys(table) for name, table in tables.items() if is_dataclass(table)}


def label_keys() -> dict[Place, Keys]:
    """The options of the tasks' label files."""
    codecs = {plugins.module("tasks", kind).SPEC.codec for kind in plugins.names("tasks")}
    formats = {name: importlib.import_module(f"labelgrid.labels.formats.{name}") for name in sorted(codecs)}
    return {("docs/labels.md", name): keys(module.Options) for name, module in formats.items()}


def keys(table: Any) -> Keys:
    """The keys of a dataclass, or of one of its objects, and their values as TOML, as far as TOML has a word."""
    return {field.name: _shown(getattr(table, field.name, _default(field))) for field in fields(table)}


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) or is_dataclass(value):
        return "a table"
    if value is MISSING:
        return "required"
    return "none" if value is None else json.dumps(value)


def key_faults(page: str, place: Place, wanted: Keys) -> list[str]:
    r"""The keys that the table at a place lacks, has with another default, or has though they are none.

    Example:
        >>> place, wanted = ("docs/plugins.md", "pad_net"), {"width": "256", "gate": '"target"'}
        >>> key_faults("# pad_net\n| `width` | `64` | Channels. |", place, wanted)
        ['docs/plugins.md, pad_net: no row for `gate`', 'docs/plugins.md, pad_net: `width` is 256, not 64']
    """
    name, *headings = place
    for heading in headings:
        page = sections(page).get(heading, "")
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^`|]*?)`? \|", page, re.MULTILINE))
    where = f"{name}, {' / '.join(headings)}"
    lacking = [f"{where}: no row for `{key}`" for key in wanted if key not in rows]
    wrong = [
        f"{where}: `{k}` is {wanted[k]}, not {found}" for k, found in rows.items() if wanted.get(k, found) != found
    ]
    return [*lacking, *wrong, *(f"{where}: there is no `{key}`" for key in rows if key not in wanted)]


def read(root: Path, name: str) -> str:
    """The page, empty while it is not written."""
    page = root / name
    return page.read_text(encoding="utf-8") if page.exists() else ""


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
