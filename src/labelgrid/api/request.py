"""Makes records of what commands are asked, and methods that take the fields of a record.

A record documents each of its fields once, and its constructor refuses what does not fit.
"""

import re
from collections import ChainMap
from collections.abc import Callable, KeysView, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from inspect import Parameter, cleandoc, signature
from typing import Any, ClassVar, Concatenate, ParamSpec, TypeVar, dataclass_transform

from labelgrid.api.door import check_values

P = ParamSpec("P")
Q = TypeVar("Q")
R = TypeVar("R")
S = TypeVar("S")


@dataclass_transform(frozen_default=True, eq_default=False)
class CommandRequest:
    """What a command is asked; `**` unpacks it into a call of the method that takes it.

    A subclass is a frozen dataclass whose constructor refuses values that do not fit. Its class
    arguments say how the command line spells a field whose option has not its name, or a value that
    is shown as another word: "--class CLASS". A word alone is that of an argument, and a hyphen
    hides a field.
    """

    spelled: ClassVar[ChainMap[str, str]] = ChainMap()
    #: Methods that take what was a field before, by its name.
    moved: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, *, kw_only: bool = False, **spelled: str) -> None:
        bases = [base.spelled for base in cls.__bases__ if issubclass(base, CommandRequest)]
        cls.spelled = ChainMap(spelled, *bases)
        dataclass(frozen=True, eq=False, kw_only=kw_only)(cls)
        cls.__init__ = check_values(cls.__init__)  # type: ignore[method-assign]

    @classmethod
    @cache
    def fields(cls) -> Mapping[str, Parameter]:
        """The fields as parameters of the constructor, by name."""
        return signature(cls).parameters

    @classmethod
    @cache
    def meanings(cls) -> dict[str, str]:
        """What each field means, by name, also of those that are inherited."""
        found: dict[str, str] = {}
        for each in reversed(cls.__mro__):
            found |= argument_meanings(cleandoc(each.__doc__ or ""))
        return found

    def keys(self) -> KeysView[str]:
        """The names of the fields."""
        return vars(self).keys()

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def given(self) -> dict[str, Any]:
        """The fields that say something else than their defaults, by name."""
        found = {}
        for name, field in self.fields().items():
            value = self[name]
            is_empty = isinstance(value, list | dict) and not value
            if value != field.default and not is_empty:
                found[name] = value
        return found

    def part(self, kind: "type[CommandRequest]") -> dict[str, Any]:
        """The fields that another kind of request has, too."""
        return {name: self[name] for name in kind.fields()}


def takes(
    request: Callable[P, Q],
) -> Callable[[Callable[[S, Q], R]], Callable[Concatenate[S, P], R]]:
    """Let a method that takes a record be called with the record's fields, which it documents."""

    def taking(method: Callable[[S, Q], R]) -> Callable[Concatenate[S, P], R]:
        @wraps(method)
        def call(self: S, /, *arguments: P.args, **named: P.kwargs) -> R:
            for name in named.keys() & getattr(request, "moved", {}):
                raise TypeError(f"`{name}=` is of {request.moved[name]} now")  # type: ignore[attr-defined]
            return method(self, request(*arguments, **named))

        shown = signature(method)
        owner = next(iter(shown.parameters.values()))
        fields = signature(request).parameters.values()
        call.__signature__ = shown.replace(parameters=[owner, *fields])  # type: ignore[attr-defined]
        call.__doc__ = _documented(method.__doc__, request)
        return call

    return taking


def _documented(text: str | None, request: Any) -> str:
    """A docstring with the fields of a record, before what is returned and raised."""
    head, *tail = re.split(r"\n\n(?=Returns:|Raises:)", cleandoc(text or ""), maxsplit=1)
    lines = [f"    {name}: {meaning}." for name, meaning in request.meanings().items()]
    return "\n\n".join([head, "\n".join(["Args:", *lines]), *tail])


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
