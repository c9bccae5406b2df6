"""Reads image files as upright RGB arrays."""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labelgrid.errors import ImageError
from labelgrid.files import open_regular, read_bytes
from labelgrid.labels.opening import check_content, has_16_bits, max_bytes, opened

Pixels = NDArray[np.uint8]

#: A 16-bit image whose largest value is below this would become almost black; its real range is unknown.
DARKEST_16_BIT = 4096
ORIENTATION = 0x0112


class CheckedImage(NamedTuple):
    """The upright size and the content hash of an image file that was read to its end."""

    height: int
    width: int
    digest: str


def read_image(path: Path, digest: str = "") -> Pixels:
    """Read an image as RGB, uint8 [h, w, 3], upright (the EXIF orientation is applied).

    Grey and palette images become RGB, an alpha channel is dropped (the colours under it are kept), 16 bits become 8.

    A `digest` is the expected content hash; "" accepts any content. The checksums in a PNG with a known digest are not
    checked again: they were when the image was added.

    Raises:
        ImageError: the file is missing, is not a regular file, has another digest, is empty, damaged, truncated, of
            another format than its name says, CMYK or 32-bit, has more pixels than the limit, holds several pictures,
            or is a 16-bit image that uses so little of its range that it would become almost black.
    """
    data = _contents(path)
    if digest and _digest(data) != digest:
        raise changed_image(path)
    sound = data if digest else check_content(data, path)
    with opened(io.BytesIO(sound), path) as image:
        pixels = _load(image, sound, path)
        if pixels is None:
            pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
        return _upright(pixels, _orientation(image))  # both decoders already rotate a TIFF


def changed_image(path: Path) -> ImageError:
    """The error for a file whose content has changed since it was added."""
    return ImageError(
        "The image is not the one that was added: the content of its file has changed.",
        where=str(path),
        next_step="Put the old file back; or, if it has no labels yet, accept the new one with `labelgrid add`.",
    )


def check_image(path: Path) -> CheckedImage:
    """Read an image to its end, as `read_image` does, and return upright height, width and digest.

    The digest is `labelgrid.files.digest` of the file. All checksums of a PNG are checked. JPEG has none: a
    truncated file is refused, but damage in the middle that still decodes is not detected.

    Raises:
        ImageError: as `read_image`.
    """
    data = _contents(path)
    digest = _digest(data)
    data = check_content(data, path)  # the compressed content is not kept
    with opened(io.BytesIO(data), path) as image:
        pixels = _load(image, data, path, convert=False)
        height, width = pixels.shape[:2] if pixels is not None else image.size[::-1]
        turned = _orientation(image) >= 5
    return CheckedImage(*((width, height) if turned else (height, width)), digest)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def image_size(path: Path) -> tuple[int, int]:
    """Upright (height, width), read from the file's header only.

    Most damage is not detected, nor is the orientation of a PNG that stores it after the pixels.

    Raises:
        ImageError: the file does not exist, or its header cannot be read.
    """
    with _readable(path):
        file = open_regular(path)
    with file, opened(file, path) as image:
        tags = getattr(image, "tag_v2", {})
        width, height = tags.get(256, image.size[0]), tags.get(257, image.size[1])
        late = image.format == "PNG" and "exif" not in image.info  # reading it would decode the pixels
        return (width, height) if not late and _orientation(image) >= 5 else (height, width)


def _contents(path: Path) -> bytes:
    with _readable(path):
        data = read_bytes(path, max_bytes())
    if not data:
        raise ImageError("The image file is empty: 0 bytes.", where=str(path), next_step="Copy it again.")
    return data


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImageError(
            f"The image cannot be read: {error.strerror}.",
            where=str(path),
            next_step="Put it back; if the project's images were moved, `labelgrid add --images` finds them again."
            if isinstance(error, FileNotFoundError)
            else "Replace it by an image that can be read, or take it out of the folder.",
        ) from error


def _load(image: Image.Image, data: bytes, path: Path, *, convert: bool = True) -> NDArray[Any] | None:
    """Decode the whole image: the pixels if OpenCV decodes it (of 8 bits if `convert`), None if `image` holds them."""
    if image.format in ("JPEG", "MPO") and _is_whole_jpeg(data):
        pixels = _fast_jpeg(data)
        if pixels is not None:
            return pixels
    sixteen = has_16_bits(image)
    if sixteen and image.format == "PNG":
        return _sixteen_bits(data, path, convert)
    image.load()
    return _sixteen_bits(data, path, convert) if sixteen else None


def _fast_jpeg(data: bytes) -> Pixels | None:
    """Decode with OpenCV: the same pixels as Pillow, but faster on large images; None if it fails."""
    pixels = _imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if pixels is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def _imdecode(data: bytes, flags: int) -> NDArray[Any] | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def _is_whole_jpeg(data: bytes) -> bool:
    """Whether the end-of-image marker follows the first scan (some OpenCV releases pad a truncated file with grey)."""
    offset = 2
    while offset + 4 <= len(data) and data[offset] == 0xFF:
        marker, length = data[offset + 1], int.from_bytes(data[offset + 2 : offset + 4], "big")
        if marker == 0xDA:
            return data.find(b"\xff\xd9", offset + length) >= 0
        offset += 1 if marker == 0xFF else 2 + length
    return False


def _sixteen_bits(data: bytes, path: Path, convert: bool) -> NDArray[Any]:
    pixels = _imdecode(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None or pixels.dtype != np.uint16:
        raise ImageError("The 16-bit image cannot be read.", where=str(path), next_step="Convert it to 8-bit RGB.")
    largest = int(pixels.max())
    if largest < DARKEST_16_BIT:
        raise ImageError(
            f"The image has 16 bits, but its largest value is {largest} of 65535: it would become almost black.",
            where=str(path),
            next_step="Convert it to 8 bits with its real range.",
        )
    if not convert:
        return pixels
    eight = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(pixels), 64):  # row by row: a wider copy of a whole image would take much memory
        rows = pixels[start : start + 64].astype(np.uint32)
        eight[start : start + 64] = (rows * 255 + 32895) >> 16  # exactly (v + 128) // 257
    colours = cv2.cvtColor(eight, cv2.COLOR_GRAY2RGB if eight.ndim == 2 else cv2.COLOR_BGR2RGB)
    return colours.astype(np.uint8, copy=False)


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Apply the EXIF orientation (1 to 8; from 5 on, rows and columns are swapped)."""
    turned = pixels.swapaxes(0, 1) if orientation >= 5 else pixels
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(turned[::rows, ::columns])
