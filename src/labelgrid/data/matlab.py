"""Reads variables of Matlab's .mat files that are neither too large nor too deeply nested."""

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from labelgrid.basics.array_types import Array
from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import read_bytes
from labelgrid.images.opening import max_bytes

#: Matlab 7.3 writes HDF5, after a header that starts with these bytes.
NEWER = b"MATLAB 7.3"
HEADER = 128
#: Types of elements: an array, and a compressed element.
ARRAY = 14
COMPRESSED = 15
#: Arrays within arrays at most. SciPy reads them by recursion; PASCAL-Part has four.
DEEPEST = 16
#: Bytes of a file's elements at most, decompressed: twenty people with all their parts have a
#: third.
LARGEST = 2**28


def read_variable(path: Path, name: str) -> Array:
    """Read a variable of a .mat file in the format of Matlab 4 to 7.2.

    Structures become arrays with named fields.

    Raises:
        LabelError: the file is missing, damaged, too large, of Matlab 7.3, or lacks the variable.
    """
    from scipy.io import loadmat, whosmat

    try:
        data = read_bytes(path, max_bytes())
    except OSError as error:
        raise LabelError(
            f"The label cannot be read: {error.strerror}.",
            where=path,
            next_step="Get the file again.",
        ) from error
    if data.startswith(NEWER):
        raise LabelError(
            "This is a file of Matlab 7.3.", where=path, next_step="Save it again with '-v7'."
        )
    others = []
    try:
        _check(data)
        content = loadmat(io.BytesIO(data), variable_names=[name])
        if name not in content:
            others = [variable for variable, _, _ in whosmat(io.BytesIO(data))]
    except Exception as error:  # SciPy raises whatever damaged bytes lead to
        raise LabelError(
            f"The .mat file is damaged or cut short: {error}.",
            where=path,
            next_step="Get the file again.",
        ) from error
    if name not in content:
        raise LabelError(
            f"The .mat file has no variable '{name}'; it has {', '.join(others) or 'nothing'}.",
            where=path,
            next_step="Get the file again.",
        )
    return content[name]


def _check(data: bytes) -> None:
    if 0 in data[:4]:  # Matlab 4, which neither nests nor compresses
        return
    byte_order = "<" if data[126:128] == b"IM" else ">"
    remaining = LARGEST
    todo = [(element, 1) for element in _elements(memoryview(data)[HEADER:], byte_order)]
    while todo:
        (kind, body), depth = todo.pop()
        if kind == COMPRESSED:
            inflater = zlib.decompressobj()
            whole = inflater.decompress(body, remaining + 1)
            remaining -= len(whole)
            todo += [(element, depth) for element in _elements(memoryview(whole), byte_order)]
        elif kind == ARRAY:
            if depth > DEEPEST:
                raise ValueError(f"its arrays are nested more than {DEEPEST} deep")
            todo += [(element, depth + 1) for element in _elements(body, byte_order)]
        if remaining < 0:
            raise ValueError(f"it has more than {LARGEST} bytes, decompressed")


def _elements(data: memoryview, byte_order: str) -> Iterator[tuple[int, memoryview]]:
    """The type and the content of each element of some bytes."""
    start = 0
    while start + 8 <= len(data):
        kind, size = struct.unpack_from(f"{byte_order}II", data, start)
        if kind >> 16:  # a small element: its size and its content are in the first eight bytes
            start += 8
            continue
        yield kind, data[start + 8 : start + 8 + size]
        if kind != COMPRESSED:  # padded to whole words
            size = -(-size // 8) * 8
        start += 8 + size
