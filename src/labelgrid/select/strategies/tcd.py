"""TCD: picks images whose predictions differ between stages and that are far from labelled images.

The picks are greedy. The score is the product of a task's inconsistency, from the statistic
`committee`, and of the distance to the nearest labelled or picked image, from the statistic
`embedding` (Hekimoglu, Schmidt & Marcos-Ramiro 2023).
"""

import math
from copy import copy
from dataclasses import dataclass
from typing import Literal

import numpy as np

from labelgrid.basics.array_types import Array, Bools, Floats, Floats32, Keys
from labelgrid.ledger.grid import Grid, Pick
from labelgrid.select.budget import ROUNDING, buy, cell_costs, image_costs, payable_amount
from labelgrid.select.centres import farthest_centre, finite_rows, nearest_centre, squared_distances
from labelgrid.select.knapsack import buy_value
from labelgrid.select.parts import DRAWN, DRAWN_IMAGE, LEAST_RANGE, MinMax, fill_unknown
from labelgrid.select.strategy import Budget, PickUnit, PoolView, Scores, Selection

INCONSISTENCY = "committee"
FEATURES = "embedding"
#: The bounds of a label's weight in training.
WEIGHTS = (0.5, 2.0)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Switches of the ablations, and readings of what the supplement leaves open.

    Args:
        score: `"product"` of both, or the `"inconsistency"` or the `"diversity"` alone (figure 11).
        tasks: whether the `"max"` or the `"mean"` of its missing cells' inconsistencies is an
            image's.
        normalise: min–max of each task's inconsistencies over the pool in `"each"` round, or
            `"none"`.
        distance: `"euclidean"` or `"cosine"` (figure 10).
        unit: picks all missing cells of `"images"` (the paper), or single `"cells"`, each by its
            own task's inconsistency and its distance to the images labelled or picked for this
            task.
        weigh: weight of a picked label in training: its raw inconsistency over the mean of its
            task's `"picks"` in this round, or of the task's `"pool"`, within [0.5, 2]; or 1
            (`"none"`).
    """

    score: Literal["product", "inconsistency", "diversity"] = "product"
    tasks: Literal["max", "mean"] = "max"
    normalise: Literal["each", "none"] = "each"
    distance: Literal["euclidean", "cosine"] = "euclidean"
    unit: Literal["images", "cells"] = "images"
    weigh: Literal["picks", "pool", "none"] = "picks"


#: The reasons given for picks, by what the score is.
WHY = {
    "product": "inconsistent, and far from the labelled images",
    "inconsistency": "most inconsistent",
    "diversity": "far from the labelled images",
}


@dataclass(frozen=True, kw_only=True)
class Items:
    """The images (g = 1) or cells (g = t) of a pool. NaN scores cannot be picked.

    Args:
        scores: float64 [n, g].
        costs: float64 [n, g], in the unit of the budget.
        centres: bool [n, g]: labelled or requested before.
        keys: uint64 [n]; they break ties, then the column does.
        amount: what may be spent, in the unit of the costs.
    """

    scores: Scores
    costs: Floats
    centres: Bools
    keys: Keys
    amount: float


class NearestByColumn:
    """The distances [n, g] to the nearest centre, updated by each further centre in O(n · d).

    Args:
        features: float32 [n, d].
        centres: bool [n, g]; centres without features, NaN, are left out.
        distance: the measure of distance, as in `Options`.
    """

    def __init__(self, features: Array, centres: Bools, distance: str) -> None:
        self.features = np.ascontiguousarray(features, np.float32)
        if distance == "cosine":
            self.features = unit_rows(self.features)
        self.distance = distance
        self.squared = np.full(centres.shape, np.inf)
        self.farthest = 0.0
        rows = np.flatnonzero(finite_rows(self.features))
        finite = self.features[rows]
        used = centres[rows]
        for column in range(centres.shape[1]):
            self.squared[rows, column] = nearest_centre(finite, np.flatnonzero(used[:, column]))
        if not np.isfinite(self.squared).all():
            self.farthest = farthest_centre(finite, np.flatnonzero(used.any(1)))

    def add(self, row: int, column: int) -> None:
        """Make a row a centre of a column, and update the distances."""
        further = squared_distances(self.features, self.features[row])
        self.squared[:, column] = np.fmin(self.squared[:, column], further)
        self.farthest = max(self.farthest, float(np.fmax.reduce(further)))

    def copy(self) -> "NearestByColumn":
        """A copy that shares no further centres with the original."""
        other = copy(self)
        other.squared = self.squared.copy()
        return other

    def values(self) -> Floats:
        """The distances, float64 [n, g].

        In a column without any centre it is the largest distance to a centre of other columns, or a
        constant.
        """
        squared = np.where(np.isfinite(self.squared), self.squared, self.farthest or 1.0)
        if self.distance == "cosine":
            return squared / 2
        return np.sqrt(squared)


#: Picks (row, column), best first; then the scores × distances [n, g] and the distances [n, g], of
#: each picked item as they were when it was picked, of all others after the last pick.
GreedyPicks = tuple[list[tuple[int, int]], Scores, Scores]


def pick_greedily(items: Items, nearest: NearestByColumn, rates: bool = False) -> GreedyPicks:
    """Pick the item with the highest score × distance, and repeat while the amount pays for one.

    With `rates`, score × distance counts per cost; a single item with a larger product than all
    these picks together comes first. The distances fall with each pick, so there is no bound on the
    most that the amount could buy.
    """
    if not rates:
        return _pick_one_by_one(items, nearest, rates)
    picks, values, distances = _pick_one_by_one(items, nearest.copy(), rates)
    affordable = items.costs <= payable_amount(items.amount)
    alone = np.where(affordable, items.scores * nearest.values(), np.nan)
    best = np.nanmax(alone, initial=-np.inf)
    if best <= sum(float(values[pick]) for pick in picks):
        return picks, values, distances
    return _pick_one_by_one(items, nearest, rates, first=highest_item(alone, items.keys))


def highest_item(values: Scores, keys: Keys) -> tuple[int, int]:
    """The row and the column of the highest value [n, g].

    Ties are broken by key, then by column.
    """
    rows, columns = np.nonzero(values == np.nanmax(values))
    first = np.lexsort((columns, keys[rows]))[0]
    return int(rows[first]), int(columns[first])


def _pick_one_by_one(
    items: Items, nearest: NearestByColumn, rates: bool, first: tuple[int, int] | None = None
) -> GreedyPicks:
    """As `pick_greedily`, without the comparison to one item alone; `first` is the first pick."""
    scores = items.scores.copy()
    rest = payable_amount(items.amount)
    at_pick = np.full(scores.shape, np.nan)
    picks = []
    divisors = np.ones(scores.shape)
    if rates:
        divisors = np.maximum(items.costs, ROUNDING)
    distances = nearest.values()
    while True:
        open_items = np.isfinite(scores) & (items.costs <= rest)
        if not open_items.any():
            break
        pick = first
        first = None
        if pick is None:
            values = np.where(open_items, scores * distances / divisors, np.nan)
            pick = highest_item(values, items.keys)
        picks.append(pick)
        at_pick[pick] = distances[pick]
        rest -= float(items.costs[pick])
        scores[pick] = np.nan
        nearest.add(*pick)
        distances = nearest.values()
    distances = np.where(np.isnan(at_pick), distances, at_pick)
    return picks, items.scores * distances, distances


@dataclass(frozen=True)
class TaskConsistency:
    """Picks greedily by inconsistency × diversity.

    A cell without a score (an untrained task) gets the score of a random other cell.

    Source: TCD eqs. 1 to 3 as docs/papers.md reads them; supplement, sections 5 to 7.
    """

    options: Options

    @property
    def needs(self) -> frozenset[str]:
        """The statistics that the score is made of."""
        statistics = {
            "product": (INCONSISTENCY, FEATURES),
            "inconsistency": (INCONSISTENCY,),
            "diversity": (FEATURES,),
        }
        return frozenset(statistics[self.options.score])

    @property
    def unit(self) -> PickUnit:
        """The option of this name: cells, or whole images."""
        return self.options.unit

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """As `Strategy.select`; the picks have weights in training."""
        grid = pool.grid
        options = self.options
        raw = np.ones(grid.state.shape)
        scores = raw
        if INCONSISTENCY in self.needs:
            raw = np.asarray(pool.statistics[INCONSISTENCY], np.float64)
            scores = raw
            if options.normalise == "each":
                normaliser = MinMax("each")
                scores = normaliser.apply(raw, grid, normaliser.calibrate(raw, grid, {}))
        shape: tuple[int, ...] = grid.state.shape
        if options.unit == "images":
            shape = shape[:1]
            items = image_items(scores, pool, budget, options.tasks)
        else:
            items = cell_items(scores, pool, budget)
        terms = dict[str, Scores]()
        without = dict[str, Scores]()
        if INCONSISTENCY in self.needs:
            terms["inconsistency"] = scores
        if FEATURES in self.needs:
            nearest = NearestByColumn(pool.statistics[FEATURES], items.centres, options.distance)
            chosen, values, distances = pick_greedily(items, nearest, rates=budget.unit == "cost")
            terms["diversity"] = distances.reshape(shape)
            if INCONSISTENCY in self.needs:
                without["diversity"] = items.scores.reshape(shape)
                without["inconsistency"] = distances.reshape(shape)
        else:
            values = items.scores
            chosen = _buy_items(items, valued=budget.unit == "cost")
        return Selection(
            picks=self._picks(chosen, values, raw, grid),
            terms=terms,
            calibration=pool.calibration,
            scores=values.reshape(shape),
            without=without,
        )

    def _picks(
        self, chosen: list[tuple[int, int]], values: Scores, raw: Scores, grid: Grid
    ) -> list[Pick]:
        eligible = grid.eligible
        cells = []
        picked = np.zeros(raw.shape, np.bool_)
        for row, group in chosen:
            columns = [group]
            if self.options.unit == "images":
                columns = np.flatnonzero(eligible[row]).tolist()
            picked[row, columns] = True
            cells += [(row, column, float(values[row, group])) for column in columns]
        weights = np.ones(raw.shape)
        if self.options.weigh != "none" and INCONSISTENCY in self.needs:
            weights = label_weights(raw, picked if self.options.weigh == "picks" else eligible)
        scored = np.isfinite(raw) & eligible
        drawn = DRAWN
        if self.options.unit == "images":
            # A cell without a score counts only where its image has no other.
            scored = scored | scored.any(1, keepdims=True)
            drawn = DRAWN_IMAGE
        picks = []
        for row, column, score in cells:
            is_drawn = not scored[row, column]
            pick = Pick(
                cell=grid.cell(row, column),
                score=score,
                weight=float(weights[row, column]),
                why=drawn if is_drawn else WHY[self.options.score],
                drawn=is_drawn,
            )
            picks.append(pick)
        return picks


def _buy_items(items: Items, valued: bool) -> list[tuple[int, int]]:
    groups = items.scores.shape[1]
    keys = np.repeat(items.keys, groups)
    take = buy_value if valued else buy
    bought = take(items.scores.ravel(), keys, items.costs.ravel(), items.amount)
    return [divmod(item, groups) for item in bought]


def image_items(scores: Scores, pool: PoolView, budget: Budget, tasks: str) -> Items:
    """The images with a missing cell, scored by the `max` or the `mean` of the missing cells.

    Cells without a score are left out, unless an image has no others: then their scores are drawn
    (`fill_unknown`).
    """
    grid = pool.grid
    eligible = grid.eligible
    scored = eligible & np.isfinite(scores)
    filled = fill_unknown(scores, grid, pool.seed)
    used = np.where(np.any(scored, axis=1, keepdims=True), scored, eligible)
    if tasks == "max":
        joined = np.where(used, filled, -np.inf).max(1)
    else:
        joined = np.where(used, filled, 0).sum(1) / np.maximum(used.sum(1), 1)
    return Items(
        scores=np.where(eligible.any(1), joined, np.nan)[:, None],
        costs=image_costs(grid, budget)[:, None],
        centres=np.any(grid.bought, axis=1, keepdims=True),
        keys=grid.keys,
        amount=budget.amount,
    )


def cell_items(scores: Scores, pool: PoolView, budget: Budget) -> Items:
    """The missing cells; a budget of one image is worth t cells."""
    grid = pool.grid
    costs, amount = cell_costs(grid, budget)
    return Items(
        scores=fill_unknown(scores, grid, pool.seed),
        costs=costs.reshape(scores.shape),
        centres=grid.bought,
        keys=grid.keys,
        amount=amount,
    )


def label_weights(raw: Scores, counted: Bools) -> Scores:
    """The weight of each cell in training: the inconsistency over the mean of the task.

    The weights are held to `WEIGHTS`, and are 1 where the inconsistency is unknown (NaN). The mean
    is over the cells that are `counted`.

    Example:
        >>> label_weights(np.array([[1.0], [2.0], [9.0], [np.nan]]), np.ones((4, 1), bool)).ravel()
        array([0.5, 0.5, 2. , 1. ])
    """
    weights = np.ones(raw.shape)
    for column in range(raw.shape[1]):
        rows = np.isfinite(raw[:, column])
        values = raw[rows & counted[:, column], column]
        # The sum is exact, so that it does not depend on the pool's order.
        mean = math.fsum(values) / max(len(values), 1)
        if mean > LEAST_RANGE:
            weights[rows, column] = np.clip(raw[rows, column] / mean, *WEIGHTS)
    return weights


def unit_rows(features: Floats32) -> Floats32:
    """A copy of features [n, d] with rows of length 1; rows of zeros stay.

    Half the squared distance between two such rows is 1 - cosine of the angle between them.

    Example:
        >>> unit_rows(np.array([[3, 4], [0, 0]], np.float32)).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", features, features, dtype=np.float64))
    return features / np.where(lengths > 0, lengths, 1).astype(np.float32)[:, None]


def build(options: Options) -> TaskConsistency:
    """Build TCD's greedy picks."""
    return TaskConsistency(options)
