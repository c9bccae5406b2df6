"""Checks the arguments of public methods by the methods' signatures before they run.

Python's own error message refuses a value of the wrong type, a word outside a parameter's
`Literal`, a number out of bounds, and a text that cannot be a name. Whether there is such a task,
image or file, the method says itself.
"""

import math
import re
from collections import ChainMap
from collections.abc import Callable, Collection, Iterable, Iterator, KeysView, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from importlib import import_module
from inspect import (
    Parameter,
    cleandoc,
    isclass,
    isfunction,
    isgeneratorfunction,
    signature,
    unwrap,
)
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Concatenate,
    Literal,
    ParamSpec,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.files import of_system
from labelgrid.basics.progress import Progress

P = ParamSpec("P")
Q = TypeVar("Q")
R = TypeVar("R")
S = TypeVar("S")
T = TypeVar("T")

#: The longest text, and the longest path, in characters; systems name no longer file.
MOST_CHARACTERS = 100_000
#: The largest whole number: what databases, files and networks hold.
LARGEST = 2**63 - 1
#: Parameters that are given by their places.
POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
#: The modules of annotations that a module of this package imports for type checkers alone.
HOMES = {
    "LabelArray": "labelgrid.formats.codec",
    "Progress": "labelgrid.basics.progress",
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
    """Wrap a function to refuse arguments that do not fit the signature.

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
    positional = [name for name, declared in parameters.items() if declared.kind in POSITIONAL]
    scope = getattr(unwrap(function), "__globals__", {})

    @cache
    def kind_of(name: str) -> Any:
        """The resolved annotation; Any without an annotation or a parameter of the name."""
        parameter = parameters.get(name)
        if parameter is None or parameter.annotation is Parameter.empty:
            return Any
        return _resolved(parameter.annotation, scope)

    def admitted(name: str, value: Any) -> Any:
        try:
            return _admit(kind_of(name), value)
        except _UnfitError:
            from labelgrid.api.door_words import unfit_error

            raise unfit_error(name, value, kind_of(name)) from None

    @wraps(function)
    def checked(*arguments: P.args, **named: P.kwargs) -> R:
        values = [admitted(*pair) for pair in zip(positional, arguments, strict=False)]
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
            from labelgrid.api.door_words import say_in_python

            say_in_python(error, parameters)
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
    """The globals of a module, with the names that are imported for type checkers alone."""

    def __missing__(self, name: str) -> Any:
        if name not in HOMES:
            raise KeyError(name)
        return getattr(import_module(HOMES[name]), name)


def _resolved(annotation: Any, scope: Mapping[str, Any]) -> Any:
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
    """Admit a text of any class, as of an enum or of NumPy, as the word it equals."""
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
    if isinstance(value, Integral):
        return int(value)
    return float(value)


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
    return [_admit(item, entry) for entry in value]


def _admit_tuple(kind: Any, value: Any) -> Any:
    kinds = get_args(kind)
    _require(isinstance(value, tuple) and len(value) == len(kinds))
    return tuple(_admit(item_kind, item) for item_kind, item in zip(kinds, value, strict=True))


def _admit_mapping(kind: Any, value: Any) -> Any:
    _require(isinstance(value, Mapping))
    key_kind, value_kind = get_args(kind)
    admitted = {}
    for key, entry in value.items():
        item = _admit(value_kind, entry)
        is_numpy = getattr(item, "shape", None) == ()  # a number of no stated type
        admitted[_admit(key_kind, key)] = item.item() if is_numpy else item
    return admitted


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


def steady(owner: type[T]) -> type[T]:
    """Let each public method of a class read the tasks as they are when the call begins.

    Changes by other processes are seen by the next call. An iterator is a single reading anyway.
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
        with needed_packages(), self._project.store.steady(), ended_steps(self._progress):
            return method(self, *arguments, **named)

    return steadily


@contextmanager
def needed_packages() -> Iterator[None]:
    """Turn a missing package of an extra into an error with the command for installing the package.

    Raises:
        ProjectError: networks are needed, and torch is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = of_system(error)
        if missing is None:
            raise
        raise missing from error


@contextmanager
def ended_steps(progress: Progress) -> Iterator[None]:
    """At the end of a call, also by an error, no step that a person sees goes on."""
    try:
        yield
    finally:
        end = getattr(progress, "end_call", None)
        if end:
            end()


@dataclass_transform(frozen_default=True, eq_default=False)
class CommandRequest:
    """The arguments of a command; `**` unpacks it into a call of the method that takes it.

    A subclass is a frozen dataclass whose constructor refuses values that do not fit. Class
    arguments say how the command line spells a field whose option has a different name, or a value
    shown as another word: "--class CLASS". A word alone is that of an argument, and a hyphen hides
    a field.
    """

    #: Fields that say nothing without another one, and fields that others do not go with.
    needs: ClassVar[Sequence[tuple[str, str]]] = ()
    alone: ClassVar[Sequence[tuple[str, Collection[str]]]] = ()
    spelled: ClassVar[ChainMap[str, str]] = ChainMap()
    #: Methods that take what was a field before, by its name.
    moved: ClassVar[Sequence[tuple[str, str]]] = ()

    def __init_subclass__(cls, *, kw_only: bool = False, **spelled: str) -> None:
        bases = [base.spelled for base in cls.__bases__ if issubclass(base, CommandRequest)]
        cls.spelled = ChainMap(spelled, *bases)
        dataclass(frozen=True, eq=False, kw_only=kw_only)(cls)
        cls.__init__ = check_values(cls.__init__)  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        given = self.given()
        for name in given:
            needed = dict(self.needs).get(name, name)
            others = [other for other in dict(self.alone).get(name, ()) if other in given]
            if needed not in given or others:
                from labelgrid.api.door_words import mismatch

                raise mismatch(name, self.meanings()[name], needed, others)

    @classmethod
    @cache
    def fields(cls) -> Mapping[str, Parameter]:
        """The fields as parameters of the constructor, by name."""
        return signature(cls).parameters

    @classmethod
    @cache
    def meanings(cls) -> dict[str, str]:
        """The meaning of each field, by name, also of inherited fields."""
        return field_meanings(cls)

    def keys(self) -> KeysView[str]:
        """The names of the fields."""
        return vars(self).keys()

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def given(self) -> dict[str, Any]:
        """The fields whose values are not the defaults, by name."""
        non_defaults = {}
        for name, field in self.fields().items():
            value = self[name]
            is_empty = isinstance(value, str | list | dict) and not (value or field.default)
            is_nothing = value == 0 and field.default == "0"
            if value != field.default and not (is_empty or is_nothing):
                non_defaults[name] = value
        return non_defaults

    def part(self, kind: "type[CommandRequest]") -> dict[str, Any]:
        """The fields that another kind of request has, too."""
        return {name: self[name] for name in kind.fields()}


def takes(
    request: Callable[P, Q],
) -> Callable[[Callable[[S, Q], R]], Callable[Concatenate[S, P], R]]:
    """Let a method of a record be called with the record's fields, as its docstring says."""

    def taking(method: Callable[[S, Q], R]) -> Callable[Concatenate[S, P], R]:
        @wraps(method)
        def call(self: S, /, *arguments: P.args, **named: P.kwargs) -> R:
            moved = dict(getattr(request, "moved", ()))
            for name in named.keys() & moved:
                if named.pop(name) not in (None, ""):  # which ask nothing
                    raise TypeError(f"`{name}=` is of {moved[name]} now")
            _bind(method, call, self, *arguments, **named)
            return method(self, request(*arguments, **named))

        shown = signature(method)
        owner = next(iter(shown.parameters.values()))
        fields = signature(request).parameters.values()
        call.__signature__ = shown.replace(parameters=[owner, *fields])  # type: ignore[attr-defined]
        call.__doc__ = _documented(method.__doc__, request)
        return call

    return taking


def asks(request: Callable[..., Q], rest: str) -> Callable[[Callable[[Q], R]], Callable[..., R]]:
    """Let a function of a record be called with the record's fields, as its docstring says.

    Values of other names go into the mapping `rest`, a field of the record.
    """
    fields = signature(request).parameters

    def asking(function: Callable[[Q], R]) -> Callable[..., R]:
        @wraps(function)
        def call(*arguments: Any, **named: Any) -> R:
            _bind(function, call, *arguments, **named)
            further = {name: named.pop(name) for name in [*named] if name not in fields}
            if further:
                named[rest] = {**(named.get(rest) or {}), **further}
            return function(request(*arguments, **named))

        others = Parameter("further", Parameter.VAR_KEYWORD, annotation=Any)
        shown = signature(function).replace(parameters=[*fields.values(), others])
        call.__signature__ = shown  # type: ignore[attr-defined]
        call.__doc__ = _documented(function.__doc__, request)
        return call

    return asking


def _bind(function: Callable[..., Any], call: Any, /, *arguments: Any, **named: Any) -> None:
    """Check a function's arguments, as Python itself does.

    Raises:
        TypeError: the arguments do not fit.
    """
    try:
        call.__signature__.bind(*arguments, **named)
    except TypeError as error:
        raise TypeError(f"{function.__name__}() {error}") from None


def _documented(text: str | None, request: Any) -> str:
    head, *tail = re.split(r"\n\n(?=Returns:|Raises:)", cleandoc(text or ""), maxsplit=1)
    meanings = request.meanings()
    lines = [f"    {name}: {meanings[name]}." for name in request.fields()]
    return "\n\n".join([head, "\n".join(["Args:", *lines]), *tail])


def field_meanings(kind: type[Any]) -> dict[str, str]:
    """The meanings of the fields of a dataclass, by name, also of inherited fields."""
    meanings: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        meanings |= argument_meanings(cleandoc(base.__doc__ or ""))
    return meanings


def argument_meanings(docstring: str) -> dict[str, str]:
    r"""Parse the `Args:` of a docstring: the meanings by name.

    Example:
        >>> argument_meanings("What.\n\nArgs:\n    a, b: of both,\n        at once.\n    c: else.")
        {'a': 'of both, at once', 'b': 'of both, at once', 'c': 'else'}
    """
    _, begins, text = docstring.partition("Args:\n")
    by_name: dict[str, str] = {}
    if not begins:
        return by_name
    for entry in re.split(r"\n(?= {4}\S)", re.split(r"\n(?=\S)", text.rstrip())[0]):
        names, _, meaning = entry.strip().partition(": ")
        by_name |= dict.fromkeys(names.split(", "), " ".join(meaning.split()).removesuffix("."))
    return by_name
