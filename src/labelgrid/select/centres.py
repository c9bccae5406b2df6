"""Picks centres of a pool greedily (k-centre, farthest first): exactly, and with few passes over the features."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelgrid.select.budget import payable_amount

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

#: Sizes that fit a CPU cache: rows converted to float64, centres per matrix product, and pairs per
#: subtraction.
BLOCK = 1024
TOGETHER = 512
PAIRS = 4096
#: The least number of rows in the short list that centres are picked from, and its share of the
#: pool.
LEAST = 256
SHARE = 1 / 64


def squared_distances(features: NDArray[np.floating], centre: NDArray[np.floating]) -> Floats:
    """Squared Euclidean distances [m] of rows [m, d] to one vector or as many [m, d], in float64.

    They are sums of squared differences, so features with a large mean lose no precision; a
    distance depends on its two vectors only.

    Example:
        >>> squared_distances(np.array([[1e9, 0], [1e9 + 3, 4]]), np.array([1e9, 0]))
        array([ 0., 25.])
    """
    found = np.empty(len(features))
    buffer = np.empty((min(len(features), BLOCK), features.shape[1]))
    for start in range(0, len(features), BLOCK):
        rows = slice(start, start + BLOCK)
        part = np.subtract(
            features[rows],
            centre[rows] if centre.ndim == 2 else centre,
            out=buffer[: len(features[rows])],
            dtype=np.float64,
        )
        found[rows] = np.einsum("ij,ij->i", part, part)
    return found


def finite_rows(features: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which rows [n] of features [n, d] are finite; the others have no known features."""
    found: NDArray[np.bool_] = np.isfinite(features.sum(1, dtype=np.float64))
    return found


class Nearest:
    """The squared distance of each row to its nearest centre.

    `values` come from matrix products of the centred features, many centres in one pass. They err
    by less than `rounding`; `exact` gives the exact ones.

    Args:
        features: [n, d], finite.
    """

    def __init__(self, features: NDArray[np.floating]) -> None:
        n, d = features.shape
        self.features = features
        self.mean = features.sum(0, dtype=np.float64) / max(n, 1)
        self.values = np.full(n, np.inf)
        self.norms = squared_distances(features, self.mean)
        self.centres: list[int] = []
        # A product over d terms errs by at most d units in the last place of the norms.
        self.rounding = 4 * (d + 8) * float(np.finfo(np.float64).eps * self.norms.max(initial=0.0))

    def add(self, centres: Sequence[int]) -> None:
        """Add centres; one pass over the features for each `TOGETHER` of them."""
        for start in range(0, len(centres), TOGETHER):
            for rows, products in self.products(
                np.array(centres[start : start + TOGETHER], np.intp)
            ):
                found = np.maximum(products.min(1) + self.norms[rows], 0.0)
                np.minimum(self.values[rows], found, out=self.values[rows])
        self.centres += centres

    def products(self, centres: Rows) -> Iterator[tuple[slice, Floats]]:
        """|c|² − 2 x · c for all rows x and these centres c, |x − c|² less |x|²: blocks of rows, each [b, centres]."""
        factors = np.ascontiguousarray(-2 * self._centred(centres).T)
        for rows, block in self._blocks():
            products = block @ factors
            products += self.norms[centres]
            yield rows, products

    def exact(self, rows: Rows, centres: Rows) -> Floats:
        """The exact squared distances of some rows to the nearest centre, sums of differences for the nearest few."""
        found = np.empty(len(rows))
        centred = self._centred(centres)
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            products = self._centred(part) @ centred.T * -2 + self.norms[centres]
            close = np.nonzero(products <= products.min(1, keepdims=True) + 2 * self.rounding)
            exact = np.concatenate(
                [
                    squared_distances(self.features[part[one]], self.features[centres[other]])
                    for one, other in _chunks(*close)
                ]
            )
            found[start : start + BLOCK] = np.minimum.reduceat(
                exact, np.searchsorted(close[0], np.arange(len(part)))
            )
        return found

    def _centred(self, rows: Rows) -> Floats:
        return self.features[rows].astype(np.float64) - self.mean

    def _blocks(self) -> Iterator[tuple[slice, Floats]]:
        """The centred features in blocks of rows; a block is valid until the next."""
        buffer = np.empty((min(len(self.features), BLOCK), self.features.shape[1]))
        for start in range(0, len(self.features), BLOCK):
            block = self.features[start : start + BLOCK]
            yield (
                slice(start, start + len(block)),
                np.subtract(block, self.mean, out=buffer[: len(block)]),
            )


def nearest_centre(features: NDArray[np.floating], centres: Rows) -> Floats:
    """The exact squared distance [n] of each row [n, d], finite, to the nearest of some rows.

    Infinite without any.

    Example:
        >>> nearest_centre(np.array([[0.0], [1.0], [5.0]]), np.array([0, 2]))
        array([0., 1., 0.])
    """
    nearest = Nearest(features)
    return nearest.exact(np.arange(len(features)), centres) if len(centres) else nearest.values


