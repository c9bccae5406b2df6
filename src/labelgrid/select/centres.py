"""Picks centres of a pool greedily (k-centre, farthest first).

The picks are exact, and take few passes over the features.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.basics.array_types import AnyFloats, Bools, Floats, Keys, Places
from labelgrid.select.budget import payable_amount

#: Sizes that fit a CPU cache: rows converted to float64, centres per matrix product, and pairs per
#: subtraction.
BLOCK = 1024
TOGETHER = 512
PAIRS = 4096
#: The least number of rows in the short list that centres are picked from, and its share of the
#: pool.
LEAST = 256
SHARE = 1 / 64


def squared_distances(features: AnyFloats, centre: AnyFloats) -> Floats:
    """Squared Euclidean distances [m] of rows [m, d] to one vector or as many [m, d], in float64.

    A distance is a sum of squared differences, so features with a large mean lose no precision. It
    depends on its two vectors only.

    Example:
        >>> squared_distances(np.array([[1e9, 0], [1e9 + 3, 4]]), np.array([1e9, 0]))
        array([ 0., 25.])
    """
    distances = np.empty(len(features))
    buffer = np.empty((min(len(features), BLOCK), features.shape[1]))
    for start in range(0, len(features), BLOCK):
        rows = slice(start, start + BLOCK)
        block = features[rows]
        other = centre
        if centre.ndim == 2:
            other = centre[rows]
        apart = np.subtract(block, other, out=buffer[: len(block)], dtype=np.float64)
        distances[rows] = np.einsum("ij,ij->i", apart, apart)
    return distances


def finite_rows(features: AnyFloats) -> Bools:
    """Whether the features [n, d] of each row are finite [n]; otherwise the row is unknown."""
    return np.isfinite(features.sum(1, dtype=np.float64))


class Nearest:
    """The squared distance of each row to its nearest centre.

    The distances in `values` come from matrix products of the centred features, many centres in
    one pass. They err by less than `rounding`; `exact` gives the exact ones.

    Args:
        features: [n, d], finite.
    """

    def __init__(self, features: AnyFloats) -> None:
        n, d = features.shape
        self.features = features
        self.mean = features.sum(0, dtype=np.float64) / max(n, 1)
        self.values = np.full(n, np.inf)
        self.norms = squared_distances(features, self.mean)
        self.centres: list[int] = []
        # A product over d terms errs by at most d units in the last place of the norms.
        self.rounding = 4 * (d + 8) * float(np.finfo(np.float64).eps * self.norms.max(initial=0.0))

    def add(self, centres: Sequence[int]) -> None:
        """Add centres, `TOGETHER` in each pass over the features."""
        for start in range(0, len(centres), TOGETHER):
            some = np.array(centres[start : start + TOGETHER], np.intp)
            for rows, products in self.products(some):
                distances = np.maximum(products.min(1) + self.norms[rows], 0.0)
                np.minimum(self.values[rows], distances, out=self.values[rows])
        self.centres += centres

    def products(self, centres: Places) -> Iterator[tuple[slice, Floats]]:
        """Compute |x − c|² less |x|² for all rows x and some centres c, as |c|² − 2 x · c.

        Yields:
            A block of b rows, and its products [b, centres].
        """
        factors = np.ascontiguousarray(-2 * self._centre(centres).T)
        buffer = np.empty((min(len(self.features), BLOCK), self.features.shape[1]))
        for start in range(0, len(self.features), BLOCK):
            block = self.features[start : start + BLOCK]
            centred = np.subtract(block, self.mean, out=buffer[: len(block)])
            products = centred @ factors
            products += self.norms[centres]
            yield slice(start, start + len(block)), products

    def exact(self, rows: Places, centres: Places) -> Floats:
        """The exact squared distances of some rows to the nearest of some centres.

        The sums of differences are computed for the few nearest centres of each row only.
        """
        distances = np.empty(len(rows))
        centred = self._centre(centres)
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            products = self._centre(part) @ centred.T * -2 + self.norms[centres]
            near = np.nonzero(products <= products.min(1, keepdims=True) + 2 * self.rounding)
            exact = np.empty(len(near[0]))
            for first in range(0, len(exact), PAIRS):
                pairs = slice(first, first + PAIRS)
                exact[pairs] = squared_distances(
                    self.features[part[near[0][pairs]]], self.features[centres[near[1][pairs]]]
                )
            first_pairs = np.searchsorted(near[0], np.arange(len(part)))
            distances[start : start + BLOCK] = np.minimum.reduceat(exact, first_pairs)
        return distances

    def _centre(self, rows: Places) -> Floats:
        return self.features[rows].astype(np.float64) - self.mean


def nearest_centre(features: AnyFloats, centres: Places) -> Floats:
    """The exact squared distance [n] of each row [n, d] to the nearest of some rows.

    All rows are finite. The distances are infinite if there are no centres.

    Example:
        >>> nearest_centre(np.array([[0.0], [1.0], [5.0]]), np.array([0, 2]))
        array([0., 1., 0.])
    """
    nearest = Nearest(features)
    if not len(centres):
        return nearest.values
    return nearest.exact(np.arange(len(features)), centres)


def farthest_centre(features: AnyFloats, centres: Places) -> float:
    """The largest squared distance between any row [n, d] and the centres; 0 without a centre.

    All rows are finite.

    Example:
        >>> farthest_centre(np.array([[0.0], [1.0], [5.0]]), np.array([0, 1]))
        25.0
    """
    nearest = Nearest(features)
    largest = 0.0
    for start in range(0, len(centres), TOGETHER):
        chunk = centres[start : start + TOGETHER]
        for rows, products in nearest.products(chunk):
            products += nearest.norms[rows, None]
            row, column = divmod(int(products.argmax()), len(chunk))
            candidate = features[rows][row : row + 1]
            exact = squared_distances(candidate, features[chunk[column]])
            largest = max(largest, float(exact[0]))
    return largest


@dataclass
class ShortList:
    """The rows farthest from all centres, for comparison with further centres.

    A distance to the nearest centre only falls. So the farthest row of the list is the farthest of
    all rows, as long as it is farther than `rest`, which bounds those outside the list.

    Args:
        nearest: the distances of all rows, up to date when the list was made.
        rows: the rows of the list [m].
        keys: their keys, which break ties.
        rest: the largest value outside the list.
    """

    nearest: Nearest
    rows: Places
    keys: Keys
    rest: float

    def __post_init__(self) -> None:
        self.features = self.nearest.features[self.rows]
        self.before = self.nearest.values[self.rows]
        self.exact = np.zeros(len(self.rows), np.bool_)
        # Exact distances to the centres that were added since.
        self.since = np.full(len(self.rows), np.inf)

    def farthest(self, open_rows: Bools) -> tuple[int, float] | None:
        """The place in the list of the farthest open row, and its exact squared distance.

        Returns None if no row is open, or if a row outside the list could be farther.

        Args:
            open_rows: bool [m], the rows of the list that may be picked.
        """
        rounding = self.nearest.rounding
        while True:
            values = np.where(open_rows, np.minimum(self.before, self.since), -np.inf)
            top = values.max(initial=-np.inf)
            close = values >= max(top - 2 * rounding, 0.0)
            unsure = np.flatnonzero(close & ~self.exact & (self.before - rounding < self.since))
            if not len(unsure):
                break
            self.before[unsure] = self.nearest.exact(
                self.rows[unsure], np.array(self.nearest.centres, np.intp)
            )
            self.exact[unsure] = True
        if not close.any() or top < self.rest + rounding:
            return None
        best = np.flatnonzero(values == top)
        return int(best[np.argmin(self.keys[best])]), float(top)

    def add(self, index: int) -> None:
        """Make a row of the list a centre."""
        distances = squared_distances(self.features, self.features[index])
        np.minimum(self.since, distances, out=self.since)


def short_list(nearest: Nearest, open_rows: Bools, keys: Keys) -> ShortList:
    """The farthest of the open rows [n], and all that could be as far as the farthest."""
    rows = np.flatnonzero(open_rows)
    values = nearest.values[rows]
    rest = -np.inf
    count = max(LEAST, int(len(rows) * SHARE))
    if count < len(rows):
        least = np.partition(values, -count)[-count]
        listed = values >= min(float(least), float(values.max()) - 4 * nearest.rounding)
        rest = float(values[~listed].max(initial=-np.inf))
        rows = rows[listed]
    return ShortList(nearest, rows, keys[rows], rest)


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """A pool of rows to pick centres from.

    Args:
        features: [n, d]; rows that are not finite are neither picked nor centres.
        centres: bool [n], the first centres.
        costs: float64 [n]; infinite for rows that cannot be picked.
        keys: uint64 [n], distinct.
        draws: float64 [n], which decide the first pick where there is no centre.
    """

    features: AnyFloats
    centres: Bools
    costs: Floats
    keys: Keys
    draws: Floats

    def at(self, rows: Places) -> "Candidates":
        """Some rows of the pool."""
        return Candidates(**{name: values[rows] for name, values in vars(self).items()})


def farthest_first(pool: Candidates, amount: float) -> tuple[list[int], Floats]:
    """Pick the row farthest from all centres, make it a centre, and repeat.

    It ends when the amount pays for no further row. The picks are those that all distances in
    float64 give; ties are broken by key. Without any first centre, the row with the highest draw is
    picked first, at a distance of 0. Memory beside the features: a few blocks of rows, the centres
    and 1/64 of the pool.

    Returns:
        The picked rows, in order; the distances [n] to the nearest centre, of a pick when it was
        picked, of other rows after the last pick; infinite where there is no centre.

    Source: Sener & Savarese 2018, algorithm 1.

    Example:
        >>> pool = Candidates(
        ...     features=np.array([[0.0], [1.0], [10.0], [4.0]]),
        ...     centres=np.array([True, False, False, False]),
        ...     costs=np.ones(4),
        ...     keys=np.arange(4, dtype=np.uint64),
        ...     draws=np.zeros(4),
        ... )
        >>> farthest_first(pool, 2.0)
        ([2, 3], array([ 0.,  1., 10.,  4.]))
    """
    finite = finite_rows(pool.features)
    if not finite.all():
        rows = np.flatnonzero(finite)
        positions, finite_distances = farthest_first(pool.at(rows), amount)
        distances = np.full(len(finite), np.inf)
        distances[rows] = finite_distances
        return rows[positions].tolist(), distances
    nearest = Nearest(pool.features)
    rest = payable_amount(amount)
    picks = list[int]()
    at_pick = dict[int, float]()
    nearest.add(np.flatnonzero(pool.centres).tolist())
    costs = pool.costs.copy()
    if not nearest.centres and (costs <= rest).any():
        rows = np.flatnonzero(costs <= rest)
        row = int(rows[np.lexsort((pool.keys[rows], -pool.draws[rows]))[0]])
        picks = [row]
        at_pick = {row: 0.0}
        rest -= float(costs[row])
        costs[row] = np.inf
        nearest.add([row])
    while (costs <= rest).any():
        listed = short_list(nearest, costs <= rest, pool.keys)
        added = list[int]()
        while True:
            farthest = listed.farthest(costs[listed.rows] <= rest)
            if farthest is None:
                break
            position, distance = farthest
            row = int(listed.rows[position])
            listed.add(position)
            added.append(row)
            at_pick[row] = distance
            rest -= float(costs[row])
            costs[row] = np.inf
        nearest.add(added)
        picks += added
    distances = nearest.values
    distances[list(at_pick)] = list(at_pick.values())
    return picks, np.sqrt(distances)
