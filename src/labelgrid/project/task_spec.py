"""Parses task definitions from the command line and from tasks.toml. Loads no torch."""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from labelgrid.basics import plugins
from labelgrid.basics.config import read_toml
from labelgrid.basics.errors import LabelError, PluginError, ProjectError
from labelgrid.basics.files import read_foreign_text
from labelgrid.formats.codec import codec
from labelgrid.formats.colours import colour_code, colour_text
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.task import TaskDef, spec_of

NAME = re.compile(r"[a-z][a-z0-9_]*")
#: Between a class and its colour, and between the three numbers of a colour.
_BETWEEN = re.compile(r"[\s,;:]+")
#: What VOC's label maps have behind a colour.
_PARTS = re.compile(r":[^:]*:[^:]*$")
_EXAMPLE = "`wall 128 0 0`, `wall,#800000` or `wall:128,0,0::`"


def task_row(words: str, folder: Path = Path()) -> TaskRow:
    """Parse `NAME[:KEY=VALUE,...]`; a bare word is a file of class names, one per line.

    The kind is NAME unless `kind=` is given. `cost=` is the cost of one label. All other keys are
    options of the label format. Commas in brackets belong to a value, which is JSON then.

    Raises:
        ProjectError: the name or a value is wrong.
        PluginError: the kind is unknown.
        RecipeError: an option is unknown.

    Example:
        >>> task_row("depth:scale=0.001,cost=2")
        TaskRow(name='depth', kind='depth', cost=2.0, options={'scale': 0.001})
    """
    name, _, rest = words.partition(":")
    values = {}
    for item in filter(None, _items(rest)):
        key, equals, value = item.partition("=")
        if not equals:
            key = "classes"
            value = item
        values[key.strip()] = _value(value.strip())
    return _row(name, values, folder)


def task_rows(path: Path) -> list[TaskRow]:
    """The tasks of a TOML file: one table per task.

    It has `kind`, `cost`, `classes` (a file or a list), `colours` (a colour map or a table) and
    other options.
    """
    return task_rows_of(read_toml(path), path.parent)


def task_rows_of(tables: Mapping[str, Any], folder: Path) -> list[TaskRow]:
    """The tasks of TOML tables; class files and colour maps are relative to `folder`."""
    return [_row(name, values, folder) for name, values in tables.items()]


def changed_row(
    row: TaskRow,
    values: Mapping[str, Any],
    classes: Sequence[str],
    merge: Mapping[str, str],
    folder: Path,
) -> TaskRow:
    """A task's row with other values; see `task_change.TaskChange`.

    Raises:
        ProjectError: a key cannot be changed, or a value is wrong.
        RecipeError: an option is unknown or wrong.
    """
    if "kind" in values and values["kind"] != row.kind:
        raise ProjectError(
            f"The kind of '{row.name}' is {row.kind} and cannot be changed.",
            next_step=f"Use `labelgrid add DIR --task NAME:kind={values['kind']}`, and drop this "
            "one.",
        )
    options = {**row.options, "kind": row.kind, "cost": row.cost, **values}
    options = {key: value for key, value in options.items() if value is not None}
    if isinstance(options.get("classes"), str):
        options["classes"] = _classes(folder / options["classes"], row.name)
    if classes:
        options["classes"] = [*options.get("classes", []), *classes]
    if merge:
        options["merge"] = {**options.get("merge", {}), **merge}
        options["merge"] = {name: merge.get(into, into) for name, into in options["merge"].items()}
    return _row(row.name, options, folder)


def assignments(words: Sequence[str], option: str) -> dict[str, Any]:
    """Parse `KEY=VALUE` words; values are JSON where they can be, otherwise text.

    Raises:
        ProjectError: a word has no `=`.

    Example:
        >>> assignments(["scale=0.01", "ignore=[0, 9]", "classes=new.txt", "maximum=null"], "--set")
        {'scale': 0.01, 'ignore': [0, 9], 'classes': 'new.txt', 'maximum': None}
    """
    values = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (equals and key.strip()):
            raise ProjectError(
                f"{option} needs KEY=VALUE. Found {word!r}.",
                next_step=f"Use, for example, {option} cost=2.",
            )
        values[key.strip()] = _value(value.strip())
    return values


@contextmanager
def name_task_file() -> Iterator[None]:
    """Say in errors raised inside where options are declared: in the file of tasks."""
    try:
        yield
    except LabelError as error:
        if error.declare:
            error.next_step += " Such keys are in the task's table of the file that --tasks names."
        raise


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _items(text: str) -> list[str]:
    """The parts of a text between commas, but for commas in brackets."""
    items = [""]
    depth = 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth <= 0:
            items.append("")
        else:
            items[-1] += character
    return items


