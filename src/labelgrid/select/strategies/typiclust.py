"""TypiClust: picks typical images from the clusters with the fewest labelled images, larger clusters first.

It covers the pool when there are few labels (Hacohen, Dekel & Weinshall 2022). It needs the
statistic `features`.
"""

from collections.abc import Sequence
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


@dataclass(frozen=True, kw_only=True)
class Options:
    """The constants of the paper.

    Args:
        neighbours: K, the number of nearest neighbours that typicality averages over; at most half
            of the cluster's.
        most: the largest number of clusters.
        least: clusters with fewer images are small. The released code keeps more than five: 6.
        small: images of small clusters are picked `"last"`, when no others are left; or these
            clusters are `"dropped"`, so that a query may buy less than it could (released).
        distance: typicality averages `"euclidean"` distances (the paper), or their `"squared"`
            ones, as the index that the released code searches returns them.
    """

    neighbours: Annotated[int, Field(ge=1)] = 20
    most: Annotated[int, Field(ge=1)] = 500
    least: Annotated[int, Field(ge=1)] = 5
    small: Literal["last", "dropped"] = "last"
    distance: Literal["euclidean", "squared"] = "euclidean"


@dataclass(frozen=True)
class TypiClust:
    """Whole images: as many clusters as labelled images and picks.

    The most typical image of each in turn.

    Clusters take turns by their number of labelled images, the fewest first, then by size, the
    largest first. The typicality of an image is 1 / its mean distance to the nearest neighbours
    among its cluster's images without a label.

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

        A pick's terms are its typicality, and its cluster's images and labelled images.
        """
        grid = pool.grid
        costs = image_costs(pool.grid, budget)
        used = np.any(pool.grid.bought, axis=1)
        features = pool.statistics[FEATURES]
        known = finite_rows(features)
        rows = np.flatnonzero(known & (used | np.isfinite(costs)))
        if not len(rows):
            return Selection(picks=[])
        count = min(
            int(used[rows].sum()) + affordable_count(costs[rows], budget.amount), self.options.most
        )
        clusters = np.full(len(costs), -1)
        clusters[rows] = k_means(
            features[rows], grid.keys[rows], count, seed_of(pool.seed, "typiclust")
        )
        sizes, labelled = (
            np.bincount(clusters[part], minlength=clusters.max() + 1)
            for part in (rows, rows[used[rows]])
        )
        typicality = np.zeros(len(costs))
        for cluster in np.flatnonzero(sizes):
            members = np.flatnonzero((clusters == cluster) & np.isfinite(costs) & ~used)
            members = members[
                np.argsort(grid.keys[members])
            ]  # so that the order of the pool has no effect
            squared = self.options.distance == "squared"
            neighbours = self.options.neighbours
            typicality[members] = typicalities(features[members], neighbours, squared=squared)
        groups = self._groups(clusters, sizes, labelled, np.isfinite(costs) & known, typicality)
        groups = groups[:1] if self.options.small == "dropped" else groups
        found = []
        left = payable_amount(budget.amount)
        for some in groups:
            if some:
                found += (
                    part := deal(
                        some, alternate(range(len(some))), costs=costs, keys=grid.keys, amount=left
                    )
                )
                left -= float(sum(costs[item] for item, _, _ in part))
                costs[[item for item, _, _ in part]] = np.inf
        why = "typical of images like which few are labelled"
        picks = grid.image_picks((row, score, why) for row, _, score in found)
        of = np.where(clusters >= 0, clusters, 0)
        terms = {
            "typicality": typicality,
            "images like it": sizes[of],
            "labelled like it": labelled[of],
        }
        return Selection(picks=picks, terms=terms, without={"clusters": typicality})

    def _groups(
        self,
        clusters: NDArray[np.intp],
        sizes: NDArray[np.intp],
        labelled: NDArray[np.intp],
        open_rows: NDArray[np.bool_],
        typicality: NDArray[np.float64],
    ) -> Sequence[list[Group]]:
        """The clusters in the order of their turns.

        Those of at least `least` images, and the others.
        """
        order = np.lexsort((np.arange(len(sizes)), -sizes, labelled))
        members = {
            int(cluster): np.flatnonzero(open_rows & (clusters == cluster)) for cluster in order
        }
        large, small = (
            [
                Group(items, typicality[items])
                for cluster, items in members.items()
                if len(items) and (sizes[cluster] >= self.options.least) == enough
            ]
            for enough in (True, False)
        )
        return large, small


def affordable_count(costs: NDArray[np.float64], amount: float) -> int:
    """About how many images the amount pays for, at least 1: by the mean of their costs, without infinite ones."""
    finite = np.sort(costs[np.isfinite(costs)])
    mean = float(finite.mean()) if len(finite) else 0.0
    return min(len(finite), max(1, int(payable_amount(amount) / mean))) if mean else len(finite)


def typicalities(
    features: NDArray[np.floating], neighbours: int, *, squared: bool = False
) -> NDArray[np.float64]:
    """1 / (mean distance to the nearest neighbours + 1e-5) of each row [m, d]; 0 of a single row.

    Args:
        features: [m, d].
        neighbours: their number, at most half of the rows.
        squared: take the mean of squared distances.

    Example:
        >>> typicalities(np.array([[0.0], [1.0], [3.0], [9.0]]), 1).round(3)
        array([1.   , 1.   , 0.5  , 0.167])
    """
    m = len(features)
    count = max(1, min(neighbours, m // 2))
    found = np.zeros(m)
    if m < 2:
        return found
    centred = features - features.mean(0, dtype=np.float64)
    norms = np.einsum("ij,ij->i", centred, centred)
    for start in range(0, m, ROWS):
        part = slice(start, start + ROWS)
        squares = norms[part, None] - 2 * centred[part] @ centred.T + norms
        squares[np.arange(len(squares)), np.arange(start, start + len(squares))] = np.inf
        nearest = np.maximum(np.partition(squares, count - 1, 1)[:, :count], 0.0)
        nearest = nearest if squared else np.sqrt(nearest)
        found[part] = 1 / (nearest.mean(1) + SMALLEST)
    return found


def build(options: Options) -> TypiClust:
    """Build the strategy."""
    return TypiClust(options)
