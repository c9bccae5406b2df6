"""What a strategy is: scores for cells, then picks within a budget; higher score = label first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import LabelgridError
from labelgrid.labels.grid import Grid, Pick, Unit

#: Named arrays with leading axis n, the rows of the grid; a cell or image nobody knows about is NaN.
Statistics = Mapping[str, NDArray[np.float64]]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Budget:
    """How much may be spent: labels, images (an image's missing cells) or cost."""

    amount: float
    unit: Unit = "labels"


class Strategy(Protocol):
    """Chooses cells. The published strategies are named compositions of `labelgrid.select.parts`."""

    @property
    def needs(self) -> frozenset[str]:
        """The statistics it reads: plug-ins of `labelgrid.score`."""

    def fix(self, statistics: Statistics, grid: Grid, fixed: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is fixed once and kept in the ledger (JSON values): `fixed` with what this round adds."""

    def score(self, statistics: Statistics, grid: Grid, fixed: Mapping[str, Any], seed: int) -> Scores:
        """Scores [n, t]; NaN for cells that may not be picked."""

    def select(self, scores: Scores, statistics: Statistics, grid: Grid, budget: Budget, seed: int) -> list[Pick]:
        """Missing cells worth at most the budget, best first."""


def left_of(grid: Grid, unit: Unit) -> float:
    """What is left of the pool to buy, in a budget's unit."""
    eligible = grid.eligible
    return {
        "labels": float(eligible.sum()),
        "images": float(eligible.any(1).sum()),
        "cost": float((eligible * grid.cost).sum()),
    }[unit]


def check_budget(budget: Budget, grid: Grid) -> None:
    """Refuse a budget that buys nothing or more than there is.

    Raises:
        LabelgridError: it is not above 0, or larger than the pool, or the pool is empty.
    """
    have = left_of(grid, budget.unit)
    if not budget.amount > 0:
        raise LabelgridError(
            f"The budget must be above 0. Found {budget.amount:g} {budget.unit}.",
            next_step=f"Ask for at most {have:g}.",
            unchanged="Nothing was requested.",
        )
    if not grid.eligible.any():
        raise LabelgridError(
            "The pool is empty: no image to train on lacks a label.",
            next_step="Add images or tasks with `labelgrid add`.",
            unchanged="Nothing was requested.",
        )
    if budget.amount > have:
        raise LabelgridError(
            f"The budget of {budget.amount:g} {budget.unit} is larger than the pool, which holds {have:g}.",
            next_step=f"Ask for at most {have:g}, or add images with `labelgrid add`.",
            unchanged="Nothing was requested.",
        )
