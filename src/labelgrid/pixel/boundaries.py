"""Counts how well soft boundary maps agree with true boundaries, at many thresholds."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Bools, Floats, Ints, Places
from labelgrid.basics.type_names import Size
from labelgrid.pixel.thinning import thin

#: 0.01 to 0.99.
THRESHOLDS: Floats = np.arange(1, 100) / 100


if TYPE_CHECKING:  # slow to load
    from scipy.sparse import csr_array

#: Points whose surroundings are looked up at once.
CHUNK = 2048


def boundary_counts(
    prediction: Floats,
    truths: Sequence[Bools],
    distance: float = 0.0075,
    nms: bool = False,
    thresholds: Floats = THRESHOLDS,
) -> Ints:
    """Count the boundary pixels of an image that match, at each threshold.

    The pixels at or above each threshold and the true boundaries are thinned, then matched one to
    one. With several annotators, the true pixels of all maps count, and a predicted pixel has a
    partner if any map has a partner for it.

    Args:
        prediction: probabilities [h, w].
        truths: one boundary map [h, w] for each annotator.
        distance: the largest distance between the pixels of a pair, as a share of the image's
            diagonal.
        nms: whether to call `suppress_non_maxima` first; pixels must then exceed a threshold, not
            only reach it.
        thresholds: the thresholds of the prediction, in order.

    Returns:
        Int64 [4, thresholds]: true pixels with a partner, all true pixels, predicted pixels with a
        partner, all predicted pixels.

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
    masks = suppress_non_maxima(prediction) > levels if nms else prediction >= levels
    points = [np.argwhere(line) for line in thin(masks)]
    matched = [np.zeros(len(pixels), np.bool_) for pixels in points]
    for truth in thin(np.stack(truths)):
        matcher = Matcher(truth, distance * float(np.hypot(height, width)))
        counts[1] += matcher.count
        for number, pixels in enumerate(points):
            partnered = matcher.have_partners(pixels)
            counts[0, number] += partnered.sum()
            matched[number] |= partnered
    for number, partnered in enumerate(matched):
        counts[2, number] = partnered.sum()
        counts[3, number] = len(partnered)
    return counts


