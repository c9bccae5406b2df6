"""Reads arrays from label files with clear errors, and writes label files atomically.

Shared by all formats.
"""

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np

from labelgrid.basics.array_types import Array, Bools
from labelgrid.basics.errors import EmptyLabelError, LabelError
from labelgrid.basics.files import atomic_write, open_regular, read_bytes
from labelgrid.basics.type_names import Size
from labelgrid.formats import tiff
from labelgrid.images import png
from labelgrid.images.opening import (
    decoder_errors,
    max_bytes,
    open_as_named,
    pages_of,
    refuse_giant,
    refuse_other_format,
)
from labelgrid.images.tiff_checks import check_tiff, tags_of

#: Pillow's modes whose arrays hold the stored numbers: 1-bit, grey, palette indices, integers,
#: floats, colour.
SAMPLES = frozenset({"1", "L", "P", "I;16", "I;16B", "I", "F", "LA", "RGB", "RGBA"})
#: The extensions of files that Pillow reads as they are.
_PICTURES = (".bmp",)


def samples(path: Path) -> Array:
    """Read the numbers in a label file, as stored: [h, w] or [h, w, c].

    Bool for 1-bit PNG, palette PNGs as indices.

    Raises:
        LabelError: the file is missing, not a regular file, empty, truncated, too large, or does
            not match its extension; or a checksum in a PNG is wrong.
    """
    return _read(path)[1]


def samples_and_text(path: Path, key: str) -> tuple[Array, str | None]:
    """As `samples`, with the text under a key of a PNG's metadata; None if it has none.

    Raises:
        LabelError: as `samples`, or the text is compressed or not UTF-8.
    """
    data, array = _read(path)
    if path.suffix.lower() != ".png":
        return array, None
    with file_errors(path):
        return array, png.text_of(data, key)


def palette_of(path: Path, mode: str = "RGB") -> Array | None:
    """The colours of a file whose pixels are indices into a palette; None for others.

    They are [n, 3]; [n, 4], with how opaque each is, in the mode "RGBA".
    """
    if path.suffix.lower() == ".npy":
        return None
    with file_errors(path), open_regular(path) as file, open_as_named(file, path) as image:
        image.apply_transparency()
        colours = image.getpalette(mode) if image.mode == "P" else None
    if colours is None:
        return None
    return np.array(colours, np.uint8).reshape(-1, len(mode))


