"""The border where TOML becomes frozen dataclasses: every key is checked, nothing is guessed."""

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
    """The tables of a TOML file.

    Raises:
        RecipeError: the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError("There is no such file.", where=str(path), next_step="Check the path.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"This is not TOML: {error}.", where=str(path), next_step="Mend the line.") from error


def parse(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build the frozen dataclass `kind` from TOML values, strictly: no unknown key, no silent conversion.

    Raises:
        RecipeError: names each wrong key, its problem and the nearest right key.

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
        text = json.dumps(values, default=str)  # TOML's dates have no place anywhere
        return TypeAdapter(kind).validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        faults = [_fault(kind, fault["loc"], fault["type"], fault["msg"]) for fault in error.errors()]
        raise RecipeError("; ".join(faults) + ".", where=where, next_step="Mend it and run again.") from error


def _fault(kind: object, place: tuple[int | str, ...], fault: str, message: str) -> str:
    if fault not in {"unexpected_keyword_argument", "extra_forbidden"}:
        message = message.removeprefix("Value error, ")
        return ": ".join(filter(None, [".".join(map(str, place)), f"{message[0].lower()}{message[1:]}"]))
    for step in place[:-1]:
        kind = next((f.type for f in fields(kind) if f.name == step), None) if is_dataclass(kind) else None
    known = [f.name for f in fields(kind)] if is_dataclass(kind) else []
    near = difflib.get_close_matches(str(place[-1]), known, 1)
    hint = f" (did you mean '{near[0]}'?)" if near else f" (known: {', '.join(known)})" if known else ""
    return f"{'.'.join(map(str, place))}: unknown key{hint}"


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `change` laid over it, table by table; a table that names another plug-in replaces.

    Example:
        >>> merge({"train": {"epochs": 3, "batch": 8}}, {"train": {"epochs": 5}})
        {'train': {'epochs': 5, 'batch': 8}}
        >>> merge({"network": {"name": "a", "options": {"x": 1}}}, {"network": {"name": "b"}})
        {'network': {'name': 'b'}}
    """
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping) and not _renames(old, value)
        merged[key] = merge(old, value) if nested else value  # type: ignore[arg-type]
    return merged


def _renames(old: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
    return "name" in change and change["name"] != old.get("name")


def as_toml(value: object) -> str:
    """A plain value as TOML, tables inline; what is None is left out of tables.

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
        return repr(value)  # JSON would write 1e+30 without its point
    return json.dumps(value, ensure_ascii=False)  # a JSON string is a TOML string
