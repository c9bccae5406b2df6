"""Makes options of the parameters of commands, and of the fields of their requests."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, wraps
from inspect import Parameter, signature
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from labelgrid.api.door import CommandRequest, check_values
from labelgrid.api.spelling import spelling
from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.type_names import Json
from labelgrid.basics.version import __version__
from labelgrid.cli import screen

#: The parameters that most commands have.
SHARED = {"folder": "DIR: the project's folder", "json": "--json: print the result as JSON"}
#: What stands for a path of this machine. A place that anything else stands for may be an address,
#: which stays as it is typed: a path would drop the slash at its end. "!": it must be there.
PATHS = ("", "FILE", "FILE!", "FOLDER")
#: Types of what is given one by one.
SEVERAL = {Iterable, Sequence}
#: A field in the documentation of another.
FIELD = re.compile(r"`(\w+)`")
#: How the documentation of a field begins to say what is without it.
WITHOUT = re.compile(r'(\bNone|\b[Ee]mpty|""): ')
#: In place of how something is spelled: it cannot be typed.
HIDDEN = "-"


def _print_version(wanted: bool) -> None:
    if wanted:
        screen.say(__version__)
        raise typer.Exit


def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Take the options of the program itself."""


def _trust(prefixes: list[str] | None) -> list[str] | None:
    if prefixes:
        from labelgrid.basics.trusted_code import trust

        trust(prefixes)
    return prefixes


#: The option of commands that run plug-ins.
TRUST = Parameter(
    "trust",
    Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        list[str] | None,
        typer.Option(
            "--trust",
            callback=_trust,
            is_eager=True,
            help="Run plug-ins from this module or package. Repeatable.",
        ),
    ],
)


@dataclass(frozen=True)
class TypedOption:
    """An option or an argument of a command.

    Args:
        parameter: a parameter of the command, or a field of its request.
        words: how it is spelled, as in `CommandRequest`.
        meaning: what it means.
    """

    parameter: Parameter
    words: str
    meaning: str

    @property
    def word(self) -> str:
        """The word that names the option or argument on the command line."""
        written = self.words or f"--{self.parameter.name.replace('_', '-')}"
        return written.split()[0]

    @cached_property
    def kinds(self) -> list[Any]:
        """The types of its values but None; of words, an enum."""
        return list(_kinds(self.parameter.annotation))

    @cached_property
    def is_list(self) -> bool:
        """Whether the option may be given several times."""
        return bool(SEVERAL & {*self.kinds}) or self.kinds == [Mapping]

    def read(self, value: Any) -> Any:
        """The value of what was typed."""
        if not self.is_list:
            return value
        if self.kinds != [Mapping]:
            return value or []
        from labelgrid.project.task_spec import assignments

        values = assignments(value or [], self.words.split()[0])
        if Mapping[str, str] in get_args(self.parameter.annotation):
            for written in value or []:
                key, _, text = written.partition("=")
                if not isinstance(values[key.strip()], str):  # a class may be named 1
                    values[key.strip()] = text.strip()
        return values

    def shown(self, others: "Options") -> Parameter:
        """The parameter as Typer reads it."""
        options, value = spelling(self.parameter.name, self.words)
        kinds = self.kinds
        default = self.parameter.default
        settings: Json = {"help": self._help(others), "metavar": value.strip("!") or None}
        kind: Any = str if str in kinds or self.is_list else kinds[0]
        if Path in kinds and not self.is_list and (kind is Path or value in PATHS):
            kind = Path
            is_file = "FILE" in value
            is_there = "!" in value
            settings |= {"exists": is_there, "dir_okay": not is_file}
            settings["file_okay"] = is_file or not (is_there or value == "FOLDER")
        if self.is_list:
            kind = list[str]
            default = default if default is Parameter.empty and not options else None
        elif issubclass(kind, StrEnum) and default in list(kind):
            default = kind(default)
        named = [] if kind is bool and default is not False else options  # else with --no-NAME, too
        info = typer.Option(*named, **settings) if options else typer.Argument(**settings)
        hint: Any = Annotated
        annotation = hint[kind | None if default is None else kind, info]
        return Parameter(
            self.parameter.name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation
        )

    def _help(self, others: "Options") -> str:
        """The first sentence of the meaning, in words of the command line."""

        def spelled(named: re.Match[str]) -> str:
            if named[1] in others:
                return others[named[1]].word
            return named[0]

        text, *_ = re.split(r"\.(?= [A-Z])", self.meaning)
        text = FIELD.sub(spelled, WITHOUT.sub("by default ", text)).replace("[", r"\[")
        again = " Repeatable." if self.is_list and "--" in (self.words or "--") else ""
        text = f"{text[0].upper()}{text[1:]}.{again}"
        kind = self.parameter.annotation
        if len(self.kinds) == 1:  # a number, not a number or a share
            for member in (kind, *get_args(kind)):
                for bound in getattr(member, "__metadata__", ()):
                    text += rf" \[{bound}]"
        return text


#: The options and arguments of a command, by the names of their parameters or fields.
Options = Mapping[str, TypedOption]


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield the types of an annotation but None; of words, an enum."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        for member in get_args(annotation):
            yield from _kinds(member)
    elif origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin is Literal:
        yield StrEnum("Word", [(word, word) for word in get_args(annotation)])
    elif annotation is not NoneType:
        yield origin or annotation


def _options_of(parameters: Mapping[str, Parameter], spellings: Mapping[str, str]) -> Options:
    options = {}
    for name, parameter in parameters.items():
        if name != "request":
            words, _, meaning = {**SHARED, **spellings}[name].partition(": ")
            options[name] = TypedOption(parameter, words, meaning)
            continue
        request: type[CommandRequest] = parameter.annotation
        for field_name, field in request.fields().items():
            words = request.spelled.get(field_name, "")
            if field_name not in parameters and words != HIDDEN:
                options[field_name] = TypedOption(field, words, request.meanings()[field_name])
    return options


def with_options(**spellings: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let parameters of a command, and the fields of its `request`, be options or arguments.

    Args:
        spellings: how each parameter is spelled and what it means: "--class CLASS: a class", or
            "CELLS: some cells" for an argument; "-" as `trust` where no plug-in is run.
    """

    def made(function: Callable[..., None]) -> Callable[..., None]:
        parameters = signature(function).parameters
        options = _options_of(parameters, spellings)
        checked = check_values(function)

        @wraps(function)
        def run(trust: Any = None, **given: Any) -> None:
            try:
                read = {name: options[name].read(value) for name, value in given.items()}
                if "request" in parameters:
                    request: type[CommandRequest] = parameters["request"].annotation
                    names = request.fields().keys() & read.keys()
                    read["request"] = request(**{name: read[name] for name in names})
                checked(**{name: value for name, value in read.items() if name in parameters})
            except LabelgridError as error:
                spelled = {name: option.word.strip("[]!.") for name, option in options.items()}
                for part in ("what", "next_step", "unchanged"):
                    setattr(error, part, screen.as_options(getattr(error, part), spelled))
                raise

        shown = [option.shown(options) for option in options.values()]
        shown += [TRUST] if spellings.get("trust") != HIDDEN else []
        run.__signature__ = signature(function).replace(parameters=shown)  # type: ignore[attr-defined]
        run.__annotations__ = {option.name: option.annotation for option in shown}
        return run

    return made
