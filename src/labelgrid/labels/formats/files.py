"""What all label formats share: bytes and arrays out of a file with sentences for what is wrong, and safe writing."""

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
#: Pillow's modes whose arrays hold a file's own numbers: 1-bit, grey, palette indices, whole and real numbers, colour.
SAMPLES = frozenset({"1", "L", "P", "I;16", "I;16B", "I", "F", "LA", "RGB", "RGBA"})


def samples(path: Path) -> Array:
    """The numbers in a label file, as stored: [h, w] or [h, w, c]; bool for 1-bit PNG, palette PNGs as indices.

    Raises:
        LabelError: the file is missing, empty, cut short, or not what its extension says.
    """
    readers = {".png": _png, ".npy": _npy, ".tiff": _tiff, ".tif": _tiff}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise LabelError(f"Labels are not read from '{path.suffix}' files.", where=str(path))
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
        raise LabelError("This is not a PNG file, whatever its name says.", where=str(path))
    bits, colour = data[24:26].ljust(2)
    if bits == 16 and colour != 0:
        return _deep_colours(data, path)
    array = _pillow(data, path)
    if colour == 0 and bits in (2, 4):  # Pillow stretches 2- and 4-bit grey to 0..255
        return array // np.uint8(255 // (2**bits - 1))
    return array.astype(np.uint16) if bits == 16 else array


def _deep_colours(data: bytes, path: Path) -> Array:
    """16-bit colours, of which Pillow keeps only the high bytes. OpenCV takes damaged files: checksums come first."""
    import cv2

    place, kind = len(PNG), b""
    while kind != b"IEND":
        length = int.from_bytes(data[place : place + 4])
        kind, end = data[place + 4 : place + 8], place + 8 + length
        if zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4]) or end + 4 > len(data):
            raise _damaged(path, "a checksum is wrong or the end is missing")
        place = end + 4
    colours = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if colours is None or colours.ndim != 3:
        raise _damaged(path, "its pixels cannot be unpacked")
    order = cv2.COLOR_BGR2RGB if colours.shape[-1] == 3 else cv2.COLOR_BGRA2RGBA
    return np.asarray(cv2.cvtColor(colours, order))


def _tiff(data: bytes, path: Path) -> Array:
    return _pillow(data, path)


def _pillow(data: bytes, path: Path) -> Array:
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as image:
            image.load()
            if image.mode not in SAMPLES:
                raise LabelError(f"The label's pixels are of the form '{image.mode}'.", where=str(path))
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
        raise LabelError("This .npy file holds no array of plain numbers.", where=str(path))
    return array


def shape_text(array: Array) -> str:
    """A shape and type as users write it: `480x640x3 uint8`."""
    return f"{'x'.join(map(str, array.shape))} {array.dtype}"


def one_channel(array: Array, path: Path, what: str) -> Array:
    """[h, w] of a label that must have one channel.

    Raises:
        LabelError: it has more, or is no picture at all.
    """
    flat = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
    if flat.ndim != 2:
        raise LabelError(
            f"{what} has one channel; this one is {shape_text(array)}.",
            where=str(path),
            next_step="Write one number a pixel, not colours.",
        )
    return flat


def some_valid(valid: NDArray[np.bool_], path: Path, why: str) -> None:
    """Refuse a label without any valid pixel.

    Raises:
        LabelError: all pixels are invalid; `why` says which ones are.
    """
    if not valid.any():
        raise LabelError(
            f"All-invalid label: none of its {valid.size} pixels is valid ({why}).",
            where=str(path),
            next_step="Label the image, or skip the request.",
        )


def save_png(path: Path, array: Array) -> None:
    """Write uint8 or uint16 [h, w] or RGB [h, w, 3] as PNG, whole or not at all.

    Raises:
        LabelError: the disk refuses.
    """
    import cv2

    done, data = cv2.imencode(".png", array[..., ::-1] if array.ndim == 3 else array)
    if not done:
        raise LabelError("The label could not be packed as PNG.", where=str(path))
    save_bytes(path, data.tobytes())


def save_array(path: Path, array: Array) -> None:
    """Write float32 [h, w] as .tiff, or any array as .npy, whole or not at all.

    Raises:
        LabelError: the disk refuses.
    """
    buffer = io.BytesIO()
    if path.suffix.lower() == ".npy":
        np.save(buffer, array, allow_pickle=False)
    else:
        Image.fromarray(array).save(buffer, format="TIFF")
    save_bytes(path, buffer.getvalue())


def save_bytes(path: Path, data: bytes) -> None:
    """Write a file through a temporary one beside it: after a crash it is the old one or the new one, never half.

    Raises:
        LabelError: the disk refuses (full, read-only).
    """
    try:
        with atomic_write(path, durable=True) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise LabelError(
            f"The label could not be written: {error.strerror}.",
            where=str(path),
            next_step="Free some space or check the folder's permissions.",
            unchanged="A file that was there before is still there.",
        ) from error
