"""Counts the planted wrong imports and the good imports that are stopped because their labels look wrong.

Imports batches of real NYUv2 frames and of rendered scenes: good ones, and ones with one systematic
fault. Each is imported as the first of a project, with the other labels of its images and alone,
and alone after 20 other images.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from _measure import check_limit, command, labelgrid

from labelgrid.annotate.answers import ImportRefused
from labelgrid.basics.progress import Silent
from labelgrid.imports.import_doubts import DoubtedImport
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import TaskRow
from labelgrid.operations import create
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Settings
from labelgrid.project.task_spec import task_rows

#: The good batches of each source, and the planted ones of each sort.
GOOD = 20
PLANTED = 3
#: The images of an earlier batch.
EARLIER = 20
WAYS = ("first, with others", "first, alone", "second, alone")
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Frames:
    """Images and labels by id; `tasks` are rows for a project."""

    images: Path
    files: Mapping[str, Path]
    tasks: Sequence[TaskRow]
    names: Sequence[str]
    shift: int = 0

    def pixels(self, task: str, name: str) -> Array:
        """A right label as stored; class 0 of NYUv2's files is "not labelled"."""
        stored = cv2.imread(
            str((self.files[task] / name).with_suffix(".png")), cv2.IMREAD_UNCHANGED
        )
        assert stored is not None, (task, name)
        return (stored - self.shift).astype(np.uint8) if task == "semseg" else stored


def channel(index: int) -> Callable[[Array], Array]:
    """Flip one channel of normals, in the order of OpenCV: z, y, x."""

    def flipped(pixels: Array) -> Array:
        pixels = pixels.copy()
        pixels[..., index] = np.iinfo(pixels.dtype).max - pixels[..., index]
        return pixels

    return flipped


def classes(wrong: Mapping[int, int]) -> Callable[[Array], Array]:
    """Rename classes."""
    table = np.arange(256, dtype=np.uint8)
    table[list(wrong)] = list(wrong.values())
    return lambda pixels: table[pixels]


#: Sort -> task, fault.
SORTS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "depth: 16-bit whole metres": ("depth", lambda mm: np.rint(mm / 1000).astype(np.uint16)),
    "depth: floating-point millimetres": ("depth", lambda mm: mm.astype(np.float32)),
    "depth: 16-bit centimetres": ("depth", lambda mm: np.rint(mm / 10).astype(np.uint16)),
    "normals: x flipped": ("normals", channel(2)),
    "normals: y flipped": ("normals", channel(1)),
    "normals: z flipped": ("normals", channel(0)),
    "normals: BGR": ("normals", lambda pixels: pixels[..., ::-1]),
    "semseg: classes from 1 instead of 0": (
        "semseg",
        classes({index: index + 1 for index in range(12)}),
    ),
    "semseg: wall and floor swapped": ("semseg", classes({0: 1, 1: 0})),
    "edges: inverted": ("edges", lambda pixels: 255 - pixels),
}
#: The sorts that must be stopped in one of the ways; the others are measured.
BAR = [sort for sort, (task, _) in SORTS.items() if task in ("depth", "normals")]


def nyuv2(root: Path) -> Frames:
    files = {"semseg": "segmentation", "depth": "depth", "normals": "normals", "edges": "edge"}
    names = tuple(path.name for path in sorted((root / "images").glob("*.jpg")))
    listed = (root / "classes40.txt").read_text().splitlines()
    rows = (TaskRow("semseg", "semseg", 1.0, {"classes": listed}),)
    rows += tuple(TaskRow(task, task, 1.0) for task in ("depth", "normals", "edges"))
    return Frames(
        root / "images",
        {task: root / folder for task, folder in files.items()},
        rows,
        names,
        shift=1,
    )


def scenes(folder: Path, count: int) -> Frames:
    command(labelgrid("scenes", str(folder), "--count", count, "--jobs", 2))
    return rendered(folder)


def rendered(folder: Path) -> Frames:
    """Rooms that were rendered into a folder."""
    rows = [
        row
        for row in task_rows(folder / "tasks.toml")
        if row.name in ("semseg", "depth", "normals", "edges")
    ]
    names = tuple(
        str(path.relative_to(folder / "images"))
        for path in sorted((folder / "images").rglob("*.png"))
    )
    return Frames(
        folder / "images", {row.name: folder / "labels" / row.name for row in rows}, rows, names
    )


