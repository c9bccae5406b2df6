"""Reads single values of measured networks, and averages them over seeds."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.basics.comparison import Curve
from labelgrid.basics.results import Result, delta_mtl, mean_and_deviation
from labelgrid.lab.reports.study_content import Headlines, RunResult
from labelgrid.project.records import Measurement

#: Reads one value of a measured network; NaN if it has none.
ValueGetter = Callable[[Measurement], float]
#: Reads one value of a measured network of a seed; NaN if it has none.
SeedValueGetter = Callable[[int, Measurement], float]


@dataclass(frozen=True, kw_only=True)
class RoundMean:
    """The mean of a value over seeds, after a number of rounds.

    Args:
        rounds_bought: the number of rounds, from 0.
        seeds: the number of runs that got this far.
        labels, cost, value: means over these runs.
        deviation: the standard deviation of the value over seeds, NaN for one seed.
    """

    rounds_bought: int
    seeds: int
    labels: float
    cost: float
    value: float
    deviation: float


def total_loss(measured: Measurement) -> float:
    """The weighted sum of the losses of all tasks."""
    return measured.loss_mtl


def metric_getter(task: str, name: str) -> ValueGetter:
    """A getter of the value that a network has of a task's metric."""

    def value_of(measured: Measurement) -> float:
        result = measured.metrics.get(task, {}).get(name)
        return result.value if result else math.nan

    return value_of


def same_for_all_seeds(value_of: ValueGetter) -> SeedValueGetter:
    """A getter that ignores the seed."""
    return lambda _seed, measured: value_of(measured)


def delta_mtl_getter(
    references: Mapping[int, Measurement], headlines: Headlines
) -> SeedValueGetter:
    """A getter of delta_mtl in %: the gain over the reference of the same seed.

    The gain is NaN where a task has no result.
    """

    def value_of(seed: int, measured: Measurement) -> float:
        if seed not in references:
            return math.nan
        results = _headline_results(measured, headlines)
        base = _headline_results(references[seed], headlines)
        complete = results.keys() == base.keys() == headlines.keys()
        if not complete or not all(result.value for result in base.values()):
            return math.nan
        return 100 * delta_mtl(results, base)

    return value_of


def _headline_results(measured: Measurement, headlines: Headlines) -> dict[str, Result]:
    results = {}
    for task, name in headlines.items():
        result = measured.metrics.get(task, {}).get(name)
        if result:
            results[task] = result
    return results


def finite_points(
    run: RunResult, value_of: SeedValueGetter, x_of: ValueGetter
) -> tuple[list[int], Curve]:
    """A run's curve over x where its value is finite, and the numbers of bought rounds there."""
    values = np.array([value_of(run.seed, network) for network in run.measured], float)
    rounds = np.flatnonzero(np.isfinite(values)).tolist()
    xs = [x_of(run.measured[bought]) for bought in rounds]
    return rounds, (np.array(xs, float), values[rounds])


def first_result(networks: Iterable[Measurement], task: str, name: str) -> Result | None:
    """The first result of a task's metric among networks, for its unit and direction.

    None if no network has one.
    """
    results = (network.metrics.get(task, {}).get(name) for network in networks)
    return next(filter(None, results), None)


def means_by_round(runs: Sequence[RunResult], value_of: ValueGetter) -> list[RoundMean]:
    """The mean of a value after each round, over the runs with a finite value there."""
    by_round = enumerate(networks_by_round(runs))
    means = [round_mean(bought, networks, value_of) for bought, networks in by_round]
    return [mean for mean in means if mean.seeds]


def networks_by_round(runs: Iterable[RunResult]) -> list[list[Measurement]]:
    """The networks of runs after each number of bought rounds, from 0."""
    by_round: defaultdict[int, list[Measurement]] = defaultdict(list)
    for run in runs:
        for rounds_bought, network in enumerate(run.measured):
            by_round[rounds_bought].append(network)
    return list(by_round.values())


def round_mean(
    rounds_bought: int, reached: Sequence[Measurement], value_of: ValueGetter
) -> RoundMean:
    """The mean of a value over the networks after a round, without values that are not finite."""
    networks = [network for network in reached if math.isfinite(value_of(network))]
    mean, deviation = mean_and_deviation([value_of(network) for network in networks])
    labels, cost = labels_and_cost(networks)
    return RoundMean(
        rounds_bought=rounds_bought,
        seeds=len(networks),
        labels=labels,
        cost=cost,
        value=mean,
        deviation=deviation,
    )


def labels_and_cost(networks: Sequence[Measurement]) -> tuple[float, float]:
    """The mean number of labels of networks, and their mean cost; NaN without networks."""
    labels, _ = mean_and_deviation([label_count(network) for network in networks])
    cost, _ = mean_and_deviation([label_cost(network) for network in networks])
    return labels, cost


def label_count_getter(task: str) -> ValueGetter:
    """A getter of the number of a task's labels that the network was trained on."""
    return lambda measured: float(measured.labels.get(task, 0))


def label_count(measured: Measurement) -> float:
    """The number of labels that the network was trained on."""
    return float(sum(measured.labels.values()))


def label_cost(measured: Measurement) -> float:
    """The cost of the training labels and of the labels of a val split."""
    return measured.spent


#: The axes of a study's curves: the label of each, and the getter of its values.
AXES: Mapping[str, tuple[str, ValueGetter]] = {
    "labels": ("training labels", label_count),
    "cost": ("cost of training labels", label_cost),
}
