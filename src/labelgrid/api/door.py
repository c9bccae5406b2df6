"""Checks what callers give to public methods, by the methods' own signatures, before they run.

A value of another type than its parameter's annotation, a word that is not among its `Literal`, a
number out of its bounds, or a text that nothing could be named by, is refused in Python's words.
Whether there is such a task, image or file, the method says itself.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from importlib import import_module
from inspect import Parameter, isclass, isfunction, isgeneratorfunction, signature, unwrap
from itertools import chain
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import (
    Annotated,
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from labelgrid.basics.errors import LabelgridError, UsageError
from labelgrid.basics.progress import Progress

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

#: The longest text, and the longest path, in characters; systems name no longer file.
MOST_CHARACTERS = 100_000
#: The largest whole number: what databases, files and networks hold.
LARGEST = 2**63 - 1
#: The modules of annotations that a module of this package imports for type checkers alone.
HOMES = {
    "Check": "labelgrid.project.images.image_files",
    "Derived": "labelgrid.rounds.derived_predictions",
    "Iterable": "collections.abc",
    "Keep": "labelgrid.annotate.import_options",
    "LabelArray": "labelgrid.formats.codec",
    "LabelFilter": "labelgrid.project.label_filter",
    "Progress": "labelgrid.basics.progress",
    "Proposal": "labelgrid.rounds.proposal",
    "StudyProgress": "labelgrid.lab.simulation.run_study",
}


@dataclass(frozen=True)
class AtLeast:
    """The bound of a number: this, or more."""

    least: float

    def holds(self, value: float) -> bool:
        """Whether a number keeps it."""
        return value >= self.least

    def __str__(self) -> str:
        return f"from {self.least:g} up"


@dataclass(frozen=True)
class Above:
    """The bound of a number: more than this."""

    limit: float

    def holds(self, value: float) -> bool:
        """Whether a number keeps it."""
        return value > self.limit

    def __str__(self) -> str:
        return f"above {self.limit:g}"


#: A number of things, which may be none; and one of which there is at least one.
Count = Annotated[int, AtLeast(0)]
Positive = Annotated[int, AtLeast(1)]
#: What something costs or how long it takes, which may be nothing; and an amount to spend.
Cost = Annotated[float, AtLeast(0)]
Amount = Annotated[float, Above(0)]


def check_values(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which refuses arguments that do not fit its signature.

    Example:
        >>> @check_values
        ... def paint(colour: Literal["red", "blue"], times: Positive = 1) -> str:
        ...     return colour * times
        >>> paint("red")
        'red'
        >>> paint("reed")
        Traceback (most recent call last):
        labelgrid.basics.errors.UsageError: `colour=` must be 'red' or 'blue'. Found 'reed'.
          Did you mean 'red'? Nothing was changed.
    """
    parameters = dict(signature(function).parameters)
    scope = getattr(unwrap(function), "__globals__", {})

    @cache
    def kind_of(name: str) -> Any:
        """The resolved annotation; of a name without one, or that Python will refuse, Any."""
        parameter = parameters.get(name)
        if parameter is None or parameter.annotation is Parameter.empty:
            return Any
        return _resolved(parameter.annotation, scope)

    def admitted(name: str, value: Any) -> Any:
        try:
            return _admit(kind_of(name), value)
        except _UnfitError:
            raise _error(name, value, kind_of(name)) from None

    @wraps(function)
    def checked(*arguments: P.args, **named: P.kwargs) -> R:
        values = [admitted(*pair) for pair in zip(parameters, arguments, strict=False)]
        values += arguments[len(values) :]
        return function(*values, **{name: admitted(name, value) for name, value in named.items()})

    return checked


def check_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """The function as of `check_values`, whose errors name its parameters, not options."""
    checking = check_values(function)
    parameters = signature(function).parameters

    @wraps(function)
    def checked(*arguments: P.args, **named: P.kwargs) -> R:
        try:
            return checking(*arguments, **named)
        except LabelgridError as error:
            _say_in_python(error, parameters)
            raise

    return checked


