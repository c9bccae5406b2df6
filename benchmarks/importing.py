"""Compares the time of importing labels with that of hashing and decoding their files.

The import checks each file completely, compares labels with each other, copies them and records
them. The plain side hashes each file and decodes it with OpenCV. Making the project is not counted.
Then many small labels, without the picture of some of them, whose time does not depend on them.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest.mock import patch

import cv2
from _made import ROWS, make_rooms
from _measure import check_limit, machine

from labelgrid.basics.files import digest
from labelgrid.basics.progress import Silent
from labelgrid.imports.import_labels import LabelImport, import_labels
from labelgrid.operations import create
from labelgrid.project.settings import Settings

BAR = 2.5
#: Of small labels.
SMALL = 6.0
SIZE = (240, 320)


def of_import(folder: Path) -> float:
    """Processor seconds of an import into a new project."""
    made = folder / "project"
    shutil.rmtree(made, ignore_errors=True)
    with create.create(
        made,
        [folder / "images"],
        tasks=list(ROWS),
        settings=Settings(),
        progress=Silent(),
        check="full",
    ) as project:
        start = time.process_time()
        import_labels(project, folder / "labels")
        return time.process_time() - start


def of_small_import(folder: Path) -> float:
    """As `of_import`, without the picture."""
    with patch.object(LabelImport, "_draw", lambda self, result, *_: result):
        return of_import(folder)


def of_decoding(folder: Path) -> float:
    """Processor seconds of hashing and decoding the same files."""
    start = time.process_time()
    for path in sorted((folder / "labels").rglob("*.png")):
        digest(path)
        cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return time.process_time() - start


def ratio_of(folder: Path, run: Callable[[Path], float], repeats: int) -> float:
    """The median ratio of an import's time to that of hashing and decoding its files."""
    of_decoding(folder)  # to warm up
    run(folder)
    pairs = [(run(folder), of_decoding(folder)) for _ in range(repeats)]
    for ours, plain in pairs:
        print(f"  import {ours:.2f} s, hashing and decoding {plain:.2f} s of processor time")
    return median(ours / plain for ours, plain in pairs)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=16, help="of each of three tasks")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(2048, 2048), metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--small", type=int, default=167, help="small labels of each task")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(words)
    cv2.setNumThreads(1)
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_rooms(folder, options.labels, tuple(options.size))
        large = ratio_of(folder, of_import, options.repeats)
        small_folder = folder / "small"
        make_rooms(small_folder, options.small, SIZE)
        small = ratio_of(small_folder, of_small_import, options.repeats)
    held = [
        check_limit("import / hashing and decoding (processor time)", large, BAR),
        check_limit(f"the same, {3 * options.small} labels of 240x320", small, SMALL),
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    raise SystemExit(main())
