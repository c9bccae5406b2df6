"""Computes figures of labels, such as a median depth, to reveal wrong units, axes and classes.

An import compares the figures of its labels with those of earlier labels and of predictions. Loads
no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Array, Bools, Floats
from labelgrid.formats.codec import known_numbers

#: A class on a smaller share of the pixels has no height.
SHARE = 0.02
#: Labels with fewer classes say nothing about rims between classes.
CLASSES = 4
#: Classes of smaller labels, by their longer side, may be nowhere 3 pixels wide.
SMALL = 64
#: A rim covers less than this share of a label, and loses more than the share `THIN` of its pixels
#: if parts narrower than about 1/32 of the longer side are taken away.
RIM_SHARE = 0.3
RIM_WIDTH = 64
THIN = 0.2
#: Lines are at most so many pixels wide, or this share of a label's longer side.
WIDEST = 6.0
WIDE_SHARE = 0.02
#: Why lines may be wider.
WIDENED = (
    "Likely cause: the lines were made wider, or the labels are areas; edges are lines of 1 to 3 "
    "pixels."
)
#: Words in the names of classes of pixels that belong to no other class.
REST = ("label", "void", "ignore", "unknown", "background", "other", "none", "undefined", "border")
#: Why classes may be rims between others.
RESIZED = (
    "Likely cause: the files were resized with smoothing, which makes other classes of the numbers "
    'between two classes. Get them as they were before; `resample = "nearest"` takes labels of '
    "another size than their images. Or resize them to the nearest number."
)
#: Why the first class may be a rim.
FROM_ONE = (
    "Likely cause: the files count the classes from 1, and 0, which '{first}' has, means 'not "
    "labelled': declare `first = 1`."
)


@dataclass(frozen=True, kw_only=True)
class LabelFigure:
    """A number computed from one label, and the normal range.

    Args:
        value: the number.
        tolerance: a difference between sets of labels up to this is never suspicious; with `ratio`,
            a factor up to this.
        ratio: whether values are compared by their ratio instead of their difference.
        range: the range of labels of this kind, whatever they show; used while there are no earlier
            labels.
        unit: the unit of the value.
        others: the value under another declared option of the task, by the option as written in a
            file of tasks.
        cause: why a value may lie outside the range, a sentence.
        least: fewer labels outside the range say nothing.
    """

    value: float
    tolerance: float
    ratio: bool = False
    range: tuple[float, float] = (-np.inf, np.inf)
    unit: str = ""
    others: Mapping[str, float] = field(default_factory=dict)
    cause: str = ""
    least: int = 1


#: Figures by name.
LabelFigures = Mapping[str, LabelFigure]


def no_figures(_value: Array, _valid: Bools, _options: object) -> LabelFigures:
    """The `figures` of kinds that have none: an import compares nothing."""
    return {}


def no_slope(_value: Array, _valid: Bools, _options: object) -> Array | None:
    """The `slope` of kinds that say nothing about the shape of surfaces."""
    return None


def no_other_slopes(_value: Array, _valid: Bools, _options: object) -> Mapping[str, Array]:
    """The `other_slopes` of kinds whose files cannot be read in another way."""
    return {}


def class_heights(value: Array, valid: Bools, options: Any) -> LabelFigures:
    """The `figures` of class indices [h, w, 1]: the mean height of each class, 1 at the top."""
    index = known_numbers(value[..., 0], valid).astype(np.int64, copy=False)
    heights = np.broadcast_to(np.linspace(1, 0, len(valid))[:, None], valid.shape)
    heights = known_numbers(heights, valid)
    counts = np.bincount(index, minlength=len(options.names))
    sums = np.bincount(index, heights, minlength=len(options.names))
    numbers = {}
    for name, count, total in zip(options.names, counts, sums, strict=True):
        if count > SHARE * index.size:
            mean = LabelFigure(value=float(total / count), tolerance=0.4)
            numbers[f"the mean height of '{name}'"] = mean
    return numbers


def class_details(value: Array, valid: Bools, options: Any) -> LabelFigures:
    """The `fine_figures` of class indices [h, w, 1]: traces of a change of size, or of a 0.

    The first number is the share of classes that occur only as thin rims between a smaller and a
    larger number, as the mean of two numbers is a third class. It is a share of all classes that
    occur or, if fewer, of the classes that are nowhere 3 pixels wide. The second is the share of
    borders at the first class if it is thin, as pixels that nobody labelled are.
    """
    import cv2  # imported late: commands that only need a kind's options start faster

    classes = len(options.names)
    index: Array = value[..., 0].astype(np.uint8 if classes < 255 else np.uint16)
    index += 1
    index *= valid
    around = np.ones((3, 3), np.uint8)
    lowest = cv2.erode(index, around)
    highest = cv2.dilate(index, around)
    counts = _count_classes(index, classes)
    uniform = _count_classes(index, classes, lowest == highest)
    occurring = np.count_nonzero(counts)
    possible = min(occurring, np.count_nonzero(uniform == 0))
    numbers = {}
    if possible >= CLASSES and max(index.shape) >= SMALL:
        rims = (uniform == 0) & (counts > 0)
        if rims.any():
            between = _count_classes(index, classes, (lowest < index) & (index < highest))
            rims &= 2 * between >= counts
        numbers["the share of possible rims between classes that are other classes"] = LabelFigure(
            value=float(np.count_nonzero(rims) / possible),
            tolerance=0.3,
            range=(0, 0.6),
            cause=RESIZED,
        )
    if occurring <= CLASSES:
        return numbers
    first = options.names[0]
    is_rest = any(word in first.casefold() for word in REST)
    if options.counts_from_zero and first == options.classes[0] and not is_rest:
        numbers[f"the share of borders at the first class, '{first}', where it is thin"] = (
            LabelFigure(
                value=_borders_at_thin(index == 1, index),
                tolerance=np.inf,
                range=(0, 0.85),
                cause=FROM_ONE.format(first=first),
                least=8,
            )
        )
    return numbers


def _count_classes(index: Array, classes: int, where: Bools | None = None) -> NDArray[np.int64]:
    """The pixels of each class, where 0 is none, of all pixels or of some."""
    import cv2  # counts faster than NumPy, in numbers that are exact up to 16 million

    length = classes + 1
    if index.size >= 2**24:
        shown = index.ravel() if where is None else index[where]
        return np.bincount(shown, minlength=length)[1:]
    mask = None if where is None else where.view(np.uint8)
    counts = cv2.calcHist([index], [0], mask, [length], [0, length])
    return counts.ravel()[1:].astype(np.int64)


def _borders_at_thin(here: Bools, index: Array) -> float:
    import cv2

    pixels = np.count_nonzero(here)
    if not 0 < pixels < RIM_SHARE * here.size:
        return 0.0
    side = 2 * (max(here.shape) // RIM_WIDTH) + 1
    thick = cv2.morphologyEx(
        here.view(np.uint8),
        cv2.MORPH_OPEN,
        np.ones((side, side), np.uint8),
        borderType=cv2.BORDER_REPLICATE,
    )
    if 1 - np.count_nonzero(thick) / pixels <= THIN:
        return 0.0
    borders = _changes(index)
    if not borders:
        return 0.0
    return _changes(here) / borders


def _changes(plane: Array) -> int:
    """How many neighbours in a map, beside and below each other, differ."""
    beside = np.count_nonzero(plane[:, 1:] != plane[:, :-1])
    return int(beside + np.count_nonzero(plane[1:] != plane[:-1]))


def line_width(value: Array, valid: Bools, _options: object) -> LabelFigures:
    """The `fine_figures` of a map of lines [h, w, 1]: the width, from area and borders."""
    lines = (value[..., 0] > 0.5) & valid
    borders = _changes(lines)
    if not borders:
        return {}
    width = 2 * np.count_nonzero(lines) / borders
    widest = max(WIDEST, WIDE_SHARE * max(valid.shape))
    return {
        "the width of the lines": LabelFigure(
            value=width,
            tolerance=1.6,
            ratio=True,
            range=(0, widest),
            unit=" pixels",
            cause=WIDENED,
            least=8,
        )
    }


def positive_share(value: Array, valid: Bools, _options: object) -> LabelFigures:
    """The `figures` of a binary map [h, w, 1]: the share of pixels that are positive."""
    fraction = float(value[..., 0][valid].mean())
    return {"the share of positive pixels": LabelFigure(value=fraction, tolerance=0.3)}


def distance_slope(distance: Array, valid: Bools) -> Floats:
    """The `slope` of distances [h, w]: the relative change to the right and upward.

    It is 0 beside pixels without a distance.
    """
    value = np.log(np.where(valid, distance, 1.0))
    slope = np.zeros((*valid.shape, 2))
    slope[:, 1:-1, 0] = np.where(valid[:, 2:] & valid[:, :-2], value[:, 2:] - value[:, :-2], 0)
    slope[1:-1, :, 1] = np.where(valid[2:] & valid[:-2], value[:-2] - value[2:], 0)
    return slope
