"""Checks PNG files completely: the checksum of every chunk, the checksum of the pixels, and the end."""

import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: The values of a pixel, by the header's type of colour.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
#: Adam7: the first column and row of each pass, and the steps between its columns and rows.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
#: The largest block of a zlib stream that is stored without compression.
_BLOCK = 65535
#: What is uncompressed at once; what is left of it is copied for each block.
_PIECE = 16384


@dataclass(frozen=True)
class Header:
    """A PNG's header: its size in pixels, the bits of a value, the type of colour, and whether rows are interlaced."""

    height: int
    width: int
    bits: int
    colour: int
    interlaced: bool

    @property
    def stream_size(self) -> int:
        """The number of bytes of the uncompressed pixels: each row follows a byte with its filter."""
        depth = self.bits * _CHANNELS[self.colour]
        passes = _PASSES if self.interlaced else ((0, 0, 1, 1),)
        sizes = ((-(-(self.width - x) // dx), -(-(self.height - y) // dy)) for x, y, dx, dy in passes)
        return sum(rows * (1 + -(-columns * depth // 8)) for columns, rows in sizes if columns > 0 and rows > 0)


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
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    bits, colour, interlaced = data[24], data[25], data[28]
    if not (width and height and bits in (1, 2, 4, 8, 16) and colour in _CHANNELS and interlaced < 2):
        raise ValueError("its header is wrong")
    return Header(height, width, bits, colour, bool(interlaced))


def checked(data: bytes) -> bytes:
    """Check a PNG file to its end; return it with its pixels uncompressed, so that they are not uncompressed twice.

    Decoders stop at the last pixel: they check neither the sum of the compressed stream nor, in some, of its chunks.
    Compare the header's size with a limit first: the result has the size of the uncompressed pixels.

    Raises:
        ValueError: a checksum is wrong, the end is missing, or the pixels do not fill the size in the header.
    """
    header = header_of(data)
    out = io.BytesIO()
    out.write(SIGNATURE)
    found = False
    for is_pixels, run in groupby(_chunks(data), lambda chunk: chunk[0] == b"IDAT"):
        bodies = [body for _, body in run]
        if not is_pixels:
            out.writelines(bodies)
        elif found:
            raise ValueError("its pixels are in several places")
        else:
            _store(bodies, header.stream_size, out)
            found = True
    if not found:
        raise ValueError("its pixels are missing")
    return out.getvalue()


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and bytes of each chunk; of a chunk of pixels only the content. Bytes after the end are left out."""
    view, offset, kind = memoryview(data), len(SIGNATURE), b""
    while kind != b"IEND":
        length = int.from_bytes(view[offset : offset + 4])
        kind, end = bytes(view[offset + 4 : offset + 8]), offset + 8 + length
        if end + 4 > len(data):
            raise ValueError("its end is missing")
        if zlib.crc32(view[offset + 4 : end]) != int.from_bytes(view[end : end + 4]):
            raise ValueError(f"the checksum of its part {kind.decode('latin-1')!r} is wrong")
        yield kind, view[offset + 8 : end] if kind == b"IDAT" else view[offset : end + 4]
        offset = end + 4


def _store(stream: Sequence[bytes | memoryview], size: int, out: io.BytesIO) -> None:
    """Uncompress a stream, which checks its sum, and write it as one chunk of stored blocks."""
    start, total, crc, adler = out.tell(), 0, 0, 1

    def write(part: bytes) -> None:
        nonlocal crc
        crc = zlib.crc32(part, crc)
        out.write(part)

    out.write(bytes(4))  # the length, when it is known
    write(b"IDAT\x78\x01")
    for piece in _inflated(stream):
        total, adler = total + len(piece), zlib.adler32(piece, adler)
        if total > size:
            raise ValueError("it holds more pixels than its header says")
        write(b"\0" + len(piece).to_bytes(2, "little") + (len(piece) ^ 0xFFFF).to_bytes(2, "little"))
        write(piece)
    if total != size:
        raise ValueError("it holds fewer pixels than its header says")
    write(b"\1\0\0\xff\xff" + adler.to_bytes(4))
    end = out.tell()
    out.write(crc.to_bytes(4))
    out.seek(start)
    out.write((end - start - 8).to_bytes(4))
    out.seek(0, io.SEEK_END)


def _inflated(stream: Sequence[bytes | memoryview]) -> Iterator[bytes]:
    """Uncompress a stream, given in parts, to its end; bytes after the end are left out."""
    inflater = zlib.decompressobj()
    try:
        for rest in (part[start : start + _PIECE] for part in stream for start in range(0, len(part), _PIECE)):
            while piece := inflater.decompress(rest, _BLOCK):
                yield piece
                rest = inflater.unconsumed_tail
            if inflater.eof:  # what is fed later would be copied each time
                return
    except zlib.error as error:
        raise ValueError("the checksum or the coding of its pixels is wrong") from error
    raise ValueError("its pixels are cut short")
