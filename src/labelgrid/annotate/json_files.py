"""Reads the JSON files of tools entry by entry, strictly and up to a limit, and recognises them."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from labelgrid.annotate.answers import Fault
from labelgrid.annotate.matching import is_inside, link_fault
from labelgrid.basics import files
from labelgrid.basics.encodings import begin, decode
from labelgrid.basics.errors import LabelError

#: Bytes of a file, at most: twice those of COCO's own largest.
LARGEST = 2**30
#: Lists and objects of a text that is read part by part, and the characters of the parts that are
#: tried for a value.
MANY = 1_000_000
PARTS = (2**12, 2**16, 2**20, 2**22)
#: How many bytes at a file's beginning and at its end are read to recognise it.
_ENDS = 2**16
#: How many files of a folder are read to recognise it.
_FIRST = 20
_AGAIN = "Export it again."
_BLANK = re.compile(r"[ \t\n\r]*")


#: Makes a text of the bytes of a file; it may raise a `UnicodeDecodeError`.
Decoder = Callable[[bytes], str]


def plain_text(data: bytes) -> str:
    """A text whose encoding its bytes alone say."""
    return decode(data).text


class Member(NamedTuple):
    """A value of a file's object, or an entry of a list in the object.

    A member's key, its number in the list, and its value. The list itself comes first, as an empty
    list without a number; other values have no number either.
    """

    key: str
    number: int | None
    value: Any


def read_members(path: Path, decoder: Decoder = plain_text) -> Iterator[Member]:
    """Read the object in a JSON file; lists are read entry by entry.

    So a file of a million regions never becomes a million objects at once.

    Raises:
        LabelError: the file cannot be read, is too large, is nested too deeply, or is no JSON
            object; some members may have been yielded before.
    """
    try:
        with files.open_regular(path, LARGEST) as file:
            start = file.read(_ENDS)
            if not _begins_an_object(start):
                raise ValueError("it does not begin with '{'")
            text = decoder(start + file.read())
        yield from _Reader(text).members()
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or str(error)
        if isinstance(error, RecursionError):
            why = "it is nested too deeply"
        raise LabelError(
            f"The file cannot be read as JSON: {why}.", next_step=getattr(error, "advice", _AGAIN)
        ) from error


def read_entries(text: str) -> Iterator[Any]:
    """Decode a JSON text with a list, entry by entry.

    Raises:
        ValueError: it is no list; some entries may have been yielded before.
        RecursionError: an entry is nested too deeply.

    Example:
        >>> list(read_entries('[1, {"a": []}]'))
        [1, {'a': []}]
    """
    yield from _Reader(text).entries()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is no number of JSON")


class _Reader:
    """Reads the object in a text.

    If a text has very many lists and objects, each value is read from a part of the text: a value
    that would need far more memory than in the file is refused before it is read.
    """

    _decoder = json.JSONDecoder(parse_constant=_refuse_constant)

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._parts: tuple[int, ...] = ()
        if text.count("[") + text.count("{") > MANY:
            self._parts = PARTS

    def members(self) -> Iterator[Member]:
        keys: set[str] = set()
        self._take("{")
        more = not self._found("}")
        while more:
            key = self._value()
            if not isinstance(key, str) or key in keys:
                raise ValueError(f"the key {str(key)!r:.40} comes twice, or is no text")
            keys.add(key)
            self._take(":")
            if self._next() == "[":
                yield Member(key, None, [])
                for number, entry in enumerate(self._entries()):
                    yield Member(key, number, entry)
            else:
                yield Member(key, None, self._value())
            more = self._found(",")
            if not more:
                self._take("}")
        self._end()

    def entries(self) -> Iterator[Any]:
        yield from self._entries()
        self._end()

    def _entries(self) -> Iterator[Any]:
        self._take("[")
        more = not self._found("]")
        while more:
            yield self._value()
            more = self._found(",")
            if not more:
                self._take("]")

    def _end(self) -> None:
        if self._next():
            raise ValueError(f"something follows its end, at character {self._at}")

    def _value(self) -> Any:
        self._next()
        for size in self._parts:
            part = self._text[self._at : self._at + size]
            if len(part) < size:
                break
            with suppress(ValueError):
                value, end = self._decoder.raw_decode(part)
                if end < size:
                    self._at += end
                    return value
        else:
            if self._parts:
                raise ValueError(f"an entry of it has more than {PARTS[-1] >> 20} MiB")
        value, self._at = self._decoder.raw_decode(self._text, self._at)
        return value

    def _take(self, mark: str) -> None:
        if not self._found(mark):
            raise ValueError(f"'{mark}' is missing at character {self._at}")

    def _found(self, mark: str) -> bool:
        """Whether a mark comes next; it is passed over."""
        is_next = self._next() == mark
        self._at += is_next
        return is_next

    def _next(self) -> str:
        """The next character that is not blank; empty at the end."""
        blank = _BLANK.match(self._text, self._at)
        if blank:
            self._at = blank.end()
        return self._text[self._at : self._at + 1]


def answer_files(answer: Path, faults: list[Fault]) -> Iterator[tuple[Path, str]]:
    """The JSON file of an answer, or the files of its folder, with the names below the folder.

    A link that leads out of the folder is added to the faults.
    """
    if answer.is_file():
        yield answer, answer.name
        return
    for path in sorted(_below(answer)):
        name = path.relative_to(answer).as_posix()
        if is_inside(answer, path):
            yield path, name
        else:
            faults.append(link_fault(name))


def _below(folder: Path) -> Iterator[Path]:
    for prefix, _, names in files.walk(folder):
        for name in names:
            if name.lower().endswith(".json") and not name.startswith("."):
                yield folder / f"{prefix}{name}"


def holds_keys(answer: Path, keys: Collection[str], without: str = "") -> bool:
    """Whether one of the first JSON files of an answer has all keys, and not `without`.

    Only the beginning and the end of a file are read. It raises nothing.
    """
    try:
        paths = [answer]
        if answer.is_dir():
            first = islice(_below(answer), _FIRST)
            paths = [path for path in first if is_inside(answer, path)]
        return any(_holds(path, keys, without) for path in paths)
    except (OSError, ValueError):
        return False


def _holds(path: Path, keys: Collection[str], without: str) -> bool:
    with files.open_regular(path) as file:
        text = file.read(_ENDS)
        if os.fstat(file.fileno()).st_size > 2 * _ENDS:
            file.seek(-_ENDS, os.SEEK_END)
        text = begin(text + file.read(_ENDS))
    if not _begins_an_object(text):
        return False
    if without and f'"{without}"'.encode() in text:
        return False
    return all(f'"{key}"'.encode() in text for key in keys)


def _begins_an_object(text: bytes) -> bool:
    return begin(text).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


class GroupedFaults:
    """The faults of a file; faults of one kind are joined, with the place of the first.

    Example:
        >>> faults = GroupedFaults("a.json")
        >>> for number in range(3):
        ...     faults.add(f"shapes[{number}]", "It has no label.")
        >>> print(*faults)
        a.json shapes[0] and 2 more: It has no label.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._first: dict[tuple[str, str], str] = {}
        self._counts = Counter[tuple[str, str]]()

    def add(self, where: str, message: str, next_step: str = "") -> None:
        """Add a fault at a place of the file, empty for the whole file, and the next step."""
        self._first.setdefault((message, next_step), where)
        self._counts[message, next_step] += 1

    def __iter__(self) -> Iterator[Fault]:
        for (message, next_step), where in self._first.items():
            count = self._counts[message, next_step]
            more = f" and {count - 1:,} more" if count > 1 else ""
            yield Fault(f"{self._file} {where}{more}".rstrip(), message, next_step)
