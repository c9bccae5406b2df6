"""Core-Set: picks images that cover the pool, each farthest from all labelled and picked images.

Distances are between pooled features (Sener & Savarese 2018). It needs the statistic `features` and
has no options.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from labelgrid.select.budget import image_costs
from labelgrid.select.centres import farthest_first
from labelgrid.select.parts import draw_images
from labelgrid.select.strategy import Budget, PoolView, Selection

FEATURES = "features"


@dataclass(frozen=True)
class Options:
    """No options."""


@dataclass(frozen=True)
class CoreSet:
    """Picks whole images by greedy k-centre.

    Images with a label or a request of any task are the first centres. The picks are
    exactly those of the greedy algorithm in float64; ties are broken by image key. A pick's term
    `distance` is the Euclidean distance of its image to the nearest centre when it was picked. With
    no centre at all, the first image is drawn at random, keyed by image, and its distance is 0.

    Source: Sener & Savarese 2018, algorithm 1.
    """

    needs: ClassVar[frozenset[str]] = frozenset({FEATURES})
    unit: ClassVar[Literal["images"]] = "images"

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """As `Strategy.select`."""
        grid = pool.grid
        features = pool.statistics[FEATURES]
        costs = image_costs(grid, budget)
        first = draw_images(grid, pool.seed)[:, 0]
        rows, distances = farthest_first(
            features,
            np.any(grid.bought, axis=1),
            costs=costs,
            keys=grid.keys,
            amount=budget.amount,
            draws=first,
        )
        why = "far from all labelled images"
        picks = grid.image_picks((row, distances[row], why) for row in rows)
        return Selection(picks=picks, terms={"distance": distances})


def build(options: Options) -> CoreSet:
    """Build the strategy."""
    return CoreSet()
