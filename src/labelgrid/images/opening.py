"""Opens image files as the format of their names, and refuses too many pixels before decoding."""

import io
import mmap
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from labelgrid.basics.errors import (
    ImageError,
    LabelgridError,
    MemoryShortageError,
    UsageError,
    shortage,
)
from labelgrid.basics.type_names import Size
from labelgrid.images import png, tiff_checks
from labelgrid.images.tiff_checks import Tags

if TYPE_CHECKING:  # the functions that open a file load it: commands that open none start faster
    from PIL import Image

#: Pillow's format of an image file, by the extension of its name.
FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".heic": "HEIF",
    ".heif": "HEIF",
    ".avif": "AVIF",
}
#: The formats of other label files.
_ARRAYS = {".npy": "NPY", ".npz": "ZIP", ".exr": "EXR"}
#: The first bytes of files, and the formats.
_STARTS = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"GIF8": "GIF",
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"%PDF": "PDF",
    b"\x93NUMPY": "NPY",
    b"v/1\x01": "EXR",
    b"PK\x03\x04": "ZIP",
}
#: The same, by the four bytes after the first eight.
_MIDDLES = {
    b"WEBP": "WEBP",
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "HEIF"),
    **dict.fromkeys((b"isom", b"mp41", b"mp42", b"qt  ", b"M4V "), "a film"),
    b"crx ": "CR3",
    b"jp2 ": "JPEG 2000",
}
#: Pillow's modes with an unambiguous conversion to 8-bit RGB; alpha is dropped, the colours under
#: it are kept.
PLAIN = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "YCbCr"})
#: The most channels of a TIFF: colours and alpha.
CHANNELS = 4
#: Bytes of all layers of a file, for each of the most pixels: 64 numbers.
CONTENT = 256
#: The variable that raises the limit of pixels.
LIMIT = "LABELGRID_MAX_PIXELS"
#: The most pixels of an image or label, if the variable is not set: more than any camera has.
MAX_PIXELS = 200_000_000


class WrongFileError(ValueError):
    """A file contradicts its name or the limits: the fault, and the next step."""

    def __init__(self, fault: str, next_step: str) -> None:
        super().__init__(fault)
        self.next_step = next_step


#: The most pixels of the label that is read, by its image; None: its image's size is not known.
_OF_LABEL: ContextVar[int | None] = ContextVar("_OF_LABEL", default=None)
#: A label may have so many times the pixels of its image, and always this many.
TIMES = 4
FEWEST = 2**20


@contextmanager
def label_of(size: Size, times: int = TIMES) -> Iterator[None]:
    """Bound the pixels of labels that are read inside, to `times` the pixels of the image."""
    token = _OF_LABEL.set(max(FEWEST, times * size[0] * size[1]))
    try:
        yield
    finally:
        _OF_LABEL.reset(token)


def max_pixels() -> int:
    """The most pixels of an image or label; inside `label_of`, of the label.

    Raises:
        UsageError: the variable `LIMIT` does not hold a positive whole number.
    """
    return min(_limit(), _OF_LABEL.get() or sys.maxsize)


def _limit() -> int:
    text = os.environ.get(LIMIT, str(MAX_PIXELS))
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text)):
        raise UsageError(
            f"{LIMIT} is '{text}'; it must be a whole number of pixels.",
            next_step="Fix or unset it.",
        )
    return int(text)


def max_bytes() -> int:
    """The most bytes of an image or label file: 8 for each of the most pixels, and some room."""
    return 8 * _limit() + 2**26


def max_content() -> int:
    """The most bytes that a file of several pictures, layers or arrays may unpack to."""
    return min(CONTENT * max_pixels(), max_bytes())


def check_content(data: bytes, path: Path) -> bytes:
    """Check all checksums of a PNG, and uncompress the pixels; return other content unchanged.

    Raises:
        ImageError: the PNG is damaged, or has too many pixels.
    """
    if path.suffix.lower() != ".png":
        return data
    with open_image(io.BytesIO(data), path):
        return png.check_png(data)


