"""Provides the parts of strategies: scorers, normalisers, and picks within a budget."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from labelgrid.basics.array_types import Array, Bools, Floats
from labelgrid.basics.errors import PluginError
from labelgrid.basics.streams import keyed_uniform, seed_of
from labelgrid.basics.type_names import Json, Values
from labelgrid.ledger.grid import Grid, Pick
from labelgrid.select.budget import buy, cell_costs, image_costs
from labelgrid.select.following import value_with_following
from labelgrid.select.knapsack import buy_value
from labelgrid.select.strategy import (
    Budget,
    Expects,
    PickUnit,
    PoolView,
    Scores,
    Selection,
)
from labelgrid.select.uncertainty_options import Options as UncertaintyOptions

#: The reason given for a pick whose score was drawn at random.
DRAWN = "drawn at random: nothing is known of this cell yet"
#: Scores in a range up to this count as equal, and a mean up to this as 0: a division by such a
#: number overflows.
LEAST_RANGE = 1e-300
#: So do scores in a range up to this share of the largest: they differ by rounding.
LEAST_SHARE = 1e-6
#: The reason given for an image of which no score is known.
DRAWN_IMAGE = "drawn at random: the model says nothing yet of what images are picked by"


@dataclass(frozen=True)
class ScorerResult:
    """The result of a scorer.

    Args:
        values: scores [n, t], NaN where unknown.
        terms: named terms of these scores, [n, t] or [n].
        without: the scores [n, t] without one thing each, by the name of that thing.
        shared: whether all cells of an image have the same score. Then the score without one of the
            tasks says nothing.
    """

    values: Scores
    terms: Mapping[str, Array] = field(default_factory=dict)
    without: Mapping[str, Scores] = field(default_factory=dict)
    shared: bool = False


#: Computes the raw scores of a pool.
Scorer = Callable[[PoolView], ScorerResult]


def draw_cells(grid: Grid, seed: int) -> Scores:
    """Uniform draws [n, t] in [0, 1) for each cell, keyed by image and task."""
    salts = [seed_of(seed, "cell", task) for task in grid.tasks]
    return np.stack([keyed_uniform(grid.keys, salt) for salt in salts], 1)


def draw_images(grid: Grid, seed: int) -> Scores:
    """Uniform draws [n, t] in [0, 1) for each image, the same for all cells of an image."""
    draws = keyed_uniform(grid.keys, seed_of(seed, "image"))
    return np.repeat(draws[:, None], len(grid.tasks), 1)


@dataclass(frozen=True)
class Draw:
    """Scores cells at random: by `draw_cells` or `draw_images` with the round's seed."""

    draw: Callable[[Grid, int], Scores]

    def __call__(self, pool: PoolView) -> ScorerResult:
        """Draw the scores, without terms."""
        return ScorerResult(self.draw(pool.grid, pool.seed))


@dataclass(frozen=True)
class ReadStatistic:
    """Scores cells by a statistic that has a value for each cell; `term` names it."""

    statistic: str
    term: str = "uncertainty"

    def __call__(self, pool: PoolView) -> ScorerResult:
        """Read the statistic; a `PluginError` refuses values that are not of cells."""
        values = np.asarray(pool.statistics[self.statistic], np.float64)
        if values.shape != pool.grid.state.shape:
            raise PluginError(
                f"The strategy reads the statistic '{self.statistic}', which has no value for each "
                f"cell: its values for {len(pool.grid.images)} images and {len(pool.grid.tasks)} "
                f"tasks are {list(values.shape)}.",
                next_step="Name a statistic whose axis is 'cell', such as 'dropout'.",
                unchanged="Nothing was requested.",
            )
        return ScorerResult(values, {self.term: values})


@dataclass(frozen=True)
class AsIs:
    """Leaves scores as they are."""

    removed: ClassVar[Sequence[str]] = ()

    def calibrate(self, scores: Scores, grid: Grid, calibration: Values) -> Values:
        """Keep the calibration of earlier rounds."""
        return calibration

    def apply(self, scores: Scores, grid: Grid, calibration: Values) -> Scores:
        """Return the scores without normalising them."""
        return scores


def widths(low: Floats, high: Floats) -> Floats:
    """The ranges of scores as divisors; infinite where the scores differ by rounding only.

    Example:
        >>> widths(np.array([0.0, 0.6]), np.array([2.0, 0.6000001]))
        array([ 2., inf])
    """
    least = np.maximum(LEAST_SHARE * np.maximum(np.abs(low), np.abs(high)), LEAST_RANGE)
    return np.where(high - low > least, high - low, np.inf)


