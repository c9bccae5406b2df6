"""Buys the label with the largest gain of all tasks for the cost, relations counted.

Between two tasks of equal gain and cost this is an equal number of labels. A label also counts for
the labels that follow: where depth gives the normals, depth is worth both. A label that a trusted
supplier gives is worth what that leaves to gain. Images are drawn at random.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from labelgrid.basics.array_types import Floats
from labelgrid.select.budget import cell_costs, payable_amount
from labelgrid.select.parts import draw_cells, draw_images
from labelgrid.select.shares import random_order
from labelgrid.select.strategy import Budget, PoolView, Selection, TrainedRound

#: A free label counts as if it took this much of the budget.
FREE = 1e-9
#: The fewest rounds with losses on val images: fewer give a line, but not how sure it is.
FEWEST = 3
#: No task's gain is taken to be less than this share of the mean, so that none starves.
LEAST = 0.25


@dataclass(frozen=True)
class Options:
    """How tasks are weighed, and which images get labels.

    Args:
        gains: `"curves"`: tasks whose loss on the val images falls faster with their labels get
            more, as far as three rounds or more can tell; `"equal"`: all tasks gain alike.
        images: `"whole"`: all tasks draw images in one random order, those with labels first, so
            that images are completed and then taken whole; `"separate"`: each task draws its own.
    """

    gains: Literal["curves", "equal"] = "curves"
    images: Literal["whole", "separate"] = "whole"


@dataclass(frozen=True, kw_only=True)
class Joint:
    """Picks cell after cell, each by the gain of all tasks for the cost.

    A task gains `gain / (labels + 1)` from a label, the derivative of `gain * log(labels + 1)`. A
    label that follows from others counts by its share.
    """

    options: Options
    valued: ClassVar[bool] = False
    skips_following: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset()
    unit: ClassVar[Literal["cells"]] = "cells"

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """As `Strategy.select`, without scores."""
        grid = pool.grid
        t = len(grid.tasks)
        whole = self.options.images == "whole"
        costs, amount = cell_costs(grid, budget)
        market = _market(pool, costs, self.options.gains)
        begun = np.asarray(grid.bought.any(1))
        draws = draw_images(grid, pool.seed) if whole else draw_cells(grid, pool.seed)
        later = ~begun & whole
        queues = dict[int, Iterator[int]]()
        for column in random_order(t, pool.seed, "tasks"):
            order = np.lexsort((grid.keys, -draws[:, column], later))
            queues[column] = iter(order[grid.eligible[order, column]].tolist())
        chosen = []
        for row, column, value in _buy(market, queues, payable_amount(amount)):
            why = "random image of this task"
            if whole:
                why = "completes an image" if begun[row] else "random image"
            chosen.append((row * t + column, value, why))
        terms = {} if pool.given is None else {"left to gain": 1 - pool.given}
        return Selection(picks=grid.cell_picks(chosen), terms=terms)


@dataclass(kw_only=True)
class _Market:
    """The worth of labels, as more and more are bought.

    Args:
        gains: the gains of each task [t].
        fractions: the fraction of each column's label that a row's label gives [t, t].
        given: the share of each label that suppliers give once its image has a bought one [n, t].
        prices: the prices of a label of each task [t], as a part of the budget; infinite if none is
            left.
        reached: the part of each cell's label that is bought or follows from bought ones [n, t];
            changes with each purchase.
    """

    gains: Floats
    fractions: Floats
    given: Floats
    prices: Floats
    reached: Floats

    def __post_init__(self) -> None:
        self.labels = self.reached.sum(0)

    def value(self, row: int, column: int) -> float:
        """The gain of all tasks from a cell's label, per cost."""
        gain = self._added(row, column) @ (self.gains / (self.labels + 1))
        return float(gain / max(self.prices[column], FREE))

    def buy(self, row: int, column: int) -> None:
        """Count a cell's label as bought."""
        added = self._added(row, column)
        self.labels += added
        self.reached[row] += added

    def _added(self, row: int, column: int) -> Floats:
        reaches = np.maximum(self.fractions[column], self.given[row])
        return np.maximum(reaches - self.reached[row], 0.0)


