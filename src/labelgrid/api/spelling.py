"""Spells requests as the command line does: each field as an option, and a request as words."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labelgrid.api.request import CommandRequest


@dataclass(frozen=True)
class Spelling:
    """How the command line spells a field.

    Args:
        options: its options, of which the first is written; none: it is an argument.
        value: what stands for its value in help texts; empty: what its type says.
    """

    options: tuple[str, ...]
    value: str


def spelling(request: type[CommandRequest], name: str) -> Spelling:
    """How the command line spells a field of a request."""
    option = f"--{name.replace('_', '-')}"
    words = request.spelled.get(name, option).split()
    options = tuple(word for word in words if word.startswith("--"))
    return Spelling(options, " ".join(words[len(options) :]))


def words_of(request: CommandRequest) -> list[str]:
    """The words of the command line that say what a request says, but for the defaults.

    Example:
        >>> from labelgrid.api.requests import QueryRequest
        >>> words_of(QueryRequest(12.5, tasks=["depth"], prelabels=False, class_name="-wall"))
        ['--budget', '12.5', '--task', 'depth', '--no-prelabels', '--class=-wall']
    """
    words: list[str] = []
    for name, value in request.given().items():
        option = next(iter(spelling(type(request), name).options), "")
        for text in _texts(value):
            if isinstance(value, bool):
                words.append(option if value else option.replace("--", "--no-", 1))
            elif option and text.startswith("-"):
                words.append(f"{option}={text}")
            else:
                words += [option, text] if option else [text]
    return words


def _texts(value: Any) -> Iterator[str]:
    """The texts of a value: one, or one of each item."""
    if isinstance(value, Mapping):
        from labelgrid.project.overrides import override_words

        yield from override_words(value)
    elif isinstance(value, list | tuple):
        yield from map(str, value)
    else:
        yield f"{value:.12g}" if isinstance(value, float) else str(value)
