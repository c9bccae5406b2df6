"""Checks TIFF files for lost pixels: the places and sizes of strips and tiles, and checksums."""

import io
import math
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

_WIDTH = 256
_HEIGHT = 257
_BITS = 258
_COMPRESSION = 259
_COLOUR = 262
_STRIPS = 273
_SAMPLES = 277
_ROWS = 278
_PLANES = 284
_TILE_WIDTH = 322
_TILE_HEIGHT = 323
_TILES = 324
#: The tags with the sizes of strips and of tiles.
_SIZES = (279, 325)
#: Values of tags.
_PLAIN = 1
_DEFLATE = (8, 32946)
_APART = 2
_YCBCR = 6
#: The bytes of a file's header, where no pixels lie.
_HEADER = 8
#: A picture with more tags is none: each takes Pillow a tenth of a millisecond.
MOST_TAGS = 4096
#: Pictures of a file are counted up to here.
MOST_PAGES = 1000
#: Bytes that are uncompressed at once, to a thousand times as many at most.
_PIECE = 2**14
_FEWER = "it holds fewer pixels than its header says"


#: The tags of a picture by number.
Tags = Mapping[int, Any]


class Segment(NamedTuple):
    """A strip or tile: the place in the file, the bytes there, and the bytes of its pixels."""

    start: int
    size: int
    pixels: int


def tags_of(file: BinaryIO) -> Tags:
    """The tags of the first picture, by number.

    Raises:
        Exception: an exception of any type; the header is damaged, or has very many tags.
    """
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    head = file.read(8)
    if b"+" in head[2:4]:  # a BigTIFF
        head += file.read(8)
    tags = ImageFileDirectory_v2(head)
    file.seek(tags.next)
    if int.from_bytes(file.read(2), "little" if head.startswith(b"II") else "big") > MOST_TAGS:
        raise ValueError(f"it has more than {MOST_TAGS} tags")
    file.seek(tags.next)
    tags.load(file)
    return tags


def page_count(file: BinaryIO) -> int:
    """The number of pictures, by the chain of their directories alone; counted up to 1000.

    Raises:
        ValueError: a directory is cut short, or comes twice.
    """
    file.seek(0)
    head = file.read(16)
    byte_order = "<" if head.startswith(b"II") else ">"
    wide = b"+" in head[2:4]
    count_format, size, offset_format = ("Q", 20, "Q") if wide else ("H", 12, "I")
    (offset,) = struct.unpack_from(byte_order + offset_format, head, 8 if wide else 4)
    seen: set[int] = set()
    while offset and len(seen) < MOST_PAGES:
        if offset in seen:
            raise ValueError("a picture of it comes twice")
        seen.add(offset)
        file.seek(offset)
        (count,) = struct.unpack(byte_order + count_format, file.read(8 if wide else 2))
        file.seek(count * size, io.SEEK_CUR)
        (offset,) = struct.unpack(byte_order + offset_format, file.read(8 if wide else 4))
    return len(seen)


def pixels_of(tags: Tags) -> int:
    """The product of height and width in the tags."""
    return int(tags[_WIDTH]) * int(tags[_HEIGHT])


def tile_of(tags: Tags) -> int:
    """The number of pixels of a tile, which a decoder unpacks at once; 0 without tiles."""
    return int(tags.get(_TILE_WIDTH, 0)) * int(tags.get(_TILE_HEIGHT, 0))


def shape_of(tags: Tags) -> tuple[int, int]:
    """The numbers of a pixel, and the bits of each."""
    return int(tags.get(_SAMPLES, 1)), int(tags.get(_BITS, (1,))[0])


def check_tiff(data: bytes) -> None:
    """Check that a TIFF file holds all pixels of the first picture, by the tags.

    Decoders do not check the sum of a deflated stream, and read any bytes at the place of a tag.

    Raises:
        Exception: an exception of any type; the header is damaged.
        ValueError: strips or tiles are missing, lie outside of the file or in its header, are too
            short, or a checksum is wrong.
    """
    tags = tags_of(io.BytesIO(data))
    view = memoryview(data)
    for part in _parts(tags):
        if part.start < _HEADER or part.start + part.size > len(data):
            raise ValueError("its pixels lie outside of it, or in its header")
        size = part.size
        if tags.get(_COMPRESSION) in _DEFLATE:
            size = _inflated_size(view[part.start : part.start + part.size], part.pixels)
        elif tags.get(_COMPRESSION, _PLAIN) != _PLAIN or tags.get(_COLOUR) == _YCBCR:
            continue
        if size < part.pixels:
            raise ValueError(_FEWER)


def _parts(tags: Tags) -> Iterator[Segment]:
    height = int(tags[_HEIGHT])
    width = int(tags[_WIDTH])
    rows = min(int(tags.get(_ROWS, height)), height)
    tiled = _TILES in tags
    if tiled:
        width = int(tags[_TILE_WIDTH])
        rows = int(tags[_TILE_HEIGHT])
    channels, bits = shape_of(tags)
    if min(height, width, rows, channels, bits) < 1:
        raise ValueError("its header is wrong")
    across = math.ceil(int(tags[_WIDTH]) / width)
    down = math.ceil(height / rows)
    planes = channels if tags.get(_PLANES) == _APART else 1
    starts = _numbers(tags, _TILES if tiled else _STRIPS)
    if len(starts) < across * down * planes:
        raise ValueError(_FEWER)
    row = math.ceil(width * bits * channels // planes / 8)
    pixels = [row * rows] * (across * down)
    if not tiled:
        pixels[-1] = row * (height - rows * (down - 1))
    pixels *= planes
    sizes: Sequence[int] = pixels  # some writers leave them out
    if _SIZES[tiled] in tags:
        sizes = _numbers(tags, _SIZES[tiled])
    if len(sizes) < len(pixels):
        raise ValueError(_FEWER)
    return map(Segment, starts, sizes, pixels)


def _numbers(tags: Tags, tag: int) -> Sequence[int]:
    values = tags[tag]
    if not isinstance(values, tuple):
        raise ValueError("where its pixels lie is unknown")
    return values


def _inflated_size(data: memoryview, most: int) -> int:
    """The size of a deflated strip or tile, whose checksum is checked unless it is much larger."""
    inflater = zlib.decompressobj()
    size = 0
    try:
        for start in range(0, len(data), _PIECE):
            size += len(inflater.decompress(data[start : start + _PIECE]))
            if inflater.eof or size > 2 * most:
                return size
    except zlib.error as error:
        raise ValueError("the checksum or the coding of its pixels is wrong") from error
    raise ValueError("its pixels are cut short")
