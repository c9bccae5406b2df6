"""Measures what the checks of label files cost an import, and that no damaged file is accepted with other content.

Both sides import the same labels (class maps, 16-bit depth maps, 16-bit normals) into new projects,
in turns: once as the program does, once as a plain decoder reads them, which checks the parts of
16-bit colours only. Then bits of a depth map are flipped, and bytes of a class map are zeroed, and
both read each file.
"""

import argparse
import io
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
from _made import ROWS, make_rooms, task_definitions
from _measure import check_limit, interleaved, machine, show

from labelgrid.basics.errors import LabelError
from labelgrid.basics.progress import Silent
from labelgrid.images import png
from labelgrid.imports.import_labels import import_labels
from labelgrid.operations import create
from labelgrid.project.settings import Settings
from labelgrid.tasks.task import TaskDef

BAR = 1.1
#: The bytes of a class map that are zeroed.
ZEROED = 512


@contextmanager
def without_checks() -> Iterator[None]:
    """Read labels as a plain decoder does: without sums (but those of parts of 16-bit colours), and no size first."""

    def plain(data: bytes) -> bytes:
        if data[24:26] == b"\x10\x02":
            deque(png._chunks(io.BytesIO(data), len(png.SIGNATURE)), 0)
        return data

    with (
        patch.object(png, "check_png", plain),
        patch.object(TaskDef, "stored_size", lambda *_, **__: None),
    ):
        yield


def importing(images: Path, labels: Path, folder: Path) -> Callable[[], None]:
    """A call that imports the labels into a new project.

    Making the project is a part of it on both sides.
    """

    def run() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        with create.create(
            folder, [images], tasks=list(ROWS), settings=Settings(), progress=Silent(), check="none"
        ) as project:
            import_labels(project, labels)

    return run


def damaged_depth(data: bytes, count: int) -> Iterator[bytes]:
    """The file with one flipped bit, `count` times."""
    for bit in np.random.default_rng(1).choice(8 * len(data), count, replace=False).tolist():
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def damaged_classes(data: bytes, count: int) -> Iterator[bytes]:
    """The file with `ZEROED` zeroed bytes, `count` times."""
    for start in np.random.default_rng(2).integers(0, max(1, len(data) - ZEROED), count).tolist():
        yield data[:start] + bytes(ZEROED) + data[start + ZEROED :]


def accepted(task: TaskDef, sound: Path, files: Iterator[bytes], path: Path) -> int:
    """How many files are accepted as a label whose content is not the sound file's."""
    expected = task.read(sound)
    wrong = 0
    for data in files:
        path.write_bytes(data)
        try:
            label = task.read(path)
        except LabelError:
            continue
        wrong += not (
            np.array_equal(label.value, expected.value)
            and np.array_equal(label.valid, expected.valid)
        )
    return wrong


def wrong_acceptances(folder: Path, flips: int, zeroed: int) -> int:
    """Print and return how many damaged files are accepted with other content."""
    tasks = task_definitions()
    path = folder / "damaged.png"
    depth, classes = (
        next((folder / "labels" / name).glob("*.png")) for name in ("depth", "semseg")
    )
    counts = {}
    for name in ("checked", "plain"):
        kinds = (
            (tasks["depth"], depth, damaged_depth(depth.read_bytes(), flips)),
            (tasks["semseg"], classes, damaged_classes(classes.read_bytes(), zeroed)),
        )
        if name == "plain":
            with without_checks():
                counts[name] = [accepted(*kind, path) for kind in kinds]
        else:
            counts[name] = [accepted(*kind, path) for kind in kinds]
    for name, (bits, zeros) in counts.items():
        print(
            f"  {name}, accepted with other content: {bits} of {flips} flipped, {zeros} of {zeroed} zeroed"
        )
    return sum(counts["checked"])


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument(
        "--size", type=int, nargs=2, default=(480, 640), metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--flips", type=int, default=400)
    parser.add_argument("--zeroed", type=int, default=150)
    options = parser.parse_args(words)
    print(machine())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_rooms(folder, options.images, tuple(options.size), every=2)
        checked = importing(folder / "images", folder / "labels", folder / "flat")

        def plain() -> None:
            with without_checks():
                checked()

        times = interleaved({"import": checked, "import without checks": plain}, options.repeats)
        show(times)
        ratio = times["import"].work_over(times["import without checks"])
        holds = check_limit("import / import without checks (processor time)", ratio, BAR)
        wrong = wrong_acceptances(folder, options.flips, options.zeroed)
        return (
            0
            if check_limit("damaged labels accepted with other content", wrong, 0, "files")
            and holds
            else 1
        )


if __name__ == "__main__":
    raise SystemExit(main())