def check_methods(cls: type[T]) -> type[T]:
    """The class, each of whose own public methods refuses arguments as `check_arguments` does."""
    for name, member in list(vars(cls).items()):
        if name.startswith("_"):
            continue
        if isinstance(member, classmethod):
            setattr(cls, name, classmethod(check_arguments(member.__func__)))
        elif callable(member) and not isclass(member):
            setattr(cls, name, check_arguments(member))
    return cls


class _UnfitError(Exception):
    """A value that does not fit an annotation."""


class _Scope(dict[str, Any]):
    """What names of annotations mean which a module imports for type checkers alone."""

    def __missing__(self, name: str) -> Any:
        if name not in HOMES:
            raise KeyError(name)
        return getattr(import_module(HOMES[name]), name)


def _resolved(annotation: Any, scope: Mapping[str, Any]) -> Any:
    """An annotation, of which a text is the name or the expression."""
    if not isinstance(annotation, str):
        return annotation
    holder = SimpleNamespace(__annotations__={"given": annotation})
    return get_type_hints(holder, {}, _Scope(scope), include_extras=True)["given"]


def _admit(kind: Any, value: Any) -> Any:
    """The value, if it fits an annotation, as Python's own number, word or list.

    Raises:
        _UnfitError: it does not fit.
    """
    if kind is Any:
        return value
    if kind is None:
        kind = NoneType
    return _ADMITTING.get(get_origin(kind) or kind, _admit_instance)(kind, value)


def _require(fits: bool) -> None:
    if not fits:
        raise _UnfitError


def _admit_instance(kind: Any, value: Any) -> Any:
    """A value of a class, or one that has all methods of a protocol."""
    if getattr(kind, "_is_protocol", False):
        methods = [name for name in dir(kind) if not name.startswith("_")]
        _require(all(callable(getattr(value, name, None)) for name in methods))
    else:
        _require(isinstance(kind, type) and isinstance(value, kind))
    return value


def _admit_union(kind: Any, value: Any) -> Any:
    for member in get_args(kind):
        try:
            return _admit(member, value)
        except _UnfitError:
            continue
    raise _UnfitError


def _admit_word(kind: Any, value: Any) -> Any:
    """The word that a text is, also a text of a class of its own, as of an enum or of NumPy."""
    for word in get_args(kind):
        if isinstance(value, str) and value == word:
            return word
    raise _UnfitError


def _admit_bounded(kind: Any, value: Any) -> Any:
    number = _admit(get_args(kind)[0], value)
    _require(all(bound.holds(number) for bound in kind.__metadata__))
    return number


def _admit_truth(kind: Any, value: Any) -> Any:
    is_numpy = getattr(getattr(value, "dtype", None), "kind", "") == "b" and value.shape == ()
    _require(isinstance(value, bool) or is_numpy)
    return bool(value)


def _admit_whole(kind: Any, value: Any) -> Any:
    """A whole number as Python's own: databases and JSON take NumPy's for bytes, or not at all."""
    _require(isinstance(value, Integral) and not isinstance(value, bool))
    _require(-LARGEST <= value <= LARGEST)
    return int(value)


def _admit_number(kind: Any, value: Any) -> Any:
    """A finite number as Python's own; see `_admit_whole`."""
    _require(isinstance(value, Real) and not isinstance(value, bool))
    try:
        _require(math.isfinite(value))
    except OverflowError:
        raise _UnfitError from None
    return int(value) if isinstance(value, Integral) else float(value)


def _admit_text(kind: Any, value: Any) -> Any:
    _require(isinstance(value, str) and len(value) <= MOST_CHARACTERS and "\0" not in value)
    return value


def _admit_path(kind: Any, value: Any) -> Any:
    _require(isinstance(value, Path))
    _admit_text(str, str(value))
    return value


def _admit_several(kind: Any, value: Any) -> Any:
    """Several values of a kind, as a list: nobody can say whether an array of NumPy is empty.

    A text would be taken apart, and a dictionary lose its values.
    """
    _require(isinstance(value, Iterable))
    _require(not isinstance(value, str | bytes | bytearray | Mapping))
    item, *_ = get_args(kind)
    return [_admit(item, each) for each in value]


