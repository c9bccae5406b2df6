"""Small files that claim, or unpack to, far more than memory holds: as labels, and as images."""

import io
import struct
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from tests.torture.mutated import Mutated, Sound, encoded

#: Sides that a header claims.
SIDES = (1, 32, 64, 9_999, 65_535, 200_000, 2**31 - 1)
SIZES = [(height, width) for height in SIDES for width in SIDES if height * width > 10**7]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(height: int, width: int, bits: int, colour: int, unpacked: int) -> bytes:
    """A sound PNG, whose pixels are so many zeros."""
    packer = zlib.compressobj(9)
    stream = (
        b"".join(packer.compress(bytes(2**20)) for _ in range(unpacked // 2**20)) + packer.flush()
    )
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")
    )


def npy(height: int, width: int) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({height}, {width}), }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(4096)


def tiff(height: int, width: int) -> bytes:
    """A TIFF of one strip of zeros, whose directory claims a size."""
    data = bytearray(encoded(np.zeros((32, 64), np.uint8), "TIFF", compression="tiff_deflate"))
    (start,) = struct.unpack_from("<I", data, 4)
    for entry in range(struct.unpack_from("<H", data, start)[0]):
        place = start + 2 + 12 * entry
        tag = struct.unpack_from("<H", data, place)[0]
        if tag in (256, 257, 278):
            struct.pack_into("<HII", data, place + 2, 4, 1, width if tag == 256 else height)
    return bytes(data)


def jpeg(height: int, width: int) -> bytes:
    data = bytearray(encoded(np.zeros((32, 64), np.uint8), "JPEG"))
    place = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, place + 5, min(height, 65_535), min(width, 65_535))
    return bytes(data)


def unpacking() -> list[tuple[str, bytes]]:
    """Images that really unpack to 100 million pixels and more, and text in chunks that does."""
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "TIFF", compression="group4")
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**28), 9))
    plain = encoded(np.zeros((32, 64), np.uint8), "PNG")
    return [
        (".png", png(20_000, 20_000, bits=8, colour=2, unpacked=2**29)),
        (".png", png(32, 64, bits=8, colour=0, unpacked=2**29)),
        (".png", plain[:33] + text + plain[33:]),
        (".tiff", buffer.getvalue()),
    ]


@dataclass
class Bombs:
    """One such file a trial, as a label of each task that may have its format, or as an image."""

    folder: Path
    mutated: Mutated = field(init=False)
    note: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.mutated = Mutated(self.folder)

    @cached_property
    def files(self) -> list[tuple[str, str, bytes]]:
        claimed = [
            *(
                (".png", png(h, w, bits=bits, colour=colour, unpacked=0))
                for h, w in SIZES
                for bits, colour in ((8, 0), (16, 0), (8, 2))
            ),
            *((".npy", npy(h, w)) for h, w in SIZES),
            *((".tiff", tiff(h, w)) for h, w in SIZES),
            *((".jpg", jpeg(h, w)) for h, w in SIZES),
        ]
        every = [
            (of, *file)
            for file in (*claimed, *unpacking())
            for of in ("depth", "semseg", "normals", "image")
        ]
        return [found for found in every if (found[1] in (".jpg",)) <= (found[0] == "image")]

    def named(self, number: int) -> str:
        return "bombs, as images" if self.files[number][0] == "image" else "bombs, as labels"

    def __call__(self, number: int) -> str:
        of, suffix, data = self.files[number]
        self.note = f"{of}{suffix} {len(data)} bytes"
        path = self.mutated.written(data, suffix)
        try:
            self.mutated.read(path, Sound(of, suffix, b""))
        finally:
            path.unlink()
        # What only the text of a sound file unpacks to, nothing unpacks.
        is_sound = number >= len(self.files) - 16 and ("image" in of or b"zTXt" in data[:64])
        return "right" if is_sound else "wrong"