def _row(name: str, values: Mapping[str, Any], folder: Path) -> TaskRow:
    if not NAME.fullmatch(name):
        raise ProjectError(
            f"'{name}' is not a valid task name.",
            next_step="Use small letters, digits and _, a letter first.",
        )
    if not isinstance(values, Mapping):
        raise ProjectError(
            f"Task '{name}' is not a table.", next_step=f"Write [{name}] above its keys."
        )
    options = dict(values)
    kind = str(options.pop("kind", name))
    _check_kind(name, kind)
    cost = options.pop("cost", spec_of(kind).cost)
    if isinstance(options.get("classes"), str):
        options["classes"] = _classes(folder / options["classes"], name)
    if isinstance(options.get("ignore"), int | float):
        options["ignore"] = [options["ignore"]]
    if isinstance(options.get("colours"), str):
        options["colours"] = read_colour_map(folder / options["colours"])
    if not isinstance(cost, int | float) or isinstance(cost, bool) or not 0 <= cost <= 1e15:
        raise ProjectError(
            f"The cost of '{name}' is {cost}; it must be a number from 0 up.",
            next_step="Give another value, for example cost=2.",
        )
    _check_classes(name, kind, options)
    row = TaskRow(name, kind, float(cost), options)
    TaskDef.of(row)
    return row


def _check_kind(name: str, kind: str) -> None:
    kinds = plugins.names("kinds")
    if ":" in kind or plugins.is_known("kinds", kind):
        return
    close = difflib.get_close_matches(kind, kinds, 1)
    if close:
        shorter = f"--task {close[0]}, or " if name == kind else ""
        hint = f"Did you mean '{close[0]}'? Write {shorter}--task {name}:kind={close[0]}."
    else:
        hint = f"Say which kind it is, such as --task {name}:kind={kinds[0]}."
    raise PluginError(
        f"There is no kind of task '{kind}'.",
        next_step=f"{hint} The kinds are {', '.join(kinds)}; name your own code as "
        "'package.module:name'.",
    )


def _check_classes(name: str, kind: str, options: Mapping[str, Any]) -> None:
    form: Any = codec(spec_of(kind).codec)
    if "classes" not in {field.name for field in fields(form.Options)}:
        return
    classes = options.get("classes", [])
    if isinstance(classes, list) and len(classes) < 2:
        raise ProjectError(
            f"Task '{name}' has {len(classes)} classes; it needs at least 2.",
            next_step="Name a file with one class name per line: "
            f"'{name}:classes.txt' declares a new task, 'classes=classes.txt' changes one, and so "
            f"does `classes` in the table '{name}' of a recipe or of tasks.toml.",
        )


def _classes(path: Path, name: str) -> list[str]:
    lines = _lines(
        path, f"The class names of '{name}'", "Give a text file with one class name per line."
    )
    return [line.strip() for line in lines if line.strip()]


def _lines(path: Path, subject: str, advice: str) -> list[str]:
    try:
        return read_foreign_text(path).splitlines()
    except (OSError, ValueError) as error:
        fault = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ProjectError(
            f"{subject} cannot be read: {fault}.",
            where=path,
            next_step=getattr(error, "advice", advice),
        ) from error


def read_colour_map(path: Path) -> dict[str, list[str]]:
    """Read the colours, as "#rrggbb", of each class; a class may have several lines.

    A line is `NAME R G B`, `R G B NAME` or `NAME #RRGGBB`, with blanks, tabs, commas, semicolons or
    colons between, or `NAME:R,G,B:PARTS:ACTIONS` as in a label map of Pascal VOC's form. Empty
    lines, and those that begin with `# ` or `//`, are left out.

    Raises:
        ProjectError: the file cannot be read, or a line is no class with a colour.
    """
    advice = f"Name a text file with a class and its colour a line, such as {_EXAMPLE}."
    colours: dict[str, list[str]] = {}
    for number, line in enumerate(_lines(path, "The colour map", advice), 1):
        text = line.strip()
        if not text or text.startswith(("# ", "//")) or text == "#":
            continue
        named = _named_colour(text)
        if named is None:
            raise ProjectError(
                f"Line {number} of the colour map is no class with a colour: {text!r:.60}.",
                where=path,
                next_step=f"Write, for example, {_EXAMPLE}; numbers are from 0 to 255.",
            )
        name, colour = named
        colours.setdefault(name, []).append(colour)
    return colours


def _named_colour(text: str) -> tuple[str, str] | None:
    colours = text.rstrip(":") if text.endswith("::") else _PARTS.sub("", text)
    words = [word for word in _BETWEEN.split(colours) if word]
    if len(words) > 1 and words[-1].startswith("#"):
        try:
            return " ".join(words[:-1]), colour_text(colour_code(words[-1]))
        except ValueError:
            return None
    for numbers, name in ((words[-3:], words[:-3]), (words[:3], words[3:])):
        code = _code(numbers)
        if name and code is not None:
            return " ".join(name), colour_text(code)
    return None


def _code(numbers: Sequence[str]) -> int | None:
    """The colour 0xrrggbb of three numbers; None for other words."""
    code = 0
    for number in numbers:
        if not (number.isascii() and number.isdigit() and len(number) <= 3 and int(number) < 256):
            return None
        code = code << 8 | int(number)
    return code if len(numbers) == 3 else None
