"""Writes JSON schemas of settings, recipes, models and manifests from their dataclasses, and checks that they are current.

`--write` updates docs/schemas. Editors complete keys and values of a file by such a schema.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from inspect import getdoc
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter

from labelgrid.annotate.manifest import ManifestEntry
from labelgrid.api.door import field_meanings
from labelgrid.basics import plugins
from labelgrid.lab.simulation.study_recipe import Study
from labelgrid.project.settings import Settings
from labelgrid.recipes.recipe import Recipe
from labelgrid.suppliers.model_file import ModelFile
from tools.source import ROOT, report

FOLDER = "docs/schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: The tables of a recipe that choose a plug-in, or hold options by plug-in, and the plug-ins' folder.
CHOSEN = {"network": "networks", "balance": "balance"}
TABLES = {"terms": "terms", "score": "statistics"}
EXTENDS = "the recipe whose tables this one changes: a shipped one, or a path"
STUDY = "a study"


def schemas() -> dict[str, dict[str, Any]]:
    """The schemas by file name."""
    settings = _schema(Settings, "Settings of a project: labelgrid.toml")
    _replace(settings, "strategy", _choice("strategies"))
    _replace(settings, "changes", {"$ref": "recipe.json"})
    recipe = _schema(Recipe, "A recipe: how a network is built and trained")
    recipe["properties"]["extends"] = {"description": EXTENDS, "type": "string"}
    for name, folder in CHOSEN.items():
        _replace(recipe, name, _choice(folder))
    for name, folder in TABLES.items():
        _replace(recipe, name, {"type": "object", "properties": _tables(folder)})
    recipe["properties"]["simulate"] = {"description": STUDY, "$ref": "study.json"}
    model = _schema(ModelFile, "A model in a file for `labelgrid supply`: the TOML beside it")
    several = model["properties"]["output"]
    one_or_several = {"anyOf": [several["items"], several]}
    model["properties"]["output"] = {"description": several["description"], **one_or_several}
    study = _schema(Study, f"The table [simulate] of a recipe: {STUDY}")
    study.pop("required", None)  # a recipe that extends another one may say only what differs
    return {
        "labelgrid.json": settings,
        "recipe.json": recipe,
        "study.json": study,
        "manifest.json": _manifest(),
        "model.json": model,
    }


def _manifest() -> dict[str, Any]:
    entry = _schema(
        ManifestEntry, "The manifest of a request: manifest.json, one entry for each label"
    )
    head = {name: entry.pop(name) for name in ("$schema", "title", "$defs")}
    return {**head, "type": "array", "items": entry}


def _schema(kind: type[Any], title: str) -> dict[str, Any]:
    """The schema of a dataclass, which allows no other keys, with the meanings of all keys."""
    schema = TypeAdapter(kind).json_schema()
    classes = _classes(kind)
    for name, part in schema.get("$defs", {}).items():
        _describe(part, classes[name])
    _describe(schema, kind)
    return {"$schema": DIALECT, "title": title, **schema}


def _describe(schema: dict[str, Any], kind: type[Any]) -> None:
    """Allow no other keys than the fields of a dataclass, and add what its docstrings say of them."""
    meanings = field_meanings(kind)
    for name, part in schema.get("properties", {}).items():
        part["description"] = meanings[name]
        part.pop("title", None)
    for key in ("title", "description"):
        schema.pop(key, None)
    schema["additionalProperties"] = False


def _classes(kind: type[Any]) -> dict[str, type[Any]]:
    """A dataclass and those of its fields, also within lists and tables, by name."""
    found: dict[str, type[Any]] = {}
    waiting: list[Any] = [kind]
    while waiting:
        here = waiting.pop()
        waiting += get_args(here)
        if is_dataclass(here) and isinstance(here, type) and here.__name__ not in found:
            found[here.__name__] = here
            waiting += get_type_hints(here).values()
    return found


def _replace(schema: dict[str, Any], name: str, part: dict[str, Any]) -> None:
    """Replace a property by a closer schema; the description stays."""
    description = schema["properties"][name]["description"]
    schema["properties"][name] = {"description": description, **part}


def _tables(folder: str) -> dict[str, dict[str, Any]]:
    """The tables of options by plug-in; a recipe that extends another one turns a term off by `false`."""
    found = {}
    for name, table in _options(folder):
        description = table.pop("description")
        found[name] = {"description": description, "anyOf": [table, {"const": False}]}
    return found


def _choice(folder: str) -> dict[str, Any]:
    """A plug-in by name, with its options; a plug-in of the user's has a colon in its name."""
    tables = dict(_options(folder))
    meanings = field_meanings(plugins.PluginChoice)
    cases = []
    for name, table in tables.items():
        is_named = {"properties": {"name": {"const": name}}, "required": ["name"]}
        cases.append({"if": is_named, "then": {"properties": {"options": table}}})
    return {
        "type": "object",
        "properties": {
            "name": {
                "description": meanings["name"],
                "anyOf": [{"enum": list(tables)}, {"type": "string", "pattern": ":"}],
            },
            "options": {"description": meanings["options"], "type": "object"},
        },
        "additionalProperties": False,
        "allOf": cases,
    }


def _options(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of each plug-in of a folder with the schema of its options."""
    for name in sorted(plugins.names(folder)):
        table = options_schema(plugins.options_class(folder, name))
        purpose, *_ = str(getdoc(plugins.module(folder, name))).splitlines()
        yield name, {"description": purpose, **table}


def options_schema(options: type[Any]) -> dict[str, Any]:
    """The schema of the options of a plug-in.

    Raises:
        ValueError: a field is a dataclass, to which a reference would point nowhere.
    """
    schema = TypeAdapter(options).json_schema()
    if "$defs" in schema:
        inner = ", ".join(schema["$defs"])
        raise ValueError(f"{options.__qualname__} holds {inner}; options of a plug-in are flat")
    _describe(schema, options)
    return schema


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
