"""Parses TOML into frozen dataclasses and checks every key and value."""

import difflib
import json
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

from labelgrid.basics.errors import ProjectError, RecipeError
from labelgrid.basics.files import read_text
from labelgrid.basics.type_names import Json, Values

T = TypeVar("T")
#: A dot between two parts of a key, which is in no quotes.
_DOT = re.compile(r'\.(?=(?:[^"]*"[^"]*")*[^"]*$)')
#: What pydantic's types of faults expect, in words of a file of settings.
_EXPECTED = {
    "bool_type": "true or false",
    "dataclass_type": "a table",
    "dict_type": "a table",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list, such as [1, 2],",
    "string_type": "text",
    "tuple_type": "a list, such as [1, 2],",
}
#: The largest whole number in a file of settings: the largest that a database and TOML hold.
LARGEST = 2**63 - 1


def read_toml(path: Path) -> Json:
    """The content of a TOML file.

    Raises:
        RecipeError: the file is missing, cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(read_text(path))
    except FileNotFoundError as error:
        raise RecipeError(
            "The file does not exist.", where=path, next_step="Check the path."
        ) from error
    except OSError as error:
        raise RecipeError(
            f"The file cannot be read: {error.strerror}.", where=path, next_step="Check the path."
        ) from error
    except RecursionError as error:
        raise _too_deep(str(path)) from error
    except ValueError as error:  # of TOML, UTF-8, or a number with thousands of digits
        raise RecipeError(
            f"The file is not TOML: {error}.", where=path, next_step="Fix the line."
        ) from error


def is_extension(now: Any, before: Any) -> bool:
    """Whether nested tables still hold the content of earlier tables.

    Further keys may be new.

    Example:
        >>> is_extension({"width": 8, "stride": 0}, {"width": 8})
        True
        >>> is_extension({"width": 4, "stride": 0}, {"width": 8})
        False
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return all(key in now and is_extension(now[key], value) for key, value in before.items())
    return bool(before == now)


def parse(kind: type[T], values: Values, where: str, *, finite: bool = True) -> T:
    """Build the frozen dataclass `kind` from TOML values.

    Unknown keys and type conversions are errors.

    Args:
        kind: the dataclass.
        values: its keys and values.
        where: the file or table, for messages.
        finite: refuse NaN and infinite numbers; records of measurements may hold them.

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
    from pydantic import ValidationError

    try:
        if finite:
            _check_finite(values, where)
        text = json.dumps(values, default=lambda value: [[str(value)]])  # no key takes one
        built: T = _adapter(cast("Any", kind)).validate_json(text, strict=True, extra="forbid")
        return built
    except RecursionError as error:
        raise _too_deep(where) from error
    except ValidationError as error:
        faults = [_fault_text(kind, fault) for fault in error.errors()]
        raise RecipeError(
            "; ".join(faults) + ".", where=where, next_step="Fix it and run again."
        ) from error


@lru_cache(maxsize=256)
def _adapter(kind: Any) -> Any:
    """The validator of a dataclass; making one takes milliseconds."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _check_finite(values: Values, where: str) -> None:
    for key, number in _numbers(values):
        is_float = isinstance(number, float)
        shown = str(number) if is_float else "a larger one"
        if not (math.isfinite(number) if is_float else abs(number) <= LARGEST):
            raise RecipeError(
                f"{key}: a finite number up to 2**63 is expected; it is {shown}.",
                where=where,
                next_step="Fix it and run again.",
            )


def _numbers(values: Any, key: str = "") -> Iterator[tuple[str, int | float]]:
    """The numbers in nested values, with their dotted keys."""
    if isinstance(values, Mapping):
        prefix = f"{key}." if key else ""
        for name, value in values.items():
            yield from _numbers(value, f"{prefix}{name}")
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _numbers(value, key)
    elif isinstance(values, int | float):
        yield key, values


def _too_deep(where: str) -> RecipeError:
    return RecipeError(
        "The tables are nested too deeply.", where=where, next_step="Fix it and run again."
    )


def check_ranges(options: object, **ranges: tuple[float, float]) -> None:
    """Check that named numbers of a dataclass lie in ranges, ends included.

    Raises:
        ValueError: one does not.
    """
    for name, (low, high) in ranges.items():
        value = getattr(options, name)
        if not low <= value <= high:
            raise ValueError(f"{name} must be from {low:g} to {high:g}; it is {value:g}")


def check_unused_options(options: object, beside: str, *names: str) -> None:
    """Check that options without effect beside another option have the defaults.

    Raises:
        ValueError: one does not.
    """
    defaults = {field.name: field.default for field in fields(cast("Any", options))}
    for name in names:
        value = getattr(options, name)
        if value != defaults[name]:
            raise ValueError(
                f"{name} has no effect with {beside}: leave it at {as_toml(defaults[name])}; "
                f"it is {as_toml(value)}"
            )


