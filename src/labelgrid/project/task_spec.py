"""Parses task definitions from the command line and from tasks.toml. Loads no torch."""

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from labelgrid.config import read_toml
from labelgrid.errors import ProjectError
from labelgrid.labels.codec import codec
from labelgrid.labels.grid import TaskRow
from labelgrid.tasks.task import TaskDef, spec_of

NAME = re.compile(r"[a-z][a-z0-9_]*")


def task_row(words: str, folder: Path = Path()) -> TaskRow:
    """Parse `NAME[:KEY=VALUE,...]`; a bare word is a file of class names, one per line.

    The kind is NAME unless `kind=` is given. `cost=` is the cost of one label. All other keys are options of the label
    format.

    Raises:
        ProjectError: the name or a value is wrong. PluginError: the kind is unknown. RecipeError: an option is unknown.

    Example:
        >>> task_row("depth:scale=0.001,cost=2")
        TaskRow(name='depth', kind='depth', cost=2.0, options={'scale': 0.001})
    """
    name, _, rest = words.partition(":")
    values: dict[str, Any] = {}
    for item in filter(None, rest.split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            key, value = "classes", item
        values[key.strip()] = _value(value.strip())
    return _row(name, values, folder)


def task_rows(path: Path) -> list[TaskRow]:
    """The tasks of a TOML file: one table per task, with `kind`, `cost`, `classes` (a file or a list) and options."""
    return task_rows_of(read_toml(path), path.parent)


def task_rows_of(tables: Mapping[str, Any], folder: Path) -> list[TaskRow]:
    """The tasks of such tables; the paths of class files are relative to `folder`."""
    return [_row(name, values, folder) for name, values in tables.items()]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _row(name: str, values: Mapping[str, Any], folder: Path) -> TaskRow:
    if not NAME.fullmatch(name):
        raise ProjectError(
            f"'{name}' is not a valid task name.", next_step="Use small letters, digits and _, a letter first."
        )
    if not isinstance(values, Mapping):
        raise ProjectError(f"Task '{name}' is not a table.", next_step=f"Write [{name}] above its keys.")
    options = dict(values)
    kind = str(options.pop("kind", name))
    cost = options.pop("cost", spec_of(kind).cost)
    if isinstance(options.get("classes"), str):
        options["classes"] = _classes(folder / options["classes"], name)
    if not isinstance(cost, int | float) or isinstance(cost, bool) or not 0 <= cost < float("inf"):
        raise ProjectError(
            f"The cost of '{name}' is {cost}; it must be a number from 0 up.",
            next_step=f"Use, for example, --task {name}:cost=2.",
        )
    _check_classes(name, kind, options)
    row = TaskRow(name, kind, float(cost), options)
    TaskDef.of(row)
    return row


def _check_classes(name: str, kind: str, options: Mapping[str, Any]) -> None:
    """Refuse a task of classes with fewer than two class names."""
    form: Any = codec(spec_of(kind).codec)
    given = options.get("classes", [])
    if "classes" in {field.name for field in fields(form.Options)} and isinstance(given, list) and len(given) < 2:
        raise ProjectError(
            f"Task '{name}' has {len(given)} classes; it needs at least 2.",
            next_step=f"Use --task {name}:classes.txt, a file with one class name per line.",
        )


def _classes(path: Path, name: str) -> list[str]:
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        fault = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ProjectError(
            f"The class names of '{name}' cannot be read: {fault}.",
            where=str(path),
            next_step="Give a text file with one class name per line.",
        ) from error
    return [line for line in lines if line]