def write(
    frames: Frames, names: Sequence[str], tasks: Sequence[str], out: Path, sort: str = ""
) -> Path:
    """Write a batch of labels; `sort` is its fault."""
    wrong, fault = SORTS.get(sort, ("", None))
    for task in tasks:
        for name in names:
            pixels = frames.pixels(task, name)
            path = (out / task / name).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = fault(pixels) if fault and task == wrong else pixels
            if pixels.dtype == np.float32:
                np.save(path.with_suffix(".npy"), pixels)
            else:
                cv2.imwrite(str(path), pixels)
    return out


def imported(frames: Frames, folder: Path, first: Sequence[str], batch: Path) -> str:
    """The doubts of an import, "" if it is accepted; `first` was imported before."""
    made = folder / "project"
    tasks = list(frames.tasks)
    with create.create(
        made, [frames.images], tasks=tasks, settings=Settings(), progress=Silent(), check="none"
    ) as project:
        if first:
            import_labels(
                project, write(frames, first, list(frames.files), folder / "earlier"), accept=True
            )
        return doubts(project, batch)


def doubts(project: ProjectFolder, batch: Path) -> str:
    try:
        import_labels(project, batch)
    except DoubtedImport as refused:
        return "; ".join(str(row) for row in refused.rows)
    except ImportRefused as refused:
        return f"refused by the format: {refused.rows[0]}"
    return ""


def batches(frames: Frames, size: int) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Runs of consecutive frames, which show few places, and another run for each that was imported before."""
    starts = np.linspace(0, len(frames.names) - max(size, EARLIER), GOOD).astype(int)
    for index, start in enumerate(starts):
        other = starts[(index + GOOD // 2) % GOOD]
        yield frames.names[start : start + size], frames.names[other : other + EARLIER]


def trial(frames: Frames, way: str, sort: str, names: Sequence[str], earlier: Sequence[str]) -> str:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tasks = list(frames.files) if "with" in way or not sort else [SORTS[sort][0]]
        batch = write(frames, names, tasks=tasks, out=folder / "batch", sort=sort)
        return imported(frames, folder, earlier if "second" in way else (), batch)


def measure(title: str, frames: Frames, size: int, verbose: bool) -> tuple[int, int]:
    """Print a table.

    Returns how many good batches were stopped, and how many planted ones of `BAR` never were.
    """
    pairs = list(batches(frames, size))
    good = 0
    missed = 0
    print(f"\n{title}, batches of {size} images: stopped / imported\n")
    print(f"| batch | {' | '.join(WAYS)} |\n| --- |{' --- |' * len(WAYS)}")
    for sort in ("", *SORTS):
        chosen = pairs if not sort else pairs[:: GOOD // PLANTED][:PLANTED]
        counts = []
        for way in WAYS:
            texts = [trial(frames, way, sort, *pair) for pair in chosen]
            counts.append(sum(map(bool, texts)))
            if verbose:
                print(
                    "\n".join(f"    {way}: {text or 'accepted'}" for text in texts), file=sys.stderr
                )
        print(
            f"| {sort or 'good'} | {' | '.join(f'{count} / {len(chosen)}' for count in counts)} |",
            flush=True,
        )
        good += sum(counts) if not sort else 0
        missed += PLANTED - max(counts) if sort in BAR else 0
    return good, missed


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nyuv2", type=Path, default=Path("../shared/data/nyuv2"))
    parser.add_argument(
        "--scenes", type=int, default=200, help="how many scenes to render; 0: none"
    )
    parser.add_argument("--size", type=int, default=10, help="images of a batch")
    parser.add_argument("--verbose", action="store_true", help="print the reasons")
    options = parser.parse_args(words)
    good = missed = 0
    with tempfile.TemporaryDirectory() as folder:
        sources = [("NYUv2", nyuv2(options.nyuv2))] if options.nyuv2.is_dir() else []
        if options.scenes:
            sources.append(("Scenes", scenes(Path(folder, "scenes"), options.scenes)))
        for title, frames in sources:
            counts = measure(title, frames, options.size, options.verbose)
            good = good + counts[0]
            missed = missed + counts[1]
    print()
    holds = [
        check_limit("good batches stopped", good, 0, ""),
        check_limit("planted batches missed", missed, 0, ""),
    ]
    return 0 if all(holds) else 1


if __name__ == "__main__":
    raise SystemExit(main())
