"""Small files of every container that would take gigabytes once unpacked, given to what reads them.

A head that says so, or a bound by the image's size, must refuse them before they are unpacked: none
adds more than the pool's limit to the memory of the process, four at once on the page stay below a
gigabyte, and none takes longer than a trial may.
"""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from labelgrid.annotate.json_files import read_members
from labelgrid.annotate.unpacking import unpacked
from labelgrid.formats.soft import read_soft
from labelgrid.images.object_folders import _parquet_entries
from labelgrid.images.opening import label_of
from labelgrid.images.reading import check_image, read_image
from labelgrid.ledger.grid import Cell
from labelgrid.rounds.outside_files import read_predictions
from labelgrid.rounds.own_model.outside_predictions import FEWEST_BYTES
from labelgrid.score.table_files import read_cell, read_statistic, read_table
from tests.torture.hostile import Attack
from tests.torture.mutated import Mutated, Sound

#: More than a trial may add to the memory of its process.
MUCH = 2**29


def npy_head(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    file = io.BytesIO()
    fields = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, fields)
    return file.getvalue()


def npz(*arrays: tuple[str, tuple[int, ...]], dtype: str = "<f8") -> bytes:
    """An .npz file whose arrays are zeros of these shapes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, shape in arrays:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                file.write(npy_head(shape, dtype))
                left = int(np.prod(shape)) * np.dtype(dtype).itemsize
                while left > 0:
                    file.write(bytes(min(left, 2**24)))
                    left -= 2**24
    return packed.getvalue()


def many_members(count: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(count):
            archive.writestr(f"{number}.npy", b"")
    return packed.getvalue()


def zip_of(name: str, size: int) -> bytes:
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w") as file,
    ):
        for _ in range(size // 2**24):
            file.write(bytes(2**24))
    return packed.getvalue()


def directory(entries: list[tuple[int, int, int, int]], following: int) -> bytes:
    text = struct.pack("<H", len(entries))
    for entry in entries:
        text += struct.pack("<HHII", *entry)
    return text + struct.pack("<I", following)


#: The tags of a TIFF of 32x64 grey pixels at byte 8.
PLAIN = [
    *((256, 3, 1, 64), (257, 3, 1, 32), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)),
    *((273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 32), (279, 4, 1, 2048)),
]


def tiff_of_tags(count: int, size: int) -> bytes:
    """A TIFF whose tags all hold the same bytes."""
    more = [(tag, 7, size, 8) for tag in range(1000, 1000 + count)]
    return b"II*\0" + struct.pack("<I", 8 + size) + bytes(size) + directory(PLAIN + more, 0)


def tiff_of_pages(count: int, size: int) -> bytes:
    """A TIFF of many pages, whose tags all hold the same bytes."""
    page = [*PLAIN, (700, 7, size, 8), (701, 7, size, 8)]
    length = len(directory(page, 0))
    first = 8 + size
    pages = [directory(page, first + (number + 1) * length) for number in range(count - 1)]
    return b"".join([b"II*\0", struct.pack("<I", first), bytes(size), *pages, directory(page, 0)])


def tiff_of_tiles(side: int, compression: int, bits: int = 8) -> bytes:
    """A TIFF of 32x64 pixels in one tile of far more."""
    data = zlib.compress(bytes(2**20), 9)
    tags = [
        *((256, 3, 1, 64), (257, 3, 1, 32), (258, 3, 1, bits), (259, 3, 1, compression)),
        *((262, 3, 1, 1), (277, 3, 1, 1), (322, 4, 1, side), (323, 4, 1, side)),
        *((324, 4, 1, 8), (325, 4, 1, len(data)), (339, 3, 1, 3 if bits == 32 else 1)),
    ]
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory(tags, 0)


def exr(window: int, channels: int) -> bytes:
    """The head of an EXR of 32x64 pixels, of which many more are stored."""

    def attribute(name: str, kind: str, value: bytes) -> bytes:
        return f"{name}\0{kind}\0".encode() + struct.pack("<I", len(value)) + value

    names = b"".join(
        f"c{number:05}\0".encode() + struct.pack("<IIii", 2, 0, 1, 1) for number in range(channels)
    )
    return b"".join(
        [
            struct.pack("<II", 20000630, 2),
            attribute("channels", "chlist", names + b"\0"),
            attribute("compression", "compression", b"\3"),
            attribute("dataWindow", "box2i", struct.pack("<4i", 0, 0, window - 1, window - 1)),
            attribute("displayWindow", "box2i", struct.pack("<4i", 0, 0, 63, 31)),
            attribute("lineOrder", "lineOrder", b"\0"),
            attribute("pixelAspectRatio", "float", struct.pack("<f", 1)),
            attribute("screenWindowCenter", "v2f", struct.pack("<2f", 0, 0)),
            attribute("screenWindowWidth", "float", struct.pack("<f", 1)),
            b"\0",
            bytes(4096),
        ]
    )


def parquet(columns: dict[str, pa.Array], metadata: str, **options: object) -> bytes:
    table = pa.table(columns).replace_schema_metadata({"labelgrid": metadata})
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


METADATA = '{"tasks": ["depth"], "stamp": {}, "statistics": {"s": {"axis": "image", "width": 1}}}'


def long_names(count: int, length: int) -> bytes:
    """A table in which one long name comes often."""
    names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), ["n" * length])
    columns = {"image": names, "s": pa.array(np.zeros(count))}
    return parquet(columns, METADATA, compression="zstd")


def many_rows(count: int) -> bytes:
    names = pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), ["a.jpg"])
    return parquet({"image": names, "s": pa.array(np.zeros(count))}, METADATA, compression="zstd")


def long_text(length: int) -> bytes:
    columns = {"image": pa.array(["n" * length]), "s": pa.array([0.0])}
    return parquet(columns, METADATA, compression="zstd", use_dictionary=False)


def sound_table() -> bytes:
    names = pa.array([f"{number}.jpg" for number in range(20_000)])
    return parquet({"image": names, "s": pa.array(np.zeros(20_000))}, METADATA, compression="zstd")


#: What a file is read as -> what makes it, and its suffix.
FILES: dict[str, tuple[str, tuple[Callable[[], bytes], ...]]] = {
    "label": (
        ".npz",
        (
            lambda: npz(("a", (10_000, 7_000))),
            lambda: npz(("a", (32, 64)), ("b", (MUCH // 8,))),
            lambda: npz(("a", (32, 64, 40_000))),
            lambda: npz(("a", (MUCH // 8,))),
            lambda: many_members(30_000),
        ),
    ),
    "label as TIFF": (
        ".tiff",
        (
            lambda: tiff_of_tags(60_000, 2**20),
            lambda: tiff_of_pages(30_000, 2**19),
            *(
                (
                    lambda compression=compression, bits=bits: tiff_of_tiles(
                        32_768, compression, bits
                    )
                )
                for compression in (1, 5, 8, 32773)
                for bits in (8, 32)
            ),
        ),
    ),
    "label as EXR": (
        ".exr",
        (lambda: exr(20_000, 1), lambda: exr(2_000, 500), lambda: exr(64, 60_000)),
    ),
    "label as NPY": (".npy", (lambda: npy_head((2**14, 2**16)), lambda: npy_head((2**62, 2**62)))),
    "image": (
        ".tiff",
        (
            lambda: tiff_of_tags(60_000, 2**20),
            lambda: tiff_of_pages(30_000, 2**19),
            lambda: tiff_of_tiles(32_768, 8),
            lambda: tiff_of_tiles(32_768, 5),
        ),
    ),
    "predictions": (
        ".npz",
        (
            lambda: npz(("depth.values", (1, 10_000, 14_000)), dtype="<f4"),
            lambda: npz(("depth.values", (2000, 1, 32, 64)), ("features", (MUCH // 8,))),
            lambda: many_members(30_000),
        ),
    ),
    "soft prediction": (
        ".npz",
        (
            lambda: npz(("steps", (40, 5_000, 3_000)), ("ends", (2,)), dtype="|u1"),
            lambda: many_members(30_000),
        ),
    ),
    "table": (
        ".parquet",
        (
            lambda: long_names(20_000, 2**20),
            lambda: many_rows(2**25),
            lambda: long_text(2**28),
        ),
    ),
    "sound table": (".parquet", (sound_table,)),
    "list": (".parquet", (lambda: long_names(20_000, 2**20), lambda: many_rows(2**25))),
    "zip": (
        ".zip",
        (lambda: zip_of("depth/a.png", 2 * MUCH), lambda: zip_of("a.json", MUCH)),
    ),
    "JSON": (
        ".json",
        (
            lambda: b'{"images": [' + b",".join([b"[]"] * 4_000_000) + b"]}",
            lambda: b'{"images": {"a": [' + b",".join([b"[]"] * 4_000_000) + b"]}}",
            lambda: b'{"images": [[' + b",".join([b'{"":0}'] * 3_000_000) + b"]]}",
        ),
    ),
}


@dataclass
class Heads(Attack):
    """One such file a trial."""

    name = "heads of containers"

    @cached_property
    def trials(self) -> list[tuple[str, int]]:
        return [(name, number) for name, (_, made) in FILES.items() for number in range(len(made))]

    @cached_property
    def mutated(self) -> Mutated:
        return Mutated(self.folder)

    def made(self, name: str, number: int) -> Path:
        """The file, made once for all workers: making one takes memory, too."""
        suffix, makers = FILES[name]
        path = self.folder / "heads" / f"{name} {number}{suffix}".replace(" ", "-")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}.part")
            partial.write_bytes(makers[number]())
            partial.replace(path)
        return path

    def make(self, numbers: Iterable[int]) -> None:
        """Make the files of some trials, and the project that they would be labels of."""
        self.mutated.make()
        for number in numbers:
            self.made(*self.trials[number])

    def __call__(self, number: int) -> str:
        name, place = self.trials[number]
        path = self.made(name, place)
        self.note = f"{path.name} {path.stat().st_size:,} bytes"
        return READERS[name.partition(" as ")[0]](self, path)

    def label(self, path: Path) -> str:
        self.mutated.read(path, Sound("depth", path.suffix, b""))
        return "wrong"

    def image(self, path: Path) -> str:
        check_image(path)
        read_image(path)
        # Tags that hold nothing of the picture do no harm, if it is read in time.
        return "right"

    def predictions(self, path: Path) -> str:
        read_predictions(path, FEWEST_BYTES)
        return "wrong"

    def soft(self, path: Path) -> str:
        with label_of((32, 64)):
            read_soft(path)
        return "wrong"

    def table(self, path: Path) -> str:
        readers = (
            read_table,
            lambda path: read_statistic(path, "s"),
            lambda path: read_cell(path, Cell("b", "depth")),
        )
        for read in readers:
            try:
                read(path)
            except Exception:
                if read is readers[-1]:
                    raise
            else:
                return "wrong"
        return "wrong"

    def sound(self, path: Path) -> str:
        return "right" if len(read_table(path).images) == 20_000 else "wrong"

    def listed(self, path: Path) -> str:
        for _ in _parquet_entries(path, str(path)):
            pass
        return "right"

    def packed(self, path: Path) -> str:
        with unpacked(path):
            return "wrong"

    def json(self, path: Path) -> str:
        count = sum(1 for _ in read_members(path))
        return "right" if count > 1_000_000 else "wrong"


READERS: dict[str, Callable[[Heads, Path], str]] = {
    "label": Heads.label,
    "image": Heads.image,
    "predictions": Heads.predictions,
    "soft prediction": Heads.soft,
    "table": Heads.table,
    "sound table": Heads.sound,
    "list": Heads.listed,
    "zip": Heads.packed,
    "JSON": Heads.json,
}
