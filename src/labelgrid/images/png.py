"""Checks PNG files completely: the checksum of every chunk, the checksum of the pixels, and the end."""

import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import BinaryIO

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
#: The bytes of pixels that an outline has at most.
_KEPT = 2**20
#: The largest block of a zlib stream that is stored without compression.
_BLOCK = 65535
#: What is uncompressed at once; what is left of it is copied for each block.
_PIECE = 16384


@dataclass(frozen=True, kw_only=True)
class Header:
    """A PNG's header: its size in pixels, the bits of a value, the type of colour, and whether rows are interlaced."""

    height: int
    width: int
    bits: int
    colour: int
    interlaced: bool

    @property
    def passes(self) -> list[tuple[int, int]]:
        """The rows of each pass, and the bytes of a row: each follows a byte with its filter."""
        depth = self.bits * _CHANNELS[self.colour]
        passes = _PASSES if self.interlaced else ((0, 0, 1, 1),)
        sizes = (
            (-(-(self.width - x) // dx), -(-(self.height - y) // dy)) for x, y, dx, dy in passes
        )
        return [
            (rows, 1 + -(-columns * depth // 8))
            for columns, rows in sizes
            if columns > 0 and rows > 0
        ]

    @property
    def stream_size(self) -> int:
        """The number of bytes of the uncompressed pixels."""
        return sum(rows * stride for rows, stride in self.passes)


def header_of(data: bytes) -> Header:
    r"""The header at the start of a PNG file.

    Raises:
        ValueError: there is none, or it is not one of a PNG.

    Example:
        >>> header_of(SIGNATURE + b"\0\0\0\rIHDR" + bytes([0, 0, 0, 2, 0, 0, 0, 3, 16, 0, 0, 0, 0]) + bytes(4))
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
    """Check a PNG file to its end.

    Return it with its pixels uncompressed, so that they are not uncompressed twice.

    Decoders stop at the last pixel: they check neither the sum of the compressed stream nor, in
    some, of its chunks. Compare the header's size with a limit first: the result has the size of
    the uncompressed pixels.

    Raises:
        ValueError: a checksum is wrong, the end is missing, or the pixels do not fill the size in
            the header.
    """
    size = header_of(data).stream_size
    return _rewritten(io.BytesIO(data), lambda pixels, out: _store(pixels, size, out))


def outline(file: BinaryIO) -> bytes:
    """Check a PNG file as `check_png`, and the filters of its rows, piece by piece.

    Return it with few pixels.

    A decoder accepts or refuses the result as it would the whole file, since all chunks but the
    pixels are kept. Neither the file nor its pixels are ever in memory as a whole. The pixels are
    the first rows of 16 bits; in place of others, of interlaced and of very long rows there is one
    black pixel. The result is empty if other parts of the file depend on its size: those of an
    animation, or a second header.

    Raises:
        ValueError: as `check_png`, or a row has an unknown filter.
    """
    header = header_of(file.read(33))
    rows = (
        0
        if header.interlaced or header.bits < 16
        else min(header.height, _KEPT // header.passes[0][1])
    )
    kept = replace(header, height=rows) if rows else replace(header, height=1, width=1)

    def write_kept(pixels: Iterable[bytes], out: BinaryIO) -> None:
        start = _check_rows(pixels, header, rows and kept.stream_size)
        out.write(_chunk(b"IDAT", zlib.compress(start or bytes(kept.stream_size), 0)))

    data = _rewritten(file, write_kept)
    if any(kind in _SIZED for kind, _ in _chunks(io.BytesIO(data[33:]), 0)):
        return b""
    size = kept.width.to_bytes(4) + kept.height.to_bytes(4)
    return data[:8] + _chunk(b"IHDR", size + data[24:29]) + data[33:]


def text_of(data: bytes, key: str) -> str | None:
    r"""A text in a PNG file under a key, as its metadata holds them; None if there is none.

    Raises:
        ValueError: the file is damaged, or the text is compressed or not UTF-8.

    Example:
        >>> data = SIGNATURE + _chunk(b"IHDR", bytes([0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0])) + _chunk(b"IEND", b"")
        >>> text_of(with_text(data, "annotated", "car\nperson"), "annotated")
        'car\nperson'
    """
    start = key.encode("latin-1") + b"\0"
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


def add_text(data: bytes, key: str, text: str) -> bytes:
    """A PNG file with a text in UTF-8 under a key, which it must not have yet."""
    body = key.encode("latin-1") + b"\0" + b"\0\0\0\0" + text.encode("utf-8")
    return data[:33] + _chunk(b"iTXt", body) + data[33:]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4) + kind + body + zlib.crc32(kind + body).to_bytes(4)


def _rewritten(file: BinaryIO, write: Callable[[Iterable[bytes], BinaryIO], None]) -> bytes:
    """Check the parts of a PNG.

    Return it with what `write` makes of its uncompressed pixels in place of them.
    """
    out = io.BytesIO()
    out.write(SIGNATURE)
    found = False
    for is_pixels, run in groupby(_chunks(file, len(SIGNATURE)), lambda chunk: chunk[0] == b"IDAT"):
        pieces = (piece for _, piece in run)
        if not is_pixels:
            out.writelines(pieces)
        elif found:
            raise ValueError("its pixels are in several places")
        else:
            write(_inflated(pieces), out)
            found = True
    if not found:
        raise ValueError("its pixels are missing")
    return out.getvalue()


def _chunks(file: BinaryIO, offset: int) -> Iterator[tuple[bytes, bytes]]:
    """Kind and bytes of each chunk; of a chunk of pixels the content, in pieces.

    Bytes after the end are left out.
    """
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
        body = b""
        for start in range(0, length, _PIECE) if kind == b"IDAT" else ():
            piece = file.read(min(_PIECE, length - start))
            crc = zlib.crc32(piece, crc)
            yield kind, piece
        if kind != b"IDAT":
            body = file.read(length)
            crc = zlib.crc32(body, crc)
        end = file.read(4)
        if crc != int.from_bytes(end):
            raise ValueError(f"the checksum of its part {kind.decode('latin-1')!r} is wrong")
        yield kind, head + body + end if kind != b"IDAT" else b""


def _check_rows(pieces: Iterable[bytes], header: Header, kept: int) -> bytes:
    """Check that uncompressed pixels have the header's size, and that each row's filter exists.

    Return the first.
    """
    passes = iter(header.passes)
    left = 0
    stride = 1
    place = 0
    start = bytearray()
    for piece in pieces:
        start += piece[: kept - len(start)]
        while piece:
            if not left:
                rows, stride = next(passes, (0, 1))
                left = rows * stride
                place = 0
            if not left:
                raise ValueError("it holds more pixels than its header says")
            part = piece[:left]
            piece = piece[left:]
            if part[place::stride].strip(_FILTERS):
                raise ValueError("the coding of its pixels is wrong")
            left = left - len(part)
            place = (place - len(part)) % stride
    if left or next(passes, None):
        raise ValueError("it holds fewer pixels than its header says")
    return bytes(start)


def _store(pixels: Iterable[bytes], size: int, out: BinaryIO) -> None:
    """Write uncompressed pixels, of this size, as one chunk of stored blocks."""
    start = out.tell()
    total = 0
    crc = 0
    adler = 1

    def write(part: bytes) -> None:
        nonlocal crc
        crc = zlib.crc32(part, crc)
        out.write(part)

    out.write(bytes(4))  # the length, when it is known
    write(b"IDAT\x78\x01")
    for piece in pixels:
        total = total + len(piece)
        adler = zlib.adler32(piece, adler)
        if total > size:
            raise ValueError("it holds more pixels than its header says")
        write(
            b"\0" + len(piece).to_bytes(2, "little") + (len(piece) ^ 0xFFFF).to_bytes(2, "little")
        )
        write(piece)
    if total != size:
        raise ValueError("it holds fewer pixels than its header says")
    write(b"\1\0\0\xff\xff" + adler.to_bytes(4))
    end = out.tell()
    out.write(crc.to_bytes(4))
    out.seek(start)
    out.write((end - start - 8).to_bytes(4))
    out.seek(0, io.SEEK_END)


def _inflated(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Uncompress a stream, given in pieces, to its end, which checks its sum.

    Bytes after the end are left out.
    """
    inflater = zlib.decompressobj()
    try:
        for rest in stream:
            while piece := inflater.decompress(rest, _BLOCK):
                yield piece
                rest = inflater.unconsumed_tail
            if inflater.eof:  # what is fed later would be copied each time
                return
    except zlib.error as error:
        raise ValueError("the checksum or the coding of its pixels is wrong") from error
    raise ValueError("its pixels are cut short")
