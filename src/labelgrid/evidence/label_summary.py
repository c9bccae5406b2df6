"""Summarises labels: what is compared stays in memory, the labels do not. Loads no torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Array, Bools
from labelgrid.evidence.class_order import MOST_CLASSES, ClassMap
from labelgrid.evidence.edge_agreement import Edges, on_grid
from labelgrid.evidence.label_grids import FineLabel, drawn_lines, fine_label
from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.figures import LabelFigure
from labelgrid.tasks.task import TaskDef

#: Labels are thinned to at most so many rows and columns before figures are computed.
SIDE = 160
#: Slopes with other options are thinned to at most so many rows and columns.
SPARSE = 80
#: Fewer pixels with a slope in both maps say nothing.
PIXELS = 100


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What is compared of a map: its figures, the signs of its slopes [h, w, 2], its outlines.

    `slope` is None if its kind has no slopes, `outline` if it has no outlines; `classes`, its
    classes at fewer pixels, if it has none, or only some were annotated. `other_slopes` are
    `sparse` ones with other options, by these. `measured` is what each of the kind's checks
    measures. `lines` are drawn lines and borders, by `label_grids.drawn_lines`; `fine` is the label
    at fewer pixels, by `label_grids.fine_label`.
    """

    figures: Mapping[str, LabelFigure] = field(default_factory=dict)
    slope: NDArray[np.int8] | None = None
    outline: Edges | None = None
    classes: ClassMap | None = None
    measured: tuple[Any, ...] = ()
    other_slopes: Mapping[str, NDArray[np.int8]] = field(default_factory=dict)
    lines: Bools | None = None
    fine: FineLabel | None = None


Pair = tuple[Summary, Summary]


def label_summary(task: TaskDef, label: LabelArray | None) -> Summary | None:
    """What is compared of a label; None if there is none, or if it is empty."""
    if label is None or not label.valid.any():
        return None
    thin = thin_label(label)
    return summary_of(task, label, thin, task.figures(thin))


def summary_of(
    task: TaskDef, label: LabelArray, thin: LabelArray, figures: Mapping[str, LabelFigure]
) -> Summary:
    """What is compared of a label, given at fewer pixels, too, with the figures of these."""
    outline = task.outline(label)
    # An empty map contradicts no image.
    edges = on_grid(outline) if outline is not None and outline.any() else None
    slope = task.slope(thin)
    signs = None
    others = {}
    if slope is not None:
        signs = np.sign(slope).astype(np.int8)
        for option, other in task.other_slopes(thin).items():
            others[option] = np.sign(sparse(other)).astype(np.int8)
    return Summary(
        figures={**figures, **task.fine_figures(label)},
        slope=signs,
        outline=edges,
        classes=_class_map(task, thin),
        other_slopes=others,
        measured=task.measured(label),
        lines=drawn_lines(outline),
        fine=fine_label(label),
    )


def _class_map(task: TaskDef, label: LabelArray) -> ClassMap | None:
    """The classes of a thin label; None if it has none, too many, or not all were annotated."""
    if not 0 < len(task.class_names) <= MOST_CLASSES or label.annotated is not None:
        return None
    return np.where(label.valid, label.value[..., 0], -1).astype(np.int16)


def thin_label(label: LabelArray) -> LabelArray:
    """A label with at most `SIDE` rows and columns; whole if these miss all it has."""
    step = -(-max(label.size) // SIDE)
    middles = (slice(step // 2, None, step),) * 2
    thin = replace(label, value=label.value[middles], valid=label.valid[middles])
    return thin if thin.valid.any() else label


def sparse(slope: Array) -> Array:
    """The slopes of a map at some of its pixels."""
    step = -(-max(slope.shape[:2]) // SPARSE)
    return slope[step // 2 :: step, step // 2 :: step]


def slope_agreement(one: NDArray[np.int8], other: NDArray[np.int8]) -> tuple[float, float]:
    """The mean product of the signs [h, w, 2] along each axis, where both are known.

    NaN if at too few pixels.

    Example:
        >>> right = np.ones((20, 20, 2), np.int8)
        >>> slope_agreement(right, right * np.array([1, -1], np.int8))
        (1.0, -1.0)
    """
    agreements = [math.nan, math.nan]
    for axis in (0, 1):
        products = one[..., axis] * other[..., axis]
        same = np.count_nonzero(products > 0)
        opposite = np.count_nonzero(products < 0)
        if same + opposite >= PIXELS:
            agreements[axis] = float((same - opposite) / (same + opposite))
    return agreements[0], agreements[1]
