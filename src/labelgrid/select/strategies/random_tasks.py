"""Picks random cells, with a fixed share for each task.

Each task gets the same number of labels, or the same cost, or a share that the options name. Its
cells are drawn uniformly and independently of other tasks.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from labelgrid.basics.array_types import Floats
from labelgrid.basics.errors import NothingToBuyError
from labelgrid.basics.words import join_names
from labelgrid.ledger.grid import Grid
from labelgrid.select.parts import draw_cells
from labelgrid.select.shares import Group, alternate, deal_cells, interleave, random_order
from labelgrid.select.strategy import Budget, PoolView, Selection, check_task_names


@dataclass(frozen=True)
class Options:
    """How the budget is divided among tasks.

    Args:
        shares: `"equal"` numbers of labels; `"cost"`: numbers in proportion to 1 / cost; or weights
            by task, such as `{ semseg = 2, depth = 1 }`, and no label of other tasks. If a task
            runs out of cells, its share goes to the other named tasks; if none of them has cells,
            the share is not spent.
    """

    shares: Literal["equal", "cost"] | Mapping[str, float] = "equal"

    def __post_init__(self) -> None:
        if isinstance(self.shares, str):
            return
        for task, weight in self.shares.items():
            if not 0 <= weight < math.inf:
                raise ValueError(f"the weight of {task} must be at least 0; it is {weight:g}")
        if not any(self.shares.values()):
            raise ValueError("one weight at least must be above 0")


@dataclass(frozen=True)
class RandomTasks:
    """Picks random cells, keyed by image and task, with a fixed share for each task."""

    options: Options
    skips_following: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset()
    unit: ClassVar[Literal["cells"]] = "cells"

    @property
    def tasks(self) -> frozenset[str]:
        """The tasks that the weights of the options name, or none."""
        if isinstance(self.options.shares, str):
            return frozenset()
        return frozenset(self.options.shares)

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """As `Strategy.select`.

        Raises:
            PluginError: a named task does not exist.
            NothingToBuyError: no task with a weight lacks a label.
        """
        grid = pool.grid
        draws = draw_cells(grid, pool.seed)
        t = len(grid.tasks)
        weights = self._weights(grid)
        order = [column for column in random_order(t, pool.seed, "tasks") if weights[column]]
        groups = []
        parts = []
        for index, column in enumerate(order):
            rows = np.flatnonzero(grid.eligible[:, column])
            groups.append(Group(rows * t + column, draws[rows, column]))
            parts.append(alternate([index]))
        turns = interleave(parts, weights[order].tolist())
        dealt = deal_cells(groups, turns, grid, budget)
        why = "random image of this task"
        return Selection(picks=grid.cell_picks((item, score, why) for item, _, score in dealt))

    def _weights(self, grid: Grid) -> Floats:
        shares = self.options.shares
        if shares == "equal":
            return np.ones(len(grid.tasks))
        if isinstance(shares, str):
            least = 1e-6 * grid.cost.max() or 1.0  # free labels have a share, too
            return 1 / np.maximum(grid.cost, least)
        check_task_names("random_tasks", shares, grid.tasks)
        weights = np.array([shares.get(task, 0.0) for task in grid.tasks])
        if grid.eligible.any() and not grid.eligible[:, weights > 0].any():
            names = join_names(sorted(task for task in shares if shares[task]))
            raise NothingToBuyError(
                f"The strategy 'random_tasks' buys labels of {names} only, and no image lacks one.",
                next_step="Give other tasks a weight in its option shares, or stop.",
                unchanged="Nothing was requested.",
            )
        return weights


def build(options: Options) -> RandomTasks:
    """Build random picks with shares of tasks."""
    return RandomTasks(options)
