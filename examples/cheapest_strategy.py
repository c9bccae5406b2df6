"""A strategy of one's own: uncertainty per unit of cost, as `--strategy cheapest_strategy:build`."""

from dataclasses import dataclass

import numpy as np

from labelgrid.labels.grid import Grid
from labelgrid.select.parts import AsIs, Composed, MinMax
from labelgrid.select.strategy import Scores, Statistics


@dataclass(frozen=True)
class Options:
    """No options."""


def per_cost(statistics: Statistics, grid: Grid, seed: int) -> Scores:
    """Each cell's uncertainty, scaled to [0, 1] over the pool, divided by what its label costs."""
    uncertainty = np.where(grid.eligible, statistics["dropout"], np.nan)
    bounds = MinMax("each").fix(uncertainty, grid, {})
    scaled: Scores = MinMax("each").apply(uncertainty, grid, bounds) / np.maximum(grid.cost, 1e-9)
    return scaled


def build(options: Options) -> Composed:
    """Most uncertainty for the money."""
    return Composed(frozenset({"dropout"}), per_cost, AsIs(), "cells", "uncertain for its price")
