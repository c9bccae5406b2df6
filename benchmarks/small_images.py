"""Compares the time of checking small PNG images, as `init` does, with that of reading, hashing and decoding them.

The images are photograph-like. Both sides read each file of the folder once; the plain side decodes
with OpenCV.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from _made import smooth
from _measure import check_limit, interleaved, machine, show

from labelgrid.basics.files import digest
from labelgrid.basics.progress import Silent
from labelgrid.project.images.image_files import find_images, rows_of

BAR = 2.0


def make(folder: Path, count: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = smooth(rng, size, 3) * 255 + rng.normal(0, 4, (*size, 3))
        cv2.imwrite(str(folder / f"{number:06d}.png"), np.clip(pixels, 0, 255).astype(np.uint8))


def checking(folder: Path) -> Callable[[], None]:
    """List and check all images."""

    def run() -> None:
        list(rows_of(find_images([folder]), "full", "", Silent()))

    return run


def plainly(folder: Path) -> Callable[[], None]:
    """Read, hash and decode all images."""

    def run() -> None:
        for path in folder.iterdir():
            digest(path)
            cv2.imread(str(path))

    return run


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--size", type=int, nargs=2, default=(64, 64), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(words)
    cv2.setNumThreads(1)
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, options.images, tuple(options.size))
        sides = {"check": checking(folder), "read, hash, decode": plainly(folder)}
        times = interleaved(sides, options.repeats)
    show(times)
    ratio = times["check"].work_over(times["read, hash, decode"])
    return (
        0
        if check_limit(
            "checking images / reading, hashing and decoding them (processor time)", ratio, BAR
        )
        else 1
    )


if __name__ == "__main__":
    raise SystemExit(main())