def check_tasks(key: str, names: Iterable[str], tasks: Iterable[str]) -> None:
    """Check that a key of a recipe names tasks alone.

    Raises:
        RecipeError: names those that are not.

    Example:
        >>> check_tasks("objective.weights", ["depth", "deph"], ["depth", "normals"])
        Traceback (most recent call last):
        labelgrid.basics.errors.RecipeError: objective.weights names deph, which is not a task.
          The tasks are: depth, normals.
    """
    task_names = list(tasks)
    unknown = sorted(set(names) - set(task_names))
    if unknown:
        raise RecipeError(
            f"{key} names {', '.join(unknown)}, which is not a task.",
            next_step=f"The tasks are: {', '.join(task_names)}.",
        )


def _fault_text(kind: object, fault: Values) -> str:
    key_path = fault["loc"]
    key = ".".join(map(str, key_path))
    if fault["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        hint = _key_hint(str(key_path[-1]), _keys_of(kind, key_path[:-1]))
        return f"{key}: unknown key{hint}"
    message = _message(fault).removeprefix("Value error, ")
    clause = f"{message[0].lower()}{message[1:]}"
    return f"{key}: {clause}" if key else clause


def _message(fault: Values) -> str:
    """The expectation and the value of a fault, or the validator's message."""
    expected = _EXPECTED.get(fault["type"])
    if expected:
        value = fault["input"]
        shown = f"; it is {as_toml(value):.80}" if isinstance(value, str | int | float) else ""
        return f"{expected} is expected{shown}"
    message = str(fault["msg"])
    if {"ge", "gt", "le", "lt"} & fault.get("ctx", {}).keys():
        message += f"; it is {fault['input']}"
    return message


def _keys_of(kind: object, key_path: Iterable[int | str]) -> list[str]:
    for key in key_path:
        if not is_dataclass(kind):
            return []
        kind = {option.name: option.type for option in fields(kind)}.get(str(key))
    if not is_dataclass(kind):
        return []
    return [option.name for option in fields(kind)]


def _key_hint(key: str, keys: list[str]) -> str:
    near = difflib.get_close_matches(key, keys, 1)
    if near:
        return f" (did you mean '{near[0]}'?)"
    if keys:
        return f" (known: {', '.join(keys)})"
    return ""


def merge(base: Values, overrides: Values) -> Json:
    """Override keys of `base`, table by table.

    A table that names another plug-in replaces the whole table.

    Example:
        >>> merge({"train": {"epochs": 3, "batch": 8}}, {"train": {"epochs": 5}})
        {'train': {'epochs': 5, 'batch': 8}}
        >>> merge({"network": {"name": "a", "options": {"x": 1}}}, {"network": {"name": "b"}})
        {'network': {'name': 'b'}}
    """
    merged = dict(base)
    for key, value in overrides.items():
        old = merged.get(key)
        merged[key] = value
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            is_other_plugin = "name" in value and value["name"] != old.get("name")
            merged[key] = value if is_other_plugin else merge(old, value)
    return merged


def tables_of(values: Values) -> Json:
    """The nested tables that values under dotted keys are in; quotes keep the dots of a name.

    A table comes before its content, and its `name` first, which replaces the options of another.

    Example:
        >>> tables_of({"train.steps": 500, "train.batch": 4, 'terms."my.own:loss"': False})
        {'terms': {'my.own:loss': False}, 'train': {'batch': 4, 'steps': 500}}
    """
    tables: Json = {}
    paths = [(_names_in(key), key) for key in values]
    for path, key in sorted(paths, key=lambda item: (len(item[0]), item[0][-1] != "name", item[1])):
        value = values[key]
        for part in reversed(path):
            value = {part: value}
        tables = merge(tables, value)
    return tables


def _names_in(key: str) -> list[str]:
    return [part.strip().strip('"') for part in _DOT.split(key)]


def as_toml(value: object) -> str:
    """A plain value as TOML, with inline tables; keys whose value is None are left out.

    Example:
        >>> as_toml({"steps": 500, "zoom": (0.8, 1.0), "val": None})
        '{ "steps" = 500, "zoom" = [0.8, 1.0] }'
    """
    if isinstance(value, Mapping):
        items = []
        for key, item in value.items():
            if item is not None:
                items.append(f"{as_toml(str(key))} = {as_toml(item)}")
        return "{ " + ", ".join(items) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)  # JSON writes 1e+30 without a decimal point
    # A JSON string is a TOML string, but for the character 7F.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def check_pattern(pattern: str, where: str = "") -> None:
    """Check that a pattern of groups, found in the file `where`, is a regular expression.

    Raises:
        ProjectError: it is not.
    """
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ProjectError(
            f"The pattern of groups, {pattern!r}, is not a regular expression: {error}.",
            where=where,
            next_step="Fix it, or escape special characters.",
        ) from error
