"""Reads EXR files, as renderers write them: the channels in the header, and the numbers.

The header is read here; the numbers are decoded in another process (`exr_worker`), which a damaged
file cannot leave.
"""

import atexit
import json
import math
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from labelgrid.basics.array_types import Array
from labelgrid.basics.type_names import Size
from labelgrid.images.opening import WrongFileError, max_content, refuse_giant

#: Bits of the version.
_DEEP = 0x800
_PARTS = 0x1000
#: The types of channels: whole numbers, half and float.
_TYPES: dict[int, np.dtype[Any]] = {
    0: np.dtype(np.uint32),
    1: np.dtype(np.float16),
    2: np.dtype(np.float32),
}
_WORKER = Path(__file__).with_name("exr_worker.py")


class Window(NamedTuple):
    """A rectangle of pixels; the last row and column are part of the rectangle."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.bottom - self.top + 1, self.right - self.left + 1


class Channel(NamedTuple):
    """A channel of an EXR file.

    Attributes:
        part: the index of its part.
        name: its name in the part.
        dtype: the dtype of its numbers.
        window: the pixels that are stored.
        display: the pixels of the picture; those that are not stored are NaN.
        is_whole: whether it has a number for every pixel, not for every second alone.
    """

    part: int
    name: str
    dtype: "np.dtype[Any]"
    window: Window
    display: Window
    is_whole: bool


def channels_of(data: bytes) -> dict[str, Channel]:
    """The channels by name, from the header; of a file of several parts as `PART.CHANNEL`.

    Args:
        data: the beginning of the file, at least its header.

    Raises:
        ValueError: the header is damaged or cut short, the file is deep, or its pictures are too
            large.
    """
    try:
        channels = dict(_named_channels(data))
    except (KeyError, UnicodeDecodeError, struct.error) as error:
        raise ValueError("its header is damaged or cut short") from error
    total = 0
    for channel in channels.values():
        refuse_giant(*channel.display.size)
        refuse_giant(*channel.window.size)
        total += math.prod(channel.window.size) * channel.dtype.itemsize
    if total > max_content():
        raise ValueError(f"its channels need {total / 1e6:.0f} MB; save the wanted ones alone")
    return channels


def _named_channels(data: bytes) -> Iterator[tuple[str, Channel]]:
    (flags,) = struct.unpack_from("<4xI", data)
    if flags & _DEEP:
        raise ValueError("it is a deep file, which has several numbers a pixel; flatten it")
    headers = list(_headers(data, several=bool(flags & _PARTS)))
    for part, header in enumerate(headers):
        prefix = ""
        if len(headers) > 1:
            prefix = header["name"].decode() + "."
        for channel in _channels(part, header):
            yield prefix + channel.name, channel


def _headers(data: bytes, *, several: bool) -> Iterator[dict[str, bytes]]:
    offset = 8
    while True:
        header = {}
        while data[offset : offset + 1] != b"\0":
            name, offset = _text(data, offset)
            _, offset = _text(data, offset)
            (size,) = struct.unpack_from("<I", data, offset)
            offset += 4
            header[name] = data[offset : offset + size]
            offset += size
        offset += 1
        if header:
            yield header
        if not several or not header:
            return


def _text(data: bytes, offset: int) -> tuple[str, int]:
    """The text up to the next zero byte, and the offset after it."""
    end = data.find(b"\0", offset, offset + 256)
    if end < 0:
        raise ValueError("its header is damaged or cut short")
    return data[offset:end].decode(), end + 1


def _channels(part: int, header: dict[str, bytes]) -> Iterator[Channel]:
    window = _window(header["dataWindow"])
    display = _window(header["displayWindow"])
    names = header["channels"]
    offset = 0
    while names[offset : offset + 1] != b"\0":
        name, offset = _text(names, offset)
        kind, across, down = struct.unpack_from("<I4xii", names, offset)
        offset += 16
        yield Channel(
            part=part,
            name=name,
            dtype=_TYPES[kind],
            window=window,
            display=display,
            is_whole=across == down == 1,
        )


def _window(value: bytes) -> Window:
    window = Window(*struct.unpack("<4i", value))
    if min(window.size) < 1:
        raise ValueError("its pictures have no pixels")
    return window


def decode(data: bytes, channels: Sequence[Channel]) -> list[Array]:
    """The numbers [h, w] of some channels of a file, at the size of the picture.

    Raises:
        WrongFileError: the package OpenEXR is not installed.
        ValueError: the file is damaged or cut short.
    """
    if find_spec("OpenEXR") is None:
        raise WrongFileError(
            "EXR files are read with the package OpenEXR, which is not installed",
            "Install it: pip install 'labelgrid[exr]'",
        )
    wanted = [(channel.part, channel.name) for channel in channels]
    arrays = _DECODER.decode(data, wanted)
    placed = []
    for array, channel in zip(arrays, channels, strict=True):
        if array.shape != channel.window.size:
            raise ValueError("its numbers are not those of its header")
        placed.append(_place(array, channel))
    return placed


def _place(array: Array, channel: Channel) -> Array:
    """The picture; pixels that are not stored are NaN."""
    stored = channel.window
    shown = channel.display
    if stored == shown:
        return array
    picture = np.full(shown.size, np.nan, array.dtype)
    rows = _overlap((stored.top, stored.bottom), (shown.top, shown.bottom))
    columns = _overlap((stored.left, stored.right), (shown.left, shown.right))
    picture[rows[1], columns[1]] = array[rows[0], columns[0]]
    return picture


def _overlap(stored: tuple[int, int], shown: tuple[int, int]) -> tuple[slice, slice]:
    """The common part of two ranges, counted from the start of each."""
    start = max(stored[0], shown[0])
    stop = max(start, min(stored[1], shown[1]) + 1)
    return slice(start - stored[0], stop - stored[0]), slice(start - shown[0], stop - shown[0])


class _Decoder:
    """Runs the decoder's process, for a file at a time; restarts a process after its end.

    A forked process starts its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def decode(self, data: bytes, wanted: Sequence[tuple[int, str]]) -> list[Array]:
        with self._lock:
            try:
                return self._exchange(data, wanted)
            except (OSError, EOFError) as error:
                self.end()
                raise ValueError("decoding it ends the decoder") from error
            except ValueError:
                raise
            except BaseException:  # half an answer may be left in the pipe
                self.end()
                raise

    def _exchange(self, data: bytes, wanted: Sequence[tuple[int, str]]) -> list[Array]:
        requests, answers = self._pipes()
        request = json.dumps({"bytes": len(data), "wanted": list(wanted)})
        _write(requests, request.encode() + b"\n")
        _write(requests, data)
        line = answers.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        heads = json.loads(line)
        if heads is None:
            raise ValueError("its pixels cannot be decoded")
        arrays = []
        for name, shape in heads:
            dtype = np.dtype(name)
            content = _read(answers, dtype.itemsize * math.prod(shape))
            arrays.append(np.frombuffer(content, dtype).reshape(shape))
        return arrays

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                process_group=0,  # Ctrl-C is for the program alone
            )
        requests = self._process.stdin
        answers = self._process.stdout
        assert requests is not None
        assert answers is not None
        return requests, answers

    def end(self) -> None:
        process = self._leave()
        if process is not None:
            process.kill()
            _close(process)
            process.wait()

    def forget(self) -> None:
        """Leave the process to the parent of this forked process."""
        self._lock = threading.Lock()
        process = self._leave()
        if process is not None:
            _close(process)
            process.returncode = 0  # it is no child of this process

    def _leave(self) -> "subprocess.Popen[bytes] | None":
        process = self._process
        self._process = None
        return process


def _close(process: "subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _write(pipe: IO[bytes], data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[pipe.write(left) :]


def _read(pipe: IO[bytes], size: int) -> bytearray:
    content = bytearray(size)
    left = memoryview(content)
    while left:
        count = pipe.readinto(left)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        left = left[count:]
    return content


_DECODER = _Decoder()
atexit.register(_DECODER.end)
os.register_at_fork(after_in_child=_DECODER.forget)
