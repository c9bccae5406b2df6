"""Finds the networks that strategies end with: after the last round, and at equal cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from labelgrid.basics.results import Result
from labelgrid.lab.reports.means import (
    ValueGetter,
    label_cost,
    label_count,
    label_count_getter,
    metric_getter,
    total_loss,
)
from labelgrid.lab.reports.study_content import PointResults
from labelgrid.project.records import Measurement

#: The name of the ending of whole runs.
LAST = "after the last round"
#: The name of the ending where the cheapest run of a seed ends.
EQUAL_COST = "at equal cost"


#: Networks by strategy and seed.
Networks = Mapping[str, Mapping[int, Measurement]]
#: Means of labels, or of cost, that differ by at most this share of the larger one are alike: a
#: round in cost may leave less than the price of a label.
ALIKE = 0.05


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The metrics of finished runs at a place of the curves, for comparisons.

    Args:
        name: the name of the place, such as "after the last round".
        method: how the values are read there, as a sentence.
        networks: their metrics by strategy and seed.
        next_networks: if the place lies between rounds, the networks of the next rounds. A curve
            that flattens lies between the two.
        rounds: the costs of the rounds around the place, by strategy and seed.
        given: whether no run bought labels: what each has was given to it.
    """

    name: str
    method: str
    networks: Networks
    next_networks: Networks = field(default_factory=dict)
    rounds: Mapping[str, Mapping[int, tuple[float, float]]] = field(default_factory=dict)
    given: bool = False

    def share_rounds(self, first: str, second: str) -> bool:
        """Whether the rounds around the place cost two strategies the same, in each seed.

        Straight lines then favour neither.
        """
        mine = self.rounds[first]
        its = self.rounds[second]
        return all(mine[seed] == its[seed] for seed in mine.keys() & its.keys())

    def why_unlike(self, first: str, second: str) -> str:
        """Why a pair is not tested at this place; "" if both bought alike."""
        alike = self._are_alike(first, second, label_count)
        if self.given or alike or self._are_alike(first, second, label_cost):
            return ""
        return "they end with other numbers of labels, and at other costs"

    def _are_alike(self, first: str, second: str, amount_of: ValueGetter) -> bool:
        mine = self.networks[first]
        its = self.networks[second]
        seeds = mine.keys() & its.keys()
        bought = sum(amount_of(mine[seed]) for seed in seeds)
        other = sum(amount_of(its[seed]) for seed in seeds)
        return abs(bought - other) <= ALIKE * max(bought, other)


def last_round_ending(results: PointResults) -> Ending:
    """The last networks of seeds whose finished runs all bought as many rounds, or as many labels.

    Runs that bought none are left out, unless all are such runs.
    """
    networks: dict[str, dict[int, Measurement]] = {name: {} for name in results.strategies}
    given = True
    for seed, finished in results.finished_by_seed.items():
        runs = {name: run for name, run in finished.items() if len(run.measured) > 1}
        given &= not runs
        runs = runs or finished
        lengths = {len(run.measured) for run in runs.values()}
        labels = {label_count(run.measured[-1]) for run in runs.values()}
        if len(lengths) == 1 or len(labels) == 1:
            for name, run in runs.items():
                networks[name][seed] = run.measured[-1]
    method = (
        "At the end of each run, for seeds whose runs all bought the same number of rounds, or end "
        "with the same number of labels. Pairs are tested if they end with as many labels, or at "
        f"the same cost (up to {100 * ALIKE:g} %)."
    )
    return Ending(name=LAST, method=method, networks=networks, given=given)


def equal_cost_ending(results: PointResults) -> Ending:
    """The metrics of each seed at the largest cost that all finished runs reach.

    Metrics are interpolated linearly between rounds. A run with a single network, with fewer tasks
    (without `loss_mtl`), or with a start above the cost is left out. If all runs of a seed end at
    the same cost, for every seed, the result has no networks: `last_round_ending` has the same.
    """
    networks: dict[str, dict[int, Measurement]] = {name: {} for name in results.strategies}
    next_networks: dict[str, dict[int, Measurement]] = {name: {} for name in results.strategies}
    rounds: dict[str, dict[int, tuple[float, float]]] = {name: {} for name in results.strategies}
    differ = False
    for seed, runs in results.finished_by_seed.items():
        curves = {}
        for name, run in runs.items():
            if len(run.measured) > 1 and math.isfinite(run.measured[-1].loss_mtl):
                curves[name] = run.measured
        ends = [measured[-1].spent for measured in curves.values()]
        cost = min(ends, default=0.0)
        differ |= not np.allclose(ends, cost)
        for name, measured in curves.items():
            if measured[0].spent <= cost:
                networks[name][seed] = metrics_at_cost(measured, cost)
                position = next(index for index, one in enumerate(measured) if one.spent >= cost)
                after = measured[position]
                next_networks[name][seed] = after
                rounds[name][seed] = (measured[max(position - 1, 0)].spent, after.spent)
    method = (
        "At the largest cost that all runs of a seed reach, on straight lines between rounds. Runs "
        "that start above it are left out. A curve that flattens lies between this line and the "
        "value after the next round. So a pair whose rounds cost otherwise differs if it does with "
        "either of the two on its line and the other at its next round; the interval spans both."
    )
    if not differ:
        return Ending(name=EQUAL_COST, method=method, networks={})
    return Ending(
        name=EQUAL_COST,
        method=method,
        networks=networks,
        next_networks=next_networks,
        rounds=rounds,
    )


def metrics_at_cost(measured: Sequence[Measurement], cost: float) -> Measurement:
    """The metrics of a run at a cost, on straight lines between its networks.

    Outside their range, the metrics of the nearest network.

    Example:
        >>> first = Measurement(
        ...     round=1,
        ...     model="",
        ...     labels={"depth": 10},
        ...     spent=10.0,
        ...     heldout_labels={},
        ...     metrics={},
        ...     loss_mtl=6.0,
        ... )
        >>> last = replace(first, labels={"depth": 20}, spent=20.0, loss_mtl=5.0)
        >>> middle = metrics_at_cost([first, last], 15.0)
        >>> middle.loss_mtl, middle.labels
        (5.5, {'depth': 15})
    """
    costs = [network.spent for network in measured]
    last = measured[-1]

    def value_at_cost(value_of: ValueGetter) -> float:
        return float(np.interp(cost, costs, [value_of(network) for network in measured]))

    metrics: dict[str, dict[str, Result]] = {}
    for task, results in last.metrics.items():
        metrics[task] = {}
        for name, result in results.items():
            value = value_at_cost(metric_getter(task, name))
            metrics[task][name] = replace(result, value=value)
    return replace(
        last,
        labels={task: round(value_at_cost(label_count_getter(task))) for task in last.labels},
        spent=cost,
        metrics=metrics,
        loss_mtl=value_at_cost(total_loss),
    )
