"""Checks PNG files completely: the checksums of all chunks and of the pixels, and the end."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import BinaryIO

from zlib_ng import zlib_ng as zlib  # reads a stream in two thirds of zlib's time

from labelgrid.basics.type_names import Size

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: The values of a pixel, by the header's type of colour.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
#: Adam7: the first column and row of each pass, and the steps between its columns and rows.
_PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
#: The filters of a row: none, left, above, average and Paeth.
_FILTERS = bytes(range(5))
#: The chunks that name a size: the header, and those of an animation.
_SIZED = (b"IHDR", b"acTL", b"fcTL", b"fdAT")
#: The last part of a PNG file.
END = b"\0\0\0\0IEND\xaeB`\x82"
#: The header's type of colour of a file of indices into a palette.
_PALETTE = 3
#: The bytes of pixels that an outline has at most.
_KEPT = 2**20
#: The bytes of pixels that the first rows have at most.
_FIRST = 2**16
#: The largest block of a zlib stream that is stored without compression.
_BLOCK = 65535
#: The bits, colour, compression, filters and interlacing of plain files.
_PLAIN = (b"\x08\0\0\0\0", b"\x08\2\0\0\0", b"\x08\4\0\0\0", b"\x08\6\0\0\0")
#: The parts that a plain file may have besides its pixels, with sizes: decoders accept any content
#: of such parts.
_SIZES = {b"IHDR": 13, b"gAMA": 4, b"sRGB": 1, b"pHYs": 9, b"tIME": 7, b"IEND": 0}
#: Bytes that are uncompressed at once; the rest of them is copied for each block.
_PIECE = 16384


@dataclass(frozen=True, kw_only=True)
class Header:
    """A PNG's header.

    Args:
        height: the height in pixels.
        width: the width in pixels.
        bits: the bits of one value.
        colour: the type of colour.
        interlaced: whether its rows are in the order of Adam7.
    """

    height: int
    width: int
    bits: int
    colour: int
    interlaced: bool

    @property
    def channels(self) -> int:
        """The number of values of a pixel."""
        return _CHANNELS[self.colour]

    @property
    def has_palette(self) -> bool:
        """Whether pixels are indices into a palette of colours."""
        return self.colour == _PALETTE

    @property
    def passes(self) -> list[tuple[int, int]]:
        """The rows of each pass, and the bytes of a row: each follows a byte with its filter."""
        depth = self.bits * self.channels
        if not self.interlaced:
            return [(self.height, 1 + -(-self.width * depth // 8))]
        sizes = []
        for x, y, step_x, step_y in _PASSES:
            columns = -(-(self.width - x) // step_x)
            rows = -(-(self.height - y) // step_y)
            if columns > 0 and rows > 0:
                sizes.append((rows, 1 + -(-columns * depth // 8)))
        return sizes

    @property
    def stream_size(self) -> int:
        """The number of bytes of the uncompressed pixels."""
        return sum(rows * stride for rows, stride in self.passes)


def header_of(data: bytes) -> Header:
    r"""Read the header at the start of a PNG file.

    Raises:
        ValueError: there is no header of a PNG.

    Example:
        >>> content = bytes([0, 0, 0, 2, 0, 0, 0, 3, 16, 0, 0, 0, 0])
        >>> header_of(SIGNATURE + b"\0\0\0\rIHDR" + content + bytes(4))
        Header(height=3, width=2, bits=16, colour=0, interlaced=False)
    """
    if not data.startswith(SIGNATURE):
        raise ValueError("it is not a PNG")
    if len(data) < 33 or data[8:16] != b"\0\0\0\rIHDR":
        raise ValueError("its header is missing")
    width = int.from_bytes(data[16:20])
    height = int.from_bytes(data[20:24])
    bits = data[24]
    colour = data[25]
    interlaced = data[28]
    if not (
        width and height and bits in (1, 2, 4, 8, 16) and colour in _CHANNELS and interlaced < 2
    ):
        raise ValueError("its header is wrong")
    return Header(height=height, width=width, bits=bits, colour=colour, interlaced=bool(interlaced))


def check_png(data: bytes) -> bytes:
    """Check a PNG file to the end, and uncompress the pixels, as the decoder need not then.

    Decoders stop at the last pixel: they check neither the sum of the compressed stream nor, in
    some, of its chunks. Compare the header's size with a limit first: the result has the size of
    the uncompressed pixels.

    Raises:
        ValueError: a checksum is wrong, the end is missing, or the pixels do not fill the size in
            the header.
    """
    size = header_of(data).stream_size
    return _rewrite_pixels(io.BytesIO(data), lambda stream: _stored(_Inflated(stream), size))


def outline(file: BinaryIO) -> bytes:
    """Check a PNG file as `check_png`, and the filters of its rows; keep few pixels.

    The file is read piece by piece. A decoder accepts or refuses the result as it would the whole
    file, since all chunks but the pixels are kept. Neither the file nor its pixels are ever in
    memory as a whole. The pixels are the first rows of 16 bits; in place of others, of interlaced
    and of very long rows there is one black pixel. The result is empty if other parts of the file
    depend on its size: those of an animation, or a second header.

    Raises:
        ValueError: as `check_png`, or a row has an unknown filter.
    """
    header = header_of(file.read(33))
    rows = 0
    if header.bits == 16 and not header.interlaced:
        rows = min(header.height, _KEPT // header.passes[0][1])
    small = replace(header, height=rows) if rows else replace(header, height=1, width=1)

    def first_rows(stream: Iterable[bytes]) -> list[bytes]:
        start = _check_rows(_Inflated(stream), header, rows and small.stream_size)
        return [_chunk(b"IDAT", zlib.compress(start or bytes(small.stream_size), 0))]

    data = _rewrite_pixels(file, first_rows)
    if any(kind in _SIZED for kind, _ in _chunks(io.BytesIO(data[33:]), 0)):
        return b""
    size = small.width.to_bytes(4) + small.height.to_bytes(4)
    return data[:8] + _chunk(b"IHDR", size + data[24:29]) + data[33:]


def first_rows(data: bytes) -> bytes:
    """A PNG of the first whole rows in the first bytes of a PNG file.

    Indices into a palette become grey. The rows have at most 64 KiB. The result is empty if there
    is no whole row, or if the file is interlaced.

    Raises:
        ValueError: the header or the coding of the pixels is wrong.
    """
    header = header_of(data)
    stream = bytearray()
    offset = len(SIGNATURE)
    while offset < len(data):
        end = offset + 8 + int.from_bytes(data[offset : offset + 4])
        if data[offset + 4 : offset + 8] == b"IDAT":
            stream += data[offset + 8 : end]
        offset = end + 4
    try:
        pixels = zlib.decompressobj().decompress(stream, _FIRST)
    except zlib.error as error:  # type: ignore[misc]  # their stub calls it an instance
        raise ValueError("the coding of its pixels is wrong") from error
    stride = header.passes[0][1]
    rows = min(header.height, len(pixels) // stride)
    if header.interlaced or not rows:
        return b""
    colour = 0 if header.has_palette else header.colour
    form = bytes((header.bits, colour, 0, 0, 0))
    parts = (
        _chunk(b"IHDR", header.width.to_bytes(4) + rows.to_bytes(4) + form),
        _chunk(b"IDAT", zlib.compress(pixels[: rows * stride], 0)),
        _chunk(b"IEND", b""),
    )
    return SIGNATURE + b"".join(parts)


def plain_size(data: bytes) -> Size | None:
    """Check a plain PNG without a decoder; return height and width, or None for other content.

    Plain are 8 bits of grey or colour, with or without alpha, in rows from the top, and parts of
    one size each that change neither the pixels nor the upper side. All is checked as by
    `outline`.
    """
    if data[24:29] not in _PLAIN:
        return None
    try:
        header = header_of(data)
        _check_rows(_Inflated(_plain_stream(data)), header, 0)
    except ValueError:
        return None
    return header.height, header.width


def _plain_stream(data: bytes) -> list[bytes]:
    stream = list[bytes]()
    kinds = [b""]
    for kind, content in _chunks(io.BytesIO(data), len(SIGNATURE)):
        if kind == b"IDAT":
            stream.append(content)
        elif _SIZES.get(kind) != len(content) - 12:
            raise ValueError(f"its part {kind!r} is not plain")
        if kind != b"IDAT" or kinds[-1] != kind:
            kinds.append(kind)
    if len(kinds) > len(set(kinds)) or kinds[-2:] != [b"IDAT", b"IEND"]:
        raise ValueError("its parts are not in the usual order")
    return stream


def text_of(data: bytes, key: str) -> str | None:
    r"""Read the text under a key in a PNG file's metadata; None if there is none.

    Raises:
        ValueError: the text is compressed or not UTF-8, or the file holds the key and is damaged.

    Example:
        >>> header = _chunk(b"IHDR", bytes([0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0]))
        >>> data = SIGNATURE + header + _chunk(b"IEND", b"")
        >>> text_of(add_text(data, "annotated", "car\nperson"), "annotated")
        'car\nperson'
    """
    start = key.encode("latin-1") + b"\0"
    if start not in data:
        return None
    for kind, chunk in _chunks(io.BytesIO(data), len(SIGNATURE)):
        body = chunk[8:-4]
        if kind not in (b"tEXt", b"zTXt", b"iTXt") or not body.startswith(start):
            continue
        rest = body[len(start) :]
        if kind == b"tEXt":
            return rest.decode("latin-1")
        if kind == b"zTXt" or rest[:1] != b"\0":
            raise ValueError(f"its text '{key}' is compressed")
        return rest[2:].split(b"\0", 2)[-1].decode("utf-8")
    return None


def frames_of(data: bytes) -> int:
    """The number of pictures in a checked PNG file: 1, or the frames of an animation."""
    offset = len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        kind = data[offset + 4 : offset + 8]
        if kind == b"acTL":
            return int.from_bytes(data[offset + 8 : offset + 12])
        offset += 12 + int.from_bytes(data[offset : offset + 4])
    return 1


def add_text(data: bytes, key: str, text: str) -> bytes:
    """Add a text in UTF-8 under a key to a PNG file, which must not have the key yet."""
    body = key.encode("latin-1") + b"\0" + b"\0\0\0\0" + text.encode("utf-8")
    return data[:33] + _chunk(b"iTXt", body) + data[33:]


def add_palette(data: bytes, colours: bytes) -> bytes:
    """Make the numbers of a grey PNG file of 8 bits indices into a palette: red, green, blue each.

    Other content is returned as it is.
    """
    header = header_of(data)
    if header.colour != 0 or header.bits != 8:
        return data
    body = data[16:25] + b"\3" + data[26:29]
    return data[:8] + _chunk(b"IHDR", body) + _chunk(b"PLTE", colours) + data[33:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)


def _rewrite_pixels(file: BinaryIO, rewrite: Callable[[Iterable[bytes]], Sequence[bytes]]) -> bytes:
    """Check the parts of a PNG, and let `rewrite` replace the stream of pixels."""
    out: list[bytes] = [SIGNATURE]
    has_pixels = False
    for is_pixels, run in groupby(_chunks(file, len(SIGNATURE)), lambda chunk: chunk[0] == b"IDAT"):
        pieces = (piece for _, piece in run)
        if not is_pixels:
            out += pieces
        elif has_pixels:
            raise ValueError("its pixels are in several places")
        elif _lacks_palette(out):
            raise ValueError("its palette is missing")
        else:
            out += rewrite(pieces)
            has_pixels = True
    if not has_pixels:
        raise ValueError("its pixels are missing")
    return b"".join(out)


def _lacks_palette(chunks: Sequence[bytes]) -> bool:
    kinds = {chunk[4:8]: chunk for chunk in chunks}
    return kinds.get(b"IHDR", b"")[17:18] == bytes([_PALETTE]) and b"PLTE" not in kinds


def _chunks(file: BinaryIO, offset: int) -> Iterator[tuple[bytes, bytes]]:
    """The kind and the bytes of each chunk up to the end; of pixels the content, in pieces."""
    size = file.seek(0, io.SEEK_END)
    kind = b""
    file.seek(offset)
    while kind != b"IEND":
        head = file.read(8)
        length = int.from_bytes(head[:4])
        kind = head[4:]
        offset += 12 + length
        if offset > size:
            raise ValueError("its end is missing")
        crc = zlib.crc32(kind)
        if kind == b"IDAT":
            for start in range(0, length, _PIECE):
                piece = file.read(min(_PIECE, length - start))
                crc = zlib.crc32(piece, crc)
                yield kind, piece
            _check_sum(crc, file.read(4), kind)
            yield kind, b""
        else:
            body = file.read(length)
            end = file.read(4)
            _check_sum(zlib.crc32(body, crc), end, kind)
            yield kind, head + body + end


def _check_sum(crc: int, end: bytes, kind: bytes) -> None:
    if crc != int.from_bytes(end):
        raise ValueError(f"the checksum of its part {kind.decode('latin-1')!r} is wrong")


def _check_rows(pieces: Iterable[bytes], header: Header, first: int) -> bytes:
    """Check the size of uncompressed pixels and each row's filter; return the `first` bytes."""
    passes = iter(header.passes)
    missing = 0
    stride = 1
    offset = 0
    start = bytearray()
    for piece in pieces:
        start += piece[: first - len(start)]
        while piece:
            if not missing:
                rows, stride = next(passes, (0, 1))
                missing = rows * stride
                offset = 0
            if not missing:
                raise ValueError("it holds more pixels than its header says")
            part = piece[:missing]
            piece = piece[missing:]
            if part[offset::stride].strip(_FILTERS):
                raise ValueError("the coding of its pixels is wrong")
            missing -= len(part)
            offset = (offset - len(part)) % stride
    if missing or next(passes, None):
        raise ValueError("it holds fewer pixels than its header says")
    return bytes(start)