@dataclass(frozen=True)
class MinMax:
    """Normalises by (u - min) / (max - min) for each task, with bounds taken over the pool.

    Scores outside the bounds are not clipped. If all scores of a task are equal, they become 0.

    Args:
        keep: "first" keeps the bounds of the task's first round in which its scores differ (PartAL
            A.3), "each" recomputes them in each round.

    Source: PartAL eq. 1.
    """

    keep: Literal["first", "each"] = "first"
    removed: ClassVar[Sequence[str]] = ("normalisation",)

    def calibrate(self, scores: Scores, grid: Grid, calibration: Values) -> Values:
        """The bounds by task, kept if their ends differ, or else taken over the pool."""
        bounds = Json()
        if self.keep == "first":
            for task, pair in calibration.items():
                low, high = np.array(pair, np.float64)
                if np.isfinite(widths(low, high)):
                    bounds[task] = pair
        for column, task in enumerate(grid.tasks):
            candidates = scores[:, column][grid.eligible[:, column]]
            candidates = candidates[np.isfinite(candidates)]
            if task not in bounds and len(candidates):
                bounds[task] = [float(candidates.min()), float(candidates.max())]
        return bounds

    def apply(self, scores: Scores, grid: Grid, calibration: Values) -> Scores:
        """The normalised scores [n, t]; NaN if a task has no bounds yet."""
        bounds = [calibration.get(task, [np.nan, np.nan]) for task in grid.tasks]
        low, high = np.array(bounds, np.float64).reshape(-1, 2).T
        return np.asarray((scores - low) / widths(low, high), np.float64)


def fill_unknown(scores: Scores, grid: Grid, seed: int) -> Scores:
    """Give each missing cell without a score the score of a random other cell.

    If no cell has a score, each gets a uniform draw. Whatever the range of the scores, the share of
    such cells is the same among the best scores as among all cells.

    Args:
        scores: float64 [n, t], comparable between tasks; NaN where unknown.
        grid: the cells.
        seed: the seed of the draws, which are keyed by image and task.

    Returns:
        Float64 [n, t]; NaN for cells that are not missing.

    Example:
        >>> keys = np.arange(2, dtype=np.uint64)
        >>> state = np.zeros((2, 2), np.int8)
        >>> grid = Grid(
        ...     images=["i", "j"], keys=keys, tasks=["a", "b"], state=state, cost=np.ones(2)
        ... )
        >>> fill_unknown(np.array([[-7.0, np.nan], [-7.0, np.nan]]), grid, 0).tolist()
        [[-7.0, -7.0], [-7.0, -7.0]]
    """
    scored = np.isfinite(scores) & grid.eligible
    draws = draw_cells(grid, seed)
    if scored.any() and not scored[grid.eligible].all():
        ordered = np.sort(scores[scored])
        draws = ordered[(draws * len(ordered)).astype(np.intp)]
    filled = np.where(scored, scores, draws)
    return np.where(grid.eligible, filled, np.nan)


@dataclass(frozen=True, kw_only=True)
class ComposedStrategy:
    """A strategy composed of parts.

    A missing cell without a score (its task had no label when the network was trained) gets the
    score of a random other cell (`fill_unknown`), so that the task gets its share of the picks, at
    random images.

    Picks are explained by their rank without the normalisation. Picks of images are also explained
    by their rank without each task.

    Args:
        scorer: computes the raw scores.
        unit: picks single cells, or whole images (all missing cells of the images with the highest
            mean score).
        why: the reason given for each pick.
        needs: the statistics it reads.
        normaliser: makes the scores of different tasks comparable.
        valued: whether scores are values, of which a budget of costs buys the most (`buy_value`).
            Otherwise scores are only an order in which a budget is spent, such as the order of
            random draws.
        tasks: the tasks that its options name.
        expects, skips_following: as in `Strategy`.
    """

    scorer: Scorer
    unit: PickUnit
    why: str
    needs: frozenset[str] = frozenset()
    normaliser: AsIs | MinMax = field(default_factory=AsIs)
    valued: bool = True
    tasks: frozenset[str] = frozenset()
    expects: Expects = field(default_factory=dict)
    skips_following: bool = False

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """As `Strategy.select`. The scorer runs once."""
        raw = self.scorer(pool)
        grid = pool.grid
        calibration = self.normaliser.calibrate(raw.values, grid, pool.calibration)
        scores = self.normaliser.apply(raw.values, grid, calibration)
        scores = fill_unknown(scores, grid, pool.seed)
        if pool.brings:
            scores = value_with_following(scores, grid, pool.brings)
        pick_best = best_cells if self.unit == "cells" else best_images
        picks = pick_best(
            scores,
            grid,
            budget,
            why=self.why,
            drawn=np.isnan(raw.values),
            valued=self.valued and budget.unit == "cost",
        )
        if not self.valued:
            return Selection(picks=picks, terms=raw.terms, calibration=calibration)
        without = {**raw.without, **dict.fromkeys(self.normaliser.removed, raw.values)}
        if self.unit == "images":
            if not raw.shared:
                for column, task in enumerate(grid.tasks):
                    without[task] = scores.copy()
                    without[task][:, column] = np.nan
            without = {name: missing_means(values, grid) for name, values in without.items()}
            scores = missing_means(scores, grid)
        return Selection(
            picks=picks, terms=raw.terms, calibration=calibration, scores=scores, without=without
        )