def _read(path: Path) -> tuple[bytes, Array]:
    readers = {
        ".png": png_samples,
        ".npy": npy_samples,
        **dict.fromkeys(_PICTURES, _pillow),
        ".tiff": _tiff,
        ".tif": _tiff,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise LabelError(
            f"Label files with the extension '{path.suffix}' are not supported.", where=path
        )
    with file_errors(path):
        data = read_bytes(path, max_bytes())
        _check_start(data, path)
        array = reader(data, path)
    if array.size == 0:
        raise LabelError(f"The label has no pixels: its shape is {shape_text(array)}.", where=path)
    return data, array


def stored_size(path: Path) -> Size | None:
    """Height and width from the header of a PNG, TIFF or BMP.

    None for another file (an .npy file is never compressed).
    """
    ending = path.suffix.lower()
    with file_errors(path), open_regular(path) as file:
        head = file.read(64)
        file.seek(0)
        _check_start(head, path)
        if ending == ".png":
            header = png.header_of(head)
            return header.height, header.width
        if ending in (".tif", ".tiff"):
            tags = tags_of(file)
            if tiff.is_wide(tags):
                return tiff.size_of(tags)
            file.seek(0)
        elif ending != ".bmp":
            return None
        with open_as_named(file, path) as image:
            return image.height, image.width


def _check_start(data: bytes, path: Path) -> None:
    if not data:
        raise LabelError(
            "The label file is empty: 0 bytes.", where=path, next_step="Export it again."
        )
    refuse_other_format(data, path)


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn the errors of files and decoders into `LabelError`, and suppress their warnings."""
    damaged = "The label file is damaged or cut short"
    with decoder_errors(path, LabelError, thing="label", damaged=damaged, again="Export it again."):
        try:
            yield
        except OSError as error:
            if error.strerror is None:  # raised by a decoder
                raise
            raise LabelError(f"The label cannot be read: {error.strerror}.", where=path) from error


def png_samples(data: bytes, path: Path) -> Array:
    """Read the numbers in a PNG, as `samples` does.

    Raises:
        ValueError: it is damaged. Pillow's own errors, too.
    """
    header = png.header_of(data)
    refuse_giant(header.height, header.width)
    sound = png.check_png(data)
    _refuse_pages(png.frames_of(data), path)
    if header.bits == 16 and header.colour != 0:
        return _deep_colours(sound, header.channels)
    if header.bits >= 8 and header.colour == 0:
        grey = _decoded(sound)
        if grey is not None and grey.ndim == 2:
            return grey
    array = _pillow(sound, path)
    if header.colour == 0 and header.bits in (2, 4):  # Pillow scales 2- and 4-bit grey to 0..255
        return array // np.uint8(255 // (2**header.bits - 1))
    if header.bits == 16:
        return array.astype(np.uint16, copy=False)
    return array


def _decoded(data: bytes) -> Array | None:
    """The pixels of a PNG by OpenCV, blue first; None if OpenCV cannot read it."""
    import cv2

    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def _deep_colours(data: bytes, channels: int) -> Array:
    """Read 16-bit colours with OpenCV: Pillow drops the low bytes."""
    import cv2

    colours = _decoded(data)
    if colours is None or colours.ndim != 3:
        raise ValueError("its pixels cannot be decoded")
    order = cv2.COLOR_BGR2RGB
    if colours.shape[-1] == 4:  # OpenCV makes a channel of a transparent colour
        order = cv2.COLOR_BGRA2RGB if channels == 3 else cv2.COLOR_BGRA2RGBA
    return np.asarray(cv2.cvtColor(colours, order))


def _tiff(data: bytes, path: Path) -> Array:
    if tiff.is_wide(tags_of(io.BytesIO(data))):
        array = tiff.wide_samples(data)
    else:
        array = _pillow(data, path)
    check_tiff(data)
    return array


def _pillow(data: bytes, path: Path) -> Array:
    with open_as_named(io.BytesIO(data), path) as image:
        _refuse_pages(pages_of(image), path)
        image.load()
        if image.mode not in SAMPLES:
            raise LabelError(f"The label's pixel mode '{image.mode}' is not supported.", where=path)
        array = _native(np.asarray(image))
        colours = len(image.getpalette("RGB") or ()) // 3
        # Only damaged files have indices beyond their palette.
        if image.mode == "P" and array.size and array.max() >= colours:
            raise LabelError(
                f"It holds index {array.max()}, and its palette has {colours} colours: one of the "
                "two is damaged.",
                where=path,
                next_step="Export it again, with a palette for all indices or as grey numbers.",
            )
        return array


def _refuse_pages(pages: int, path: Path) -> None:
    if pages > 1:
        raise LabelError(
            f"The label file has {pages} pages, and which one is the label is unknown.",
            where=path,
            next_step="Save the right page alone.",
        )


def _native(array: Array) -> Array:
    """The numbers in this machine's order of bytes."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def npy_samples(data: bytes, path: Path) -> Array:
    """Read the array in the content of an .npy file.

    Raises:
        LabelError: it is damaged, too large, or of something else than numbers.
    """
    file = io.BytesIO(data)
    try:
        shape, dtype = npy_header(file)
        expected = math.prod(shape) * dtype.itemsize
        present = len(data) - file.tell()
        if expected != present:
            sides = "x".join(map(str, shape))
            raise ValueError(f"its {sides} {dtype} need {expected} bytes, and it holds {present}")
    except ValueError as error:
        raise LabelError(f"This .npy file cannot be read: {error}.", where=path) from error
    if len(shape) > 1:
        refuse_giant(*sorted(shape)[-2:])
    file.seek(0)
    return _native(np.asarray(np.load(file, allow_pickle=False)))


def npy_header(file: BinaryIO) -> tuple[tuple[int, ...], "np.dtype[Any]"]:
    """Shape and type of an array from the header of its file.

    Raises:
        ValueError: the header is wrong, or of something else than numbers.
    """
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        shape, _, dtype = readers[np.lib.format.read_magic(file)](file)
    except (
        KeyError,
        SyntaxError,
        TypeError,
        OverflowError,
        RecursionError,
        MemoryError,
        TokenError,
    ) as error:
        raise ValueError("its header is wrong") from error
    if dtype.kind not in "buif":
        raise ValueError("it does not hold an array of numbers")
    if not all(isinstance(side, int) and side >= 0 for side in shape):
        raise ValueError("its header is wrong")
    return shape, dtype


def shape_text(array: Array) -> str:
    """The shape and type as text, such as `480x640x3 uint8`."""
    return f"{'x'.join(map(str, array.shape))} {array.dtype}"


def one_channel(array: Array, path: Path, subject: str) -> Array:
    """Return a one-channel label as [h, w].

    Raises:
        LabelError: it has several channels, or is not an image.
    """
    if array.ndim == 3 and array.shape[-1] == 1:
        return array[..., 0]
    if array.ndim != 2:
        raise LabelError(
            f"{subject} has one channel; this one is {shape_text(array)}.",
            where=path,
            next_step="Write one number per pixel, not colours.",
        )
    return array


def check_any_valid(valid: Bools, path: Path, why: str) -> None:
    """Refuse a label without any valid pixel.

    Raises:
        EmptyLabelError: all pixels are invalid; `why` explains which values are.
    """
    if not valid.any():
        raise EmptyLabelError(
            f"All-invalid label: none of its {valid.size} pixels is valid ({why}).",
            where=path,
            next_step="Label the image, or skip the request.",
        )


def save_png(path: Path, array: Array, texts: Mapping[str, str] | None = None) -> None:
    """Write uint8 or uint16 [h, w] or RGB [h, w, 3] as PNG, atomically."""
    import cv2

    # OpenCV wants blue first.
    done, data = cv2.imencode(".png", array[..., ::-1] if array.ndim == 3 else array)
    if not done:
        raise LabelError("The label could not be encoded as PNG.", where=path)
    content: bytes = data.tobytes()
    for key, text in (texts or {}).items():
        content = png.add_text(content, key, text)
    save_bytes(path, content)


def save_array(path: Path, array: Array) -> None:
    """Write float32 [h, w] as .tiff, or any array as .npy, atomically."""
    buffer = io.BytesIO()
    if path.suffix.lower() == ".npy":
        np.save(buffer, array, allow_pickle=False)
    else:
        from PIL import Image

        Image.fromarray(array).save(buffer, format="TIFF")
    save_bytes(path, buffer.getvalue())


def save_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: a crash leaves the old file or the new one.

    A temporary file is written in the same folder, and then renamed.

    Raises:
        LabelError: the disk reports an error (full, read-only).
    """
    try:
        with atomic_write(path, durable=True) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise LabelError(
            f"The label could not be written: {error.strerror}.",
            where=path,
            next_step="Free some space or check the folder's permissions.",
            unchanged="An existing file was not changed.",
        ) from error
