"""Finds the networks that the strategies of a study end with: after the last round, and at equal cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelgrid.project.records import Measurement
from labelgrid.report.means import ValueGetter, label_count_getter, metric_getter, total_loss
from labelgrid.report.study_content import PointResults

#: The name of the ending of whole runs.
LAST = "after the last round"


@dataclass(frozen=True)
class Ending:
    """The metrics by which finished runs are compared at one place of their curves.

    Args:
        name: of the place, such as "after the last round".
        method: how the values are read there, as a sentence.
        networks: their metrics by strategy and seed.
    """

    name: str
    method: str
    networks: Mapping[str, Mapping[int, Measurement]]

    def values(self, value_of: ValueGetter) -> dict[str, dict[int, float]]:
        """The finite values of a metric or of the loss, by strategy and seed."""
        values = {
            name: {seed: value_of(one) for seed, one in own.items()}
            for name, own in self.networks.items()
        }
        return {
            name: {seed: v for seed, v in own.items() if math.isfinite(v)}
            for name, own in values.items()
        }


def last_round_ending(results: PointResults) -> Ending:
    """The last networks of seeds whose finished runs all bought the same number of rounds.

    Runs that bought none are left out, unless all are such runs.
    """
    networks: dict[str, dict[int, Measurement]] = {name: {} for name in results.strategies}
    for seed, own in results.finished_by_seed.items():
        buying = {name: run for name, run in own.items() if len(run.measured) > 1} or own
        if len({len(run.measured) for run in buying.values()}) == 1:
            for name, run in buying.items():
                networks[name][seed] = run.measured[-1]
    method = "At the end of each run, for seeds whose runs all bought the same number of rounds."
    return Ending(LAST, method, networks)


def equal_cost_ending(results: PointResults) -> Ending:
    """The metrics of each seed at the largest cost that all its finished runs reach, linear between rounds.

    Runs of one network, of fewer tasks (they have no `loss_mtl`), or that start above this cost are
    left out. No
    networks if all runs of each seed end at the same cost: then they are those after the last
    round.
    """
    networks: dict[str, dict[int, Measurement]] = {name: {} for name in results.strategies}
    differ = False
    for seed, own in results.finished_by_seed.items():
        curves = {name: run.measured for name, run in own.items() if len(run.measured) > 1}
        curves = {
            name: measured
            for name, measured in curves.items()
            if math.isfinite(measured[-1].loss_mtl)
        }
        ends = [measured[-1].spent for measured in curves.values()]
        cost = min(ends, default=0.0)
        differ |= not np.allclose(ends, cost)
        for name, measured in curves.items():
            if measured[0].spent <= cost:
                networks[name][seed] = metrics_at_cost(measured, cost)
    method = (
        "At the largest cost that all runs of a seed reach, on straight lines between rounds. Runs that start above it "
        "are left out."
    )
    return Ending("at equal cost", method, networks if differ else {})


def metrics_at_cost(measured: Sequence[Measurement], cost: float) -> Measurement:
    """The metrics of a run at a cost, on straight lines between its networks.

    Those at either end beyond them.

    Example:
        >>> first = Measured(1, "", {"depth": 10}, 10.0, {}, {}, 6.0)
        >>> last = replace(first, labels={"depth": 20}, spent=20.0, loss_mtl=5.0)
        >>> found = between([first, last], 15.0)
        >>> found.loss_mtl, found.labels
        (5.5, {'depth': 15})
    """
    costs = [one.spent for one in measured]
    last = measured[-1]

    def at(value_of: ValueGetter) -> float:
        return float(np.interp(cost, costs, [value_of(one) for one in measured]))

    metrics = {
        task: {
            name: replace(result, value=at(metric_getter(task, name)))
            for name, result in own.items()
        }
        for task, own in last.metrics.items()
    }
    labels = {task: round(at(label_count_getter(task))) for task in last.labels}
    return replace(last, labels=labels, spent=cost, metrics=metrics, loss_mtl=at(total_loss))
