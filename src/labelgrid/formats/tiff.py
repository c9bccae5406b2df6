"""Reads TIFF files whose numbers Pillow cannot hold: 32 and 64 bits, and colours of 16 and more."""

import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from labelgrid.basics.array_types import Array
from labelgrid.basics.type_names import Size
from labelgrid.images.opening import WrongFileError, refuse_channels, refuse_giant
from labelgrid.images.tiff_checks import tags_of

#: Numbers of tags.
_WIDTH = 256
_HEIGHT = 257
_BITS = 258
_ORIENTATION = 274
_SAMPLES = 277
_PLANES = 284
_FORMAT = 339
_SIGNED = 2
#: NumPy's letters of the formats of numbers.
_LETTERS = {1: "u", _SIGNED: "i", 3: "f"}
_LOCK = threading.Lock()


def is_wide(tags: Mapping[int, Any]) -> bool:
    """Whether `wide_samples` reads the file: Pillow would read it wrongly or not at all."""
    bits = tags.get(_BITS, (1,))[0]
    if bits == 16:
        return bool(tags.get(_SAMPLES, 1) > 1 or tags.get(_FORMAT, (1,))[0] == _SIGNED)
    return bool(bits > 16)


def size_of(tags: Mapping[int, Any]) -> Size:
    """Height and width."""
    return int(tags[_HEIGHT]), int(tags[_WIDTH])


def channels_of(tags: Mapping[int, Any]) -> int:
    """The numbers of a pixel."""
    return int(tags.get(_SAMPLES, 1))


def dtype_of(tags: Mapping[int, Any]) -> "np.dtype[Any]":
    """The type of the numbers.

    Raises:
        KeyError: NumPy has none.
    """
    letter = _LETTERS[tags.get(_FORMAT, (1,))[0]]
    return np.dtype(f"{letter}{tags[_BITS][0] // 8}")


def wide_samples(data: bytes) -> Array:
    """The numbers [h, w] or [h, w, c], as stored, in this machine's order of bytes.

    Raises:
        WrongFileError: it holds several pictures, or has too many pixels.
        ValueError: it cannot be decoded.
    """
    import cv2

    tags = tags_of(io.BytesIO(data))
    height, width = size_of(tags)
    refuse_giant(height, width)
    refuse_channels(tags)
    if tags.next:  # type: ignore[attr-defined]
        raise WrongFileError("it has several pages", "Save the right page alone.")
    channels = channels_of(tags)
    if tags.get(_ORIENTATION, 1) != 1 or (channels > 1 and tags.get(_PLANES, 1) != 1):
        raise WrongFileError(
            "its pixels are turned or its channels are apart", "Save it upright, channels last."
        )
    with _silence():
        array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    shape = (height, width, channels) if channels > 1 else (height, width)
    if array is None or array.shape != shape:
        raise ValueError("its pixels cannot be decoded")
    if channels < 3:
        return array
    return array[..., [2, 1, 0, 3][:channels]]  # OpenCV has blue first


@contextmanager
def _silence() -> Iterator[None]:
    """Keep OpenCV from printing about damaged files."""
    from cv2.utils import logging

    with _LOCK:
        level = logging.getLogLevel()
        logging.setLogLevel(logging.LOG_LEVEL_SILENT)
        try:
            yield
        finally:
            logging.setLogLevel(level)
