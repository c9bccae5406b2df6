"""Draws the cells of the initial label plans, keyed by seed and image id, independent of the pool's order."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from labelgrid.errors import RecipeError
from labelgrid.files import read_bytes
from labelgrid.labels.grid import Cell
from labelgrid.simulation.arms import InitialLabels, InitialPlan
from labelgrid.streams import image_keys, keyed_uniform, seed_of

#: Image ids, tasks, plan, seed -> cells.
Draw = Callable[[Sequence[str], Sequence[str], InitialLabels, int], list[Cell]]


def initial_cells(plan: InitialLabels, images: Sequence[str], tasks: Sequence[str], seed: int) -> list[Cell]:
    """The cells whose labels a run starts with, ordered by image id, then task.

    Args:
        plan: any but "cells", whose file lists them (`read_cells`).
        images: the ids of the drawn images, in any order.
        tasks: the run's tasks.
        seed: the run's seed.

    Example:
        >>> len(initial_cells(InitialLabels("one"), ["a.jpg", "b.jpg"], ["semseg", "depth"], seed=0))
        2
    """
    return sorted(_DRAWS[plan.plan](images, tasks, plan, seed_of(seed, "initial", plan.plan)))


def most_labels(plan: InitialLabels, images: int, tasks: int) -> int:
    """The largest number of labels that a plan draws for this many images and tasks."""
    return images * _PER_IMAGE.get(plan.plan, tasks)


def read_cells(path: Path) -> list[Cell]:
    """The cells that a file lists.

    Raises:
        RecipeError: the file is missing, is not CSV with the columns image and task, or lists no cell.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_bytes(path).decode("utf-8-sig"), newline=""))
        rows, names = [(reader.line_num, row) for row in reader], reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _no_cells(path, f"The file of initial cells cannot be read: {error}.") from error
    absent = [name for name in ("image", "task") if name not in names]
    if absent:
        raise _no_cells(path, f"The file of initial cells has no column '{absent[0]}'.")
    if not rows:
        raise _no_cells(path, "The file of initial cells lists no cell.")
    for line, row in rows:
        if not (row["image"] and row["task"]):
            raise _no_cells(path, f"Line {line} of the file of initial cells names no image or no task.")
    return sorted({Cell(row["image"], row["task"]) for _, row in rows})


def _no_cells(path: Path, what: str) -> RecipeError:
    return RecipeError(
        what,
        where=str(path),
        next_step="Give a CSV file below the data set's root whose first line is image,task.",
        unchanged="Nothing was run.",
    )


def _uniform(image_ids: Sequence[str], seed: int) -> Mapping[str, float]:
    """A number in [0, 1) for each image id, independent of the other ids."""
    draws = keyed_uniform(image_keys(image_ids), seed)
    return dict(zip(image_ids, draws.tolist(), strict=True))


def _all_labels(images: Sequence[str], tasks: Sequence[str], _: InitialLabels, __: int) -> list[Cell]:
    return [Cell(image, task) for image in images for task in tasks]


def _one_label(images: Sequence[str], tasks: Sequence[str], _: InitialLabels, seed: int) -> list[Cell]:
    """Source: MTPSL section 4, one label."""
    return [Cell(image, tasks[int(u * len(tasks))]) for image, u in _uniform(images, seed).items()]


def _random_labels(images: Sequence[str], tasks: Sequence[str], _: InitialLabels, seed: int) -> list[Cell]:
    """Source: MTPSL section 4, random labels: from 1 to all tasks, each number equally likely."""
    counts = {image: 1 + int(u * len(tasks)) for image, u in _uniform(images, seed).items()}
    keys = {task: _uniform(images, seed_of(seed, task)) for task in tasks}
    return [
        Cell(image, task)
        for image, count in counts.items()
        for task in sorted(tasks, key=lambda task, image=image: keys[task][image])[:count]  # type: ignore[misc]
    ]


def _shares(images: Sequence[str], tasks: Sequence[str], plan: InitialLabels, seed: int) -> list[Cell]:
    """Source: MTPSL section 4, labels of the tasks in the ratio p:q. The counts are exact to one label."""
    draws = _uniform(images, seed)
    order = sorted(images, key=lambda image: (draws[image], image))
    ends = np.cumsum([plan.shares.get(task, 0.0) for task in tasks])
    ends = np.floor(ends / ends[-1] * len(order) + 0.5).astype(int)
    starts = [0, *ends[:-1].tolist()]
    parts = zip(tasks, starts, ends.tolist(), strict=True)
    return [Cell(image, task) for task, start, end in parts for image in order[start:end]]


_DRAWS: Mapping[InitialPlan, Draw] = {
    "images": _all_labels,
    "one": _one_label,
    "random": _random_labels,
    "shares": _shares,
}
#: Labels per image, of plans with a fixed number below all tasks.
_PER_IMAGE: Mapping[InitialPlan, int] = {"one": 1, "shares": 1}