def uncertainty_strategy(
    options: UncertaintyOptions, why: str = "most uncertain", measure: str = ""
) -> ComposedStrategy:
    """Compose a strategy that picks by the uncertainty of a cell.

    Args:
        options: the options of the strategy.
        why: the reason given for each pick.
        measure: the measure of the statistic, which the strategy sets; "" leaves it to the recipe.
    """
    normaliser: AsIs | MinMax = AsIs()
    if options.normalise != "none":
        normaliser = MinMax(options.normalise)
    return ComposedStrategy(
        needs=frozenset({options.statistic}),
        scorer=ReadStatistic(options.statistic),
        normaliser=normaliser,
        unit=options.unit,
        expects={"statistics": {options.statistic: {"measure": measure}}} if measure else {},
        why=why,
    )


def missing_means(scores: Scores, grid: Grid) -> Scores:
    """The mean [n] of each image's scores [n, t] over the missing cells with a score.

    NaN for an image without such a cell.

    Example:
        >>> keys = np.arange(2, dtype=np.uint64)
        >>> state = np.array([[0, 0], [0, 2]])
        >>> pool = Grid(
        ...     images=["i", "j"], keys=keys, tasks=["a", "b"], state=state, cost=np.ones(2)
        ... )
        >>> missing_means(np.array([[1.0, 3.0], [5.0, 9.0]]), pool).tolist()
        [2.0, 5.0]
    """
    scored = grid.eligible & ~np.isnan(scores)
    count = scored.sum(1)
    total = np.where(scored, scores, 0.0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def best_cells(
    scores: Scores, grid: Grid, budget: Budget, why: str, drawn: Bools, valued: bool
) -> list[Pick]:
    """Pick the cells with the highest scores in the whole grid within the budget.

    Ties are broken by image key. A budget of one image is worth t cells, so that strategies of both
    units spend equally many labels.

    Args:
        scores: float64 [n, t].
        grid: the pool.
        budget: the most that the picks may take.
        why: the reason given for each pick.
        drawn: bool [n, t], the scores that were drawn at random, which is the reason then.
        valued: whether to buy the most score for the money.
    """
    values = scores.ravel()
    keys = np.repeat(grid.keys, len(grid.tasks))
    costs, amount = cell_costs(grid, budget)
    take = buy_value if valued else buy
    at_random = frozenset(np.flatnonzero(drawn).tolist())
    bought = take(values, keys, costs, amount)
    picks = [(item, values[item], DRAWN if item in at_random else why) for item in bought]
    return grid.cell_picks(picks, drawn=at_random)


def best_images(
    scores: Scores, grid: Grid, budget: Budget, why: str, drawn: Bools, valued: bool
) -> list[Pick]:
    """Pick all missing cells of the images with the highest mean score within the budget.

    The mean is over an image's missing cells. If the most score is bought for the money, the value
    of an image is the sum of its scores above the pool's lowest, or above 0 if none is below. The
    arguments are those of `best_cells`; an image is drawn if all its scores were.
    """
    means = missing_means(scores, grid)
    costs = image_costs(grid, budget)
    if valued:
        lowest = min(float(scores[grid.eligible].min(initial=0.0)), 0.0)
        values = (means - lowest) * grid.eligible.sum(1)
        rows = buy_value(values, grid.keys, costs, budget.amount)
    else:
        rows = buy(means, grid.keys, costs, budget.amount)
    at_random = frozenset(np.flatnonzero(~(grid.eligible & ~drawn).any(1)).tolist())
    picks = [(row, means[row], DRAWN_IMAGE if row in at_random else why) for row in rows]
    return grid.image_picks(picks, drawn=at_random)
