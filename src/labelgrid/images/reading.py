"""Reads image files as upright RGB arrays."""

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from labelgrid.basics.array_types import Array
from labelgrid.basics.errors import ImageError
from labelgrid.basics.files import digest_of, open_regular, read_bytes
from labelgrid.basics.type_names import Size
from labelgrid.images import jpeg, png
from labelgrid.images.opening import check_content, has_16_bits, max_bytes, max_pixels, open_image
from labelgrid.images.tiff_checks import check_tiff

Pixels = NDArray[np.uint8]
#: Sees a decoded image.
Look = Callable[[Image.Image], object]
#: Width and height in the file, and the orientation.
Stored = tuple[int, int, int]
#: Checks the file of an open image.
Check = Callable[[Image.Image, BinaryIO, Path], Stored]

#: A 16-bit image whose largest value is below this would become almost black; its real range is
#: unknown.
DARKEST_16_BIT = 4096
ORIENTATION = 0x0112
#: The table of a photograph's own EXIF data, and in it the focal length on film of 35 mm.
_PHOTOGRAPH = 0x8769
_FILM_FOCAL_LENGTH = 0xA405
#: What a PNG holds that stores an orientation, in any of the ways that are read.
_ORIENTED = (b"eXIf", b"Raw profile type", b"XML:com.adobe.xmp")
#: The bytes of a PNG that is checked in memory, and the pixels of a JPEG that is decoded as a
#: whole, at most.
SMALL = 2**20


class CheckedImage(NamedTuple):
    """The upright size and the content hash of an image file."""

    height: int
    width: int
    digest: str


def read_image(path: Path, digest: str = "") -> Pixels:
    """Read an image as RGB, uint8 [h, w, 3], upright (the EXIF orientation is applied).

    Grey and palette images become RGB, an alpha channel is dropped (the colours under it are kept),
    16 bits become 8.

    A `digest` is the expected content hash; "" accepts any content. The checksums and parts of a
    file with a known digest are not checked again: they were when the image was added.

    Raises:
        ImageError: the file is missing, no regular file, has another digest, is empty, damaged or
            truncated, has another format than its extension says, is CMYK or 32-bit, has too many
            pixels, holds several pictures, or is a 16-bit image that uses so little of its range
            that it would become almost black.
    """
    with _readable(path):
        data = read_bytes(path, max_bytes())
    if not data:
        raise _empty(path)
    if digest and digest_of(data) != digest:
        raise changed_image_error(path)
    sound = data if digest else check_content(data, path)
    with open_image(io.BytesIO(sound), path) as image:
        if not digest and image.format in ("JPEG", "MPO"):
            jpeg.check_parts(data)
        if not digest and image.format == "TIFF":
            check_tiff(data)
        pixels = _load(image, sound, path)
        if pixels is None:
            pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
        return _upright(pixels, _orientation(image))  # both decoders already rotate a TIFF


def changed_image_error(path: Path) -> ImageError:
    """The error for a file whose content has changed since it was added."""
    return ImageError(
        "The image is not the one that was added: the content of its file has changed.",
        where=path,
        next_step="Put the old file back; or, if it has no labels yet, accept the new one with "
        "`labelgrid add`.",
    )


def check_image(path: Path, look: Look | None = None) -> CheckedImage:
    """Check an image to its end as `read_image`, with a part of the pixels in memory.

    The digest is `labelgrid.basics.files.digest` of the file. All checksums of a PNG and of a
    deflated TIFF are checked. JPEG has none: lost parts are detected, but no damage after which no
    coded pixels are missing. The pixels of a PNG or JPEG are not all kept: memory is at most that
    of the decoded image, or four times as much for a progressive JPEG (4:4:4).

    Args:
        path: the path of the image.
        look: called with each decoded JPEG, at a part of its size, and with no other image.

    Raises:
        ImageError: as `read_image`.
    """
    with _readable(path):
        file = open_regular(path, max_bytes())
    with file:
        plain = _check_plain_png(file, path)
        if plain is not None:
            return plain
        with _readable(path):
            digest = hashlib.file_digest(file, _hash).hexdigest()
        if not file.tell():
            raise _empty(path)
        file.seek(0)
        with open_image(file, path) as image:
            check_jpeg = partial(_check_jpeg, look=look)
            checks: dict[str, Check] = {"PNG": _check_png, "JPEG": check_jpeg, "MPO": check_jpeg}
            check = checks.get(image.format or "", _check_other)
            width, height, orientation = check(image, file, path)
    return CheckedImage(*_upright_size(height, width, orientation), digest)