def _market(pool: PoolView, costs: Floats, gains: str) -> _Market:
    grid = pool.grid
    fractions = np.eye(len(grid.tasks))
    columns = grid.columns
    for task, brought in pool.brings.items():
        for name, fraction in brought.items():
            fractions[columns[task], columns[name]] = fraction
    reached = np.zeros(grid.state.shape)
    for column in columns.values():
        reached = np.maximum(reached, grid.bought[:, [column]] * fractions[column])
    given = np.zeros(grid.state.shape) if pool.given is None else pool.given
    is_read = np.any(grid.bought, 1, keepdims=True) | pool.given_everywhere
    reached = np.maximum(reached, given * is_read)
    return _Market(
        gains=task_gains(pool.history if gains == "curves" else (), grid.tasks),
        fractions=fractions,
        given=given,
        prices=costs.reshape(grid.state.shape).min(0, initial=np.inf),
        reached=reached,
    )


def _buy(
    market: _Market, queues: Mapping[int, Iterator[int]], amount: float
) -> Iterator[tuple[int, int, float]]:
    """Buy the best cell for its cost until nothing more can be paid; yield row, column and value.

    `queues` has the rows of each column in order; of equal values, the first column's is bought.
    """
    heads = {column: next(queue, None) for column, queue in queues.items()}
    while True:
        values = {}
        for column, row in heads.items():
            if row is not None and market.prices[column] <= amount:
                values[column] = (market.value(row, column), row)
        if not values:
            return
        column = max(values, key=lambda column: values[column][0])
        value, row = values[column]
        market.buy(row, column)
        amount -= float(market.prices[column])
        heads[column] = next(queues[column], None)
        yield row, column, value


def build(options: Options) -> Joint:
    """Build the purchase of labels for all tasks."""
    return Joint(options=options)


def task_gains(history: Sequence[TrainedRound], tasks: Sequence[str]) -> Floats:
    """The gain of each task, float64 [t], with a mean of about 1.

    The exponents are drawn toward their mean as far as the curves do not tell them apart: where
    the differences are no larger than their standard errors, all gains are 1.

    Args:
        history: the campaign's finished trainings.
        tasks: t names.

    Example:
        >>> rounds = []
        >>> for number, labels in enumerate((10, 20, 40, 80)):
        ...     val = {"depth/loss": labels**-0.3, "edges/loss": labels**-0.1}
        ...     counts = {"depth": labels, "edges": labels}
        ...     rounds.append(TrainedRound(round=number, labels=counts, cost=2.0 * labels, val=val))
        >>> task_gains(rounds, ["depth", "edges"]).round(2).tolist()
        [1.5, 0.5]
        >>> task_gains(rounds[:2], ["depth", "edges"]).tolist()
        [1.0, 1.0]
    """
    exponents = np.full(len(tasks), np.nan)
    errors = np.full(len(tasks), np.nan)
    for column, task in enumerate(tasks):
        curve = _curve(history, task)
        if len(curve) >= FEWEST and np.ptp(curve[:, 0]) > 0:
            # The slope by least squares, and its standard error.
            x, y = curve.T - curve.mean(0)[:, None]
            spread = float(x @ x)
            slope = float(x @ y) / spread
            rest = y - slope * x
            exponents[column] = slope
            errors[column] = float(np.sqrt(rest @ rest / (len(curve) - 2) / spread))
    return _shrink(exponents, errors)


def _curve(history: Sequence[TrainedRound], task: str) -> Floats:
    """The logarithms of labels and of 1 / loss [rounds, 2], of the rounds that have both.

    What followed from other labels counts as labels, too.
    """
    points = []
    for trained in history:
        loss = trained.val.get(f"{task}/loss", 0.0)
        labels = trained.labels.get(task, 0) + trained.derived.get(task, 0.0)
        if loss > 0 and labels > 0:
            points.append((np.log(labels), -np.log(loss)))
    return np.array(points).reshape(-1, 2)


def _shrink(exponents: Floats, errors: Floats) -> Floats:
    """Exponents, drawn toward the mean as far as the errors explain the differences."""
    fitted = np.isfinite(exponents)
    gains = np.ones(len(exponents))
    slopes = exponents[fitted]
    if len(slopes) < 2 or slopes.mean() <= 0:
        return gains
    noise = errors[fitted] ** 2
    between = max(float(slopes.var(ddof=1) - noise.mean()), 0.0)
    total = between + noise
    fraction = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
    gains[fitted] = np.maximum(1 + fraction * (slopes / slopes.mean() - 1), LEAST)
    return gains
