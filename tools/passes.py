"""Counts the package's modules that one cell passes in each command: those in which a function runs.

A project with one task is made in a temporary folder and goes through a round. `python -m
tools.passes` prints the counts, `-v` the modules too. It fails if a query passes more than `MOST`.
"""

import importlib
import io
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import FrameType

from tools.source import ROOT

RECIPE = ROOT / "tests/tiny.toml"
#: The commands of a round, and the names of those that are counted.
COMMANDS = (
    (
        "init flat --images images --task depth --holdout 1 --recipe tiny.toml --strategy random_images",
        "",
    ),
    ("import flat labels", "import"),
    ("fit flat", "fit"),
    ("score flat", "score"),
    ("query flat --budget 1 --no-prelabels", "query"),
    ("query flat --budget 1", "query again: previews only"),
    ("export flat --out request", "export"),
)
#: Loaded before anything is counted: under a profile function that takes ten seconds longer.
LIBRARIES = ("torch", "timm", "lightning_fabric")
#: The most modules of a command: half of the 58 when the goal was set, and six (docs/decisions/README.md, interfaces).
MOST = {"query": 35}


@contextmanager
def passed(package: Path) -> Iterator[set[str]]:
    """The modules below a package's folder in which a function runs inside the block."""
    modules: set[str] = set()
    start = f"{package}{os.sep}"

    def note(frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_filename
        is_function = (
            frame.f_code.co_flags & CO_OPTIMIZED
        )  # the bodies of modules and classes are not functions
        if event == "call" and is_function and name.startswith(start):
            modules.add(name.removeprefix(start))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield modules
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def counts(package: Path) -> Iterator[tuple[str, list[str]]]:
    """Each counted command with its modules."""
    for library in LIBRARIES:
        importlib.import_module(library)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        make_data(Path())
        for line, name in COMMANDS:
            with passed(package) as modules:
                run(line)
            if name:
                yield name, sorted(modules)


def run(line: str) -> None:
    """Run a command of labelgrid here, without its output."""
    app = importlib.import_module("labelgrid.cli").app
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        app(line.split(), standalone_mode=False)


def make_data(folder: Path) -> None:
    """Six pictures, depth maps of all of them, and a recipe that trains in a second."""
    from PIL import Image

    (folder / "images").mkdir()
    (folder / "labels/depth").mkdir(parents=True)
    for number in range(6):
        Image.new("RGB", (64, 32), (40 * number, 90, 30)).save(folder / f"images/{number}.png")
        if number < 4:
            Image.new("I;16", (64, 32), 1500 + number).save(folder / f"labels/depth/{number}.png")
    shutil.copy(RECIPE, folder)


def main(words: Sequence[str]) -> int:
    """Print the counts; 1 if one is too large."""
    modules_of = dict(counts(ROOT / "src" / "labelgrid"))
    for name, modules in modules_of.items():
        most = f" (at most {MOST[name]})" if name in MOST else ""
        print(
            f"{len(modules):4}  {name}{most}" + (f": {' '.join(modules)}" if "-v" in words else "")
        )
    return int(any(len(modules_of[name]) > most for name, most in MOST.items()))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
