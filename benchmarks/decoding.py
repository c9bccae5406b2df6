"""Compares the time of reading labels, all checks included, with that of `cv2.imread` of the same files.

Both sides read the same class maps, 16-bit depth maps and 16-bit normals. OpenCV returns the
numbers in the file; the program also checks every checksum and turns the numbers into class
indices, metres and unit vectors with a mask.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from _made import label, task_definitions
from _measure import Times, check_limit, interleaved, machine, show

from labelgrid.tasks.task import TaskDef

BAR = 1.5


def written(task: TaskDef, folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """Label files of a task."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{task.name}-{number}.png" for number in range(count)]
    for path in paths:
        task.write(path, label(rng, task.kind, size))
    return paths


def each(read: Callable[[Path], object], paths: Sequence[Path]) -> Callable[[], None]:
    """A call that reads all files."""

    def run() -> None:
        for path in paths:
            read(path)

    return run


def with_task(task: TaskDef, path: Path) -> object:
    """Read a label and its numbers, which are decoded when they are asked for."""
    return task.read(path).value


def with_opencv(path: Path) -> object:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=8, help="of each task")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(480, 640), metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--repeats", type=int, default=11)
    options = parser.parse_args(words)
    cv2.setNumThreads(1)
    print(machine())
    kept = True
    for task in task_definitions().values():
        with tempfile.TemporaryDirectory() as folder:
            paths = written(task, Path(folder), options.labels, tuple(options.size))
            ours = f"{task.name}, read and checked"
            theirs = f"{task.name}, cv2.imread"
            times: dict[str, Times] = interleaved(
                {ours: each(partial(with_task, task), paths), theirs: each(with_opencv, paths)},
                options.repeats,
            )
        show(times)
        kept &= check_limit(
            f"{ours} / cv2.imread (processor time)", times[ours].work_over(times[theirs]), BAR
        )
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
