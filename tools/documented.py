"""Checks that every key of the TOML files has a row with its default in the handwritten tables.

The keys of recipes and settings are in docs/recipes.md, those of label files in docs/labels.md for
the formats that have a part there; a further format needs only its generated page. The expected keys
come from the code. `tools.reference` generates the tables of commands and plug-ins.
"""

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

from labelgrid.basics import plugins
from tools.source import ROOT, report, sections

#: A page, and the headings above a table of keys.
Section = tuple[str, ...]
#: The page of label files.
LABELS = "docs/labels.md"
#: The keys with their defaults, as shown in a table.
Keys = Mapping[str, str]


def faults(root: Path) -> list[str]:
    """The faults of all tables of keys."""
    return [
        fault
        for section, expected in {**recipe_keys(), **label_keys(read(root, LABELS))}.items()
        for fault in key_faults(read(root, section[0]), section, expected)
    ]


def recipe_keys() -> dict[Section, Keys]:
    """The keys of a recipe's tables and of a project's settings."""
    recipe = importlib.import_module("labelgrid.recipes.recipe").Recipe()
    project = importlib.import_module("labelgrid.project.folder")
    settings = project.Settings()
    tables = {f"[{field.name}]": getattr(recipe, field.name) for field in fields(recipe)}
    tables |= {project.SETTINGS: settings, "[strategy]": settings.strategy}
    return {
        ("docs/recipes.md", name): keys(table)
        for name, table in tables.items()
        if is_dataclass(table)
    }


def label_keys(page: str) -> dict[Section, Keys]:
    """The options of the formats of label files that have a part of the page."""
    described = sections(page)
    return {
        (LABELS, name): keys(plugins.module("formats", name).Options)
        for name in plugins.names("formats")
        if name in described
    }


def keys(table: Any) -> Keys:
    """The keys of a dataclass or of one of its objects, with their values as TOML, or in words if TOML has no form."""
    return {
        field.name: _shown(getattr(table, field.name, _default(field))) for field in fields(table)
    }


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _shown(value: Any) -> str:
    if isinstance(value, Mapping) or is_dataclass(value):
        return "a table"
    if value is MISSING:
        return "required"
    return "none" if value is None else json.dumps(value)


def key_faults(page: str, section: Section, expected: Keys) -> list[str]:
    r"""The keys that are missing in the table of a section, have a wrong default there, or do not exist in the code.

    Example:
        >>> section, expected = ("docs/plugins.md", "pad_net"), {"width": "256", "gate": '"target"'}
        >>> key_faults("# pad_net\n| `width` | `64` | Channels. |", section, expected)
        ['docs/plugins.md, pad_net: no row for `gate`', 'docs/plugins.md, pad_net: `width` is 256, not 64']
    """
    name, *headings = section
    for heading in headings:
        page = sections(page).get(heading, "")
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^`|]*?)`? \|", page, re.MULTILINE))
    where = f"{name}, {' / '.join(headings)}"
    missing = [f"{where}: no row for `{key}`" for key in expected if key not in rows]
    wrong = [
        f"{where}: `{key}` is {expected[key]}, not {default}"
        for key, default in rows.items()
        if expected.get(key, default) != default
    ]
    return [
        *missing,
        *wrong,
        *(f"{where}: there is no `{key}`" for key in rows if key not in expected),
    ]


def read(root: Path, name: str) -> str:
    """The text of a page; empty if it does not exist."""
    page = root / name
    return page.read_text(encoding="utf-8") if page.exists() else ""


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