def _upright_size(height: int, width: int, orientation: int) -> Size:
    return (width, height) if orientation >= 5 else (height, width)


def _check_plain_png(file: BinaryIO, path: Path) -> CheckedImage | None:
    """Check a small, plain PNG without a decoder, which starts slowly; None for other files."""
    if path.suffix.lower() != ".png" or os.fstat(file.fileno()).st_size > SMALL:
        return None
    with _readable(path):
        data = _all(file)
    file.seek(0)
    size = png.plain_size(data)
    if size is None or size[0] * size[1] > max_pixels():
        return None
    return CheckedImage(*size, digest_of(data))


def _check_png(image: Image.Image, file: BinaryIO, path: Path) -> Stored:
    file.seek(0)
    data = png.outline(file)
    if not data:
        data = check_content(_all(file), path)
        with open_image(io.BytesIO(data), path) as whole:
            if _load(whole, data, path, convert=False) is None:
                whole.convert("RGB")
            return *image.size, _orientation(whole)
    sixteen = has_16_bits(image)
    if sixteen and _deep(data, path).max() < DARKEST_16_BIT and not _is_bright(image):
        _sixteen_bits(_all(file), path, convert=False)  # says how dark it is
    with open_image(io.BytesIO(data), path) as small:
        small.load()
        if not sixteen:
            small.convert("RGB")
        return *image.size, _orientation(small)


def _is_bright(image: Image.Image) -> bool:
    # Of colours and grey with alpha Pillow keeps the high bytes.
    least = DARKEST_16_BIT if image.mode.startswith("I") else DARKEST_16_BIT >> 8
    colours = 1 if image.mode.startswith(("I", "L")) else 3
    image.load()
    for top in range(0, image.height, 64):
        rows = np.asarray(image.crop((0, top, image.width, min(top + 64, image.height))))
        if rows.reshape(*rows.shape[:2], -1)[..., :colours].max() >= least:
            return True
    return False


def _check_jpeg(image: Image.Image, file: BinaryIO, path: Path, look: Look | None) -> Stored:
    """Check that a JPEG lacks no coded data; return width, height and orientation.

    It is decoded at an eighth of its size, or as a whole if it is small or its scans refine each
    other: once more with other bytes where coded data end. At an eighth, a loss in the last unit of
    8 or 16 pixels a side may not be seen.
    """
    size = image.size
    orientation = _orientation(image)
    data = _all(file)
    parts = jpeg.parts_of(data)
    whole = parts.progressive or size[0] * size[1] <= SMALL
    try:
        pixels = _jpeg_digest(image, whole, look)
    except Exception:  # as in `opened`
        if not _is_whole_jpeg(data) or _imdecode(data, cv2.IMREAD_REDUCED_COLOR_8) is None:
            raise
        return *size, orientation
    with JpegImageFile(parts.changed) as changed:
        if _jpeg_digest(changed, whole) != pixels:
            raise ValueError("a part of its coded pixels is missing")
    return *size, orientation


def _jpeg_digest(image: Image.Image, whole: bool, look: Look | None = None) -> str:
    """The hash of a JPEG's pixels, whose memory is freed after `look`."""
    if not whole:
        image.draft(image.mode, (1, 1))
    image.load()
    if look:
        look(image)
    digest = _hash()
    for top in range(0, image.height, 64):  # a copy of the whole image would take much memory
        rows = image.crop((0, top, image.width, min(top + 64, image.height)))
        digest.update(rows.tobytes())
    Image.Image.close(image)
    return digest.hexdigest()


def _check_other(image: Image.Image, file: BinaryIO, path: Path) -> Stored:
    sixteen = has_16_bits(image)
    if image.format == "TIFF":
        check_tiff(_all(file))
    image.load()
    size = image.size
    orientation = _orientation(image)
    if sixteen:
        Image.Image.close(image)  # frees its pixels, and leaves the file open
        _sixteen_bits(_all(file), path, convert=False)
    return *size, orientation


def _all(file: BinaryIO) -> bytes:
    size = file.seek(0, io.SEEK_END)  # without it, `read` would hold the content twice
    file.seek(0)
    return file.read(size)


def _hash() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def image_size(path: Path) -> Size:
    """Read an image's upright (height, width) from the file's header only.

    Most damage is not detected, nor is the orientation of a PNG that stores it after the pixels.

    Raises:
        ImageError: the file does not exist, or its header cannot be read.
    """
    with _readable(path):
        file = open_regular(path)
    with file, open_image(file, path) as image:
        tags = getattr(image, "tag_v2", {})
        width = tags.get(256, image.size[0])
        height = tags.get(257, image.size[1])
        if image.format == "PNG" and "exif" not in image.info:
            return height, width  # looking for a late orientation would decode the pixels
        return _upright_size(height, width, _orientation(image))