class _Inflated:
    """Uncompresses the pieces of a stream up to its end, where the sum is checked.

    Attributes:
        adler: the sum at the end of the stream, once all pieces have been read.
    """

    def __init__(self, stream: Iterable[bytes]) -> None:
        self.stream = stream
        self.adler = b""

    def __iter__(self) -> Iterator[bytes]:
        inflater = zlib.decompressobj()
        before = b""
        try:
            for piece in self.stream:
                rest = piece
                while part := inflater.decompress(rest, _BLOCK):
                    yield part
                    rest = inflater.unconsumed_tail
                read = before + piece
                if inflater.eof:  # what is fed later would be copied each time
                    end = len(read) - len(inflater.unused_data)
                    self.adler = read[end - 4 : end]
                    return
                before = read[-4:]
        except zlib.error as error:  # type: ignore[misc]
            raise ValueError("the checksum or the coding of its pixels is wrong") from error
        raise ValueError("its pixels are cut short")


def _stored(pixels: _Inflated, size: int) -> list[bytes]:
    """The parts of a chunk of pixels in stored blocks; the stream's sum stays."""
    parts = [b"IDAT\x78\x01"]
    total = 0
    for piece in pixels:
        total += len(piece)
        if total > size:
            raise ValueError("it holds more pixels than its header says")
        length = len(piece).to_bytes(2, "little")
        complement = (len(piece) ^ 0xFFFF).to_bytes(2, "little")
        parts += [b"\0" + length + complement, piece]
    if total != size:
        raise ValueError("it holds fewer pixels than its header says")
    parts.append(b"\1\0\0\xff\xff" + pixels.adler)
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return [(sum(map(len, parts)) - 4).to_bytes(4), *parts, crc.to_bytes(4)]
