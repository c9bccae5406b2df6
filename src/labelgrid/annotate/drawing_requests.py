"""What connectors share that send requests of regions: what cannot be drawn, and predictions."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelgrid.annotate.request import Request
from labelgrid.errors import ProjectError
from labelgrid.tasks.task import TaskDef
from labelgrid.words import join_names


def undrawn_tasks(request: Request) -> list[str]:
    """The tasks of a request whose labels cannot be drawn as regions, in the request's order."""
    asked = dict.fromkeys(item.cell.task for item in request.items)
    return [name for name in asked if not request.tasks[name].region_names]


def refuse_undrawn(request: Request, tool: str) -> None:
    """Refuse a request with labels that a tool of this name cannot draw.

    Raises:
        ProjectError: it has some.
    """
    undrawn = sorted(undrawn_tasks(request))
    if undrawn:
        raise ProjectError(
            f"Labels of {join_names(undrawn)} cannot be drawn as regions, as {tool}'s are.",
            next_step="Use --to folder.",
            unchanged="Nothing was written.",
        )


def predicted_regions(task: TaskDef, prelabel: Path) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """The name and the mask [h, w] of each region of a prediction: one a class."""
    regions = task.to_regions(task.read_prediction(prelabel))
    for number in np.unique(regions[regions >= 0]).tolist():
        yield task.region_names[number], regions == number


def box_of(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The rows and columns of the smallest box around a mask, which must not be empty.

    Example:
        >>> box_of(np.array([[False, False, True], [False, True, False]]))
        (slice(0, 2, None), slice(1, 3, None))
    """
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
