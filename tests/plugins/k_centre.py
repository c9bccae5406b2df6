"""Core-Set: picks images that cover the pool, each the farthest from all labelled and picked images."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from labelgrid.labels.grid import Pick, State
from labelgrid.score.statistic import Axis, PoolBatch, Scope, Statistic
from labelgrid.select.strategy import Budget, PoolView, Selection

FEATURES = "tests.plugins.k_centre:build_features"


@dataclass(frozen=True)
class Options:
    """No options."""


class PooledFeatures(Statistic):
    """The deepest map's mean over the image: float32 [b, c]."""

    scope: Scope = "all"
    axis: Axis = "feature"

    def __call__(self, batch: PoolBatch) -> NDArray[np.floating]:
        """The features of a batch, [b, c]."""
        pooled: NDArray[np.float32] = batch.features.deepest.mean((2, 3)).cpu().numpy()
        return pooled


@dataclass(frozen=True)
class KCentre:
    """Greedy k-centre; images with a label of any task are the first centres. Ties are broken by image key.

    With no label at all, the first image is the one with the least key. A pick's term `distance` is the Euclidean
    distance of its image to the nearest centre when it was picked.

    Source: Sener & Savarese 2018, algorithm 1.
    """

    needs: ClassVar[frozenset[str]] = frozenset({FEATURES})
    unit: ClassVar[Literal["images"]] = "images"

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """As `Strategy.select`."""
        grid, features = pool.grid, pool.statistics[FEATURES]
        eligible = grid.eligible
        costs = {"labels": eligible.sum(1), "images": eligible.any(1), "cost": (eligible * grid.cost).sum(1)}
        cost, left = costs[budget.unit].astype(np.float64), budget.amount + 1e-9
        nearest, open_rows = np.full(len(features), np.inf), eligible.any(1)
        for row in np.flatnonzero((grid.state == State.LABELLED).any(1)):
            nearest = np.minimum(nearest, distances(features, int(row)))
        at_pick, picks = nearest.copy(), []
        while (affordable := open_rows & (cost <= left)).any():
            rows = np.flatnonzero(affordable)
            row = int(rows[np.lexsort((grid.keys[rows], -nearest[rows]))[0]])
            at_pick[row] = nearest[row]
            picks.append(row)
            open_rows[row], left = False, left - cost[row]
            nearest = np.minimum(nearest, distances(features, row))
        far = np.where(np.isfinite(at_pick), at_pick, 0.0)  # the very first centre is far from nothing
        chosen = [
            Pick(grid.cell(row, int(column)), float(far[row]), why="far from all labelled images")
            for row in picks
            for column in np.flatnonzero(eligible[row])
        ]
        return Selection(chosen, {"distance": far})


def distances(features: NDArray[np.float32], row: int) -> NDArray[np.float64]:
    """Euclidean distances [n] of all rows to one row, in blocks, to avoid a copy of the features."""
    centre, found = features[row].astype(np.float64), np.empty(len(features))
    for start in range(0, len(features), 4096):
        block = features[start : start + 4096] - centre
        found[start : start + 4096] = np.sqrt((block * block).sum(1))
    return found


def build_features(seed: int, options: Options) -> PooledFeatures:
    """Build the statistic."""
    return PooledFeatures()


def build(options: Options) -> KCentre:
    """Build the strategy."""
    return KCentre()
