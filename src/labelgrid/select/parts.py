"""What strategies are composed of: scorer × normaliser × unit × selector."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelgrid.labels.grid import Grid, Pick
from labelgrid.select.strategy import Budget, PoolView, Scores, Selection
from labelgrid.streams import keyed_uniform, seed_of

#: Why a cell was picked that has no score of its own.
DRAWN = "drawn at random: the network has learnt nothing of this task yet"


@dataclass(frozen=True)
class Scored:
    """What a scorer gives: scores [n, t], NaN where nobody knows, and the terms [n, t] or [n] they are made of."""

    values: Scores
    terms: Mapping[str, NDArray[Any]] = field(default_factory=dict)


#: Raw scores of a pool.
Scorer = Callable[[PoolView], Scored]


def draw_cells(grid: Grid, seed: int) -> Scores:
    """A uniform draw a cell, keyed by image and task."""
    return np.stack([keyed_uniform(grid.keys, seed_of(seed, "cell", task)) for task in grid.tasks], 1)


def draw_images(grid: Grid, seed: int) -> Scores:
    """A uniform draw an image, the same for all its cells."""
    return np.repeat(keyed_uniform(grid.keys, seed_of(seed, "image"))[:, None], len(grid.tasks), 1)


@dataclass(frozen=True)
class Draw:
    """Scores that are drawn: `draw_cells` or `draw_images` of the round's seed."""

    draw: Callable[[Grid, int], Scores]

    def __call__(self, pool: PoolView) -> Scored:
        """As `Scorer`."""
        return Scored(self.draw(pool.grid, pool.seed))


@dataclass(frozen=True)
class Read:
    """The scores that a statistic of cells holds."""

    statistic: str

    def __call__(self, pool: PoolView) -> Scored:
        """As `Scorer`."""
        return Scored(np.asarray(pool.statistics[self.statistic], np.float64))


@dataclass(frozen=True)
class AsIs:
    """Leaves scores as they are."""

    def calibrate(self, scores: Scores, grid: Grid, calibration: Mapping[str, Any]) -> Mapping[str, Any]:
        """Nothing is added."""
        return calibration

    def apply(self, scores: Scores, grid: Grid, calibration: Mapping[str, Any]) -> Scores:
        """The same scores."""
        return scores


@dataclass(frozen=True)
class MinMax:
    """(u - min) / (max - min) for each task, bounds taken over the pool and kept from the task's first round on.

    Later scores are not clipped. A task whose scores are all equal gets 0.

    Args:
        keep: "first" keeps the first round's bounds (PartAL A.3), "each" takes them anew each round.

    Source: PartAL eq. 1.
    """

    keep: Literal["first", "each"] = "first"

    def calibrate(self, scores: Scores, grid: Grid, calibration: Mapping[str, Any]) -> Mapping[str, Any]:
        """The bounds by task: kept ones as they are, new ones for tasks that have scores for the first time."""
        bounds = dict(calibration) if self.keep == "first" else {}
        for column, task in enumerate(grid.tasks):
            known = scores[:, column][grid.eligible[:, column]]
            known = known[np.isfinite(known)]
            if task not in bounds and len(known):
                bounds[task] = [float(known.min()), float(known.max())]
        return bounds

    def apply(self, scores: Scores, grid: Grid, calibration: Mapping[str, Any]) -> Scores:
        """Normalised scores; NaN where a task has no bounds yet."""
        bounds = [calibration.get(task, [np.nan, np.nan]) for task in grid.tasks]
        low, high = np.array(bounds, np.float64).reshape(-1, 2).T
        spread = np.where(high > low, high - low, np.inf)
        return np.asarray((scores - low) / spread, np.float64)


