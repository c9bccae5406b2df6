"""Spells requests as the command line does: each field as an option, and a request as words."""

from collections.abc import Iterator, Mapping
from typing import Any

from labelgrid.api.door import CommandRequest


def spelling(name: str, words: str = "") -> tuple[list[str], str]:
    """The options for a field, and the word for its value.

    Example:
        >>> spelling("leave_out"), spelling("format", "--format --from"), spelling("cells", "CELLS")
        ((['--leave-out'], ''), (['--format', '--from'], ''), ([], 'CELLS'))
    """
    written = (words or f"--{name.replace('_', '-')}").split()
    options = [word for word in written if word.startswith("--")]
    return options, " ".join(written[len(options) :])


def words_of(request: CommandRequest) -> list[str]:
    """The words of the command line for a request, without the defaults.

    Example:
        >>> from labelgrid.api.requests import QueryRequest
        >>> words_of(QueryRequest(12.5, tasks=["depth"], prelabels=False, class_name="-wall"))
        ['--budget', '12.5', '--task', 'depth', '--no-prelabels', '--class=-wall']
    """
    words: list[str] = []
    for name, value in request.given().items():
        option = next(iter(spelling(name, request.spelled.get(name, ""))[0]), "")
        for text in _texts(value):
            if isinstance(value, bool):
                words.append(option if value else option.replace("--", "--no-", 1))
            elif option and text.startswith("-"):
                words.append(f"{option}={text}")
            else:
                words += [option, text] if option else [text]
    return words


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        from labelgrid.project.overrides import override_words

        yield from override_words(value)
    elif isinstance(value, list | tuple):
        yield from map(str, value)
    else:
        yield f"{value:.12g}" if isinstance(value, float) else str(value)