@contextmanager
def open_image(file: BinaryIO, path: Path) -> "Iterator[Image.Image]":
    """Open an image as the format of its name, and check the form; only the header is read.

    Errors of decoders inside the block become an `ImageError`; their warnings are suppressed.

    Raises:
        ImageError: the content is damaged or of another format, has too many pixels, or is of a
            form that is not read.
    """
    damaged = "The image is damaged, cut short or not an image"
    again = "Copy it again or take it out of the folder."
    with (
        decoder_errors(path, ImageError, thing="image", damaged=damaged, again=again),
        open_as_named(file, path) as image,
    ):
        if image.mode == "CMYK":
            raise ImageError(
                "The image is CMYK (for print). Its colours depend on a printer's profile.",
                where=path,
                next_step="Convert it to RGB in an image editor.",
            )
        if image.mode not in PLAIN and not has_16_bits(image):
            raise ImageError(
                f"The image's pixels have the mode '{image.mode}', not 8- or 16-bit grey or "
                "colour.",
                where=path,
                next_step="Convert it to 8-bit RGB.",
            )
        frames = pages_of(image)
        # phones add a second picture to these formats; the first is the photograph
        if frames > 1 and image.format not in ("MPO", "HEIF"):
            raise ImageError(
                f"The file holds {frames} pictures.",
                where=path,
                next_step="Save each as its own file.",
            )
        yield image


def open_as_named(file: BinaryIO, path: Path) -> "Image.Image":
    """Open an image or a label as the format of its name; only the header is read.

    Raises:
        WrongFileError: the content is of another format, or has too many pixels. Pillow's own
            errors: it is damaged.
    """
    from PIL import Image, UnidentifiedImageError

    refuse_other_format(file.read(16), path)
    file.seek(0)
    limit = max_pixels()
    if limit > 2 * (Image.MAX_IMAGE_PIXELS or limit):  # Pillow refuses twice its own limit
        Image.MAX_IMAGE_PIXELS = limit
    format = FORMATS[path.suffix.lower()]
    if format == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    if format == "TIFF":
        refuse_channels(tiff_checks.tags_of(file))
        file.seek(0)
    try:
        image = Image.open(file, formats=[format])
    except Image.DecompressionBombError as error:
        raise _giant("too many") from error
    except UnidentifiedImageError:
        if format == "TIFF":
            file.seek(0)
            raise _unread(tiff_checks.tags_of(file)) from None
        raise
    refuse_giant(image.height, image.width)
    return image


def refuse_other_format(data: bytes, path: Path) -> None:
    """Refuse content whose first bytes belong to another format than the file's name.

    Raises:
        WrongFileError: the format is another.

    Example:
        >>> refuse_other_format(b"%PDF-1.7", Path("a.jpg"))
        Traceback (most recent call last):
        labelgrid.images.opening.WrongFileError: its name ends in .jpg, but its content is PDF
    """
    format = format_of(data)
    ending = path.suffix.lower()
    if format is None or format == FORMATS.get(ending, _ARRAYS.get(ending)):
        return
    step = "Convert it or take it out."
    for extension, name in FORMATS.items():
        if name == format:
            step = f"Rename it to end in {extension}, if that is what it should be."
            break
    raise WrongFileError(f"its name ends in {path.suffix}, but its content is {format}", step)


def format_of(data: bytes) -> str | None:
    """The format of content by its first bytes; None if unknown."""
    for start, format in _STARTS.items():
        if data.startswith(start):
            return format
    return _MIDDLES.get(data[8:12])


def refuse_giant(height: int, width: int) -> None:
    """Refuse a size of more pixels than the limit.

    Raises:
        WrongFileError: the size is larger.
    """
    if height * width > max_pixels():
        raise _giant(f"{height}x{width}")


