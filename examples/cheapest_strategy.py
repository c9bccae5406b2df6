"""A strategy of your own: uncertainty per unit of cost. Use it with `--strategy cheapest_strategy:build`.

Commands run it with `--trust cheapest_strategy`.
"""

from dataclasses import dataclass

import numpy as np

from labelgrid.select.parts import AsIs, ComposedStrategy, MinMax, ScorerResult
from labelgrid.select.strategy import PoolView


@dataclass(frozen=True)
class Options:
    """No options."""


def per_cost(pool: PoolView) -> ScorerResult:
    """Each cell's uncertainty, scaled to [0, 1] over the pool, divided by the cost of its label."""
    grid = pool.grid
    uncertainty = np.where(grid.eligible, pool.statistics["dropout"], np.nan)
    bounds = MinMax("each").calibrate(uncertainty, grid, {})
    scaled = MinMax("each").apply(uncertainty, grid, bounds)
    return ScorerResult(
        scaled / np.maximum(grid.cost, 1e-9), {"uncertainty": scaled}, without={"cost": scaled}
    )


def build(options: Options) -> ComposedStrategy:
    """Build the strategy."""
    return ComposedStrategy(
        needs=frozenset({"dropout"}),
        scorer=per_cost,
        normaliser=AsIs(),
        unit="cells",
        why="uncertain for its cost",
    )
