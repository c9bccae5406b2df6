"""TypiClust: picks typical images from the clusters with the fewest labelled images.

Of these, larger clusters come first. It covers the pool when there are few labels (Hacohen, Dekel
& Weinshall 2022). It needs the statistic `features`.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from labelgrid.select.budget import image_costs, payable_amount
from labelgrid.select.centres import finite_rows
from labelgrid.select.clusters import k_means
from labelgrid.select.shares import Group, alternate, deal
from labelgrid.select.strategy import Budget, PoolView, Selection
from labelgrid.streams import seed_of

FEATURES = "features"
#: What the released code adds to a mean distance, so that duplicates have a finite typicality.
SMALLEST = 1e-5
#: Rows whose distances are computed at a time.
ROWS = 256


@dataclass(frozen=True)
class Options:
    """The constants of the paper.

    Args:
        neighbours: K, the number of nearest neighbours that typicality averages over; at most half
            of the cluster's images.
        most: the largest number of clusters.
        least: images of clusters with fewer images are picked only when no others are left.
    """

    neighbours: Annotated[int, Field(ge=1)] = 20
    most: Annotated[int, Field(ge=1)] = 500
    least: Annotated[int, Field(ge=1)] = 5


@dataclass(frozen=True)
class TypiClust:
    """Picks the most typical image of each cluster in turn.

    There are as many clusters as labelled images and picks together. Clusters take turns by
    their number of labelled images, the fewest first, then by size, the largest first. The
    typicality of an image is 1 / its mean distance to the nearest neighbours among its cluster's
    images without a label.

    Source: Hacohen, Dekel & Weinshall 2022, section 2.3 and algorithm 1; constants of the released
    code.
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
        rows = np.flatnonzero(finite & (used | np.isfinite(costs)))
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
        typicality = np.zeros(len(costs))
        for cluster in np.flatnonzero(sizes):
            members = np.flatnonzero((clusters == cluster) & np.isfinite(costs) & ~used)
            # Sorted, so that the order of the pool has no effect.
            members = members[np.argsort(grid.keys[members])]
            typicality[members] = typicalities(features[members], self.options.neighbours)
        open_clusters = np.where(np.isfinite(costs) & finite, clusters, -1)
        order = np.lexsort((np.arange(len(sizes)), -sizes, labelled))
        large = sizes[order] >= self.options.least
        dealt = list[tuple[int, int, float]]()
        rest = payable_amount(budget.amount)
        for part in (order[large], order[~large]):
            groups = _cluster_groups(part, open_clusters, typicality)
            turns = alternate(range(len(groups)))
            further = deal(groups, turns, costs=costs, keys=grid.keys, amount=rest)
            items = [item for item, _, _ in further]
            rest -= float(sum(costs[items].tolist()))
            costs[items] = np.inf
            dealt += further
        why = "typical of images like which few are labelled"
        picks = grid.image_picks((row, score, why) for row, _, score in dealt)
        image_clusters = np.where(clusters >= 0, clusters, 0)
        terms = {
            "typicality": typicality,
            "images like it": sizes[image_clusters],
            "labelled like it": labelled[image_clusters],
        }
        return Selection(picks=picks, terms=terms, without={"clusters": typicality})


def _cluster_groups(
    order: NDArray[np.intp], clusters: NDArray[np.intp], typicality: NDArray[np.float64]
) -> list[Group]:
    """The clusters that have images to pick, in the order of their turns.

    Args:
        order: the numbers of the clusters.
        clusters: the cluster of each image [n]; -1 where the image cannot be picked.
        typicality: of each image [n].
    """
    groups = []
    for cluster in order:
        rows = np.flatnonzero(clusters == cluster)
        if len(rows):
            groups.append(Group(rows, typicality[rows]))
    return groups


def affordable_count(costs: NDArray[np.float64], amount: float) -> int:
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


def typicalities(features: NDArray[np.floating], neighbours: int) -> NDArray[np.float64]:
    """1 / (mean distance to the nearest neighbours + 1e-5) of each row [m, d]; 0 of a single row.

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
        squared = norms[part, None] - 2 * centred[part] @ centred.T + norms
        squared[np.arange(len(squared)), np.arange(start, start + len(squared))] = np.inf
        nearest = np.sqrt(np.maximum(np.partition(squared, count - 1, 1)[:, :count], 0.0))
        values[part] = 1 / (nearest.mean(1) + SMALLEST)
    return values


def build(options: Options) -> TypiClust:
    """Build the strategy."""
    return TypiClust(options)
