"""Compares the time of importing labels with that of hashing and decoding their files.

The import checks each file completely, compares labels with each other, copies them and records
them. The plain side hashes each file and decodes it with OpenCV. Making the project is not counted.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

import cv2
from _made import ROWS, make_rooms
from _measure import check_limit, machine

from labelgrid.files import digest
from labelgrid.progress import Silent
from labelgrid.project import create
from labelgrid.project.import_labels import import_labels
from labelgrid.project.settings import Settings

BAR = 2.5


def of_import(folder: Path) -> float:
    """Processor seconds of an import into a new project."""
    place = folder / "project"
    shutil.rmtree(place, ignore_errors=True)
    with create.create(
        place,
        [folder / "images"],
        tasks=list(ROWS),
        settings=Settings(),
        progress=Silent(),
        check="full",
    ) as project:
        start = time.process_time()
        import_labels(project, folder / "labels")
        return time.process_time() - start


def of_decoding(folder: Path) -> float:
    """Processor seconds of hashing and decoding the same files."""
    start = time.process_time()
    for path in sorted((folder / "labels").rglob("*.png")):
        digest(path)
        cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return time.process_time() - start


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=16, help="of each of three tasks")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(2048, 2048), metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(words)
    cv2.setNumThreads(1)
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_rooms(folder, options.labels, tuple(options.size))
        of_decoding(folder)  # to warm up
        pairs = [(of_import(folder), of_decoding(folder)) for _ in range(options.repeats)]
    for ours, plain in pairs:
        print(f"  import {ours:.2f} s, hashing and decoding {plain:.2f} s of processor time")
    ratio = median(ours / plain for ours, plain in pairs)
    return 0 if check_limit("import / hashing and decoding (processor time)", ratio, BAR) else 1


if __name__ == "__main__":
    raise SystemExit(main())
