"""Reads arrays from label files with clear errors, and writes label files atomically; shared by all formats."""

import io
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labelgrid.errors import LabelError
from labelgrid.files import atomic_write

Array = NDArray[Any]

PNG = b"\x89PNG\r\n\x1a\n"
#: Pillow's modes whose arrays hold the stored numbers: 1-bit, grey, palette indices, integers, floats, colour.
SAMPLES = frozenset({"1", "L", "P", "I;16", "I;16B", "I", "F", "LA", "RGB", "RGBA"})


def samples(path: Path) -> Array:
    """Read the numbers in a label file, as stored: [h, w] or [h, w, c]; bool for 1-bit PNG, palette PNGs as indices.

    Raises:
        LabelError: the file is missing, empty, truncated, or does not match its extension.
    """
    readers = {".png": _png, ".npy": _npy, ".tiff": _tiff, ".tif": _tiff}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise LabelError(f"Label files with the extension '{path.suffix}' are not supported.", where=str(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LabelError(f"The label cannot be read: {error.strerror}.", where=str(path)) from error
    if not data:
        raise LabelError("The label file is empty: 0 bytes.", where=str(path), next_step="Export it again.")
    array = reader(data, path)
    if array.size == 0:
        raise LabelError(f"The label has no pixels: its shape is {shape_text(array)}.", where=str(path))
    return array


def _png(data: bytes, path: Path) -> Array:
    if not data.startswith(PNG):
        raise LabelError("The extension is .png, but the file is not a PNG.", where=str(path))
    bits, colour = data[24:26].ljust(2)
    if bits == 16 and colour != 0:
        return _deep_colours(data, path)
    array = _pillow(data, path)
    if colour == 0 and bits in (2, 4):  # Pillow scales 2- and 4-bit grey to 0..255
        return array // np.uint8(255 // (2**bits - 1))
    return array.astype(np.uint16) if bits == 16 else array


def _deep_colours(data: bytes, path: Path) -> Array:
    """Read 16-bit colours with OpenCV: Pillow drops the low bytes. Check the CRCs first: OpenCV does not."""
    import cv2

    offset, kind = len(PNG), b""
    while kind != b"IEND":
        length = int.from_bytes(data[offset : offset + 4])
        kind, end = data[offset + 4 : offset + 8], offset + 8 + length
        if zlib.crc32(data[offset + 4 : end]) != int.from_bytes(data[end : end + 4]) or end + 4 > len(data):
            raise _damaged(path, "a checksum is wrong or the end is missing")
        offset = end + 4
    colours = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if colours is None or colours.ndim != 3:
        raise _damaged(path, "its pixels cannot be decoded")
    order = cv2.COLOR_BGR2RGB if colours.shape[-1] == 3 else cv2.COLOR_BGRA2RGBA
    return np.asarray(cv2.cvtColor(colours, order))


def _tiff(data: bytes, path: Path) -> Array:
    return _pillow(data, path)


def _pillow(data: bytes, path: Path) -> Array:
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            image.load()
            if image.mode not in SAMPLES:
                raise LabelError(f"The label's pixel mode '{image.mode}' is not supported.", where=str(path))
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, fault: str) -> LabelError:
    return LabelError(
        f"The label file is damaged or cut short: {fault}.", where=str(path), next_step="Export it again."
    )


def _npy(data: bytes, path: Path) -> Array:
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError) as error:
        raise LabelError(f"This .npy file cannot be read: {error}.", where=str(path)) from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "buif":
        raise LabelError("This .npy file does not hold an array of numbers.", where=str(path))
    return array


def shape_text(array: Array) -> str:
    """The shape and type as text, such as `480x640x3 uint8`."""
    return f"{'x'.join(map(str, array.shape))} {array.dtype}"


def one_channel(array: Array, path: Path, what: str) -> Array:
    """Return a one-channel label as [h, w].

    Raises:
        LabelError: it has several channels, or is not an image.
    """
    flat = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    if flat.ndim != 2:
        raise LabelError(
            f"{what} has one channel; this one is {shape_text(array)}.",
            where=str(path),
            next_step="Write one number per pixel, not colours.",
        )
    return flat


def some_valid(valid: NDArray[np.bool_], path: Path, why: str) -> None:
    """Refuse a label without any valid pixel.

    Raises:
        LabelError: all pixels are invalid; `why` explains which values are.
    """
    if not valid.any():
        raise LabelError(
            f"All-invalid label: none of its {valid.size} pixels is valid ({why}).",
            where=str(path),
            next_step="Label the image, or skip the request.",
        )


def save_png(path: Path, array: Array) -> None:
    """Write uint8 or uint16 [h, w] or RGB [h, w, 3] as PNG, atomically.

    Raises:
        LabelError: the disk reports an error.
    """
    import cv2

    done, data = cv2.imencode(".png", array[..., ::-1] if array.ndim == 3 else array)
    if not done:
        raise LabelError("The label could not be encoded as PNG.", where=str(path))
    save_bytes(path, data.tobytes())


def save_array(path: Path, array: Array) -> None:
    """Write float32 [h, w] as .tiff, or any array as .npy, atomically.

    Raises:
        LabelError: the disk reports an error.
    """
    buffer = io.BytesIO()
    if path.suffix.lower() == ".npy":
        np.save(buffer, array, allow_pickle=False)
    else:
        Image.fromarray(array).save(buffer, format="TIFF")
    save_bytes(path, buffer.getvalue())


def save_bytes(path: Path, data: bytes) -> None:
    """Write a file through a temporary one beside it: after a crash the file is either the old or the new one.

    Raises:
        LabelError: the disk reports an error (full, read-only).
    """
    try:
        with atomic_write(path, durable=True) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise LabelError(
            f"The label could not be written: {error.strerror}.",
            where=str(path),
            next_step="Free some space or check the folder's permissions.",
            unchanged="An existing file was not changed.",
        ) from error
