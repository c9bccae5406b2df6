"""Pipes, devices, sockets, folders, loops and links out in the places of files: no command waits for one."""

import os
import shutil
import socket
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.torture.hostile import Attack, outcome
from tests.torture.projects import init_words

KINDS = ("pipe", "device", "socket", "folder", "loop", "link out", "dangling link")
#: Places (globs below a trial's folder; FILE is a file there), and the commands that read them.
PLACES: dict[str, tuple[str, ...]] = {
    "photos/0001.jpg": (
        "init ROOM/new --images ROOM/photos --task depth",
        "predict ROOM/flat ROOM/photos --out ROOM/out",
    ),
    "list.txt": ("init ROOM/new --images FILE --task depth",),
    "classes.txt": ("init ROOM/new --images DATA/images --task semseg:FILE",),
    "recipe.toml": ("init ROOM/new --images DATA/images --task depth --recipe FILE",),
    "tasks.toml": ("init ROOM/new --images DATA/images --tasks FILE",),
    "weights.pth": ("init ROOM/new INIT --weights FILE",),
    "flat/labelgrid.toml": ("status ROOM/flat", "query ROOM/flat --budget 1"),
    "flat/labelgrid.db": ("status ROOM/flat", "import ROOM/flat DATA/labels"),
    "flat/labels/depth/*.png": (
        "verify ROOM/flat",
        "export ROOM/flat --labels --out ROOM/out",
        "fit ROOM/flat --epochs 2",
    ),
    "flat/rounds/*/fit/last.ckpt": ("evaluate ROOM/flat", "fit ROOM/flat --epochs 2"),
    "flat/rounds/*/scores/scores.parquet": ("query ROOM/flat --budget 1 --no-prelabels",),
    "flat/rounds/*/fit.json": ("status ROOM/flat", "report ROOM/flat --out ROOM/out.html"),
    "flat/rounds/0001/picks.json": ("report ROOM/flat --out ROOM/out.html", "status ROOM/flat"),
    "flat/rounds/0001/request/manifest.json": (
        "import ROOM/flat ROOM/flat/rounds/0001/request",
        "export ROOM/flat",
    ),
    "answer/depth/0003.png": ("import ROOM/flat ROOM/answer",),
    "answer/labels.csv": ("import ROOM/flat ROOM/answer",),
    "answer/skips.csv": ("import ROOM/flat ROOM/answer",),
    "out.html": ("report ROOM/flat --out FILE",),
}


def put(kind: str, path: Path, outside: Path) -> None:
    """Put something that is no file in the place of a file, which goes `outside`."""
    outside.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, outside) if path.exists() else outside.write_text("")
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "socket":
            here = Path.cwd()
            os.chdir(path.parent)  # a socket's path may have 108 bytes
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(path.name)
            os.chdir(here)
        case "folder":
            path.mkdir()
        case "loop":
            path.symlink_to(path)
        case "link out":
            path.symlink_to(outside)
        case _:
            path.symlink_to(outside.with_name("nothing"))


@dataclass
class Special(Attack):
    """One kind in one place for one command."""

    name = "special files and links"

    @cached_property
    def trials(self) -> list[tuple[str, str, str]]:
        return [
            (place, command, kind)
            for place, words in PLACES.items()
            for command in words
            for kind in KINDS
        ]

    def __call__(self, number: int) -> str:
        place, command, kind = self.trials[number]
        room = self.stages.room("scored", self.room)
        data = self.stages.data
        shutil.copytree(data / "images", room / "photos")
        shutil.copytree(data / "labels/depth", room / "answer/depth")
        path = next(iter(sorted(room.glob(place))), room / place)
        path.parent.mkdir(parents=True, exist_ok=True)
        put(kind, path, room / "outside" / path.name)
        self.note = f"{place}: {kind}: {command}"
        text = command.replace("INIT", init_words(data)).replace("FILE", str(path))
        result = outcome(text.replace("ROOM", str(room)).replace("DATA", str(data)).split())
        if result == "right" and kind == "link out" and place.startswith("answer/depth"):
            return "wrong"
        return result
