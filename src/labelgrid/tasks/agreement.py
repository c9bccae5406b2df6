"""Measures how well a label agrees with the true label of the image. Loads no torch.

Only pixels that are valid in both count. The first result is the main one, which the others
explain; percentages are better if higher.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from labelgrid.basics.array_types import Array, Bools
from labelgrid.basics.results import Result
from labelgrid.formats.codec import LabelArray

#: A label, the true label of the same size, the label files' options -> results; none if no pixel
#: is valid in both.
Agreement = Callable[[LabelArray, LabelArray, Any], Sequence[Result]]
#: A supplier's label and the true label of the image -> the values [c] of labels that say the same
#: everywhere, of which one is the best of all such labels.
Constants = Callable[[LabelArray, LabelArray], Sequence[Array]]
#: What is at least this is a line, or an object.
POSITIVE = 0.5
#: A line may be so far from its true place, as a share of the image's diagonal.
DISTANCE = 0.0075
#: Lines of larger maps are compared in square blocks of pixels, about so many.
BLOCKS = 1_000_000


def no_agreement(_label: LabelArray, _truth: LabelArray, _options: object) -> Sequence[Result]:
    """The `agreement` of kinds whose labels are not compared."""
    return ()


def no_constants(_label: LabelArray, _truth: LabelArray) -> Sequence[Array]:
    """The `constants` of kinds for which none is usual."""
    return ()


def median_value(label: LabelArray, truth: LabelArray) -> Sequence[Array]:
    """The median of the true label."""
    return (np.median(truth.value[label.valid & truth.valid], axis=0),)


def mean_direction(label: LabelArray, truth: LabelArray) -> Sequence[Array]:
    """The mean of the true label's unit vectors, as one."""
    total = truth.value[label.valid & truth.valid].sum(0, dtype=np.float64)
    length = float(np.linalg.norm(total))
    return (total / length,) if length else ()


def nothing_or_everything(_label: LabelArray, _truth: LabelArray) -> Sequence[Array]:
    """No pixel, or each pixel, of a line or an object."""
    return (np.zeros(1), np.ones(1))


def commonest_class(_label: LabelArray, truth: LabelArray) -> Sequence[Array]:
    """The commonest class of the true label."""
    return (np.atleast_1d(np.bincount(truth.value[..., 0][truth.valid]).argmax()),)


def angle_agreement(label: LabelArray, truth: LabelArray, _options: object) -> Sequence[Result]:
    """The mean and the median angle between unit vectors, in degrees.

    Example:
        >>> valid = np.ones((1, 2), bool)
        >>> up = LabelArray(np.array([[[0.0, 1, 0]] * 2]), valid)
        >>> turned = LabelArray(np.array([[[0.0, 1, 0], [1, 0, 0]]]), valid)
        >>> [round(result.value) for result in angle_agreement(turned, up, None)]
        [45, 45]
    """
    both = label.valid & truth.valid
    if not both.any():
        return ()
    squares = np.zeros(both.shape, np.float32)
    for channel in range(3):  # NumPy is slow along an axis of three
        squares += (label.value[..., channel] - truth.value[..., channel]) ** 2
    half = np.minimum(np.sqrt(squares[both], dtype=np.float64) / 2, 1)
    angles = np.degrees(2 * np.arcsin(half))  # exact for small angles, too
    return (
        Result("mean angle", float(angles.mean()), "degree", "lower"),
        Result("median angle", float(np.median(angles)), "degree", "lower"),
    )


def distance_agreement(label: LabelArray, truth: LabelArray, options: Any) -> Sequence[Result]:
    """The mean absolute error as a share of the mean value, in percent, and the RMSE.

    Example:
        >>> near, far = (LabelArray(np.full((2, 2, 1), z), np.ones((2, 2), bool)) for z in (2, 4))
        >>> [result.value for result in distance_agreement(near, far, None)]
        [50.0, 2.0]
    """
    both = label.valid & truth.valid
    if not both.any():
        return ()
    true = truth.value[both].astype(np.float64)
    error = np.abs(label.value[both] - true)
    unit = "" if getattr(options, "disparity", False) else "m"
    relative = float(error.mean() / np.maximum(np.abs(true).mean(), np.finfo(np.float64).tiny))
    return (
        Result("relative error", 100 * relative, "%", "lower"),
        Result("RMSE", float(np.sqrt((error**2).mean())), unit, "lower"),
    )


def line_agreement(label: LabelArray, truth: LabelArray, _options: object) -> Sequence[Result]:
    """F, precision and recall of lines in percent, within 0.0075 of the diagonal, or a pixel.

    In large maps, a block of pixels is one of a line if any of them is. Without a line in one of
    the two, the share is 100 if the other has none either.
    """
    from labelgrid.pixel.boundaries import boundary_counts  # slow to load

    both = label.valid & truth.valid
    if not both.any():
        return ()
    side = max(1, round((both.size / BLOCKS) ** 0.5))
    drawn = _any_in_blocks(both & (label.value[..., 0] >= POSITIVE), side)
    lines = _any_in_blocks(both & (truth.value[..., 0] >= POSITIVE), side)
    counts = boundary_counts(
        drawn.astype(np.float64),
        [lines],
        distance=max(DISTANCE, 1 / float(np.hypot(*lines.shape))),
        thresholds=np.array([POSITIVE]),
    )
    partnered_true, every, right, predicted = counts[:, 0].tolist()
    precision = _share(right, predicted, empty=not every)
    recall = _share(partnered_true, every, empty=not predicted)
    f = 2 * precision * recall / max(precision + recall, 1e-9)
    names = {"F": f, "precision": precision, "recall": recall}
    return [Result(name, 100 * value, "%", "higher") for name, value in names.items()]


def _any_in_blocks(mask: Bools, side: int) -> Bools:
    for axis in range(2):
        mask = np.logical_or.reduceat(mask, np.arange(0, mask.shape[axis], side), axis)
    return mask


def _share(count: int, total: int, empty: bool) -> float:
    """A share; without a total, 1 if `empty` is right."""
    return count / total if total else float(empty)


def region_agreement(label: LabelArray, truth: LabelArray, _options: object) -> Sequence[Result]:
    """The IoU of objects in percent; 100 if there is none in either."""
    both = label.valid & truth.valid
    if not both.any():
        return ()
    one = label.value[..., 0][both] >= POSITIVE
    other = truth.value[..., 0][both] >= POSITIVE
    iou = _share((one & other).sum(), (one | other).sum(), empty=True)
    return (Result("IoU", 100 * float(iou), "%", "higher"),)


def class_agreement(label: LabelArray, truth: LabelArray, _options: object) -> Sequence[Result]:
    """The mean IoU of the image's classes and the share of right pixels, in percent.

    A pixel counts if both classes were annotated in both labels.
    """
    both = label.valid & truth.valid
    one = label.value[..., 0][both]
    other = truth.value[..., 0][both]
    counted = _annotated(label, other) & _annotated(truth, one)
    one = one[counted]
    other = other[counted]
    if not one.size:
        return ()
    size = int(max(one.max(), other.max())) + 1
    hits = np.bincount(one[one == other], minlength=size)
    either = np.bincount(one, minlength=size) + np.bincount(other, minlength=size) - hits
    present = either > 0
    return (
        Result("mIoU", 100 * float((hits[present] / either[present]).mean()), "%", "higher"),
        Result("pixAcc", 100 * float((one == other).mean()), "%", "higher"),
    )


def _annotated(label: LabelArray, classes: Array) -> Bools:
    if label.annotated is None:
        return np.ones(classes.shape, np.bool_)
    return label.annotated[classes]
