"""Provides the parts of strategies: scorers, normalisers, and the selection of cells or images within a budget."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import PluginError
from labelgrid.ledger.grid import Grid, Pick
from labelgrid.select.budget import buy, cell_costs, image_costs
from labelgrid.select.knapsack import buy_value
from labelgrid.select.strategy import Budget, PoolView, Scores, Selection
from labelgrid.select.uncertainty import Options as UncertaintyOptions
from labelgrid.streams import keyed_uniform, seed_of

#: The reason given for a pick whose score was drawn at random.
DRAWN = "drawn at random: the network has learnt nothing of this task yet"
#: Scores in a range up to this count as equal, and a mean up to this as 0: a division by such a
#: number overflows.
LEAST_RANGE = 1e-300
#: So do scores in a range up to this share of the largest: they differ by rounding.
LEAST_SHARE = 1e-6
#: The reason given for an image of which no score is known.
DRAWN_IMAGE = "drawn at random: the network has learnt nothing yet of what images are picked by"


@dataclass(frozen=True)
class ScorerResult:
    """The result of a scorer.

    Args:
        values: scores [n, t], NaN where unknown.
        terms: named terms of these scores, [n, t] or [n].
        without: by what is left out, the scores [n, t] without it.
        shared: whether all cells of an image have one score, so that no task is a term of the
            image's.
    """

    values: Scores
    terms: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    without: Mapping[str, Scores] = field(default_factory=dict)
    shared: bool = False


#: Computes the raw scores of a pool.
Scorer = Callable[[PoolView], ScorerResult]


def draw_cells(grid: Grid, seed: int) -> Scores:
    """Uniform draws [n, t] in [0, 1), one per cell, keyed by image and task."""
    return np.stack(
        [keyed_uniform(grid.keys, seed_of(seed, "cell", task)) for task in grid.tasks], 1
    )


def draw_images(grid: Grid, seed: int) -> Scores:
    """Uniform draws [n, t] in [0, 1), one per image, the same for all its cells."""
    return np.repeat(keyed_uniform(grid.keys, seed_of(seed, "image"))[:, None], len(grid.tasks), 1)


@dataclass(frozen=True)
class Draw:
    """Scores cells at random: by `draw_cells` or `draw_images` with the round's seed."""

    draw: Callable[[Grid, int], Scores]

    def __call__(self, pool: PoolView) -> ScorerResult:
        """As `Scorer`."""
        return ScorerResult(self.draw(pool.grid, pool.seed))


@dataclass(frozen=True)
class ReadStatistic:
    """Scores cells by a statistic with axis "cell"; `term` names it among the terms."""

    statistic: str
    term: str = "uncertainty"

    def __call__(self, pool: PoolView) -> ScorerResult:
        """As `Scorer`.

        Raises:
            PluginError: the statistic has another axis.
        """
        values = np.asarray(pool.statistics[self.statistic], np.float64)
        if values.shape != pool.grid.state.shape:
            raise PluginError(
                f"The strategy reads the statistic '{self.statistic}', which has no value for each cell: its values "
                f"for {len(pool.grid.images)} images and {len(pool.grid.tasks)} tasks are {list(values.shape)}.",
                next_step="Name a statistic whose axis is 'cell', such as 'dropout'.",
                unchanged="Nothing was requested.",
            )
        return ScorerResult(values, {self.term: values})


