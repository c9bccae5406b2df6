"""Says in Python's words what does not fit; loaded for errors alone."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from labelgrid.basics.errors import LabelgridError, UsageError

#: By an annotation's class, what a value of it is called.
_WORDS: Mapping[Any, str] = {
    NoneType: "None",
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "a text",
    Path: "a path",
    tuple: "a pair",
    Mapping: "a dictionary",
    Callable: "a function",
}


def _words(kind: Any) -> str:
    *most, last = dict.fromkeys(_alternatives(kind))
    return f"{', '.join(most)} or {last}" if most else last


def _alternatives(kind: Any) -> Iterator[str]:
    """Yield in words each type or value that an annotation allows."""
    origin = get_origin(kind) or kind
    if origin in (Union, UnionType):
        for member in get_args(kind):
            yield from _alternatives(member)
    elif origin is Literal:
        yield from map(repr, get_args(kind))
    elif origin is Annotated:
        number, *bounds = get_args(kind)
        yield " ".join([_words(number), *map(str, bounds)])
    elif origin in (Iterable, Sequence):
        yield f"a list, each of it {_words(get_args(kind)[0])}"
    else:
        yield _WORDS.get(origin, f"a {getattr(origin, '__name__', origin)}")


def unfit_error(name: str, value: Any, kind: Any) -> UsageError:
    """The error of a value that does not fit a parameter's annotation."""
    return UsageError(
        f"`{name}=` must be {_words(kind)}. Found {_shown(value)}.",
        next_step=_advice(value, kind),
        unchanged="Nothing was changed.",
    )


def _shown(value: Any) -> str:
    """The start of a value's Python text."""
    try:
        text = repr(value[:60]) if isinstance(value, str) else f"{value!r:.60}"
    except Exception:  # noqa: BLE001 - of a class of the caller's
        text = f"<{type(value).__name__}>"
    return text


def _advice(value: Any, kind: Any) -> str:
    from difflib import get_close_matches  # for errors alone

    members = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    origins = [get_origin(member) for member in members]
    if isinstance(value, str):
        words = chain.from_iterable(
            get_args(kind) for kind in members if get_origin(kind) is Literal
        )
        near = get_close_matches(value[:60], list(words), 1, 0.5)
        if near:
            return f"Did you mean {near[0]!r}?"
        if Iterable in origins or Sequence in origins:
            return f"Put it into a list: [{_shown(value)}]."
    return ""


#: The parameter of an option of the command line that has another name.
KEYWORDS = {"class": "class_name", "set": "changes", "task": "tasks"}
#: An option of the command line, and one that says no.
_OPTION = re.compile(r"--(no-)?([a-z][a-z-]*)")


def say_in_python(error: LabelgridError, parameters: Collection[str]) -> None:
    """Replace a command's options in an error by the parameters of its function.

    A whole command, which stands between backticks, stays one.
    """

    def keyword(option: re.Match[str]) -> str:
        name = option[2].replace("-", "_")
        for parameter in (name, KEYWORDS.get(name, name)):
            if parameter in parameters:
                return f"`{parameter}={'False' if option[1] else ''}`"
        return option[0]

    for field in ("what", "next_step", "unchanged"):
        parts = getattr(error, field).split("`")
        parts[::2] = [_OPTION.sub(keyword, part) for part in parts[::2]]
        setattr(error, field, "`".join(parts))


def mismatch(name: str, meaning: str, needed: str, others: Sequence[str]) -> UsageError:
    """The error of a field that lacks a needed field or excludes a given field."""
    first, *_ = re.split(r";|\. ", re.sub(r"`(\w+)`", r"`\1=`", meaning))
    message = f"`{name}=` cannot be combined with {', '.join(f'`{other}=`' for other in others)}"
    next_step = "Leave one of them out."
    if not others:
        message = f"`{name}=` needs `{needed}=`: {first}"
        next_step = f"Add `{needed}=`, or leave it out."
    return UsageError(f"{message}.", next_step=next_step)