def orientation_of(path: Path) -> int:
    """The EXIF orientation of an image, from 1 (upright) to 8; its pixels are not decoded.

    Raises:
        ImageError: the image cannot be used.
    """
    with _readable(path), open_regular(path) as file, open_image(file, path) as image:
        if image.format != "PNG" or "exif" in image.info:
            return _orientation(image)
        data = _all(file)  # the orientation may follow the pixels
        if not any(mark in data for mark in _ORIENTED):
            return 1
        with open_image(io.BytesIO(png.outline(io.BytesIO(data))), path) as small:
            return _orientation(small)


def film_focal_length(path: Path) -> int | None:
    """The focal length of a photograph on 35 mm film, in mm, by its EXIF data; None if unknown.

    Its pixels are not decoded, and EXIF data behind the pixels of a PNG are not found.

    Raises:
        ImageError: the image cannot be used.
    """
    with _readable(path), open_regular(path) as file, open_image(file, path) as image:
        if image.format == "PNG" and "exif" not in image.info:
            return None
        value = image.getexif().get_ifd(_PHOTOGRAPH).get(_FILM_FOCAL_LENGTH)
    if isinstance(value, int) and value > 0:
        return value
    return None


def _empty(path: Path) -> ImageError:
    return ImageError("The image file is empty: 0 bytes.", where=path, next_step="Copy it again.")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        step = "Replace it by an image that can be read, or take it out of the folder."
        if isinstance(error, FileNotFoundError):
            step = (
                "Put it back; if the project's images were moved, `labelgrid add --images` "
                "finds them again."
            )
        raise ImageError(
            f"The image cannot be read: {error.strerror}.", where=path, next_step=step
        ) from error


def _load(image: Image.Image, data: bytes, path: Path, *, convert: bool = True) -> Array | None:
    """Decode the whole image, with OpenCV where it can; None if `image` then holds the pixels.

    With `convert`, 16-bit images become 8-bit.
    """
    if image.format in ("JPEG", "MPO") and _is_whole_jpeg(data):
        # The same pixels as Pillow's, but faster.
        pixels = _imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels is not None:
            return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    sixteen = has_16_bits(image)
    if sixteen and image.format == "PNG":
        return _sixteen_bits(data, path, convert)
    image.load()
    if sixteen:
        return _sixteen_bits(data, path, convert)
    return None


def _imdecode(data: bytes, flags: int) -> Array | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None


def _is_whole_jpeg(data: bytes) -> bool:
    """Whether the end of the image follows the first scan; some OpenCVs pad short files."""
    offset = 2
    while offset + 4 <= len(data) and data[offset] == 0xFF:
        marker = data[offset + 1]
        length = int.from_bytes(data[offset + 2 : offset + 4], "big")
        if marker == 0xDA:
            return data.find(b"\xff\xd9", offset + length) >= 0
        if marker == 0xFF:
            offset += 1
        else:
            offset += 2 + length
    return False


def _deep(data: bytes, path: Path) -> Array:
    pixels = _imdecode(
        data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    )
    if pixels is None or pixels.dtype != np.uint16:
        raise ImageError(
            "The 16-bit image cannot be read.", where=path, next_step="Convert it to 8-bit RGB."
        )
    return pixels


def _sixteen_bits(data: bytes, path: Path, convert: bool) -> Array:
    pixels = _deep(data, path)
    largest = int(pixels.max())
    if largest < DARKEST_16_BIT:
        raise ImageError(
            f"The image has 16 bits, but its largest value is {largest} of 65535: "
            "it would become almost black.",
            where=path,
            next_step="Convert it to 8 bits with its real range.",
        )
    if not convert:
        return pixels
    eight = np.empty(pixels.shape, np.uint8)
    # some rows at a time: a wider copy of a whole image would take much memory
    for start in range(0, len(pixels), 64):
        rows = pixels[start : start + 64].astype(np.uint32)
        eight[start : start + 64] = (rows * 255 + 32895) >> 16  # exactly (v + 128) // 257
    conversion = cv2.COLOR_GRAY2RGB if eight.ndim == 2 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(eight, conversion).astype(np.uint8, copy=False)


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Apply the EXIF orientation (1 to 8; from 5 on, rows and columns are swapped)."""
    turned = pixels.swapaxes(0, 1) if orientation >= 5 else pixels
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(turned[::rows, ::columns])
