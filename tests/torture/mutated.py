"""Label and image files with flipped bits, zeroed bytes, cut ends, spliced parts, or another suffix.

A label is checked as an import checks it, an image as `init` does. What is accepted must have the
sound file's content. A format without checksums cannot notice other pixels, as long as its form is
whole; that is counted apart, unless a strict reader (`tests.torture.strict`) notices the damage.
"""

import io
import os
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

from labelgrid.annotate.answers import Answer, Fault
from labelgrid.basics.errors import LabelError
from labelgrid.images.reading import check_image, read_image
from labelgrid.imports.validate_labels import LabelValidator
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from tests.projects import make_project
from tests.support import KINDS
from tests.torture.strict import notices

#: Suffixes for files of other content: formats that are read, formats that are not, and none.
SUFFIXES = (
    *(".png", ".npy", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".heic", ".avif", ".bmp"),
    ".eps",
    ".gif",
    "",
)
#: The formats whose content is checked by sums.
CHECKED = (".png", ".npz")


def flipped(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 8))):
        changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def zeroed(data: bytes, draw: random.Random) -> bytes:
    start, length = draw.randrange(len(data)), draw.choice((1, 16, 64, 512))
    return data[:start] + bytes(len(data[start : start + length])) + data[start + length :]


def cut(data: bytes, draw: random.Random) -> bytes:
    return data[
        : draw.choice(
            (draw.randrange(len(data)), len(data) - 1 - draw.randrange(min(40, len(data))))
        )
    ]


def spliced(data: bytes, draw: random.Random) -> bytes:
    """The file with parts of it in other places: chunks of a PNG, pieces of anything."""
    pieces = (
        chunks(data) if data.startswith(b"\x89PNG") and draw.random() < 0.7 else parts(data, draw)
    )
    place = draw.randrange(len(pieces))
    match draw.randrange(4):
        case 0:
            del pieces[place]
        case 1:
            pieces.insert(draw.randrange(len(pieces)), pieces[place])
        case 2:
            draw.shuffle(pieces)
        case _:
            pieces[place] = draw.randbytes(len(pieces[place]))
    return b"".join(pieces)


def parts(data: bytes, draw: random.Random) -> list[bytes]:
    ends = sorted(draw.sample(range(1, len(data)), 4))
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def chunks(data: bytes) -> list[bytes]:
    """A PNG's signature and chunks."""
    found, offset = [data[:8]], 8
    while offset < len(data):
        (length,) = struct.unpack_from(">I", data, offset)
        found.append(data[offset : offset + 12 + length])
        offset += 12 + length
    return found


