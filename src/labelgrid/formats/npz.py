"""Reads arrays from .npz files: zip files of .npy files. Nothing in them is run or trusted.

The head gives the size of an array, which is limited before anything is unpacked.
"""

import io
import math
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from labelgrid.basics.array_types import Array
from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import open_regular
from labelgrid.basics.words import join_names
from labelgrid.formats.arrays import file_errors, npy_header, npy_samples
from labelgrid.images.opening import (
    CHANNELS,
    WrongFileError,
    max_bytes,
    max_pixels,
    refuse_giant,
    refuse_other_format,
)

#: A file with more arrays is no label file.
MOST = 1000
#: The bytes of an array's file that are unpacked to read its head.
HEAD = 2**16
#: The bytes of the largest number.
_NUMBER = 8
_ENCRYPTED = 1
#: The end of a zip file: its length without a comment, the longest comment, and how both begin.
_END = 22
_COMMENT = 2**16
_END_SIGN = b"PK\x05\x06"
#: What stands before the end of a zip file of more than 4 GB.
_WIDE_SIGN = b"PK\x06\x07"
#: The bytes of a list's entry, at most: its fields and a name.
_ENTRY = 1024


class StatedArray(NamedTuple):
    """The size of an array, as stated in the head of the array.

    Attributes:
        member: its entry in the zip file.
        shape: its shape.
        dtype: the type of its numbers.
        size: the bytes that it unpacks to.
    """

    member: ZipInfo
    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    size: int


def open_arrays(file: BinaryIO) -> ZipFile:
    """Open a zip file of arrays.

    Raises:
        WrongFileError: its list holds more than any such file has.
        BadZipFile: it is none, or damaged.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END - _COMMENT))
    tail = file.read()
    offset = tail.rfind(_END_SIGN)
    if offset >= 0 and len(tail) >= offset + _END:
        count, listed = struct.unpack_from("<HI", tail, offset + 10)
        is_wide = _WIDE_SIGN in tail[max(0, offset - 20) : offset]
        if count > MOST or listed > MOST * _ENTRY or is_wide:
            raise WrongFileError(f"it holds more than {MOST} arrays", "Save the right one alone.")
    file.seek(0)
    return ZipFile(file)


def stated_array(archive: ZipFile, member: ZipInfo) -> StatedArray:
    """Read the size of an array from its head; the rest stays packed.

    Raises:
        ValueError: it is encrypted or packed as NumPy does not, or holds no array of numbers.
    """
    if member.flag_bits & _ENCRYPTED or member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise ValueError("it is encrypted, or not packed as NumPy does")
    with archive.open(member) as file:
        head = io.BytesIO(file.read(HEAD))
    shape, dtype = npy_header(head)
    return StatedArray(member, shape, dtype, head.tell() + math.prod(shape) * dtype.itemsize)


def unpack(archive: ZipFile, stated: StatedArray, path: Path) -> Array:
    """Unpack an array; no more bytes than its head states.

    Raises:
        LabelError: it is damaged, or holds more or fewer bytes.
    """
    with archive.open(stated.member) as file:
        return npy_samples(file.read(stated.size + 1), path)


def read_npz(path: Path, key: str | None) -> Array:
    """The array of an .npz file, or the array under a key.

    Raises:
        LabelError: the file has no array or several, none of this name, or is damaged or too large.
    """
    with file_errors(path), open_regular(path, max_bytes()) as file:
        start = file.read(HEAD)
        if not start:
            raise ValueError("it is empty")
        refuse_other_format(start, path)
        with open_arrays(file) as archive:
            members = {member.filename: member for member in archive.infolist()}
            stated = stated_array(archive, _member(members, key, path))
            if len(stated.shape) > 1:
                refuse_giant(*sorted(stated.shape)[-2:])
            if stated.size > min(_NUMBER * CHANNELS * max_pixels() + HEAD, max_bytes()):
                sides = "x".join(map(str, stated.shape))
                raise WrongFileError(
                    f"its array of {sides} {stated.dtype} has {stated.size / 1e6:,.0f} MB, more "
                    "than a label of its image can have",
                    "Save the label alone, at its image's size.",
                )
            return unpack(archive, stated, path)


def _member(members: dict[str, ZipInfo], key: str | None, path: Path) -> ZipInfo:
    names = [name.removesuffix(".npy") for name in members if name.endswith(".npy")]
    if key is not None and key not in names:
        raise LabelError(
            f"The file has no array {key!r}.",
            where=path,
            next_step=f"It has {join_names(names, 9)}.",
        )
    if not names:
        raise LabelError(
            "The file holds 0 arrays.", where=path, next_step="Write it with `numpy.savez`."
        )
    if key is None and len(names) > 1:
        raise LabelError(
            f"The file holds {len(names)} arrays: {join_names(names, 9)}.",
            where=path,
            next_step=f'Declare which one is the label, such as `key = "{names[0]}"`.',
            declare={"key": names[0]},
        )
    return members[f"{key or names[0]}.npy"]
