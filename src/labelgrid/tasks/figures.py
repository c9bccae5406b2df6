"""Computes figures of labels, such as a median depth, that reveal wrong units, axes and classes.

An import compares the figures of its labels with those of earlier labels and of predictions. Loads
no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: A class on a smaller share of the pixels has no height.
SHARE = 0.02


@dataclass(frozen=True, kw_only=True)
class LabelFigure:
    """A number computed from one label, and what is normal for it.

    Args:
        value: the number.
        tolerance: a difference between sets of labels up to this is never suspicious; with `ratio`,
            a factor up to this.
        ratio: whether values are compared by their ratio instead of their difference.
        range: where labels of this kind lie, whatever they show; used while there are no earlier
            labels.
        unit: the unit of the value.
        others: what the value would be if the task declared another option, by that option as a
            file of tasks has it.
        cause: why a value may lie outside the range, a sentence.
    """

    value: float
    tolerance: float
    ratio: bool = False
    range: tuple[float, float] = (-np.inf, np.inf)
    unit: str = ""
    others: Mapping[str, float] = field(default_factory=dict)
    cause: str = ""


def no_figures(
    _value: NDArray[Any], _valid: NDArray[np.bool_], _options: object
) -> Mapping[str, LabelFigure]:
    """The `figures` of kinds that have none: an import compares nothing."""
    return {}


def no_slope(
    _value: NDArray[Any], _valid: NDArray[np.bool_], _options: object
) -> NDArray[Any] | None:
    """The `slope` of kinds that say nothing about the shape of surfaces."""
    return None


def class_heights(
    value: NDArray[Any], valid: NDArray[np.bool_], options: Any
) -> Mapping[str, LabelFigure]:
    """The `figures` of class indices [h, w, 1]: the mean height of each class.

    The height is from 0 (bottom) to 1 (top).
    """
    index = value[..., 0][valid].astype(np.int64)
    heights = np.broadcast_to(np.linspace(1, 0, len(valid))[:, None], valid.shape)[valid]
    counts = np.bincount(index, minlength=len(options.classes))
    sums = np.bincount(index, heights, minlength=len(options.classes))
    figures = {}
    for name, count, total in zip(options.classes, counts, sums, strict=False):
        if count > SHARE * index.size:
            mean = LabelFigure(value=float(total / count), tolerance=0.4)
            figures[f"the mean height of '{name}'"] = mean
    return figures


def positive_share(
    value: NDArray[Any], valid: NDArray[np.bool_], _options: object
) -> Mapping[str, LabelFigure]:
    """The `figures` of a binary map [h, w, 1]: the share of pixels that are positive."""
    share = float(value[..., 0][valid].mean())
    return {"the share of positive pixels": LabelFigure(value=share, tolerance=0.3)}


def distance_slope(distance: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The `slope` of distances [h, w]: their relative change to the right and upward.

    It is 0 beside pixels without a distance.
    """
    value = np.log(np.where(valid, distance, 1.0))
    slope = np.zeros((*valid.shape, 2))
    slope[:, 1:-1, 0] = np.where(valid[:, 2:] & valid[:, :-2], value[:, 2:] - value[:, :-2], 0)
    slope[1:-1, :, 1] = np.where(valid[2:] & valid[:-2], value[:-2] - value[2:], 0)
    return slope
