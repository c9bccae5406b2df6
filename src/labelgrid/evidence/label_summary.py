"""Summarises labels: small numbers and maps stay in memory, the labels do not. Loads no torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Array, Bools
from labelgrid.evidence.class_order import MOST_CLASSES, ClassMap
from labelgrid.evidence.edge_agreement import Edges, on_grid
from labelgrid.evidence.label_grids import FineLabel, drawn_lines, fine_label, steps_over, thinned
from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.figures import LabelFigure
from labelgrid.tasks.task import TaskDef

#: The most rows and columns of labels from which figures are computed.
SIDE = 160
#: The most rows and columns of slopes with other options.
SPARSE = 80
#: Fewer pixels with a slope in both maps say nothing.
PIXELS = 100

#: The figures of a label, by name.
Figures = Mapping[str, LabelFigure]
#: The signs of slopes [h, w, 2].
Signs = NDArray[np.int8]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The numbers and small maps by which a label is compared.

    Args:
        figures: the figures by name.
        slope: the signs of slopes; None of a kind without slopes.
        outline: None of a label without outlines.
        classes: the classes at fewer pixels; None without classes, or if only some were annotated.
        measured: the measurements of each of the kind's checks.
        other_slopes: the signs of `sparse` slopes with other options, by option.
        lines: drawn lines and borders, by `label_grids.drawn_lines`.
        fine: the label at fewer pixels, by `label_grids.fine_label`.
    """

    figures: Figures = field(default_factory=dict)
    slope: Signs | None = None
    outline: Edges | None = None
    classes: ClassMap | None = None
    measured: tuple[Any, ...] = ()
    other_slopes: Mapping[str, Signs] = field(default_factory=dict)
    lines: Bools | None = None
    fine: FineLabel | None = None


Pair = tuple[Summary, Summary]


def label_summary(task: TaskDef, label: LabelArray | None) -> Summary | None:
    """The summary of a label; None if it is empty, or there is none."""
    if label is None or not label.valid.any():
        return None
    thin = thin_label(label)
    return summary_of(task, label, thin, task.figures(thin))


def summary_of(task: TaskDef, label: LabelArray, thin: LabelArray, figures: Figures) -> Summary:
    """The summary of a label.

    `thin` is the label at fewer pixels, with its `figures`. A large label is judged by a sample of
    its pixels, except lines, which a sample would break, and figures that need all pixels.
    """
    judged = task.judged(label)
    outline = task.outline(judged)
    # An empty map contradicts no image.
    edges = on_grid(outline) if outline is not None and outline.any() else None
    slope = task.slope(thin)
    signs = None
    others = {}
    if slope is not None:
        signs = np.sign(slope).astype(np.int8)
        for option, other in task.other_slopes(thin).items():
            others[option] = np.sign(sparse(other)).astype(np.int8)
    classes = None
    if 0 < len(task.class_names) <= MOST_CLASSES and thin.annotated is None:
        classes = np.where(thin.valid, thin.value[..., 0], -1).astype(np.int16)
    return Summary(
        figures={**figures, **task.fine_figures(label)},
        slope=signs,
        outline=edges,
        classes=classes,
        other_slopes=others,
        measured=task.measured(label),
        lines=drawn_lines(outline),
        fine=fine_label(judged, label.size),
    )


def thin_label(label: LabelArray) -> LabelArray:
    """A label with at most `SIDE` rows and columns; whole if no pixel of these is valid."""
    here = steps_over(label.valid, SIDE)
    if label.valid[here, here].any():
        return label.part(here, here)
    return label


def sparse(slope: Array) -> Array:
    """The slopes of a map at some pixels."""
    return thinned(slope, SPARSE)


def slope_agreement(one: Signs, other: Signs) -> tuple[float, float]:
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


def summary_agreement(one: Summary, other: Summary) -> tuple[float, float] | None:
    """The `slope_agreement` of two labels; None unless both have slopes of the same size."""
    if one.slope is None or other.slope is None or one.slope.shape != other.slope.shape:
        return None
    return slope_agreement(one.slope, other.slope)