def in_parts(data: bytes, count: int = 3) -> bytes:
    """The same PNG with its pixels in several chunks."""
    whole = chunks(data)
    stream = b"".join(chunk[8:-4] for chunk in whole if chunk[4:8] == b"IDAT")
    step = -(-len(stream) // count)
    bodies = [b"IDAT" + stream[start : start + step] for start in range(0, len(stream), step)]
    pixels = [struct.pack(">I", len(b) - 4) + b + struct.pack(">I", zlib.crc32(b)) for b in bodies]
    others = [chunk for chunk in whole if chunk[4:8] != b"IDAT"]
    return b"".join([*others[:-1], *pixels, others[-1]])


def without_colours(data: bytes, draw: random.Random) -> bytes:
    """The same PNG with fewer colours in its palette, and right sums; other files as they are."""
    whole = chunks(data) if data.startswith(b"\x89PNG") else []
    for number, chunk in enumerate(whole):
        if chunk[4:8] == b"PLTE" and len(chunk) > 15:
            body = chunk[4 : 8 + 3 * draw.randrange(1, (len(chunk) - 12) // 3)]
            sums = struct.pack(">I", zlib.crc32(body))
            whole[number] = struct.pack(">I", len(body) - 4) + body + sums
    return b"".join(whole) or data


MUTATIONS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "flipped bits": flipped,
    "zeroed bytes": zeroed,
    "cut": cut,
    "spliced": spliced,
    "fewer colours": without_colours,
}
WAYS = (*MUTATIONS, "another suffix")


@dataclass(frozen=True)
class Sound:
    """A sound file: what it is of (a task, or `image`), its suffix, and its bytes."""

    of: str
    suffix: str
    data: bytes


def encoded(pixels: np.ndarray, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def sound_files(folder: Path, name: str) -> Iterator[Sound]:
    """Files of every format that is read, of one image and its labels."""
    for task in KINDS:
        data = (folder / "made/labels" / task / name).with_suffix(".png").read_bytes()
        yield Sound(task, ".png", data)
        yield Sound(task, ".png", in_parts(data))
    yield Sound(
        "semseg", ".png", with_palette(folder / f"made/labels/semseg/{Path(name).stem}.png")
    )
    depth = cv2.imread(
        str(folder / f"made/labels/depth/{Path(name).stem}.png"), cv2.IMREAD_UNCHANGED
    )
    normals = cv2.imread(str(folder / f"made/labels/normals/{Path(name).stem}.png"))[..., ::-1]
    deep = cv2.imencode(".png", np.ascontiguousarray(normals[..., ::-1]).astype(np.uint16) * 257)[
        1
    ].tobytes()
    yield Sound("normals", ".png", deep)
    for task, values in (("depth", depth / 1000), ("normals", normals / 127.5 - 1)):
        buffer = io.BytesIO()
        np.save(buffer, values.astype(np.float32))
        yield Sound(task, ".npy", buffer.getvalue())
    metres = (depth / 1000).astype(np.float32)
    yield Sound("depth", ".tiff", encoded(metres, "TIFF"))
    yield Sound("depth", ".tiff", encoded(metres, "TIFF", compression="tiff_deflate"))
    yield Sound("depth", ".tiff", wide_tiff(metres))
    yield Sound("depth", ".npz", npz(metres))
    if find_spec("OpenEXR"):
        from tests.unit.formats.exr_files import exr

        path = exr(folder / "sound.exr", {"Y": metres})
        yield Sound("depth", ".exr", path.read_bytes())
    yield from sound_images(read_image(folder / "made/images" / name))


def with_palette(path: Path) -> bytes:
    """A class map as indices into a palette of no more colours than it has."""
    image = Image.open(path)
    count = int(np.asarray(image).max()) + 1
    image.putpalette([channel for grey in range(count) for channel in (grey, 2 * grey % 256, 7)])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def wide_tiff(metres: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, metres.astype(np.float64), compression="zlib", rowsperstrip=9)
    return buffer.getvalue()


def npz(metres: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, depth=metres)
    return buffer.getvalue()


def sound_images(pixels: np.ndarray) -> Iterator[Sound]:
    yield Sound("image", ".png", in_parts(encoded(pixels, "PNG")))
    deep = cv2.imencode(".png", pixels[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    yield Sound("image", ".png", deep)
    yield Sound("image", ".jpg", encoded(pixels, "JPEG"))
    yield Sound("image", ".jpg", encoded(pixels, "JPEG", progressive=True))
    yield Sound("image", ".jpg", encoded(pixels, "JPEG", restart_marker_blocks=3))
    yield Sound("image", ".tiff", encoded(pixels, "TIFF"))
    yield Sound("image", ".tiff", encoded(pixels, "TIFF", compression="tiff_lzw"))


@dataclass
class Mutated:
    """One mutated file a trial: sound file, mutation and place depend on its number."""

    folder: Path
    seed: int = 0
    note: str = field(default="", init=False)

    def make(self) -> None:
        make_project(self.folder, n=1, holdout=0, tasks=KINDS)[0].close()

    @cached_property
    def sounds(self) -> list[Sound]:
        return list(sound_files(self.folder, "0000.jpg"))

    @cached_property
    def validator(self) -> LabelValidator:
        project = ProjectFolder.open(self.folder / "flat")
        return LabelValidator(
            project, project.store.find([Cell("0000.jpg", kind) for kind in KINDS]), replace=False
        )

    @cached_property
    def expected(self) -> dict[Sound, object]:
        return {
            sound: self.read(self.written(sound.data, sound.suffix), sound) for sound in self.sounds
        }

    def drawn(self, number: int) -> tuple[Sound, str]:
        return self.sounds[number % len(self.sounds)], WAYS[number // len(self.sounds) % len(WAYS)]

    def named(self, number: int) -> str:
        sound, way = self.drawn(number)
        what = "images" if sound.of == "image" else "labels"
        return f"{what}, {'another suffix' if way == WAYS[-1] else sound.suffix[1:].upper()}"

    def __call__(self, number: int) -> str:
        (sound, way), draw = self.drawn(number), random.Random(f"{self.seed} {number}")
        expected = self.expected[sound]
        suffix = draw.choice(SUFFIXES) if way == WAYS[-1] else sound.suffix
        data = MUTATIONS[way](sound.data, draw) if way in MUTATIONS else sound.data
        path = self.written(data, suffix)
        self.note = f"{sound.of}{sound.suffix} {way} {suffix}"
        found = self.read(path, sound)
        if same(found, expected):
            return "right"
        if suffix in CHECKED or way not in MUTATIONS or way == "cut":
            return "wrong"
        against = notices(path)
        self.note += f" {against}"
        return "wrong" if against else "unnoticed"

    def written(self, data: bytes, suffix: str) -> Path:
        path = self.folder / f"mutated-{os.getpid()}{suffix}"
        path.write_bytes(data)
        return path

    def read(self, path: Path, sound: Sound) -> object:
        """The content that is accepted: a label's values, or an image's pixels."""
        if sound.of == "image":
            check_image(path)
            return read_image(path)
        result = self.validator.validate(
            Answer(cell=Cell("0000.jpg", sound.of), where=str(path), label=path)
        )
        if isinstance(result, Fault):
            raise LabelError(str(result))
        label = self.validator.tasks[sound.of].read(path)
        return np.where(label.valid[..., None], np.atleast_3d(label.value), np.nan)


def same(found: object, expected: object) -> bool:
    return np.array_equal(
        np.asarray(found), np.asarray(expected), equal_nan=np.asarray(expected).dtype.kind == "f"
    )
