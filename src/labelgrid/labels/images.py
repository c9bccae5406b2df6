"""Reads image files as upright RGB arrays, and lists the images of a folder or a list file."""

import hashlib
import io
import os
import posixpath
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from labelgrid.errors import ImageError

Pixels = NDArray[np.uint8]

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
#: Pillow's modes with an unambiguous conversion to 8-bit RGB; alpha is dropped, the colours under it are kept.
PLAIN = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "YCbCr"})
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

    A `digest` is the expected content hash; "" accepts any content.

    Raises:
        ImageError: the file is missing, has another digest, is empty, damaged, truncated, CMYK or 32-bit, holds several
            pictures, or is a 16-bit image that uses so little of its range that it would become almost black.
    """
    data = _contents(path)
    if digest and _digest(data) != digest:
        raise changed_image(path)
    return _decode(data, path)


def changed_image(path: Path) -> ImageError:
    """The error for a file whose content has changed since it was added."""
    return ImageError(
        "The image is not the one that was added: the content of its file has changed.",
        where=str(path),
        next_step="Put the old file back; or, if it has no labels yet, accept the new one with `labelgrid add`.",
    )


def check_image(path: Path) -> CheckedImage:
    """Read an image to its end, as `read_image` does, and return upright height, width and digest.

    The digest is `labelgrid.labels.codec.digest` of the file. JPEG has no checksums: a truncated file is refused, but
    damage in the middle that still decodes is not detected.

    Raises:
        ImageError: as `read_image`.
    """
    data = _contents(path)
    height, width = _decode(data, path).shape[:2]
    return CheckedImage(height, width, _digest(data))


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def image_size(path: Path) -> tuple[int, int]:
    """Upright (height, width), read from the file's header only.

    Most damage is not detected, nor is the orientation of a PNG that stores it after the pixels.

    Raises:
        ImageError: the file does not exist, or its header cannot be read.
    """
    with _decoder_errors(path), Image.open(path) as image:
        _check_form(image, path)
        tags = getattr(image, "tag_v2", {})
        width, height = tags.get(256, image.size[0]), tags.get(257, image.size[1])
        late = image.format == "PNG" and "exif" not in image.info  # reading it would decode the pixels
        return (width, height) if not late and _orientation(image) >= 5 else (height, width)


def _contents(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(
            f"The image cannot be read: {error.strerror}.",
            where=str(path),
            next_step="Put it back; if the project's images were moved, `labelgrid add --images` finds them again.",
        ) from error
    if not data:
        raise ImageError("The image file is empty: 0 bytes.", where=str(path), next_step="Copy it again.")
    return data


def _decode(data: bytes, path: Path) -> Pixels:
    with _decoder_errors(path), Image.open(io.BytesIO(data)) as image:
        _check_form(image, path)
        if image.format in ("JPEG", "MPO") and _is_whole_jpeg(data):
            pixels = _fast_jpeg(data)
            if pixels is not None:
                return _upright(pixels, _orientation(image))
        sixteen = _has_16_bits(image)
        image.load()
        pixels = _sixteen_bits(data, path) if sixteen else np.asarray(image.convert("RGB"))
        return _upright(pixels, _orientation(image))  # both decoders already rotate a TIFF


def _fast_jpeg(data: bytes) -> Pixels | None:
    """Decode with OpenCV: the same pixels as Pillow, but faster on large images; None if it fails."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if pixels is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _is_whole_jpeg(data: bytes) -> bool:
    """Whether the end-of-image marker follows the first scan (some OpenCV releases pad a truncated file with grey)."""
    offset = 2
    while offset + 4 <= len(data) and data[offset] == 0xFF:
        marker, length = data[offset + 1], int.from_bytes(data[offset + 2 : offset + 4], "big")
        if marker == 0xDA:
            return data.find(b"\xff\xd9", offset + length) >= 0
        offset += 1 if marker == 0xFF else 2 + length
    return False


