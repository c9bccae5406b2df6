"""Refuses requests that cannot be drawn as regions, and turns predictions into regions."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from labelgrid.annotate.request import Request
from labelgrid.basics.array_types import Bools
from labelgrid.basics.errors import UsageError
from labelgrid.basics.words import join_names
from labelgrid.tasks.task import TaskDef


def refuse_undrawn(request: Request, tool: str) -> None:
    """Refuse a request with labels that nobody can draw as regions in a tool."""
    asked = sorted({item.cell.task for item in request.items})
    drawn = [name for name in asked if request.tasks[name].region_names]
    undrawn = [name for name in asked if name not in drawn]
    if not undrawn:
        return
    advice = f"Export them with --to folder --task {undrawn[0]}"
    if drawn:
        advice += f", and what can be drawn with --task {drawn[0]}"
    raise UsageError(
        f"Labels of {join_names(undrawn)} cannot be drawn in {tool}.",
        next_step=f"{advice}.",
        unchanged="Nothing was written.",
    )


def predicted_regions(task: TaskDef, prelabel: Path) -> Iterator[tuple[str, Bools]]:
    """The name and the mask [h, w] of each region of a prediction: one a class."""
    regions = task.to_regions(task.read_prediction(prelabel))
    for number in np.unique(regions[regions >= 0]).tolist():
        yield task.region_names[number], regions == number


def box_of(mask: Bools) -> tuple[slice, slice]:
    """The rows and columns of the smallest box around a mask, which must not be empty.

    Example:
        >>> box_of(np.array([[False, False, True], [False, True, False]]))
        (slice(0, 2, None), slice(1, 3, None))
    """
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
