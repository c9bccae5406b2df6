"""Reads single values of measured networks, and averages them over seeds."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.project.records import Measurement
from labelgrid.report.statistics import Curve
from labelgrid.report.study_content import RunResult
from labelgrid.results import Result, delta_mtl, mean_and_deviation

#: Reads one value of a measured network; NaN if it has none.
ValueGetter = Callable[[Measurement], float]
#: Reads one value of a measured network of a seed; NaN if it has none.
SeedValueGetter = Callable[[int, Measurement], float]


@dataclass(frozen=True)
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
    """A getter of a task's metric."""

    def value_of(measured: Measurement) -> float:
        result = measured.metrics.get(task, {}).get(name)
        return result.value if result else math.nan

    return value_of


def same_for_all_seeds(value_of: ValueGetter) -> SeedValueGetter:
    """A getter that is the same for each seed."""
    return lambda _seed, measured: value_of(measured)


def delta_mtl_getter(
    references: Mapping[int, Measurement], headlines: Mapping[str, str]
) -> SeedValueGetter:
    """A getter of delta_mtl in %: the gain over the reference of the same seed.

    NaN without one for each task.
    """

    def value_of(seed: int, measured: Measurement) -> float:
        if seed not in references:
            return math.nan
        found, base = (_headline_results(one, headlines) for one in (measured, references[seed]))
        if not found.keys() == base.keys() == headlines.keys() or not all(
            result.value for result in base.values()
        ):
            return math.nan
        return 100 * delta_mtl(found, base)

    return value_of


def _headline_results(measured: Measurement, headlines: Mapping[str, str]) -> dict[str, Result]:
    """Each task's headline result, of tasks that have one."""
    found = {task: measured.metrics.get(task, {}).get(name) for task, name in headlines.items()}
    return {task: result for task, result in found.items() if result}


def finite_points(
    run: RunResult, value_of: SeedValueGetter, x_of: ValueGetter
) -> tuple[list[int], Curve]:
    """The numbers of bought rounds after which a run has a finite value, and its curve over x there."""
    known = [
        (bought, x_of(one), value)
        for bought, one in enumerate(run.measured)
        if math.isfinite(value := value_of(run.seed, one))
    ]
    x, y = (np.array([point[part] for point in known], float) for part in (1, 2))
    return [bought for bought, _, _ in known], (x, y)


def first_result(networks: Iterable[Measurement], task: str, name: str) -> Result | None:
    """The first result of a task's metric among networks, for its unit and direction.

    None if no network has one.
    """
    return next((found for one in networks if (found := one.metrics.get(task, {}).get(name))), None)


def means_by_round(runs: Sequence[RunResult], value_of: ValueGetter) -> list[RoundMean]:
    """The mean of a value after each round, over the runs that got this far and have a finite one."""
    by_round = []
    for rounds_bought in range(max((len(run.measured) for run in runs), default=0)):
        reached = [run.measured[rounds_bought] for run in runs if len(run.measured) > rounds_bought]
        by_round.append(round_mean(rounds_bought, reached, value_of))
    return [mean for mean in by_round if mean.seeds]


def round_mean(
    rounds_bought: int, reached: Sequence[Measurement], value_of: ValueGetter
) -> RoundMean:
    """The mean of a value over the networks after a round, of those that have a finite one."""
    known = [one for one in reached if math.isfinite(value_of(one))]
    value, deviation = mean_and_deviation([value_of(one) for one in known])
    return RoundMean(rounds_bought, len(known), *labels_and_cost(known), value, deviation)


def labels_and_cost(networks: Sequence[Measurement]) -> tuple[float, float]:
    """The mean number of labels of networks, and their mean cost; NaN without networks."""
    labels, cost = (
        mean_and_deviation([value_of(one) for one in networks])[0]
        for value_of in (label_count, label_cost)
    )
    return labels, cost


def label_count_getter(task: str) -> ValueGetter:
    """A getter of the number of a task's labels that the network was trained on."""
    return lambda measured: float(measured.labels.get(task, 0))


def label_count(measured: Measurement) -> float:
    """The number of labels that the network was trained on."""
    return float(sum(measured.labels.values()))


def label_cost(measured: Measurement) -> float:
    """The cost of these labels and of those of a val split."""
    return measured.spent


#: The axes of a study's curves: the label of each, and the getter of its values.
AXES: Mapping[str, tuple[str, ValueGetter]] = {
    "labels": ("training labels", label_count),
    "cost": ("cost of training labels", label_cost),
}