def refuse_channels(tags: Tags) -> None:
    """Refuse a TIFF of more channels than an image or a label has, or of giant tiles, by its tags.

    Raises:
        WrongFileError: there are more channels, or a tile has far more pixels than the picture.
    """
    if tiff_checks.shape_of(tags)[0] > CHANNELS:
        raise _unread(tags)
    tile = tiff_checks.tile_of(tags)
    if tile > max(FEWEST, TIMES * tiff_checks.pixels_of(tags)):
        raise WrongFileError(
            f"a tile of it has {tile / 1e6:,.0f} million pixels, far more than the whole",
            "Save it without tiles.",
        )


def _unread(tags: Tags) -> WrongFileError:
    channels, bits = tiff_checks.shape_of(tags)
    return WrongFileError(
        f"its pixels have {channels} channels of {bits} bits, which are not read from a TIFF",
        "Save one channel, or three of colour, alone, in 8 or 16 bits.",
    )


def _giant(size: str) -> WrongFileError:
    if max_pixels() < _limit():
        fault = f"it has {size} pixels, more than a label of its image can have"
        return WrongFileError(fault, "Make it at the image's size, upright.")
    fault = f"it has {size} pixels, more than the limit of {max_pixels() / 1e6:g} million"
    return WrongFileError(
        fault, f"Make it smaller; or, if you trust it, set {LIMIT} to a larger number."
    )


def pages_of(image: "Image.Image") -> int:
    """The number of pictures in a file; pictures of a TIFF are not read for it."""
    if image.format != "TIFF":
        return int(getattr(image, "n_frames", 1))
    file: BinaryIO = image.fp  # type: ignore[attr-defined]
    offset = file.tell()
    try:
        return tiff_checks.page_count(file)
    finally:
        file.seek(offset)


def has_16_bits(image: "Image.Image") -> bool:
    """Whether the file has 16 bits per channel; call before loading, as Pillow keeps the high 8."""
    return image.format in ("PNG", "TIFF") and ";16" in f"{image.mode} {getattr(image, 'tile', '')}"


@contextmanager
def decoder_errors(
    path: Path, error: type[LabelgridError], thing: str, damaged: str, again: str
) -> Iterator[None]:
    """Turn the exceptions of decoders into errors of a type, and suppress warnings.

    `thing` is image or label; a message about a damaged file begins with `damaged`, and `again` is
    its next step. Errors of the type stay as they are.

    Raises:
        MemoryShortageError: there was no memory to decode the file.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except WrongFileError as wrong:
        raise error(
            f"The {thing} cannot be used: {wrong}.", where=str(path), next_step=wrong.next_step
        ) from wrong
    except (error, MemoryShortageError):
        raise
    # decoders raise many types for damaged files, such as TypeError and struct.error
    except Exception as fault:
        from PIL import UnidentifiedImageError

        short = shortage(fault) or _room_for(path)
        if short:
            shortage_fault, step = short
            raise MemoryShortageError(shortage_fault, where=path, next_step=step) from fault
        is_unknown = isinstance(fault, UnidentifiedImageError)
        why = "its kind is unknown" if is_unknown else fault
        raise error(f"{damaged}: {why}.", where=str(path), next_step=again) from fault


def _room_for(path: Path) -> tuple[str, str] | None:
    """As `shortage`, for a decoder that failed without a reason: whether the picture has room.

    Its values are counted with two bytes, and twice; a picture of unknown size with 256 MiB.
    """
    from PIL import Image

    size = 2**26
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            pixels = image.width * image.height
        size += 4 * 4 * min(pixels, max_pixels())
    except MemoryError as error:
        return shortage(error)
    except Exception:  # noqa: BLE001 as in `decoder_errors`
        size = 2**28
    try:
        mmap.mmap(-1, size).close()
    except OSError:
        return shortage(MemoryError())
    return None
