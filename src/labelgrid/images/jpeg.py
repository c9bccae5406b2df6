"""Checks JPEG files for lost parts, which decoders fill with no more than a warning."""

import io
import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Any marker; a zero makes 0xFF a coded byte.
_MARKER = re.compile(rb"\xff[\x01-\xfe]")
#: The same, after the bytes that may fill the space before it.
_FILLED = re.compile(rb"\xff*\xff[\x01-\xfe]")
_FILL = 0xFF
_END = 0xD9
_SCAN = 0xDA
_INTERVAL = 0xDD
_RESTARTS = range(0xD0, 0xD8)
#: The sizes of frames of Huffman codes: baseline, extended and progressive.
_FRAMES = (0xC0, 0xC1, 0xC2)
_PROGRESSIVE = 0xC2
#: Markers without content.
_BARE = (0x01, *_RESTARTS)
#: The markers after the coded data of a scan: tables, another scan, comments, or the end.
_AFTER_SCAN = (0xC4, 0xCC, *range(0xD9, 0xDE), *range(0xE0, 0xF0), 0xFE)
#: Coded data that stand for nothing.
_OTHER = b"\xb6\xd5\x6b\x9a" * 8


@dataclass(kw_only=True)
class _Frame:
    """The header of a file, as far as scans depend on it.

    Args:
        height: the height in pixels.
        width: the width in pixels.
        factors: horizontal and vertical sampling factor of each component, by its number.
        interval: units between two restart markers; 0: there are none.
    """

    height: int
    width: int
    factors: dict[int, tuple[int, int]]
    interval: int = 0

    def units(self, components: bytes) -> int:
        """The number of units (MCUs) of a scan."""
        across = max(horizontal for horizontal, _ in self.factors.values())
        down = max(vertical for _, vertical in self.factors.values())
        width = self.width
        height = self.height
        if len(components) == 1:  # a unit is one block of the component
            horizontal, vertical = self.factors[components[0]]
            width = math.ceil(width * horizontal / across)
            height = math.ceil(height * vertical / down)
            across = down = 1
        return math.ceil(width / (8 * across)) * math.ceil(height / (8 * down))


class Parts(NamedTuple):
    """A JPEG file whose parts are in order.

    `progressive`: several scans refine each other. `changed` reads the file with other bytes after
    all coded data, and without the bytes behind the first picture; it makes no copy of the file.
    """

    progressive: bool
    changed: BinaryIO


def parts_of(data: bytes) -> Parts:
    """Check the parts of a JPEG file as `check_parts`.

    The changed file has the same pixels, unless coded data are missing: a decoder warns, and
    decodes zeros, or the bytes that follow. A file without Huffman codes is not changed.

    Raises:
        ValueError: as `check_parts`.
    """
    pieces = list[memoryview]()
    offset = 0
    frames = set[int]()
    for marker, start, end in _segments(data):
        if marker in _FRAMES:
            frames.add(marker)
        if marker == _SCAN and frames:
            for coded_end in _coded_ends(data, start, end):
                pieces += [memoryview(data)[offset:coded_end], memoryview(_OTHER)]
                offset = coded_end
            offset = end
    pieces.append(memoryview(data)[offset:end])
    return Parts(_PROGRESSIVE in frames, io.BufferedReader(_Joined(pieces)))


def _coded_ends(data: bytes, start: int, end: int) -> Iterator[int]:
    for restart in _FILLED.finditer(data, start, end):
        yield restart.start()
    while end > start and data[end - 1] == _FILL:
        end -= 1
    yield end


class _Joined(io.RawIOBase):
    """Reads pieces as one file."""

    def __init__(self, pieces: Sequence[memoryview]) -> None:
        self._pieces = pieces
        self._starts = [0, *accumulate(map(len, pieces))]
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._starts[-1]}
        self._place = max(0, base[whence] + offset)
        return self._place

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if self._place >= self._starts[-1]:
            return 0
        number = bisect_right(self._starts, self._place) - 1
        into = memoryview(buffer)
        start = self._place - self._starts[number]
        piece = self._pieces[number][start : start + len(into)]
        into[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)


def check_parts(data: bytes) -> None:
    """Check the order of a JPEG file's parts, and the number of its restart intervals.

    Raises:
        ValueError: a part is lost, or the coded data end in the middle of another part.
    """
    for _ in _segments(data):
        pass


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The marker of each part of the first picture, with the begin and the end of the content.

    The content of a scan is its coded data.
    """
    frame: _Frame | None = None
    interval = 0
    offset = 2
    while match := _FILLED.match(data, offset):
        start = match.end()
        marker = data[start - 1]
        if marker == _END:
            yield marker, start, start
            return
        offset = start
        if marker in _BARE:
            continue
        offset += int.from_bytes(data[start : start + 2])
        content = data[start + 2 : offset]
        if marker in _FRAMES:
            frame = _frame(content)
        elif marker == _INTERVAL:
            interval = int.from_bytes(content)
        elif marker == _SCAN:
            start = offset
            offset = _check_scan(data, start, _intervals(frame, interval, content))
        yield marker, start, offset
    raise ValueError("its end is missing")


def _frame(content: bytes) -> _Frame:
    factors = {}
    for at in range(6, len(content) - 2, 3):
        number, both = content[at : at + 2]
        factors[number] = (max(both >> 4, 1), max(both & 15, 1))
    return _Frame(
        height=int.from_bytes(content[1:3]), width=int.from_bytes(content[3:5]), factors=factors
    )


def _intervals(frame: _Frame | None, interval: int, header: bytes) -> int:
    """The restart intervals of a scan; 0 if they are not known."""
    components = header[1 : 1 + 2 * header[0] : 2] if header else b""
    if frame is None or not interval or not components:
        return 0
    if not set(components) <= set(frame.factors):
        raise ValueError("a scan is of a component that it does not have")
    return math.ceil(frame.units(components) / interval)


def _check_scan(data: bytes, start: int, intervals: int) -> int:
    """Check the restart markers in a scan's coded data; return the end of the data."""
    restarts = 0
    offset = start
    while match := _MARKER.search(data, offset):
        marker = data[match.end() - 1]
        if marker not in _RESTARTS:
            break
        if marker != _RESTARTS[restarts % len(_RESTARTS)]:
            raise ValueError("a part between two of its restart markers is lost")
        restarts += 1
        offset = match.end()
    if match is None:
        raise ValueError("its end is missing")
    if marker not in _AFTER_SCAN:
        raise ValueError("its coded pixels are cut short or damaged")
    if restarts < intervals - 1:
        raise ValueError("parts after some of its restart markers are lost")
    return match.start()
