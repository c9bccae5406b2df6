"""ClaSP PE: uncertain cells, two thirds of them class by class, with random noise that decays from round to round.

Each task gets an equal number of picks (Lüth et al. 2026, for one task). It needs the statistic
`class_entropy` and an
entropy of each cell: `dropout` or, with `statistic`, that of a deep ensemble.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import rankdata

from labelgrid.select.budget import cell_costs
from labelgrid.select.parts import DRAWN, ReadStatistic, draw_cells
from labelgrid.select.shares import Group, Turns, alternate, deal, interleave, random_order
from labelgrid.select.strategy import Budget, PoolView, Scores, Selection
from labelgrid.streams import keyed_uniform, seed_of

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
    """Cells of a task, of which the highest scores are picked first.

    Args:
        why: the reason given for its picks.
        of_class: the class it is of; None for the whole task.
    """

    why: str
    of_class: int | None = None


@dataclass(frozen=True)
class Uncertainties:
    """The uncertainty of each cell, and how it queues for the picks.

    Args:
        pool: the pool.
        cells: float64 [n, t].
        classes: the part that falls to each class, [n, t, c].
    """

    pool: PoolView
    cells: Scores
    classes: NDArray[np.floating]

    def queues(
        self, column: int, power: float, by_class: float
    ) -> Iterator[tuple[list[Queue], float]]:
        """The queues of a task that together get a share of its picks, and this share.

        Args:
            column: of the task.
            power: the exponent of the scores; infinite for no noise.
            by_class: the share of the classes.
        """
        grid = self.pool.grid
        unsure = self.cells[:, column]
        t = len(grid.tasks)
        missing = grid.eligible[:, column]
        rows = np.flatnonzero(missing & np.isfinite(unsure))
        unknown = np.flatnonzero(missing & np.isnan(unsure))

        def queue(logs: NDArray[np.float64], why: str, of_class: int | None = None) -> Queue:
            return Queue(
                rows * t + column, logs + self.noise(rows, column, power, of_class), why, of_class
            )

        if len(rows):
            parts = self.classes[rows, column]
            classes = np.flatnonzero(parts.any(0))
            known = len(rows) / (len(rows) + len(unknown))
            share = by_class if len(classes) else 0.0
            if share:
                why = "uncertain about one class"
                yield (
                    [queue(_log(parts[:, each]), why, int(each)) for each in classes],
                    share * known,
                )
            if share < 1:
                logs = _log(unsure[rows]) if len(classes) else unsure[rows]
                yield [queue(logs, "most uncertain, with noise")], (1 - share) * known
        if len(unknown):
            draws = draw_cells(grid, self.pool.seed)[unknown, column]
            yield (
                [Queue(unknown * t + column, draws, DRAWN)],
                len(unknown) / (len(rows) + len(unknown)),
            )

    def noise(
        self, rows: NDArray[np.intp], column: int, power: float, of_class: int | None = None
    ) -> NDArray[np.float64]:
        """The Gumbel noise / exponent of a task's cells, for one class or for the whole task."""
        named = [] if of_class is None else [of_class]
        salt = seed_of(self.pool.seed, "power", self.pool.grid.tasks[column], *named)
        draws = np.maximum(keyed_uniform(self.pool.grid.keys[rows], salt), SMALLEST)
        noise: NDArray[np.float64] = -np.log(-np.log(draws)) / power
        return noise

    def places(self, power: float, by_class: float) -> Scores:
        """How early each missing cell is picked, float64 [n, t]: the higher, the earlier.

        NaN without an uncertainty.

        A cell counts by its best place in a queue. A place is divided by the queue's share of the
        picks.

        Args:
            power: the exponent of the scores; infinite for no noise.
            by_class: the share of the classes.
        """
        first = np.full(self.cells.shape, np.inf)
        t = self.cells.shape[1]
        for column in range(t):
            for queues, share in self.queues(column, power, by_class):
                for queue in queues:
                    rows = queue.items // t
                    place = rankdata(-queue.scores, "min") * len(queues) / share
                    first[rows, column] = np.minimum(first[rows, column], place)
        return np.where(self.pool.grid.eligible & np.isfinite(self.cells), -first, np.nan)

    def terms(self, found: list[tuple[int, int | None]], power: float) -> dict[str, NDArray[Any]]:
        """The terms of the picks, [n, t] each, the exponent [n]; NaN where a cell has none.

        The classes are objects, because an index has no quantile. Cells that were not picked have
        the noise of the whole task.

        Args:
            found: the items that were picked, each with the class of its queue.
            power: the exponent of the scores.
        """
        rows = np.arange(len(self.cells))
        t = self.cells.shape[1]
        classes = np.full((len(rows), t), np.nan, object)
        noise = np.stack([self.noise(rows, column, power) for column in range(t)], 1)
        for item, of_class in found:
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
    """The highest log score + Gumbel noise / exponent, for each task, and within a class task for each class.

    The logarithm of an entropy is the score of class tasks; a differential entropy is a logarithm
    already, that of the width of the prediction. The score for a class is the entropy that falls to
    the class. A task whose network learnt nothing yet is drawn at random.

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
    def expects(self) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
        """The uncertainty is an entropy: the noise is added to a logarithm, which a variance is not."""
        return {"statistics": {self.options.statistic: {"measure": "entropy"}}}

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """As `Strategy.select`.

        The terms of a pick are the uncertainty of its cell, the exponent, the noise in its score
        and, if it was picked for a class, the index of the class. The ranks without the noise keep
        the classes, those without the classes keep the noise.
        """
        grid = pool.grid
        t = len(pool.grid.tasks)
        by_class = self.options.by_class
        unsure = self._read(pool)
        power = self.options.power(len(pool.history))
        groups = list[Queue]()
        tasks = list[Turns]()
        for column in random_order(t, pool.seed, "tasks"):
            parts = list[Turns]()
            shares = list[float]()
            for made, share in unsure.queues(column, power, by_class):
                order = random_order(len(made), pool.seed, "classes", grid.tasks[column])
                parts.append(alternate([len(groups) + index for index in order]))
                shares.append(share)
                groups += made
            tasks.append(interleave(parts, shares))
        costs, amount = cell_costs(grid, budget)
        found = deal(
            groups,
            interleave(tasks, [1.0] * t),
            costs=costs,
            keys=np.repeat(grid.keys, t),
            amount=amount,
        )
        picks = grid.cell_picks((item, score, groups[group].why) for item, group, score in found)
        terms = unsure.terms([(item, groups[group].of_class) for item, group, _ in found], power)
        without = {"noise": unsure.places(np.inf, by_class)}
        if by_class:
            without["classes"] = unsure.places(power, 0.0)
        else:
            del terms["class"]
        return Selection(picks=picks, terms=terms, without=without)

    def _read(self, pool: PoolView) -> Uncertainties:
        unsure = ReadStatistic(self.options.statistic)(pool).values
        t = len(pool.grid.tasks)
        by_class = pool.statistics[BY_CLASS]
        return Uncertainties(pool, unsure, by_class.reshape(len(unsure), t, by_class.shape[1] // t))


def _log(values: NDArray[np.floating]) -> NDArray[np.float64]:
    logs: NDArray[np.float64] = np.log(np.maximum(values.astype(np.float64), SMALLEST))
    return logs


def build(options: Options) -> ClassStratified:
    """Build the strategy."""
    return ClassStratified(options)
