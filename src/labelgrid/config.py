"""Parses TOML into frozen dataclasses and checks every key and value."""

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from labelgrid.errors import RecipeError

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file.

    Raises:
        RecipeError: the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError("The file does not exist.", where=str(path), next_step="Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"The file is not TOML: {error}.", where=str(path), next_step="Fix the line.") from error


def parse(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build the frozen dataclass `kind` from TOML values; unknown keys and type conversions are errors.

    Raises:
        RecipeError: names each wrong key, its problem and the closest known key.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Train:
        ...     epochs: int = 1
        >>> parse(Train, {"epochs": 3}, "recipe.toml")
        Train(epochs=3)
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        text = json.dumps(values, default=str)  # dates become text; no key takes one
        return TypeAdapter(kind).validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        faults = [_fault(kind, fault["loc"], fault["type"], fault["msg"]) for fault in error.errors()]
        raise RecipeError("; ".join(faults) + ".", where=where, next_step="Fix it and run again.") from error


def _fault(kind: object, key_path: tuple[int | str, ...], fault: str, message: str) -> str:
    key = ".".join(map(str, key_path))
    if fault not in {"unexpected_keyword_argument", "extra_forbidden"}:
        message = message.removeprefix("Value error, ")
        return ": ".join(filter(None, [key, f"{message[0].lower()}{message[1:]}"]))
    for step in key_path[:-1]:
        kind = next((f.type for f in fields(kind) if f.name == step), None) if is_dataclass(kind) else None
    known = [f.name for f in fields(kind)] if is_dataclass(kind) else []
    near = difflib.get_close_matches(str(key_path[-1]), known, 1)
    hint = f" (did you mean '{near[0]}'?)" if near else f" (known: {', '.join(known)})" if known else ""
    return f"{key}: unknown key{hint}"


def merge(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Override keys of `base`, table by table; a table that names another plug-in replaces the whole table.

    Example:
        >>> merge({"train": {"epochs": 3, "batch": 8}}, {"train": {"epochs": 5}})
        {'train': {'epochs': 5, 'batch': 8}}
        >>> merge({"network": {"name": "a", "options": {"x": 1}}}, {"network": {"name": "b"}})
        {'network': {'name': 'b'}}
    """
    merged = dict(base)
    for key, value in overrides.items():
        old = merged.get(key)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping) and not _renames(old, value)
        merged[key] = merge(old, value) if nested else value  # type: ignore[arg-type]
    return merged


def _renames(old: Mapping[str, Any], overrides: Mapping[str, Any]) -> bool:
    return "name" in overrides and overrides["name"] != old.get("name")


def as_toml(value: object) -> str:
    """A plain value as TOML, with inline tables; keys whose value is None are left out.

    Example:
        >>> as_toml({"steps": 500, "zoom": (0.8, 1.0), "val": None})
        '{ "steps" = 500, "zoom" = [0.8, 1.0] }'
    """
    if isinstance(value, Mapping):
        items = ((str(key), item) for key, item in value.items() if item is not None)
        return "{ " + ", ".join(f"{as_toml(key)} = {as_toml(item)}" for key, item in items) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)  # JSON writes 1e+30 without a decimal point
    return json.dumps(value, ensure_ascii=False)  # a JSON string is a TOML string