def farthest_centre(features: NDArray[np.floating], centres: Rows) -> float:
    """The largest squared distance of a row [n, d], finite, to one of some rows; 0 without any.

    Example:
        >>> farthest_centre(np.array([[0.0], [1.0], [5.0]]), np.array([0, 1]))
        25.0
    """
    nearest = Nearest(features)
    found = 0.0
    for start in range(0, len(centres), TOGETHER):
        chunk = centres[start : start + TOGETHER]
        for rows, products in nearest.products(chunk):
            products += nearest.norms[rows, None]
            row, column = divmod(int(products.argmax()), len(chunk))
            pair = features[rows][row : row + 1], features[chunk[column]]
            found = max(found, float(squared_distances(*pair)[0]))
    return found


def _chunks(one: Rows, other: Rows) -> Iterator[tuple[Rows, Rows]]:
    for start in range(0, len(one), PAIRS):
        yield one[start : start + PAIRS], other[start : start + PAIRS]


@dataclass
class ShortList:
    """The rows that are farthest from all centres.

    Further centres are compared with these rows only.

    A distance to the nearest centre only falls. So the farthest row of the list is the farthest of
    all rows, as long as it is farther than `rest`, which bounds those outside the list.

    Args:
        nearest: the distances of all rows, up to date when the list was made.
        rows: the rows of the list [m].
        keys: their keys, which break ties.
        rest: the largest value outside the list.
    """

    nearest: Nearest
    rows: Rows
    keys: NDArray[np.uint64]
    rest: float

    def __post_init__(self) -> None:
        self.features = self.nearest.features[self.rows]
        self.before = self.nearest.values[self.rows]
        self.exact = np.zeros(len(self.rows), np.bool_)
        self.since = np.full(
            len(self.rows), np.inf
        )  # exact distances to the centres that were added since

    def farthest(self, open_rows: NDArray[np.bool_]) -> tuple[int, float] | None:
        """The place in the list and the exact squared distance of the farthest of the open rows [m].

        None if there is none, or if a row outside the list could be farther.
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

    def add(self, place: int) -> None:
        """Add a centre: a row of the list."""
        np.minimum(
            self.since, squared_distances(self.features, self.features[place]), out=self.since
        )


def short_list(
    nearest: Nearest, open_rows: NDArray[np.bool_], keys: NDArray[np.uint64]
) -> ShortList:
    """The farthest of the open rows [n], and all that could be as far as the farthest."""
    rows = np.flatnonzero(open_rows)
    values = nearest.values[rows]
    rest = -np.inf
    count = max(LEAST, int(len(rows) * SHARE))
    if count < len(rows):
        least = np.partition(values, -count)[-count]
        kept = values >= min(float(least), float(values.max()) - 4 * nearest.rounding)
        rest = float(values[~kept].max(initial=-np.inf))
        rows = rows[kept]
    return ShortList(nearest, rows, keys[rows], rest)


def farthest_first(
    features: NDArray[np.floating],
    centres: NDArray[np.bool_],
    costs: Floats,
    keys: NDArray[np.uint64],
    amount: float,
    draws: Floats,
) -> tuple[list[int], Floats]:
    """Pick the row that is farthest from all centres, make it a centre, and so on, while `amount` pays for one.

    The picks are those that all distances in float64 give; ties are broken by key. Memory beside
    the features: a few blocks of rows, the centres and 1/64 of the pool.

    Args:
        features: [n, d]; rows that are not finite are neither picked nor centres.
        centres: bool [n], the first centres.
        costs: float64 [n]; infinite for rows that cannot be picked.
        keys: uint64 [n], distinct.
        amount: what may be spent.
        draws: float64 [n]; without any first centre, the row with the highest is picked first, at a
            distance of 0.

    Returns:
        The picked rows, in order; the distances [n] to the nearest centre, of a pick when it was
        picked, of other rows after the last pick; infinite where there is no centre.

    Source: Sener & Savarese 2018, algorithm 1.

    Example:
        >>> line, first = np.array([[0.0], [1.0], [10.0], [4.0]]), np.array([True, False, False, False])
        >>> farthest_first(line, first, np.ones(4), np.arange(4, dtype=np.uint64), 2.0, np.zeros(4))
        ([2, 3], array([ 0.,  1., 10.,  4.]))
    """
    known = finite_rows(features)
    if not known.all():
        rows = np.flatnonzero(known)
        found, some = farthest_first(
            features[rows],
            centres[rows],
            costs=costs[rows],
            keys=keys[rows],
            amount=amount,
            draws=draws[rows],
        )
        distances = np.full(len(features), np.inf)
        distances[rows] = some
        return rows[found].tolist(), distances
    nearest = Nearest(features)
    left = payable_amount(amount)
    picks = list[int]()
    at_pick = dict[int, float]()
    nearest.add(np.flatnonzero(centres).tolist())
    costs = costs.copy()
    if not nearest.centres and (costs <= left).any():
        rows = np.flatnonzero(costs <= left)
        row = int(rows[np.lexsort((keys[rows], -draws[rows]))[0]])
        picks = [row]
        at_pick = {row: 0.0}
        left = left - float(costs[row])
        costs[row] = np.inf
        nearest.add([row])
    while (costs <= left).any():
        listed = short_list(nearest, costs <= left, keys)
        added = list[int]()
        while (found_place := listed.farthest(costs[listed.rows] <= left)) is not None:
            place, value = found_place
            row = int(listed.rows[place])
            listed.add(place)
            added.append(row)
            at_pick[row] = value
            left = left - float(costs[row])
            costs[row] = np.inf
        nearest.add(added)
        picks += added
    distances = nearest.values
    distances[list(at_pick)] = list(at_pick.values())
    return picks, np.sqrt(distances)
