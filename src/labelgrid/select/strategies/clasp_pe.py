"""ClaSP PE: picks uncertain cells, two thirds of the cells class by class, with decaying noise.

The noise is random and decays from round to round. Each task gets an equal number of picks (Lüth et
al. 2026, for one task). It needs the statistic `class_entropy` and an entropy of each cell:
`dropout` or, with the option `statistic`, `ensemble`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy.stats import rankdata

from labelgrid.basics.array_types import AnyFloats, Array, Floats, Places
from labelgrid.basics.streams import keyed_uniform, seed_of
from labelgrid.select.parts import DRAWN, ReadStatistic, draw_cells
from labelgrid.select.shares import Group, Turns, alternate, deal_cells, interleave, random_order
from labelgrid.select.strategy import Budget, Expects, PoolView, Scores, Selection

BY_CLASS = "class_entropy"
#: Smaller entropies count as this one, whose logarithm is finite.
SMALLEST = 1e-12


@dataclass(frozen=True, kw_only=True)
class Options:
    """The share of classes, the noise, and the uncertainty.

    Args:
        by_class: the share of a class task's picks that is divided equally among its classes.
        first_power: the exponent of the scores in the first scored round; 1 in power sampling
            (Kirsch et al. 2023).
        last_power: the exponent from round `rounds` on. It grows by the same factor in each round,
            and the noise is proportional to 1 / exponent.
        rounds: the number of rounds over which the exponent grows.
        statistic: the uncertainty of a cell, from passes with dropout or from a deep ensemble; its
            measure must be `"entropy"`.
    """

    by_class: Annotated[float, Field(ge=0, le=1)] = 0.66
    first_power: Annotated[float, Field(gt=0)] = 1.0
    last_power: Annotated[float, Field(gt=0)] = 40.0
    rounds: Annotated[int, Field(ge=1)] = 5
    statistic: Literal["dropout", "ensemble"] = "dropout"

    def power(self, number: int) -> float:
        """The exponent of the scored round `number`, counted from 1.

        Example:
            >>> [round(Options(last_power=16).power(number), 2) for number in (1, 3, 5, 9)]
            [1.0, 4.0, 16.0, 16.0]
        """
        done = min(max(number - 1, 0) / max(self.rounds - 1, 1), 1.0)
        return self.first_power * (self.last_power / self.first_power) ** done


@dataclass(frozen=True)
class Queue(Group):
    """Cells of a task, picked from the highest score down.

    Args:
        why: the reason given for the picks.
        of_class: the class for which the cells are picked; None for the whole task.
        drawn: whether the scores are random draws.
    """

    why: str
    of_class: int | None = None
    drawn: bool = False


@dataclass(frozen=True)
class Uncertainties:
    """The uncertainty of each cell, and how it queues for the picks.

    Args:
        pool: the pool.
        cells: the uncertainties, float64 [n, t].
        classes: the part of them that falls to each class, [n, t, c].
    """

    pool: PoolView
    cells: Scores
    classes: AnyFloats

    def queues(
        self, column: int, power: float, by_class: float
    ) -> Iterator[tuple[list[Queue], float]]:
        """Yield queues of a task, with their common share of the task's picks.

        `power` is the exponent of the scores, infinite for no noise; `by_class` the share of the
        classes.
        """
        grid = self.pool.grid
        values = self.cells[:, column]
        missing = grid.eligible[:, column]
        scored = np.flatnonzero(missing & np.isfinite(values))
        unscored = np.flatnonzero(missing & np.isnan(values))
        count = len(scored) + len(unscored)
        if len(scored):
            for queues, share in self._scored_queues(scored, column, power, by_class):
                yield queues, share * (len(scored) / count)
        if len(unscored):
            draws = draw_cells(grid, self.pool.seed)[unscored, column]
            queue = Queue(unscored * len(grid.tasks) + column, draws, DRAWN, drawn=True)
            yield [queue], len(unscored) / count

    def _scored_queues(
        self, rows: Places, column: int, power: float, by_class: float
    ) -> Iterator[tuple[list[Queue], float]]:
        items = rows * len(self.pool.grid.tasks) + column
        logs = self.cells[rows, column]
        parts = self.classes[rows, column]
        classes = np.flatnonzero(parts.any(0)).tolist()
        if classes:
            logs = _log(logs)
        else:
            by_class = 0.0
        if by_class:
            queues = []
            for of_class in classes:
                scores = _log(parts[:, of_class]) + self.noise(rows, column, power, of_class)
                queues.append(Queue(items, scores, "uncertain about one class", of_class))
            yield queues, by_class
        if by_class < 1:
            scores = logs + self.noise(rows, column, power)
            yield [Queue(items, scores, "most uncertain, with noise")], 1 - by_class

    def noise(self, rows: Places, column: int, power: float, of_class: int | None = None) -> Floats:
        """The Gumbel noise / exponent of a task's cells, for one class or for the whole task."""
        names = () if of_class is None else (of_class,)
        salt = seed_of(self.pool.seed, "power", self.pool.grid.tasks[column], *names)
        draws = np.maximum(keyed_uniform(self.pool.grid.keys[rows], salt), SMALLEST)
        return -np.log(-np.log(draws)) / power

    def ranks(self, power: float, by_class: float) -> Scores:
        """Scores of the missing cells by the order of the picks, float64 [n, t].

        A cell counts by its best rank in a queue, divided by the queue's share of the picks. A
        cell without an uncertainty has NaN. `power` and `by_class` are as in `queues`.
        """
        first = np.full(self.cells.shape, np.inf)
        t = self.cells.shape[1]
        for column in range(t):
            for queues, share in self.queues(column, power, by_class):
                for queue in queues:
                    rows = queue.items // t
                    rank = rankdata(-queue.scores, "min") * len(queues) / share
                    first[rows, column] = np.minimum(first[rows, column], rank)
        return np.where(self.pool.grid.eligible & np.isfinite(self.cells), -first, np.nan)

    def terms(self, picked: list[tuple[int, int | None]], power: float) -> dict[str, Array]:
        """The terms of the picked items, given with the classes of their queues.

        Terms are [n, t], NaN where a cell has none; the exponent is [n]. The classes are objects,
        because an index has no quantile. Cells that were not picked have the noise of the whole
        task.
        """
        rows = np.arange(len(self.cells))
        t = self.cells.shape[1]
        classes = np.full((len(rows), t), np.nan, object)
        noise = np.stack([self.noise(rows, column, power) for column in range(t)], 1)
        for item, of_class in picked:
            row, column = divmod(item, t)
            if of_class is not None:
                classes[row, column] = of_class
                noise[row, column] = self.noise(rows[row : row + 1], column, power, of_class)[0]
        noise[~np.isfinite(self.cells)] = np.nan
        return {
            "uncertainty": self.cells,
            "exponent": np.full(len(rows), power),
            "noise": noise,
            "class": classes,
        }


