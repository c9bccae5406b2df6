"""Matches predicted boundary pixels with true ones, one to one, within a distance."""

import math
from typing import TYPE_CHECKING

import numpy as np

from labelgrid.basics.array_types import Bools, Places

if TYPE_CHECKING:  # slow to load
    from scipy.sparse import csr_array

#: Points whose surroundings are looked up at once.
CHUNK = 2048


class Matcher:
    """Matches points with the points of a true map [h, w], one to one.

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
        """Which of the points [n, 2] (row, column) have a partner."""
        from scipy.sparse.csgraph import maximum_flow  # slow to load

        parts = [self._near_pairs(points, first) for first in range(0, len(points), CHUNK)]
        point, partner = np.concatenate([np.empty((2, 0), np.intp), *parts], 1)
        network = _network(point, partner, (len(points), self.count))
        flow = maximum_flow(network, 0, network.shape[0] - 1).flow
        return np.asarray(flow[[0], 1 : len(points) + 1].toarray()[0] > 0)

    def _near_pairs(self, points: Places, first: int) -> Places:
        """All pairs [2, n] (point, truth) of `CHUNK` points, from the `first` on."""
        padded = points[first : first + CHUNK] + self.reach
        places = padded[:, 0] * self.numbers.shape[1] + padded[:, 1]
        partners = self.numbers.ravel()[places[:, None] + self.offsets]
        point, offset = (partners >= 0).nonzero()
        return np.stack([point + first, partners[point, offset]])


def _network(point: Places, partner: Places, sizes: tuple[int, int]) -> "csr_array":
    """The flow network: a source (node 0), the points, the truths and a sink (last).

    Every edge has a capacity of 1.
    """
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
