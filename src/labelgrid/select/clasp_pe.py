"""ClaSP PE: uncertain cells, two thirds of them class by class, with random noise that decays from round to round.

Each task gets an equal number of picks (Lüth et al. 2026, for one task). It needs the statistic `class_entropy` and an
entropy of each cell: `dropout` or, with `statistic`, that of a deep ensemble.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import rankdata

from labelgrid.select.budget import cell_costs
from labelgrid.select.parts import DRAWN, Read, draw_cells
from labelgrid.select.shares import Group, Turns, alternate, deal, interleave, shuffled
from labelgrid.select.strategy import Budget, PoolView, Scores, Selection
from labelgrid.streams import keyed_uniform, seed_of

BY_CLASS = "class_entropy"
#: Smaller entropies count as this one, whose logarithm is finite.
SMALLEST = 1e-12


@dataclass(frozen=True)
class Options:
    """The share of classes, the noise, and the uncertainty.

    Args:
        by_class: the share of a class task's picks that is divided equally among its classes.
        first_power: the exponent of the scores in the first scored round; 1 in power sampling (Kirsch et al. 2023).
        last_power: the exponent from round `rounds` on. It grows by the same factor in each round, and the noise is
            proportional to 1 / exponent.
        rounds: the number of rounds over which the exponent grows.
        statistic: the uncertainty of a cell, any statistic with one value per cell whose measure is `"entropy"`, such
            as `"dropout"` or `"ensemble"`.
    """

    by_class: Annotated[float, Field(ge=0, le=1)] = 0.66
    first_power: Annotated[float, Field(gt=0)] = 1.0
    last_power: Annotated[float, Field(gt=0)] = 40.0
    rounds: Annotated[int, Field(ge=1)] = 5
    statistic: str = "dropout"

    def power(self, number: int) -> float:
        """The exponent of the scored round `number`, counted from 1.

        Example:
            >>> [round(Options(last_power=16).power(number), 2) for number in (1, 3, 5, 9)]
            [1.0, 4.0, 16.0, 16.0]
        """
        done = min(max(number - 1, 0) / max(self.rounds - 1, 1), 1.0)
        return self.first_power * (self.last_power / self.first_power) ** done


@dataclass(frozen=True)
class Order(Group):
    """The cells of a task in the order in which one class, or the whole task, has them picked.

    Args:
        why: the reason given for its picks.
        of_class: the class; None for the whole task.
    """

    why: str
    of_class: int | None = None


@dataclass(frozen=True)
class ClassStratified:
    """The highest log score + Gumbel noise / exponent, for each task, and within a class task for each class.

    The logarithm of an entropy is the score of class tasks; a differential entropy is a logarithm already, that of the
    width of the prediction. The score for a class is the entropy that falls to the class. A task whose network learnt
    nothing yet is drawn at random.

    Source: Lüth et al. 2026 (ClaSP PE) as docs/strategies.md reads it; the noise is that of Kirsch et al. 2023.
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
        return {"score": {self.options.statistic: {"measure": "entropy"}}}

    def select(self, pool: PoolView, budget: Budget) -> Selection:
        """As `Strategy.select`.

        The terms of a pick are the uncertainty of its cell; the exponent; the noise that was added to its log score;
        and, if it was picked for a class, the number of the class. The noise of cells that were not picked is that of
        the whole task's order.

        Its ranks without the noise, and without the classes, are by `places` with all else as it was: the same
        classes, or the same noise. A cell without an uncertainty has neither noise nor such ranks.
        """
        grid, t = pool.grid, len(pool.grid.tasks)
        power, groups, tasks = self.options.power(len(pool.history)), list[Order](), list[Turns]()
        unsure, by_class = self._read(pool)
        for column in shuffled(t, pool.seed, "tasks"):
            parts, shares = list[Turns](), list[float]()
            for made, share in self._groups(pool, unsure[:, column], by_class[:, column], column, power):
                order = shuffled(len(made), pool.seed, "classes", grid.tasks[column])
                parts.append(alternate([len(groups) + index for index in order]))
                shares.append(share)
                groups += made
            tasks.append(interleave(parts, shares))
        costs, amount = cell_costs(grid, budget)
        found = deal(groups, interleave(tasks, [1.0] * t), costs, np.repeat(grid.keys, t), amount)
        picks = grid.cell_picks((item, score, groups[group].why) for item, group, score in found)
        classes, noise = _classes_and_noise(pool, [(item, groups[group].of_class) for item, group, _ in found], power)
        terms: dict[str, NDArray[Any]] = {"uncertainty": unsure, "exponent": np.full(len(unsure), power)}
        terms["noise"] = np.where(np.isfinite(unsure), noise, np.nan)
        without = {"noise": self.places(pool, np.inf)}
        if self.options.by_class:
            terms["class"] = classes
            without["classes"] = ClassStratified(replace(self.options, by_class=0.0)).places(pool, power)
        return Selection(picks, terms, without=without)

    def places(self, pool: PoolView, power: float) -> Scores:
        """How early each missing cell would be picked with this exponent, float64 [n, t]: the higher, the earlier.

        A cell is as early as the best of its orders has it, that of the whole task or of one of its classes. Its place
        in an order is divided by the order's share of the task's picks. Tasks take turns. NaN without an uncertainty.

        Args:
            pool: the pool.
            power: the exponent; infinite for no noise.
        """
        (unsure, by_class), t = self._read(pool), len(pool.grid.tasks)
        first = np.full(unsure.shape, np.inf)
        for column in range(t):
            for made, share in self._groups(pool, unsure[:, column], by_class[:, column], column, power):
                for group in made:
                    rows, place = group.items // t, rankdata(-group.scores, "min") * len(made) / share
                    first[rows, column] = np.minimum(first[rows, column], place)
        return np.where(pool.grid.eligible & np.isfinite(unsure), -first, np.nan)

    def _read(self, pool: PoolView) -> tuple[Scores, NDArray[np.float64]]:
        """The uncertainty of cells [n, t], and the entropy that falls to each class [n, t, c]."""
        unsure, t = Read(self.options.statistic)(pool).values, len(pool.grid.tasks)
        by_class = np.asarray(pool.statistics[BY_CLASS], np.float64)
        return unsure, by_class.reshape(len(unsure), t, by_class.shape[1] // t)

    def _groups(
        self,
        pool: PoolView,
        unsure: NDArray[np.float64],
        by_class: NDArray[np.float64],
        column: int,
        power: float,
    ) -> Iterator[tuple[list[Order], float]]:
        """The orders of a task's cells that together have a share of its picks, and this share."""
        grid, t, options = pool.grid, len(pool.grid.tasks), self.options
        missing = grid.eligible[:, column]
        rows, unknown = np.flatnonzero(missing & np.isfinite(unsure)), np.flatnonzero(missing & np.isnan(unsure))

        def noisy(logs: NDArray[np.float64], why: str, of_class: int | None = None) -> Order:
            return Order(rows * t + column, logs + _noise(pool, rows, column, power, of_class), why, of_class)

        if len(rows):
            classes = np.flatnonzero(by_class[rows].any(0))
            known = len(rows) / (len(rows) + len(unknown))
            share = options.by_class if len(classes) else 0.0
            if share:
                why = "uncertain about one class"
                yield [noisy(_log(by_class[rows, each]), why, int(each)) for each in classes], share * known
            logs = _log(unsure[rows]) if len(classes) else unsure[rows]
            if share < 1:
                yield [noisy(logs, "most uncertain, with noise")], (1 - share) * known
        if len(unknown):
            draws = draw_cells(grid, pool.seed)[unknown, column]
            yield [Order(unknown * t + column, draws, DRAWN)], len(unknown) / (len(rows) + len(unknown))


def _noise(
    pool: PoolView, rows: NDArray[np.intp], column: int, power: float, of_class: int | None = None
) -> NDArray[np.float64]:
    """Gumbel noise / exponent of a task's cells, for one class or for the whole task."""
    salt = seed_of(pool.seed, "power", pool.grid.tasks[column], *([] if of_class is None else [of_class]))
    draws = np.maximum(keyed_uniform(pool.grid.keys[rows], salt), SMALLEST)
    noise: NDArray[np.float64] = -np.log(-np.log(draws)) / power
    return noise


def _classes_and_noise(
    pool: PoolView, found: list[tuple[int, int | None]], power: float
) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """The class for which each cell [n, t] was picked, NaN for none, and the noise of its score.

    The classes are objects: numbers of classes have no quantiles, and not every pick has one.

    Args:
        pool: the pool.
        found: the items that were picked, each with its class.
        power: the exponent.
    """
    rows, t = np.arange(len(pool.grid.keys)), len(pool.grid.tasks)
    classes = np.full((len(rows), t), np.nan, object)
    noise = np.stack([_noise(pool, rows, column, power) for column in range(t)], 1)
    for item, of_class in found:
        row, column = divmod(item, t)
        if of_class is not None:
            classes[row, column] = of_class
            noise[row, column] = _noise(pool, rows[row : row + 1], column, power, of_class)[0]
    return classes, noise


def _log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    logs: NDArray[np.float64] = np.log(np.maximum(values, SMALLEST))
    return logs


def build(options: Options) -> ClassStratified:
    """Build the strategy."""
    return ClassStratified(options)
