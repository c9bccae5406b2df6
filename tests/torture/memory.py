"""Commands with 10 to 400 MB of memory left: no sound file is called damaged, and none is left out."""

import resource
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

from tests.e2e.commands import done, typed
from tests.torture.hostile import Attack

#: What is left, in MiB.
LEFT = (10, 20, 40, 80, 120, 200, 300, 400)
COMMANDS = (
    "init ROOM/new --images DATA/images --task depth --leave-out",
    "import ROOM/flat DATA/labels",
    "verify ROOM/flat",
    "query ROOM/flat --budget 3 --strategy random_cells",
    "status ROOM/flat",
)
SIZE = (2400, 4000)


def make(folder: Path) -> None:
    """Large images and labels of several formats, and a project of them."""
    small = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    pixels = cv2.resize(small, SIZE[::-1])
    millimetres = pixels[..., 0].astype(np.uint16) * 10 + 500
    for name in ("images", "labels/depth"):
        (folder / name).mkdir(parents=True)
    kinds = {"a.jpg": {}, "b.png": {"compress_level": 1}, "c.tiff": {}, "d.webp": {}, "e.bmp": {}}
    kinds["f.jpg"] = {"progressive": True}
    kinds["g.tiff"] = {"compression": "tiff_lzw"}
    for name, options in kinds.items():
        Image.fromarray(pixels).save(folder / "images" / name, **options)
    labels = folder / "labels/depth"
    cv2.imwrite(str(labels / "a.png"), millimetres)
    metres = (millimetres / 1000).astype(np.float32)
    tifffile.imwrite(labels / "b.tiff", metres, compression="zlib")
    np.save(labels / "c.npy", metres)
    done("init", folder / "flat", "--images", folder / "images", "--task", "depth")


@dataclass
class Memory(Attack):
    """One command with so much memory left, in a process that has already loaded the program.

    Each has a process of its own, as a user's: the C library ends one that has no memory for a new
    thread, with its own last words, which no program can answer.
    """

    name = "little memory"
    alone = True
    last_words = "cannot allocate memory for thread-local data"

    @cached_property
    def trials(self) -> list[tuple[int, str]]:
        return [(left, command) for command in COMMANDS for left in LEFT]

    def __call__(self, number: int) -> str:
        left, command = self.trials[number]
        self.note = f"{left} MiB: {command}"
        shutil.rmtree(self.room, ignore_errors=True)
        shutil.copytree(self.folder / "flat", self.room / "flat")
        text = command.replace("ROOM", str(self.room)).replace("DATA", str(self.folder))
        before = resource.getrlimit(resource.RLIMIT_AS)
        size = Path("/proc/self/status").read_text().split("VmSize:")[1].split()[0]
        resource.setrlimit(resource.RLIMIT_AS, (int(size) * 1024 + left * 2**20, before[1]))
        try:
            result = typed(*text.split())
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
        if result.code == 0:
            return "wrong" if "left out" in (result.out + result.err).lower() else "right"
        assert "damaged" not in result.err, result.err[-900:]
        self.note += f" {result.err[-300:]}"
        return "refused" if "memory" in result.err else "wrong"
