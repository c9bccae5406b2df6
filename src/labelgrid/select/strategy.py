"""Defines the interface of strategies, which pick cells within a budget; higher score = label first."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import LabelgridError, PluginError
from labelgrid.labels.grid import Grid, Pick, Unit
from labelgrid.words import counted

#: Named arrays with the grid's rows: float64 [n, t] for cells, float64 [n] for images or float32 [n, d] for features,
#: as each statistic declares; NaN where unknown.
Statistics = Mapping[str, NDArray[Any]]
#: Float64 [n, t]; higher = label first.
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Budget:
    """The most that may be spent, in labels, images (all missing cells of an image) or cost."""

    amount: float
    unit: Unit = "labels"


@dataclass(frozen=True)
class TrainedRound:
    """A finished training in the campaign's history. It holds no metric on held-out or test labels.

    Args:
        round: the number of the round.
        labels: the number of labels by task that were trained on.
        cost: the cost of all labels in the splits train and val at that time.
        val: metrics on the val images by `task/metric`, and `loss_mtl`; empty if there are none.
    """

    round: int
    labels: Mapping[str, int]
    cost: float
    val: Mapping[str, float]


@dataclass(frozen=True)
class PoolView:
    """The pool from which a strategy picks.

    Args:
        grid: the states of all cells of the train split.
        statistics: the statistics that the strategy needs, with the grid's rows.
        seed: the seed of this round's draws.
        calibration: the `Selection.calibration` of earlier rounds.
        read_history: returns the history; see `history`.
    """

    grid: Grid
    statistics: Statistics = field(default_factory=dict)
    seed: int = 0
    calibration: Mapping[str, Any] = field(default_factory=dict)
    read_history: Callable[[], Sequence[TrainedRound]] = tuple

    @cached_property
    def history(self) -> Sequence[TrainedRound]:
        """The campaign's finished trainings, the newest last; read on first use."""
        return self.read_history()


@dataclass(frozen=True)
class Selection:
    """The result of a strategy.

    Args:
        picks: missing cells worth at most the budget, best first.
        terms: named terms of the scores, [n, t] for cells or [n] for images; stored with the picks.
        calibration: JSON values that are fixed once and kept in the ledger: the pool's and those added in this round.
    """

    picks: Sequence[Pick]
    terms: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)


class Strategy(Protocol):
    """Picks cells. Most strategies are composed of `labelgrid.select.parts`.

    Laws (tests/contracts/test_strategies.py): picks are missing cells worth at most the budget; they do not depend on
    the order of the pool; a budget of the whole pool buys the whole pool.

    A strategy with an attribute `cold = True` also picks before the first training, by statistics of the network with
    its initial weights: the pretrained encoder's features. Others are replaced by random images then.
    """

    @property
    def needs(self) -> frozenset[str]:
        """The statistics that it reads: plug-ins of `labelgrid.score`, or "module:function"."""

    @property
    def unit(self) -> Literal["cells", "images"]:
        """The unit of its picks: single cells, or all missing cells of an image."""

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """Pick cells within the budget."""


def check_picks(name: str, picks: Sequence[Pick], grid: Grid, budget: Budget) -> None:
    """Refuse picks that no strategy may make; nothing was done with them yet.

    Raises:
        PluginError: a cell is picked twice, is not missing, has no finite score, or the picks exceed the budget.
    """
    cells = [pick.cell for pick in picks]
    picked, eligible = {cell.image_id for cell in cells}, grid.eligible
    rows = {image_id: row for row, image_id in enumerate(grid.images) if image_id in picked}
    columns = {task: column for column, task in enumerate(grid.tasks)}
    faults = [f"({cell.image_id}, {cell.task}) twice" for cell, count in Counter(cells).items() if count > 1]
    for pick in picks:
        row, column = rows.get(pick.cell.image_id), columns.get(pick.cell.task)
        if row is None or column is None or not eligible[row, column]:
            faults.append(f"({pick.cell.image_id}, {pick.cell.task}), which is not missing")
        elif not math.isfinite(pick.score):
            faults.append(f"({pick.cell.image_id}, {pick.cell.task}) with the score {pick.score}")
    spent = sum(float(grid.cost[columns[cell.task]]) for cell in cells if cell.task in columns)
    used = {"labels": len(cells), "images": len(picked), "cost": spent}[budget.unit]
    # A strategy of cells may spread the labels of a budget in images over more images.
    most = budget.amount * (len(grid.tasks) if budget.unit == "images" else 1)
    if (len(cells) if budget.unit == "images" else used) > most + 1e-6:
        faults.append(f"more than the budget of {budget.amount:g} {budget.unit}: {used:g}")
    if faults:
        raise PluginError(
            f"The strategy '{name}' picked {faults[0]}"
            + (f", and {counted(len(faults) - 1, 'more fault')}." if faults[1:] else "."),
            next_step="Fix the strategy; labelgrid list select shows others.",
            unchanged="Nothing was requested.",
        )


def left_of(grid: Grid, unit: Unit) -> float:
    """The size of the remaining pool, in a budget's unit."""
    eligible = grid.eligible
    return {
        "labels": float(eligible.sum()),
        "images": float(eligible.any(1).sum()),
        "cost": float((eligible * grid.cost).sum()),
    }[unit]


def check_budget(budget: Budget, grid: Grid, set_aside: int = 0) -> None:
    """Check that a budget is above 0 and not larger than the pool.

    Args:
        budget: the most that the picks may take.
        grid: the pool, without the images that are set aside.
        set_aside: how many these are.

    Raises:
        LabelgridError: it is not, or the pool is empty.
    """
    available = left_of(grid, budget.unit)
    aside = back = ""
    if set_aside:
        why = "set aside, because {} cannot be read"
        one, many = f"image is {why.format('its file')}", f"images are {why.format('their files')}"
        aside, back = f"; {counted(set_aside, one, many)}", "Put the files back. "
    if not budget.amount > 0:
        raise LabelgridError(
            f"The budget must be above 0. Found {budget.amount:g} {budget.unit}.",
            next_step=f"Ask for at most {available:g}.",
            unchanged="Nothing was requested.",
        )
    if not grid.eligible.any():
        raise LabelgridError(
            f"The pool is empty: no image to train on lacks a label{aside}.",
            next_step=f"{back}Add images or tasks with `labelgrid add`.",
            unchanged="Nothing was requested.",
        )
    if budget.amount > available:
        raise LabelgridError(
            f"The budget of {budget.amount:g} {budget.unit} is larger than the pool, which holds {available:g}{aside}.",
            next_step=f"{back}Ask for at most {available:g}, or add images with `labelgrid add`.",
            unchanged="Nothing was requested.",
        )