@dataclass(frozen=True)
class AsIs:
    """Leaves scores as they are."""

    removed: ClassVar[Sequence[str]] = ()

    def calibrate(
        self, scores: Scores, grid: Grid, calibration: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The calibration, unchanged."""
        return calibration

    def apply(self, scores: Scores, grid: Grid, calibration: Mapping[str, Any]) -> Scores:
        """The scores, unchanged."""
        return scores


def widths(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ranges of scores, to divide by; infinite where they differ by rounding only.

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

    def calibrate(
        self, scores: Scores, grid: Grid, calibration: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The bounds by task: kept ones unchanged if their ends differ.

        For all other tasks with scores, new ones.
        """
        kept = dict(calibration) if self.keep == "first" else {}
        bounds = {
            task: pair
            for task, pair in kept.items()
            if np.isfinite(widths(*np.array(pair, np.float64)))
        }
        for column, task in enumerate(grid.tasks):
            known = scores[:, column][grid.eligible[:, column]]
            known = known[np.isfinite(known)]
            if task not in bounds and len(known):
                bounds[task] = [float(known.min()), float(known.max())]
        return bounds

    def apply(self, scores: Scores, grid: Grid, calibration: Mapping[str, Any]) -> Scores:
        """The normalised scores [n, t]; NaN if a task has no bounds yet."""
        bounds = [calibration.get(task, [np.nan, np.nan]) for task in grid.tasks]
        low, high = np.array(bounds, np.float64).reshape(-1, 2).T
        return np.asarray((scores - low) / widths(low, high), np.float64)


def fill_unknown(scores: Scores, grid: Grid, seed: int) -> Scores:
    """Give each missing cell without a score a random one of the scores there are.

    A uniform draw if there are none.

    Whatever the range of the scores, the share of such cells is the same among the best scores as
    among all cells.

    Args:
        scores: float64 [n, t], comparable between tasks; NaN where unknown.
        grid: the cells.
        seed: of the draws, which are keyed by image and task.

    Returns:
        Float64 [n, t]; NaN for cells that are not missing.

    Example:
        >>> grid = Grid(["i", "j"], np.arange(2, dtype=np.uint64), ["a", "b"], np.zeros((2, 2), np.int8), np.ones(2))
        >>> fill_unknown(np.array([[-7.0, np.nan], [-7.0, np.nan]]), grid, 0).tolist()
        [[-7.0, -7.0], [-7.0, -7.0]]
    """
    known = np.isfinite(scores) & grid.eligible
    draws = draw_cells(grid, seed)
    if known.any() and not known[grid.eligible].all():
        ordered = np.sort(scores[known])
        draws = ordered[(draws * len(ordered)).astype(np.intp)]
    return np.where(grid.eligible, np.where(known, scores, draws), np.nan)


@dataclass(frozen=True, kw_only=True)
class ComposedStrategy:
    """A strategy composed of parts.

    A missing cell without a score (its task had no label when the network was trained) gets a
    random one of the other scores (`fill_unknown`), so that such a task gets its share of the
    picks, at random images.

    Picks are explained by their rank without the normalisation and, of images, by that without each
    task.

    Args:
        needs: the statistics it reads.
        scorer: computes the raw scores.
        normaliser: makes the scores of different tasks comparable.
        unit: picks single cells, or whole images (all missing cells of the images with the highest
            mean score).
        why: the reason given for each pick.
        valued: scores are values, and a budget of costs buys the most value (`buy_value`).
            Otherwise they are an order only, such as that of random draws, in which a budget is
            spent.
        tasks: the tasks that its options name.
        expects: as of `Strategy`.
    """

    needs: frozenset[str]
    scorer: Scorer
    normaliser: AsIs | MinMax
    unit: Literal["cells", "images"]
    why: str
    valued: bool = True
    tasks: frozenset[str] = frozenset()
    expects: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """As `Strategy.select`. The scorer runs once."""
        raw = self.scorer(pool)
        grid = pool.grid
        calibration = self.normaliser.calibrate(raw.values, grid, pool.calibration)
        scores = self.normaliser.apply(raw.values, grid, calibration)
        scores = fill_unknown(scores, grid, pool.seed)
        best = best_cells if self.unit == "cells" else best_images
        picks = best(
            scores,
            grid,
            budget,
            self.why,
            np.isnan(raw.values),
            self.valued and budget.unit == "cost",
        )
        if not self.valued:
            return Selection(picks=picks, terms=raw.terms, calibration=calibration)
        without = {**raw.without, **dict.fromkeys(self.normaliser.removed, raw.values)}
        if self.unit == "cells":
            return Selection(
                picks=picks,
                terms=raw.terms,
                calibration=calibration,
                scores=scores,
                without=without,
            )
        if not raw.shared:
            others = [np.arange(len(grid.tasks)) != column for column in range(len(grid.tasks))]
            without |= {
                task: np.where(kept, scores, np.nan)
                for task, kept in zip(grid.tasks, others, strict=True)
            }
        means = {name: missing_means(values, grid) for name, values in without.items()}
        return Selection(
            picks=picks,
            terms=raw.terms,
            calibration=calibration,
            scores=missing_means(scores, grid),
            without=means,
        )


def uncertainty_strategy(
    options: UncertaintyOptions, why: str = "most uncertain", measure: str = ""
) -> ComposedStrategy:
    """Compose a strategy that picks by the uncertainty of a cell.

    `measure` is that of the statistic, which the strategy sets; "" leaves it to the recipe.
    """
    return ComposedStrategy(
        needs=frozenset({options.statistic}),
        scorer=ReadStatistic(options.statistic),
        normaliser=AsIs() if options.normalise == "none" else MinMax(options.normalise),
        unit=options.unit,
        expects={"statistics": {options.statistic: {"measure": measure}}} if measure else {},
        why=why,
    )


def missing_means(scores: Scores, grid: Grid) -> Scores:
    """The mean [n] of each image's scores [n, t] over its missing cells that have one.

    NaN where none has.

    Example:
        >>> pool = Grid(["i", "j"], np.arange(2, dtype=np.uint64), ["a", "b"], np.array([[0, 0], [0, 2]]), np.ones(2))
        >>> missing_means(np.array([[1.0, 3.0], [5.0, 9.0]]), pool).tolist()
        [2.0, 5.0]
    """
    known = grid.eligible & ~np.isnan(scores)
    count = known.sum(1)
    return np.where(count > 0, np.where(known, scores, 0.0).sum(1) / np.maximum(count, 1), np.nan)


def best_cells(
    scores: Scores, grid: Grid, budget: Budget, why: str, drawn: NDArray[np.bool_], valued: bool
) -> list[Pick]:
    """Pick the cells with the highest scores in the whole grid within the budget.

    Ties are broken by image key.

    A budget of one image is worth t cells, so that strategies of both units spend equally many
    labels. `drawn`, bool [n, t], marks the scores that were drawn at random; the picks state it.
    `valued`: buy the most score for the money.
    """
    values = scores.ravel()
    at_random = drawn.ravel()
    (costs, amount) = cell_costs(grid, budget)
    bought = (buy_value if valued else buy)(
        values, np.repeat(grid.keys, len(grid.tasks)), costs, amount
    )
    return grid.cell_picks(
        (item, values[item], DRAWN if at_random[item] else why) for item in bought
    )


def best_images(
    scores: Scores, grid: Grid, budget: Budget, why: str, drawn: NDArray[np.bool_], valued: bool
) -> list[Pick]:
    """Pick all missing cells of the images with the highest mean score over their missing cells, within the budget.

    `drawn`, bool [n, t], marks the scores that were drawn at random; the picks of an image without
    any other state it. `valued`: buy the most score for the money; an image's value is the sum of
    its scores above the pool's lowest, or above 0 if none is below.
    """
    mean = missing_means(scores, grid)
    if valued:
        lowest = min(float(scores[grid.eligible].min(initial=0.0)), 0.0)
        bought = buy_value(
            (mean - lowest) * grid.eligible.sum(1),
            grid.keys,
            image_costs(grid, budget),
            budget.amount,
        )
    else:
        bought = buy(mean, grid.keys, image_costs(grid, budget), budget.amount)
    scored = np.any(grid.eligible & ~drawn, axis=1)
    return grid.image_picks(
        (row, float(mean[row]), why if scored[row] else DRAWN_IMAGE) for row in bought
    )
