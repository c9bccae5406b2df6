"""Reads the heads of label files: the headers, and the first rows of a PNG."""

import io
import math
import os
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from zipfile import ZipFile

import numpy as np

from labelgrid.basics.array_types import Array
from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import open_regular
from labelgrid.formats import tiff
from labelgrid.formats.arrays import SAMPLES, file_errors, npy_header, png_samples
from labelgrid.images import png
from labelgrid.images.opening import open_as_named
from labelgrid.images.tiff_checks import tags_of

if TYPE_CHECKING:
    from PIL import Image

#: How many bytes of a file's beginning are read.
START = 2**16
#: How many bytes of a TIFF are read, whose header may be anywhere in it.
MOST = 2**20
#: The most different numbers that are few.
FEW = 64
#: The tags of a TIFF that say where its strips or tiles begin, and those with their sizes.
_STRIPS = 273
_TILES = 324
_SIZE_OF = {_STRIPS: 279, _TILES: 325}


@dataclass(frozen=True, kw_only=True)
class Head:
    """The type and content of a label file.

    Args:
        channels: the numbers of a pixel.
        dtype: the type of the numbers; bool for a PNG of 1 bit.
        palette: whether they are indices into a palette of colours.
        rows: the numbers in the first rows of a PNG, as stored: [h, w] or [h, w, c]; None if they
            are not known.
    """

    channels: int
    dtype: "np.dtype[Any]"
    palette: bool = False
    rows: Array | None = None

    @cached_property
    def numbers(self) -> set[int]:
        """The different numbers in the first rows; empty if these are not known."""
        if self.rows is None:
            return set()
        return set(np.unique(self.rows).tolist())


def head_of(path: Path, extensions: Collection[str]) -> Head | None:
    """Read the head of a label file; None if it has another extension, is damaged or no such file.

    At most 1 MiB is read. It raises nothing. A damage that the head does not show is not noticed.
    """
    ending = path.suffix.lower()
    readers = {
        ".png": _png,
        ".npy": _npy,
        ".npz": _npz,
        ".tiff": _tiff,
        ".tif": _tiff,
        ".bmp": _bmp,
    }
    if ending not in extensions or ending not in readers:
        return None
    try:
        with file_errors(path), open_regular(path) as file:
            return readers[ending](file, path)
    except LabelError:
        return None


def _png(file: BinaryIO, path: Path) -> Head:
    data = file.read(START)
    header = png.header_of(data)
    file.seek(-len(png.END), os.SEEK_END)
    if file.read() != png.END:
        raise ValueError("its end is missing")
    first = png.first_rows(data)
    rows = png_samples(first, path) if first else None
    dtype = np.dtype(np.uint16 if header.bits == 16 else np.uint8)
    if header.bits == 1 and not header.has_palette:
        dtype = np.dtype(np.bool_)
    return Head(channels=header.channels, dtype=dtype, palette=header.has_palette, rows=rows)


def _npy(file: BinaryIO, _path: Path) -> Head:
    return _array(file.read(START), _size(file))


def _npz(file: BinaryIO, _path: Path) -> Head:
    with ZipFile(cast("BinaryIO", _Limited(file))) as archive:
        (member,) = archive.infolist()
        with archive.open(member) as content:
            return _array(content.read(START), member.file_size)


def _array(data: bytes, size: int) -> Head:
    start = io.BytesIO(data)
    shape, dtype = npy_header(start)
    expected = math.prod(shape) * dtype.itemsize
    if not expected or start.tell() + expected != size:
        raise ValueError("it does not hold the numbers that its header names")
    if len(shape) not in (2, 3):
        raise ValueError("it is no map")
    channels = (*shape, 1)[2]
    if len(shape) == 3 and shape[0] in (1, 3) and channels not in (1, 3):
        channels = shape[0]
    return Head(channels=channels, dtype=dtype)


def _tiff(file: BinaryIO, path: Path) -> Head:
    few = cast("BinaryIO", _Limited(file))
    tags = tags_of(few)
    if tiff.is_wide(tags):
        _check_ends(tags, file)
        return Head(channels=tiff.channels_of(tags), dtype=tiff.dtype_of(tags))
    few.seek(0)
    with open_as_named(few, path) as image:
        _check_ends(image.tag_v2, file)  # type: ignore[attr-defined]
        if image.mode not in SAMPLES:
            raise ValueError("it is no label")
        return _of_picture(image)


def _bmp(file: BinaryIO, path: Path) -> Head:
    with open_as_named(cast("BinaryIO", _Limited(file)), path) as image:
        decoder, _, start, layout = image.tile[0]  # type: ignore[attr-defined]
        if decoder == "raw" and start + layout[1] * image.height > _size(file):
            raise ValueError("its end is missing")
        return _of_picture(image)


def _of_picture(image: "Image.Image") -> Head:
    from PIL import ImageMode

    return Head(
        channels=len(image.getbands()),
        dtype=np.dtype(ImageMode.getmode(image.mode).typestr),
        palette=image.mode == "P",
    )


def _check_ends(tags: Any, file: BinaryIO) -> None:
    """Refuse a TIFF whose strips or tiles reach beyond its end."""
    tag = _STRIPS if _STRIPS in tags else _TILES
    ends = np.ravel(tags[tag]) + np.ravel(tags[_SIZE_OF[tag]])
    if ends.max() > _size(file):
        raise ValueError("its end is missing")


class _Limited:
    """A file with a limit of bytes to read, for a decoder that reads anywhere."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable
        self._file = file
        self._left = MOST

    def read(self, size: int = MOST) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size
