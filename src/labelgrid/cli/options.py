"""Makes options of the fields of a request: their types, defaults and help texts."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache, partial, wraps
from inspect import Parameter, isclass, signature
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from labelgrid.api.request import CommandRequest
from labelgrid.api.spelling import spelling

#: What is said of a path by what stands for it. A place that anything else stands for may be an
#: address, which stays as it is typed: a path would drop the slash at its end.
PATHS: Mapping[str, Mapping[str, Any]] = {
    "": {},
    "FILE": {"dir_okay": False},
    "FOLDER": {"file_okay": False},
    "PRESENT_FILE": {"dir_okay": False, "exists": True},
}
#: The spelling of a field that is not typed.
HIDDEN = ""
#: A field in the documentation of another.
FIELD = re.compile(r"`(\w+)`")
#: How the documentation of a field begins to say what is without it.
WITHOUT = re.compile(r'(\bNone|\b[Ee]mpty|""): ')


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """A command whose request is typed: each field of it is an option or an argument.

    A field that the function itself has as a parameter is the value of that.
    """
    own = signature(function).parameters
    name, request = next((each.name, each.annotation) for each in own.values() if _is_asked(each))
    fields = request.fields()
    shown: list[Parameter] = []
    for each in own.values():
        shown += _options(request, set(own)) if each.name == name else [each]
    shown = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in shown]

    @wraps(function)
    def run(**given: Any) -> None:
        typed = {field: given[field] for field in fields if field in given}
        kept = {each: given[each] for each in own if each != name}
        function(**kept, **{name: request(**_read(request, typed))})

    run.__signature__ = signature(function).replace(parameters=shown)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in shown}
    return run


def _is_asked(parameter: Parameter) -> bool:
    kind = parameter.annotation
    return isclass(kind) and issubclass(kind, CommandRequest)


def _options(request: type[CommandRequest], own: set[str]) -> list[Parameter]:
    """The options of the fields of a request, but for those that a command has itself."""
    hidden = {*own, *(name for name, words in request.spelled.items() if words == HIDDEN)}
    fields = request.fields().values()
    return [_option(request, field) for field in fields if field.name not in hidden]


def _option(request: type[CommandRequest], field: Parameter) -> Parameter:
    """A field as an option or an argument of Typer."""
    spelled = spelling(request, field.name)
    kinds = list(_kinds(field.annotation))
    is_list = Iterable in kinds or Sequence in kinds or kinds == [Mapping]
    settings: dict[str, Any] = {"help": _help(request, field.name)}
    default = field.default
    if Path in kinds and not is_list and spelled.value in PATHS:
        kind: Any = Path
        settings |= PATHS[spelled.value]
    else:
        kind = str if str in kinds or is_list else kinds[0]
        settings["metavar"] = spelled.value or None
    if issubclass(kind, str) and isinstance(default, int | str):
        default = kind(default)
    if is_list:
        kind = list[str]
        default = default if default is Parameter.empty and not spelled.options else None
        settings["help"] += " Repeatable." if spelled.options else ""
    declared = spelled.options if default is not True else ()
    info = typer.Option(*declared, **settings) if spelled.options else typer.Argument(**settings)
    hint: Any = Annotated
    annotation = hint[kind | None if default is None else kind, info]
    return field.replace(annotation=annotation, default=default)


def _kinds(annotation: Any) -> Iterator[Any]:
    """The classes of the values that an annotation allows but for None; of words, an enum."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from _kinds(member)
    elif origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin is Literal:
        yield _words(get_args(annotation))
    elif annotation is not NoneType:
        yield origin or annotation


@cache
def _words(words: tuple[str, ...]) -> Any:
    """The enum of some words."""
    return StrEnum("Word", [(word, word) for word in words])


def _help(request: type[CommandRequest], name: str) -> str:
    """The first sentence of a field's documentation, in words of the command line."""
    text, *_ = re.split(r"\.(?= [A-Z])", request.meanings()[name])
    text = FIELD.sub(partial(_spelled, request), WITHOUT.sub("by default ", text))
    return f"{text[0].upper()}{text[1:]}.".replace("[", r"\[")


def _spelled(request: type[CommandRequest], named: re.Match[str]) -> str:
    """A name between backticks, or the option of the field that it names."""
    if named[1] not in request.fields():
        return named[0]
    spelled = spelling(request, named[1])
    return spelled.options[0] if spelled.options else spelled.value


def _read(request: type[CommandRequest], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of fields that were typed, without those that are the defaults."""
    from labelgrid.project.task_spec import assignments

    found = {}
    for name, field in request.fields().items():
        value = values.get(name)
        if value is None and field.default is Parameter.empty:
            value = []
        if Mapping in _kinds(field.annotation) and isinstance(value, list):
            value = assignments(value, spelling(request, name).options[0])
        if value is not None and str(value) != str(field.default):
            found[name] = value
    return found