@dataclass(frozen=True)
class Composed:
    """A strategy put together from parts.

    A missing cell without a score (its task had no label when the network was trained) gets a uniform draw in
    [0, 1), keyed by image and task: among normalised scores such a task gets its share, at random images.

    Args:
        needs: the statistics it reads.
        unit: picks single cells, or whole images (all missing cells of the image with the best mean score).
        why: said of each pick.
    """

    needs: frozenset[str]
    scorer: Scorer
    normaliser: AsIs | MinMax
    unit: Literal["cells", "images"]
    why: str

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """As `Strategy.select`: the scorer runs once."""
        raw, grid = self.scorer(pool), pool.grid
        calibration = self.normaliser.calibrate(raw.values, grid, pool.calibration)
        scores = self.normaliser.apply(raw.values, grid, calibration)
        scores = np.where(np.isnan(scores), draw_cells(grid, pool.seed), scores)
        scores = np.where(grid.eligible, scores, np.nan)
        if self.unit == "cells":
            picks = best_cells(scores, grid, budget, self.why, np.isnan(raw.values))
        else:
            picks = best_images(scores, grid, budget, self.why)
        return Selection(picks, raw.terms, calibration)


def best_cells(
    scores: Scores, grid: Grid, budget: Budget, why: str, drawn: NDArray[np.bool_] | None = None
) -> list[Pick]:
    """The best cells over the whole grid that the budget affords, one by one, ties by image key.

    A budget in images is worth K cells an image, so that strategies of both units spend equal labels. The cells that
    are `drawn` [n, t] are said to be.
    """
    n, t = scores.shape
    amount = budget.amount * t if budget.unit == "images" else budget.amount
    price = grid.cost if budget.unit == "cost" else np.ones(t)
    prices = np.broadcast_to(price, (n, t)).ravel()
    picks = []
    for place in buy(scores.ravel(), np.repeat(grid.keys, t), prices, amount):
        row, column = divmod(int(place), t)
        reason = DRAWN if drawn is not None and drawn[row, column] else why
        picks.append(Pick(grid.cell(row, column), float(scores[row, column]), why=reason))
    return picks


def best_images(scores: Scores, grid: Grid, budget: Budget, why: str) -> list[Pick]:
    """All missing cells of the images with the best mean score over their missing cells, within the budget."""
    eligible = grid.eligible
    count = eligible.sum(1)
    total = np.where(eligible, scores, 0.0).sum(1)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    price = {"labels": count, "images": (count > 0), "cost": (eligible * grid.cost).sum(1)}[budget.unit]
    picks = []
    for row in buy(mean, grid.keys, price.astype(np.float64), budget.amount):
        columns = np.flatnonzero(eligible[row])
        picks += [Pick(grid.cell(row, int(column)), float(mean[row]), why=why) for column in columns]
    return picks


def buy(scores: NDArray[np.float64], keys: NDArray[np.uint64], prices: NDArray[np.float64], amount: float) -> list[int]:
    """Places with a finite score, highest first, each taken if what is left of `amount` pays for it.

    Ties go by key, then by place (a cell's task). Only as many of the best are sorted as could be afforded.

    Example:
        >>> keys = np.array([3, 2, 1, 0], np.uint64)
        >>> buy(np.array([0.5, 0.9, 0.5, np.nan]), keys, np.array([1.0, 2.0, 1.0, 1.0]), 3.0)
        [1, 2]
    """
    known = np.flatnonzero(np.isfinite(scores))
    if not len(known):
        return []
    cheapest = float(prices[known].min())
    count = int((amount + 1e-9) // cheapest) if cheapest else 0  # labels may be free
    top = known
    if 0 < count < len(known):
        values = scores[known]
        top = known[values >= np.partition(values, -count)[-count]]
    taken, left = _take(top, scores, keys, prices, amount)
    if left >= cheapest and len(top) < len(known):
        taken, _ = _take(known, scores, keys, prices, amount)
    return taken


def _take(
    places: NDArray[np.intp],
    scores: NDArray[np.float64],
    keys: NDArray[np.uint64],
    prices: NDArray[np.float64],
    amount: float,
) -> tuple[list[int], float]:
    order = places[np.lexsort((keys[places], -scores[places]))]
    taken, left, cheapest = [], amount + 1e-9, float(prices[order].min())
    for place in order:
        if left < cheapest:
            break
        if prices[place] <= left:
            taken.append(int(place))
            left -= float(prices[place])
    return taken, left