def _admit_tuple(kind: Any, value: Any) -> Any:
    kinds = get_args(kind)
    _require(isinstance(value, tuple) and len(value) == len(kinds))
    return tuple(_admit(each, item) for each, item in zip(kinds, value, strict=True))


def _admit_mapping(kind: Any, value: Any) -> Any:
    _require(isinstance(value, Mapping))
    key_kind, value_kind = get_args(kind)
    for key, each in value.items():
        _admit(key_kind, key)
        _admit(value_kind, each)
    return value


def _admit_function(kind: Any, value: Any) -> Any:
    _require(callable(value))
    return value


#: By an annotation's class or origin, what admits values of it.
_ADMITTING: Mapping[Any, Callable[[Any, Any], Any]] = {
    Union: _admit_union,
    UnionType: _admit_union,
    Literal: _admit_word,
    Annotated: _admit_bounded,
    bool: _admit_truth,
    int: _admit_whole,
    float: _admit_number,
    str: _admit_text,
    Path: _admit_path,
    tuple: _admit_tuple,
    Iterable: _admit_several,
    Sequence: _admit_several,
    Mapping: _admit_mapping,
    Callable: _admit_function,
}
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
    """What a value of an annotation must be, in words."""
    *most, last = dict.fromkeys(_alternatives(kind))
    return f"{', '.join(most)} or {last}" if most else last


def _alternatives(kind: Any) -> Iterator[str]:
    """What a value of an annotation may be, each in words."""
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


def _error(name: str, value: Any, kind: Any) -> UsageError:
    return UsageError(
        f"`{name}=` must be {_words(kind)}. Found {_shown(value)}.",
        next_step=_advice(value, kind),
        unchanged="Nothing was changed.",
    )


def _shown(value: Any) -> str:
    """A value as Python writes it, as far as a line shows it."""
    try:
        text = repr(value[:60]) if isinstance(value, str) else f"{value!r:.60}"
    except Exception:  # noqa: BLE001 - of a class of the caller's
        text = f"<{type(value).__name__}>"
    return text


def _advice(value: Any, kind: Any) -> str:
    """What helps with a value that does not fit."""
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


def _say_in_python(error: LabelgridError, parameters: Collection[str]) -> None:
    """Name the parameters of a function in an error, where it names the options of its command.

    A whole command, which stands between backticks, stays one.
    """

    def keyword(option: re.Match[str]) -> str:
        name = option[2].replace("-", "_")
        for known in (name, KEYWORDS.get(name, name)):
            if known in parameters:
                return f"`{known}={'False' if option[1] else ''}`"
        return option[0]

    for field in ("what", "next_step", "unchanged"):
        parts = getattr(error, field).split("`")
        parts[::2] = [_OPTION.sub(keyword, part) for part in parts[::2]]
        setattr(error, field, "`".join(parts))


def steady(owner: type[T]) -> type[T]:
    """A class of `ProjectContents` each of whose public methods knows the tasks of its beginning.

    What others change meanwhile is seen by the next call. An iterator is one reading anyway.
    """
    for name, method in list(vars(owner).items()):
        is_plain = isfunction(method) and not isgeneratorfunction(method)
        if is_plain and not name.startswith("_") and name != "close":
            setattr(owner, name, _steady_method(method))
    return owner


def _steady_method(
    method: Callable[Concatenate[Any, P], R],
) -> Callable[Concatenate[Any, P], R]:
    @wraps(method)
    def steadily(self: Any, /, *arguments: P.args, **named: P.kwargs) -> R:
        with self._project.store.steady(), ended_steps(self._progress):
            return method(self, *arguments, **named)

    return steadily


@contextmanager
def ended_steps(progress: Progress) -> Iterator[None]:
    """At the end of a call, also by an error, no step that a person sees goes on."""
    try:
        yield
    finally:
        end = getattr(progress, "end_call", None)
        if end:
            end()
