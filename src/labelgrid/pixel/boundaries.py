"""Counts how well soft boundary maps agree with true boundaries, at many thresholds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d, map_coordinates

from labelgrid.pixel.matching import Matcher
from labelgrid.pixel.thinning import thin

Floats = NDArray[np.float64]
#: 0.01 to 0.99.
THRESHOLDS: Floats = np.arange(1, 100) / 100


def boundary_counts(
    prediction: Floats,
    truths: Sequence[NDArray[np.bool_]],
    distance: float = 0.0075,
    nms: bool = False,
    thresholds: Floats = THRESHOLDS,
) -> NDArray[np.int64]:
    """Counts [4, thresholds] of an image: true pixels found, all of them, predicted pixels with a partner, all of them.

    The pixels at or above each threshold and the true boundaries are thinned, then matched one to
    one. With several annotators, each one's true pixels count, and a predicted pixel has a partner
    if it has one with any of them.

    Args:
        prediction: probabilities [h, w].
        truths: one boundary map [h, w] an annotator.
        distance: at most between the pixels of a pair, as a share of the image's diagonal.
        nms: first `suppress_non_maxima`; pixels must then exceed a threshold, not only reach it.
        thresholds: of the prediction, in order.

    Source: Martin, Fowlkes and Malik 2004; Arbeláez et al. 2011.

    Example:
        >>> truth = np.zeros((20, 20), bool)
        >>> truth[10] = True
        >>> counts = boundary_counts(np.roll(truth, 3, 0) * 0.5, [truth], distance=0.1)
        >>> counts[:, 48].tolist(), counts[:, 60].tolist()  # radius: 2.83 pixels
        ([0, 20, 0, 20], [0, 20, 0, 0])
    """
    height, width = prediction.shape
    counts = np.zeros((4, len(thresholds)), np.int64)
    levels = thresholds[:, None, None]
    lines = thin(suppress_non_maxima(prediction) > levels if nms else prediction >= levels)
    points = [np.argwhere(line) for line in lines]
    found = [np.zeros(len(each), np.bool_) for each in points]
    for truth in thin(np.stack(truths)):
        matcher = Matcher(truth, distance * float(np.hypot(height, width)))
        counts[1] += matcher.count
        for number, each in enumerate(points):
            partners = matcher.matched(each)
            counts[0, number] += partners.sum()
            found[number] |= partners
    counts[2:] = [[each.sum() for each in found], [*map(len, points)]]
    return counts


def suppress_non_maxima(prediction: Floats) -> Floats:
    """Boundaries [h, w] with non-maximum suppression: 0 where 1.01 times a value is below one a pixel across the line.

    The line's direction is that of the second derivatives of the map, smoothed by a triangle of
    radius 4. The five pixels along each edge of the image are lowered, to 0 at the edge.

    Source: Dollár and Zitnick 2015, as their published code (`edgesNms`: radius 1, border 5,
    multiplier 1.01).
    """
    height, width = prediction.shape
    smooth = _triangle_filtered(prediction, 4)
    right = _slope(smooth, 1)
    down_down = _slope(_slope(smooth, 0), 0)
    down_right = _slope(right, 0)
    right_right = _slope(right, 1)
    angle = np.mod(
        np.arctan(down_down * np.where(down_right > 0, -1, 1) / (right_right + 1e-5)), np.pi
    )
    y, x = np.mgrid[:height, :width].astype(np.float64)
    kept = prediction.copy()
    for step in (-1, 1):
        places = [y + step * np.sin(angle), x + step * np.cos(angle)]
        kept[prediction * 1.01 < map_coordinates(prediction, places, order=1, mode="nearest")] = 0
    border = min(5, height // 2, width // 2)
    return kept * np.outer(_rising(height, border), _rising(width, border))


def _rising(length: int, border: int) -> Floats:
    """Factors [length] that rise from 0 at both ends to 1 at the border."""
    places = np.arange(length)
    return np.minimum(np.minimum(places, places[::-1]) / max(border, 1), 1)


def _slope(values: Floats, axis: int) -> Floats:
    """The derivative along an axis; 0 along a side of one pixel."""
    return (
        np.asarray(np.gradient(values, axis=axis))
        if values.shape[axis] > 1
        else np.zeros_like(values)
    )


def _triangle_filtered(values: Floats, radius: int) -> Floats:
    """Values [h, w] smoothed by a triangle in both directions; the edge is mirrored."""
    weights = (
        np.concatenate([np.arange(1, radius + 2), np.arange(radius, 0, -1)]) / (radius + 1) ** 2
    )
    return np.asarray(
        convolve1d(convolve1d(values, weights, 0, mode="reflect"), weights, 1, mode="reflect")
    )


def precision_recall_f(counts: NDArray[np.generic]) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F [thresholds] of counts [4, thresholds].

    0 where there is nothing to divide by.
    """
    found, truths, partners, predicted = counts.astype(np.float64)
    precision = partners / np.maximum(predicted, 1)
    recall = found / np.maximum(truths, 1)
    return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-12)


def average_precision(precision: Floats, recall: Floats) -> float:
    """The area under precision over recall [thresholds]: straight lines between thresholds, read at 101 recalls.

    Recalls above the largest and below the smallest count as a precision of 0.

    Source: the published code of Arbeláez et al. 2011.
    """
    order = np.lexsort((-precision, recall))
    recalls, first = np.unique(recall[order], return_index=True)
    return float(
        np.interp(np.arange(101) / 100, recalls, precision[order][first], left=0, right=0).sum()
        / 100
    )