def suppress_non_maxima(prediction: Floats) -> Floats:
    """Set all but the highest pixels across each line of a boundary map [h, w] to 0.

    A pixel becomes 0 where 1.01 times the value is below the value at a distance of one pixel
    across the line. The line's direction comes from the second derivatives of the map, smoothed by
    a triangle of radius 4. The five pixels along each edge of the image are lowered, to 0 at the
    edge.

    Source: Dollár and Zitnick 2015, as their published code (`edgesNms`: radius 1, border 5,
    multiplier 1.01).
    """
    from scipy.ndimage import convolve1d, map_coordinates  # slow to load

    height, width = prediction.shape
    triangle = np.array([1, 2, 3, 4, 5, 4, 3, 2, 1]) / 25
    columns = convolve1d(prediction, triangle, 0, mode="reflect")
    smooth = np.asarray(convolve1d(columns, triangle, 1, mode="reflect"))
    right = _slope(smooth, 1)
    down_down = _slope(_slope(smooth, 0), 0)
    down_right = _slope(right, 0)
    right_right = _slope(right, 1)
    sign = np.where(down_right > 0, -1, 1)
    angle = np.mod(np.arctan(down_down * sign / (right_right + 1e-5)), np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    maxima = prediction.copy()
    for step in (-1, 1):
        points = [y + step * np.sin(angle), x + step * np.cos(angle)]
        across = map_coordinates(prediction, points, order=1, mode="nearest")
        maxima[prediction * 1.01 < across] = 0
    border = min(5, height // 2, width // 2)
    return maxima * np.outer(_edge_factors(height, border), _edge_factors(width, border))


def _edge_factors(length: int, border: int) -> Floats:
    """Factors [length] that rise from 0 at both ends to 1 at the border; 1 without a border."""
    if not border:
        return np.ones(length)
    positions = np.arange(length)
    return np.minimum(np.minimum(positions, positions[::-1]) / border, 1)


def _slope(values: Floats, axis: int) -> Floats:
    """The derivative along an axis; 0 along a side of one pixel."""
    if values.shape[axis] == 1:
        return np.zeros_like(values)
    return np.asarray(np.gradient(values, axis=axis))


def precision_recall_f(counts: NDArray[np.generic]) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F [thresholds] of the counts that `boundary_counts` returns.

    They are 0 where there is nothing to divide by.
    """
    hits, truths, partners, predicted = counts.astype(np.float64)
    precision = partners / np.maximum(predicted, 1)
    recall = hits / np.maximum(truths, 1)
    return precision, recall, 2 * precision * recall / np.maximum(precision + recall, 1e-12)


def average_precision(precision: Floats, recall: Floats) -> float:
    """The area under the curve of precision over recall, given both [thresholds].

    Between thresholds the curve is a straight line. It is read at 101 recalls; above the largest
    and below the smallest recall, the precision counts as 0.

    Source: the published code of Arbeláez et al. 2011.
    """
    order = np.lexsort((-precision, recall))
    recalls, first = np.unique(recall[order], return_index=True)
    read_at = np.arange(101) / 100
    precisions = np.interp(read_at, recalls, precision[order][first], left=0, right=0)
    return float(precisions.sum() / 100)


class Matcher:
    """Finds partners for points among the points of a true map [h, w].

    The points of a pair are at most `radius` pixels apart. The number of pairs is the exact
    maximum; Berkeley's code finds up to a few fewer. Which points have a partner is not unique. The
    matching is a maximum flow: SciPy's `maximum_bipartite_matching` takes minutes on some real
    maps.

    Example:
        >>> truth = np.zeros((4, 4), bool)
        >>> truth[1, 1:3] = True
        >>> Matcher(truth, radius=1).have_partners(np.array([[0, 1], [2, 1], [1, 3]]))
        array([ True, False,  True])
    """

    def __init__(self, truth: Bools, radius: float) -> None:
        reach = math.floor(radius)
        self.reach = reach
        self.count = int(truth.sum())
        numbers = np.full(truth.shape, -1, np.int32)
        numbers[truth] = np.arange(self.count)
        self.numbers = np.pad(numbers, reach, constant_values=-1)
        down, right = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        near = down**2 + right**2 <= radius**2
        self.offsets = (down[near] * self.numbers.shape[1] + right[near]).astype(np.intp)

    def have_partners(self, points: Places) -> Bools:
        """Whether each of the points [n, 2] (row, column) has a partner."""
        from scipy.sparse.csgraph import maximum_flow  # slow to load

        pairs = [np.empty((2, 0), np.intp)]
        for first in range(0, len(points), CHUNK):
            padded = points[first : first + CHUNK] + self.reach
            indices = padded[:, 0] * self.numbers.shape[1] + padded[:, 1]
            partners = self.numbers.ravel()[indices[:, None] + self.offsets]
            near, offset = (partners >= 0).nonzero()
            pairs.append(np.stack([near + first, partners[near, offset]]))
        point, partner = np.concatenate(pairs, 1)
        network = _network(point, partner, (len(points), self.count))
        flow = maximum_flow(network, 0, network.shape[0] - 1).flow
        return np.asarray(flow[[0], 1 : len(points) + 1].toarray()[0] > 0)


def _network(point: Places, partner: Places, sizes: Size) -> "csr_array":
    """The flow network: source (node 0), points, truths and sink (last); each edge carries 1."""
    from scipy.sparse import csr_array  # slow to load

    points, truths = sizes
    sink = points + truths + 1
    degrees = np.concatenate(
        [[points], np.bincount(point, minlength=points), np.ones(truths, np.int64), [0]]
    )
    ends = np.concatenate(
        [np.arange(1, points + 1), partner + points + 1, np.full(truths, sink)]
    ).astype(np.int32)
    starts = np.concatenate([[0], degrees.cumsum()]).astype(np.int32)
    return csr_array((np.ones(len(ends), np.int32), ends, starts), (sink + 1, sink + 1))
