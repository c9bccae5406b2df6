"""ClaSP PE: uncertain cells, two thirds of them class by class, with random noise that decays from round to round.

Each task gets an equal number of picks (Lüth et al. 2026, for one task). It needs the statistic `class_entropy` and an
entropy of each cell: `dropout` or, with `statistic`, that of a deep ensemble.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import rankdata

from labelgrid.select.budget import cell_costs
from labelgrid.select.parts import DRAWN, Read, draw_cells
from labelgrid.select.shares import Group, Turns, alternate, deal, interleave, shuffled
from labelgrid.select.strategy import Budget, PoolView, Selection
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
        """As `Strategy.select`. A pick's terms are the uncertainty of its cell, and the exponent."""
        grid, t = pool.grid, len(pool.grid.tasks)
        unsure = Read(self.options.statistic)(pool).values
        by_class = np.asarray(pool.statistics[BY_CLASS], np.float64)
        by_class = by_class.reshape(len(unsure), t, by_class.shape[1] // t)
        power, groups, tasks, whys = self.options.power(len(pool.history)), list[Group](), list[Turns](), list[str]()
        for column in shuffled(t, pool.seed, "tasks"):
            parts, shares = list[Turns](), list[float]()
            for made, why, share in self._groups(pool, unsure[:, column], by_class[:, column], column, power):
                order = shuffled(len(made), pool.seed, "classes", grid.tasks[column])
                parts.append(alternate([len(groups) + index for index in order]))
                shares.append(share)
                groups += made
                whys += [why] * len(made)
            tasks.append(interleave(parts, shares))
        costs, amount = cell_costs(grid, budget)
        found = deal(groups, interleave(tasks, [1.0] * t), costs, np.repeat(grid.keys, t), amount)
        picks = grid.cell_picks((item, score, whys[group]) for item, group, score in found)
        in_turn = -rankdata(-np.where(grid.eligible, unsure, np.nan), "min", axis=0, nan_policy="omit")
        left_out = "noise and classes" if self.options.by_class else "noise"
        terms = {"uncertainty": unsure, "exponent": np.full(len(unsure), power)}
        return Selection(picks, terms, without={left_out: in_turn})

    def _groups(
        self,
        pool: PoolView,
        unsure: NDArray[np.float64],
        by_class: NDArray[np.float64],
        column: int,
        power: float,
    ) -> Iterator[tuple[list[Group], str, float]]:
        """The groups of a task's cells, with the reason for their picks and their share of the task's."""
        grid, t, options = pool.grid, len(pool.grid.tasks), self.options
        missing = grid.eligible[:, column]
        rows, unknown = np.flatnonzero(missing & np.isfinite(unsure)), np.flatnonzero(missing & np.isnan(unsure))

        def noisy(logs: NDArray[np.float64], *names: str | int) -> Group:
            salt = seed_of(pool.seed, "power", grid.tasks[column], *names)
            draws = np.maximum(keyed_uniform(grid.keys[rows], salt), SMALLEST)
            return Group(rows * t + column, logs - np.log(-np.log(draws)) / power)

        if len(rows):
            classes = np.flatnonzero(by_class[rows].any(0))
            known = len(rows) / (len(rows) + len(unknown))
            share = options.by_class if len(classes) else 0.0
            if share:
                yield (
                    [noisy(_log(by_class[rows, each]), int(each)) for each in classes],
                    "uncertain about one class",
                    share * known,
                )
            logs = _log(unsure[rows]) if len(classes) else unsure[rows]
            if share < 1:
                yield [noisy(logs)], "most uncertain, with noise", (1 - share) * known
        if len(unknown):
            draws = draw_cells(grid, pool.seed)[unknown, column]
            yield [Group(unknown * t + column, draws)], DRAWN, len(unknown) / (len(rows) + len(unknown))


def _log(values: NDArray[np.float64]) -> NDArray[np.float64]:
    logs: NDArray[np.float64] = np.log(np.maximum(values, SMALLEST))
    return logs


def build(options: Options) -> ClassStratified:
    """Build the strategy."""
    return ClassStratified(options)