def _check_form(image: Image.Image, path: Path) -> None:
    if image.mode == "CMYK":
        raise ImageError(
            "The image is CMYK (for print). Its colours depend on a printer's profile.",
            where=str(path),
            next_step="Convert it to RGB in an image editor.",
        )
    if image.mode not in PLAIN and not _has_16_bits(image):
        raise ImageError(
            f"The image's pixels have the mode '{image.mode}', not 8- or 16-bit grey or colour.",
            where=str(path),
            next_step="Convert it to 8-bit RGB.",
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # phones add a second picture to a JPEG; the first is the photograph
        raise ImageError(f"The file holds {frames} pictures.", where=str(path), next_step="Save each as its own file.")


def _has_16_bits(image: Image.Image) -> bool:
    """Whether the file has 16 bits per channel, of which Pillow keeps only the high 8; call it before loading."""
    return image.format in ("PNG", "TIFF") and ";16" in f"{image.mode} {getattr(image, 'tile', '')}"


def _sixteen_bits(data: bytes, path: Path) -> Pixels:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None or pixels.dtype != np.uint16:
        raise ImageError("The 16-bit image cannot be read.", where=str(path), next_step="Convert it to 8-bit RGB.")
    largest = int(pixels.max())
    if largest < DARKEST_16_BIT:
        raise ImageError(
            f"The image has 16 bits, but its largest value is {largest} of 65535: it would become almost black.",
            where=str(path),
            next_step="Convert it to 8 bits with its real range.",
        )
    return cv2.cvtColor(((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8), cv2.COLOR_BGR2RGB)


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Apply the EXIF orientation (1 to 8; from 5 on, rows and columns are swapped)."""
    turned = pixels.swapaxes(0, 1) if orientation >= 5 else pixels
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(turned[::rows, ::columns])


@contextmanager
def _decoder_errors(path: Path) -> Iterator[None]:
    """Turn the decoders' exceptions into `ImageError`, and suppress their warnings."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except Image.DecompressionBombError as error:
        raise ImageError("The image is too large to be read safely.", where=str(path)) from error
    except FileNotFoundError as error:
        raise ImageError("There is no such image.", where=str(path), next_step="Check the path.") from error
    except UnidentifiedImageError as error:
        raise ImageError(
            "The image is damaged, cut short or not an image: its kind is unknown.",
            where=str(path),
            next_step="Copy it again or take it out of the folder.",
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, cv2.error) as error:
        raise ImageError(
            f"The image is damaged, cut short or not an image: {error}.",
            where=str(path),
            next_step="Copy it again or take it out of the folder.",
        ) from error


def list_images(folder: Path) -> list[str]:
    """The ids of all images below a folder: their relative paths with forward slashes, sorted, without hidden files.

    Raises:
        ImageError: the folder does not exist or holds no image, or a name is not Unicode.
    """
    if not folder.is_dir():
        raise ImageError("There is no such folder of images.", where=str(folder), next_step="Check the path.")
    image_ids: list[str] = []
    for parent, folders, files in _walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        prefix = "" if parent == folder else parent.relative_to(folder).as_posix() + "/"
        image_ids += [prefix + name for name in files if not name.startswith(".") and _is_image(name)]
    if not image_ids:
        raise ImageError(
            "The folder holds no images.",
            where=str(folder),
            next_step=f"Images are files that end in {', '.join(sorted(EXTENSIONS))}.",
        )
    return sorted(_unicode(image_id, folder) for image_id in image_ids)


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """As `os.walk`, but also through linked folders, and each folder only once."""
    visited: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        yield Path(parent), folders, files


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122 - a Path each is slow for a million names


def _unicode(name: str, folder: Path) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ImageError(
            f"The file name {name!r} is not Unicode.", where=str(folder), next_step="Rename it."
        ) from error
    return name


def read_list(path: Path) -> list[str]:
    """The ids in a list file, in its order: one path per line, relative to the list's folder; empty lines are ignored.

    Raises:
        ImageError: the list does not exist or is empty, or a line leaves the list's folder, has no image extension or
            appears twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ImageError(f"The list cannot be read: {error}.", where=str(path)) from error
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        image_id = _listed_id(line.strip(), path, number)
        if image_id in line_of:
            raise ImageError(f"'{image_id}' is on lines {line_of[image_id]} and {number}.", where=str(path))
        line_of[image_id] = number
    if not line_of:
        raise ImageError("The list names no images.", where=str(path), next_step="Write one path per line.")
    return list(line_of)


def _listed_id(line: str, path: Path, number: int) -> str:
    image_id = posixpath.normpath(line)
    if image_id.startswith(("/", "../")):
        raise ImageError(
            f"Line {number}, '{line}', leaves the list's folder.",
            where=str(path),
            next_step="Put the list above its images and write paths relative to it.",
        )
    if not _is_image(line):
        raise ImageError(f"Line {number}, '{line}', does not have the extension of an image.", where=str(path))
    return image_id
