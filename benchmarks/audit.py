"""Counts the planted wrong labels that an audit ranks among the first tenth of their task.

In 5 % of the labels of a task a fault is planted: the file is another image's, it is mirrored, or
its classes are shifted by one. All labels of the project are audited, with and without a model, on
real NYUv2 frames, without those by which the limits were set, and on rendered rooms.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from _measure import check_limit
from plausibility import Frames, nyuv2, scenes

from labelgrid.audit.audit import audit
from labelgrid.basics.progress import Silent
from labelgrid.imports.import_labels import import_labels
from labelgrid.operations import create
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Settings

SHARE = 0.05
FIRST = 0.1
BAR = 0.9
Array = np.ndarray[Any, Any]


def shifted(frames: Frames) -> Callable[[Array], Array]:
    """Every class becomes the next one."""
    rows = {row.name: row for row in frames.tasks}
    count = len(rows["semseg"].options["classes"])

    def shift(pixels: Array) -> Array:
        return np.where(pixels < count, (pixels + 1) % count, pixels).astype(pixels.dtype)

    return shift


def plant(
    frames: Frames, tasks: Sequence[str], fault: str, seed: int, out: Path
) -> dict[str, set[str]]:
    """Write all labels, some of these tasks wrong; returns the images of these, by task."""
    names = frames.names
    wrong: dict[str, set[str]] = {}
    for number, task in enumerate(frames.files):
        generator = np.random.default_rng((seed, number))
        count = round(SHARE * len(names)) if task in tasks else 0
        chosen = [names[int(index)] for index in generator.permutation(len(names))[:count]]
        wrong[task] = set(chosen)
        for name in names:
            source = chosen[chosen.index(name) - 1] if name in wrong[task] else name
            pixels = frames.pixels(task, source if fault == "swapped" else name)
            if name in wrong[task] and fault == "mirrored":
                pixels = np.ascontiguousarray(pixels[:, ::-1])
            if name in wrong[task] and fault == "classes shifted":
                pixels = shifted(frames)(pixels)
            path = (out / task / name).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), pixels)
    return wrong


def recalls(
    project: ProjectFolder, wrong: Mapping[str, set[str]], folds: int
) -> dict[str, tuple[float, int]]:
    """By task, the share of the wrong labels in the first tenth; and right ones that are doubted."""
    audited = audit(project, folds, Silent())
    by_task = {}
    for task, images in wrong.items():
        labels = [label for label in audited.labels if label.task == task]
        first = [label for label in labels if label.place <= round(FIRST * len(labels))]
        doubted = [label for label in labels if label.doubt and label.image not in images]
        hits = sum(label.image in images for label in first)
        by_task[task] = (hits / len(images) if images else np.nan, len(doubted))
    return by_task


def unseen(root: Path) -> Frames:
    """NYUv2 without every second training frame, from the first: these set the limits."""
    frames = nyuv2(root)
    seen = {f"{number}.jpg" for number in (root / "gt_sets/train.txt").read_text().split()[::2]}
    return replace(frames, names=[name for name in frames.names if name not in seen])


def measure(title: str, frames: Frames, options: argparse.Namespace) -> float:
    """Print a table; return the lowest recall."""
    names = frames.names[:: max(1, len(frames.names) // options.images)][: options.images]
    print(f"\n{title}, {len(names)} images: recall in the first tenth (right labels doubted)\n")
    tasks = list(options.tasks or frames.files)
    frames = Frames(
        frames.images,
        {task: frames.files[task] for task in tasks},
        [row for row in frames.tasks if row.name in tasks],
        names,
        shift=frames.shift,
    )
    print(f"| fault | folds | {' | '.join(tasks)} |\n| --- | --- |{' --- |' * len(tasks)}")
    lowest = 1.0
    for fault in ("swapped", "mirrored", "classes shifted"):
        if fault == "classes shifted" and "semseg" not in (options.plant or tasks):
            continue
        for folds in options.folds:
            rows = []
            for seed in range(options.seeds):
                with tempfile.TemporaryDirectory() as folder:
                    rows.append(trial(frames, fault, seed, folds, Path(folder), options))
            cells = []
            for task in tasks:
                recall = float(np.mean([row[task][0] for row in rows]))
                doubted = float(np.mean([row[task][1] for row in rows]))
                lowest = float(np.nanmin([lowest, recall]))
                cells.append("—" if np.isnan(recall) else f"{recall:.2f} ({doubted:.0f})")
            print(f"| {fault} | {folds} | {' | '.join(cells)} |", flush=True)
    return lowest


def trial(
    frames: Frames,
    fault: str,
    seed: int,
    folds: int,
    folder: Path,
    options: argparse.Namespace,
) -> dict[str, tuple[float, int]]:
    tasks = options.plant or list(frames.files)
    if fault == "classes shifted":
        tasks = ["semseg"]
    wrong = plant(frames, tasks, fault, seed, folder / "labels")
    changes = {"train": {"steps": 0, "workers": 0, "epochs": options.epochs}}
    settings = Settings(recipe=options.recipe, changes=changes, weights=options.weights)
    with create.create(
        folder / "project",
        [frames.images],
        tasks=list(frames.tasks),
        settings=settings,
        progress=Silent(),
        check="none",
    ) as project:
        import_labels(project, folder / "labels", accept=True)
        return recalls(project, wrong, folds)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nyuv2", type=Path, default=Path("../shared/data/nyuv2"))
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--weights", default="", help="a file of backbone weights")
    parser.add_argument("--scenes", type=int, default=200, help="rooms to render; 0: none")
    parser.add_argument("--images", type=int, default=190)
    parser.add_argument("--tasks", nargs="*", help="audit a project of these tasks alone")
    parser.add_argument("--plant", nargs="*", help="plant in these tasks alone; default: in all")
    parser.add_argument("--folds", type=int, nargs="*", default=[0])
    parser.add_argument("--epochs", type=int, default=20, help="of each fold's training")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args(words)
    lowest = 1.0
    with tempfile.TemporaryDirectory() as folder:
        if options.nyuv2.is_dir():
            lowest = measure("NYUv2", unseen(options.nyuv2), options)
        if options.scenes:
            rooms = scenes(Path(folder, "scenes"), options.scenes)
            lowest = min(lowest, measure("Rooms", rooms, options))
    print()
    return 0 if check_limit("the lowest recall", lowest, BAR, "", least=True) else 1


if __name__ == "__main__":
    raise SystemExit(main())
