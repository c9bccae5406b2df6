"""Brings maps of another scale, such as relative depth, to the scale of a task's labels.

An image that lacks a label has nothing to fit its map to. So a map gets the median, or the median
and the interquartile range, that the task's labels usually have: a guess for each image, which is
wrong by as much as labels differ. A wrong guess costs trust where trust is measured.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np

from labelgrid.formats.codec import LabelArray

#: What of a map is fitted: nothing, its scale, or its scale and its zero.
Align = Literal["none", "scale", "scale-shift"]


class Extent(NamedTuple):
    """The range of the valid values of a map, or usually of many maps.

    Attributes:
        middle: the median.
        width: the interquartile range.
        least: the smallest value.
        most: the largest value.
    """

    middle: float
    width: float
    least: float
    most: float


def extent_of(label: LabelArray) -> Extent:
    """The extent of a map of one channel, with a valid pixel at least.

    Example:
        >>> label = LabelArray(np.array([[[1.0], [2.0], [4.0]]]), np.array([[True, True, False]]))
        >>> extent_of(label)
        Extent(middle=1.5, width=0.5, least=1.0, most=2.0)
    """
    values = label.value[..., 0][label.valid].astype(np.float64)
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
    return Extent(middle, high - low, float(values.min()), float(values.max()))


def usual_extent(extents: Iterable[Extent]) -> Extent | None:
    """The median of the middles and of the widths, and the ends of all; None if there are none.

    Example:
        >>> usual_extent([Extent(1, 1, 0.5, 2), Extent(3, 2, 1, 5), Extent(2, 4, 1, 9)])
        Extent(middle=2.0, width=2.0, least=0.5, most=9.0)
    """
    rows = np.array(list(extents), np.float64)
    if not len(rows):
        return None
    middle, width = np.median(rows[:, :2], axis=0).tolist()
    return Extent(middle, width, float(rows[:, 2].min()), float(rows[:, 3].max()))


def align_to(label: LabelArray, usual: Extent, align: Align) -> LabelArray:
    """Give a map of one channel the usual middle, and with "scale-shift" the usual width.

    A shifted value that lies outside of the usual ends is not valid: near zero, where an inverse
    depth is far away, a small error of the shift is a large one.

    Example:
        >>> label = LabelArray(np.float32([[[1], [2], [3]]]), np.ones((1, 3), np.bool_))
        >>> align_to(label, Extent(6, 2, 1, 7), "scale").value.ravel().tolist()
        [3.0, 6.0, 9.0]
        >>> align_to(label, Extent(6, 2, 1, 7), "scale-shift").value.ravel().tolist()
        [4.0, 6.0, 8.0]
    """
    extent = extent_of(label)
    if align == "none" or extent.middle <= 0:
        return label
    if align == "scale" or not extent.width:
        return replace(label, value=label.value * np.float32(usual.middle / extent.middle))
    scale = usual.width / extent.width
    value = (label.value - extent.middle) * scale + usual.middle
    inside = (value[..., 0] >= usual.least) & (value[..., 0] <= usual.most)
    return LabelArray(value.astype(np.float32), label.valid & inside)


def invert(label: LabelArray) -> LabelArray:
    """Depth from inverse depth, and inverse depth from depth; valid above 0.

    Example:
        >>> label = LabelArray(np.float32([[[4], [0]]]), np.ones((1, 2), np.bool_))
        >>> inverse = invert(label)
        >>> inverse.value[0, 0].item(), inverse.valid.tolist()
        (0.25, [[True, False]])
    """
    valid = label.valid & (label.value[..., 0] > 0)
    value = np.zeros_like(label.value)
    np.divide(1, label.value, out=value, where=valid[..., None])
    return LabelArray(value, valid)
