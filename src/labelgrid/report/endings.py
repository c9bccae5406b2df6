"""Finds the networks that the strategies of a study end with: after the last round, and at equal cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelgrid.report.content import Measured
from labelgrid.report.means import ValueGetter, labels_of, loss, metric
from labelgrid.report.study_content import PointResults


@dataclass(frozen=True)
class Ending:
    """The figures by which finished runs are compared at one place of their curves.

    Args:
        name: of the place, such as "after the last round".
        method: how the figures are read there, as a sentence.
        networks: the figures by strategy and seed.
    """

    name: str
    method: str
    networks: Mapping[str, Mapping[int, Measured]]

    def values(self, value_of: ValueGetter) -> dict[str, dict[int, float]]:
        """The finite values of a figure, by strategy and seed."""
        values = {name: {seed: value_of(one) for seed, one in own.items()} for name, own in self.networks.items()}
        return {name: {seed: v for seed, v in own.items() if math.isfinite(v)} for name, own in values.items()}


def after_last_round(results: PointResults) -> Ending:
    """The last networks of seeds whose finished runs all bought the same number of rounds."""
    networks: dict[str, dict[int, Measured]] = {name: {} for name in results.strategies}
    for seed, own in results.finished_by_seed.items():
        if len({len(run.measured) for run in own.values()}) == 1:
            for name, run in own.items():
                networks[name][seed] = run.measured[-1]
    method = "At the end of each run, for seeds whose runs all bought the same number of rounds."
    return Ending("after the last round", method, networks)


def at_equal_cost(results: PointResults) -> Ending:
    """The figures of each seed at the largest cost that all its finished runs reach, linear between rounds.

    No networks if all runs of each seed end at the same cost: then they are those after the last round.
    """
    networks: dict[str, dict[int, Measured]] = {name: {} for name in results.strategies}
    differ = False
    for seed, own in results.finished_by_seed.items():
        cost = min(run.measured[-1].spent for run in own.values())
        differ |= any(run.measured[-1].spent > cost for run in own.values())
        if all(run.measured[0].spent <= cost for run in own.values()):
            for name, run in own.items():
                networks[name][seed] = between(run.measured, cost)
    method = "At the largest cost that all runs of a seed reach, on straight lines between rounds."
    return Ending("at equal cost", method, networks if differ else {name: {} for name in networks})


def between(measured: Sequence[Measured], cost: float) -> Measured:
    """The figures of a run at a cost, on straight lines between its networks; those at either end beyond them.

    Example:
        >>> first = Measured(1, "", {"depth": 10}, 10.0, {}, {}, 6.0)
        >>> last = replace(first, labels={"depth": 20}, spent=20.0, loss_mtl=5.0)
        >>> found = between([first, last], 15.0)
        >>> found.loss_mtl, found.labels
        (5.5, {'depth': 15})
    """
    costs, last = [one.spent for one in measured], measured[-1]

    def at(value_of: ValueGetter) -> float:
        return float(np.interp(cost, costs, [value_of(one) for one in measured]))

    metrics = {
        task: {name: replace(result, value=at(metric(task, name))) for name, result in own.items()}
        for task, own in last.metrics.items()
    }
    labels = {task: round(at(labels_of(task))) for task in last.labels}
    return replace(last, labels=labels, spent=cost, metrics=metrics, loss_mtl=at(loss))
