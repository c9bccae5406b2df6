"""Picks random cells task by task: each task gets the same number of labels, or labels for the same money.

Each task's cells are drawn uniformly and independently of the other tasks'.
"""

from dataclasses import dataclass
from itertools import cycle
from typing import Literal

import numpy as np

from labelgrid.labels.grid import Pick
from labelgrid.select.parts import draw_cells
from labelgrid.select.shares import Group, cell_costs, deal, interleave, shuffled
from labelgrid.select.strategy import Budget, PoolView, Selection


@dataclass(frozen=True)
class Options:
    """How the budget is divided among tasks.

    Args:
        shares: `"equal"`: each task gets the same number of labels; `"cost"`: numbers in proportion to 1 / cost, so
            that the same is spent on each task. What a task has no cells for goes to the others.
    """

    shares: Literal["equal", "cost"] = "equal"


@dataclass(frozen=True)
class RandomTasks:
    """Random cells with a fixed share for each task, keyed by image and task."""

    options: Options
    needs: frozenset[str] = frozenset()
    unit: Literal["cells"] = "cells"

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """As `Strategy.select`."""
        grid, draws = pool.grid, draw_cells(pool.grid, pool.seed)
        t = len(grid.tasks)
        groups = [
            Group(rows * t + column, draws[rows, column])
            for column, rows in enumerate(np.flatnonzero(missing) for missing in grid.eligible.T)
        ]
        costs, amount = cell_costs(grid, budget)
        task_costs = np.maximum(grid.cost, 1e-6 * grid.cost.max() or 1.0)  # free labels have a share, too
        shares = 1 / task_costs if self.options.shares == "cost" else np.ones(t)
        order = shuffled(t, pool.seed, "tasks")
        turns = interleave([cycle([column]) for column in order], shares[order].tolist())
        picks = deal(groups, turns, costs, np.repeat(grid.keys, t), amount)
        return Selection(
            [Pick(grid.cell(*divmod(item, t)), score, why="random image of this task") for item, _, score in picks]
        )


def build(options: Options) -> RandomTasks:
    """Build the strategy."""
    return RandomTasks(options)