@dataclass(frozen=True)
class ClassStratified:
    """Picks the highest log score + Gumbel noise / exponent for each task and each of its classes.

    The score of a class task is an entropy, whose logarithm is taken. The differential entropy of
    other tasks is a logarithm already: the logarithm of the width of the prediction. The score for
    a class is the part of the entropy that falls to the class. The cells of a task of which the
    network has learnt nothing yet are drawn at random.

    Source: Lüth et al. 2026 (ClaSP PE) as docs/strategies.md reads it; the noise is that of Kirsch
    et al. 2023.
    """

    options: Options
    unit: ClassVar[Literal["cells"]] = "cells"

    @property
    def needs(self) -> frozenset[str]:
        """The uncertainty of cells, and the entropy by class."""
        return frozenset({self.options.statistic, BY_CLASS})

    @property
    def expects(self) -> Expects:
        """An entropy as uncertainty: the noise is added to a logarithm, and a variance is none."""
        return {"statistics": {self.options.statistic: {"measure": "entropy"}}}

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """As `Strategy.select`.

        The terms of a pick are the uncertainty of its cell, the exponent, the noise in its score
        and, if it was picked for a class, the index of the class. The ranks without the noise keep
        the classes, and the ranks without the classes keep the noise.
        """
        grid = pool.grid
        by_class = self.options.by_class
        cells = ReadStatistic(self.options.statistic)(pool).values
        n, t = cells.shape
        # The statistic by class has the classes of all tasks.
        classes = pool.statistics[BY_CLASS]
        uncertainties = Uncertainties(pool, cells, classes.reshape(n, t, classes.shape[1] // t))
        power = self.options.power(len(pool.history))
        groups = list[Queue]()
        tasks = list[Turns]()
        for column in random_order(t, pool.seed, "tasks"):
            parts = list[Turns]()
            shares = list[float]()
            for queues, share in uncertainties.queues(column, power, by_class):
                order = random_order(len(queues), pool.seed, "classes", grid.tasks[column])
                parts.append(alternate([len(groups) + index for index in order]))
                shares.append(share)
                groups += queues
            tasks.append(interleave(parts, shares))
        reasons = []
        picked = []
        drawn = set()
        for item, group, score in deal_cells(groups, interleave(tasks, [1.0] * t), grid, budget):
            reasons.append((item, score, groups[group].why))
            picked.append((item, groups[group].of_class))
            if groups[group].drawn:
                drawn.add(item)
        terms = uncertainties.terms(picked, power)
        without = {"noise": uncertainties.ranks(np.inf, by_class)}
        if by_class:
            without["classes"] = uncertainties.ranks(power, 0.0)
        else:
            del terms["class"]
        return Selection(picks=grid.cell_picks(reasons, drawn), terms=terms, without=without)


def _log(values: AnyFloats) -> Floats:
    return np.log(np.maximum(values.astype(np.float64), SMALLEST))


def build(options: Options) -> ClassStratified:
    """Build ClaSP PE for any number of tasks."""
    return ClassStratified(options)
