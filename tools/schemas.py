"""Writes JSON schemas of settings and recipes from their dataclasses, and checks that they are current.

`--write` updates docs/schemas. Editors complete keys and values of TOML files by such a schema.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from inspect import cleandoc
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from labelgrid.api.door import argument_meanings
from labelgrid.basics import plugins
from labelgrid.lab.simulation.study_recipe import Study
from labelgrid.project.settings import Settings
from labelgrid.recipes.recipe import Recipe
from tools.source import ROOT, report

FOLDER = "docs/schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: The tables of a recipe that choose a plug-in, or hold options by plug-in, and the plug-ins' folder.
CHOSEN = {"network": "networks", "balance": "balance"}
TABLES = {"terms": "terms", "score": "statistics"}
EXTENDS = "the recipe whose tables this one changes: a shipped one, or a path"


def schemas() -> dict[str, dict[str, Any]]:
    """The schemas by file name."""
    settings = _schema(Settings, "Settings of a project: labelgrid.toml")
    settings["properties"]["strategy"] = _choice("strategies")
    settings["properties"]["changes"] = {"$ref": "recipe.json"}
    recipe = _schema(Recipe, "A recipe: how a network is built and trained")
    recipe["properties"]["extends"] = {"description": EXTENDS, "type": "string"}
    for name, folder in CHOSEN.items():
        recipe["properties"][name] = _choice(folder)
    for name, folder in TABLES.items():
        # A recipe that extends another one turns a term off by `false`.
        tables = {key: {"anyOf": [table, {"const": False}]} for key, table in _options(folder)}
        recipe["properties"][name] = {"type": "object", "properties": tables}
    recipe["properties"]["simulate"] = {"$ref": "study.json"}
    study = _schema(Study, "The table [simulate] of a recipe: a study")
    study.pop("required", None)  # a recipe that extends another one may say only what differs
    return {"labelgrid.json": settings, "recipe.json": recipe, "study.json": study}


def _schema(kind: type[Any], title: str) -> dict[str, Any]:
    """The schema of a dataclass, which allows no other keys, with the meanings of all keys."""
    schema = TypeAdapter(kind).json_schema()
    for name, part in schema.get("$defs", {}).items():
        part["additionalProperties"] = False
        part.pop("description", None)
        _describe(part, _classes(kind).get(name))
    _describe(schema, kind)
    schema.pop("description", None)
    return {"$schema": DIALECT, "title": title, **schema, "additionalProperties": False}


def _describe(schema: dict[str, Any], kind: type[Any] | None) -> None:
    """Add what the docstring of a dataclass says of its fields."""
    meanings = argument_meanings(cleandoc((kind and kind.__doc__) or ""))
    for name, part in schema.get("properties", {}).items():
        if name in meanings:
            part["description"] = meanings[name]
        part.pop("title", None)


def _classes(kind: type[Any]) -> dict[str, type[Any]]:
    """The dataclasses in the module of a dataclass and in those of its fields, by name."""
    found: dict[str, type[Any]] = {}
    waiting = [kind]
    while waiting:
        here = waiting.pop()
        for value in vars(sys.modules[here.__module__]).values():
            if isinstance(value, type) and is_dataclass(value) and value.__name__ not in found:
                found[value.__name__] = value
                waiting.append(value)
    return found


def _choice(folder: str) -> dict[str, Any]:
    """A plug-in by name, with its options; a plug-in of the user's has a colon in its name."""
    tables = dict(_options(folder))
    cases = []
    for name, table in tables.items():
        is_named = {"properties": {"name": {"const": name}}, "required": ["name"]}
        cases.append({"if": is_named, "then": {"properties": {"options": table}}})
    return {
        "type": "object",
        "properties": {
            "name": {"anyOf": [{"enum": list(tables)}, {"type": "string", "pattern": ":"}]},
            "options": {"type": "object"},
        },
        "additionalProperties": False,
        "allOf": cases,
    }


def _options(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each plug-in of a folder with the schema of its options."""
    for name in sorted(plugins.names(folder)):
        options = plugins.options_class(folder, name)
        table = TypeAdapter(options).json_schema()
        _describe(table, options)
        for key in ("title", "description"):
            table.pop(key, None)
        yield name, table | {"additionalProperties": False}


def faults(root: Path) -> list[str]:
    """The schemas that differ from the code."""
    found = []
    for name, schema in schemas().items():
        page = root / FOLDER / name
        if not page.exists() or page.read_text(encoding="utf-8") != _text(schema):
            found.append(f"{FOLDER}/{name} is out of date; run `python -m tools.schemas --write`")
    return found


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=False) + "\n"


if __name__ == "__main__":
    if "--write" in sys.argv:
        for name, schema in schemas().items():
            (ROOT / FOLDER).mkdir(exist_ok=True)
            (ROOT / FOLDER / name).write_text(_text(schema), encoding="utf-8")
    raise SystemExit(report(faults(ROOT)))
