"""TypiClust: picks typical images from the clusters with the fewest labelled images.

Among these, larger clusters come first. It covers the pool when there are few labels (Hacohen,
Dekel & Weinshall 2022). It needs the statistic `features`.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from labelgrid.basics.array_types import AnyFloats, Floats, Keys
from labelgrid.basics.streams import seed_of
from labelgrid.select.budget import image_costs, payable_amount
from labelgrid.select.centres import finite_rows
from labelgrid.select.clusters import k_means
from labelgrid.select.shares import Group, alternate, deal, groups_of
from labelgrid.select.strategy import Budget, PoolView, Selection

FEATURES = "features"
#: What the released code adds to a mean distance, so that duplicates have a finite typicality.
SMALLEST = 1e-5
#: Rows whose distances are computed at a time.
ROWS = 256


@dataclass(frozen=True, kw_only=True)
class Options:
    """The constants of the paper.

    Args:
        neighbours: K, the number of nearest neighbours that typicality averages over; at most half
            of the cluster's images.
        most: the largest number of clusters.
        least: clusters with fewer images are small. The released code keeps more than five: 6.
        small: images of small clusters are picked `"last"`; or these clusters are `"dropped"`, so
            that a query may buy less (released).
        distance: typicality averages `"euclidean"` distances (the paper), or their `"squared"` ones
            (released).
    """

    neighbours: Annotated[int, Field(ge=1)] = 20
    most: Annotated[int, Field(ge=1)] = 500
    least: Annotated[int, Field(ge=1)] = 5
    small: Literal["last", "dropped"] = "last"
    distance: Literal["euclidean", "squared"] = "euclidean"


@dataclass(frozen=True)
class TypiClust:
    """Picks the most typical image of each cluster in turn.

    There are as many clusters as labelled images and picks together. Clusters take turns by
    their number of labelled images, the fewest first, then by size, the largest first. The
    typicality of an image is 1 / its mean distance to the nearest neighbours among its cluster's
    images without a label.

    Source: Hacohen, Dekel & Weinshall 2022, section 2.3 and algorithm 1; constants of the released
    code, which is followed by `least = 6`, `small = "dropped"` and `distance = "squared"`, but for
    a cluster's second turn: there the code leaves the image of the first out of the neighbours.
    """

    options: Options
    needs: ClassVar[frozenset[str]] = frozenset({FEATURES})
    unit: ClassVar[Literal["images"]] = "images"
    cold: ClassVar[bool] = True

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """As `Strategy.select`.

        A pick's terms are its typicality, and the numbers of images and of labelled images in its
        cluster.
        """
        grid = pool.grid
        costs = image_costs(pool.grid, budget)
        used = np.any(pool.grid.bought, axis=1)
        features = pool.statistics[FEATURES]
        finite = finite_rows(features)
        is_open = np.isfinite(costs)
        rows = np.flatnonzero(finite & (used | is_open))
        if not len(rows):
            return Selection(picks=[])
        wanted = int(used[rows].sum()) + affordable_count(costs[rows], budget.amount)
        count = min(wanted, self.options.most)
        seed = seed_of(pool.seed, "typiclust")
        clusters = np.full(len(costs), -1)
        clusters[rows] = k_means(features[rows], grid.keys[rows], count, seed)
        most = clusters.max() + 1
        sizes = np.bincount(clusters[rows], minlength=most)
        labelled = np.bincount(clusters[rows[used[rows]]], minlength=most)
        squared = self.options.distance == "squared"
        neighbours = self.options.neighbours
        typicality = np.zeros(len(costs))
        for cluster in np.flatnonzero(sizes):
            members = np.flatnonzero((clusters == cluster) & is_open & ~used)
            # Sorted, so that the order of the pool has no effect.
            members = members[np.argsort(grid.keys[members])]
            typicality[members] = typicalities(features[members], neighbours, squared=squared)
        open_clusters = np.where(is_open & finite, clusters, -1)
        order = np.lexsort((np.arange(len(sizes)), -sizes, labelled))
        large = sizes[order] >= self.options.least
        parts = [groups_of(order[large], open_clusters, typicality)]
        if self.options.small == "last":
            parts.append(groups_of(order[~large], open_clusters, typicality))
        rows_and_scores = _deal_parts(parts, costs, grid.keys, budget.amount)
        why = "typical of images like which few are labelled"
        picks = grid.image_picks((row, score, why) for row, score in rows_and_scores)
        image_clusters = np.where(clusters >= 0, clusters, 0)
        terms = {
            "typicality": typicality,
            "images like it": sizes[image_clusters],
            "labelled like it": labelled[image_clusters],
        }
        return Selection(picks=picks, terms=terms, without={"clusters": typicality})


def _deal_parts(
    parts: list[list[Group]], costs: Floats, keys: Keys, amount: float
) -> list[tuple[int, float]]:
    """The row and the score of each pick: groups take turns until a part is spent, part by part."""
    costs = costs.copy()
    rest = payable_amount(amount)
    picks = []
    for groups in parts:
        turns = alternate(range(len(groups)))
        dealt = deal(groups, turns, costs=costs, keys=keys, amount=rest)
        rows = [row for row, _, _ in dealt]
        picks += [(row, score) for row, _, score in dealt]
        rest -= float(sum(costs[rows].tolist()))
        costs[rows] = np.inf
    return picks


def affordable_count(costs: Floats, amount: float) -> int:
    """About how many images the amount pays for, by the mean of their costs; at least 1.

    Infinite costs do not count.
    """
    finite = np.sort(costs[np.isfinite(costs)])
    if not len(finite):
        return 0
    mean = float(finite.mean())
    if not mean:
        return len(finite)
    return min(len(finite), max(1, int(payable_amount(amount) / mean)))


def typicalities(features: AnyFloats, neighbours: int, *, squared: bool = False) -> Floats:
    """1 / (mean distance to the nearest neighbours + 1e-5) of each row [m, d]; 0 of a single row.

    Args:
        features: [m, d].
        neighbours: the number of neighbours, at most half of the rows.
        squared: whether to take the mean of squared distances.

    Example:
        >>> typicalities(np.array([[0.0], [1.0], [3.0], [9.0]]), 1).round(3)
        array([1.   , 1.   , 0.5  , 0.167])
    """
    m = len(features)
    count = max(1, min(neighbours, m // 2))
    values = np.zeros(m)
    if m < 2:
        return values
    centred = features - features.mean(0, dtype=np.float64)
    norms = np.einsum("ij,ij->i", centred, centred)
    for start in range(0, m, ROWS):
        part = slice(start, start + ROWS)
        squares = norms[part, None] - 2 * centred[part] @ centred.T + norms
        squares[np.arange(len(squares)), np.arange(start, start + len(squares))] = np.inf
        nearest = np.maximum(np.partition(squares, count - 1, 1)[:, :count], 0.0)
        if not squared:
            nearest = np.sqrt(nearest)
        values[part] = 1 / (nearest.mean(1) + SMALLEST)
    return values


def build(options: Options) -> TypiClust:
    """Build TypiClust with the constants of the paper."""
    return TypiClust(options)
