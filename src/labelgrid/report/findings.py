"""What a study's runs add up to: means over seeds, and figures of whole campaigns that strategies are compared by."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from labelgrid.report.content import Measured
from labelgrid.report.statistics import Compared, Curve, compare, mean_height, reaches
from labelgrid.report.trials import PointResults, RunResult
from labelgrid.results import Better

#: A figure of a measured network; NaN where it has none.
Of = Callable[[Measured], float]


@dataclass(frozen=True)
class Mean:
    """A figure after so many rounds, over seeds.

    Args:
        place: how many rounds were bought, 0 first; seeds: how many runs got so far.
        labels, cost: means, as is `value`; deviation: standard deviation of the value over seeds, NaN for one.
    """

    place: int
    seeds: int
    labels: float
    cost: float
    value: float
    deviation: float


@dataclass(frozen=True)
class Measure:
    """A figure of whole campaigns.

    Args:
        name: what it is; said: how it is made; unit: of its values.
        values: by strategy and seed.
        reached: where some runs never got there, how many did, by strategy.
    """

    name: str
    said: str
    unit: str
    better: Better
    values: Mapping[str, Mapping[int, float]]
    reached: Mapping[str, int] | None = None

    def summary(self, strategy: str) -> tuple[float, float, int]:
        """Mean, standard deviation and number of seeds."""
        return (*mean_of(list(self.values.get(strategy, {}).values())), len(self.values.get(strategy, {})))

    def pairs(self) -> dict[tuple[str, str], Compared]:
        """Every pair of strategies over the seeds that both have, p-values corrected for their number."""
        return self._pairs

    @cached_property
    def _pairs(self) -> dict[tuple[str, str], Compared]:
        found = {}
        for first, second in combinations(self.values, 2):
            seeds = sorted(self.values[first].keys() & self.values[second].keys())
            if seeds:
                found[first, second] = (
                    [self.values[first][s] for s in seeds],
                    [self.values[second][s] for s in seeds],
                )
        return compare(found, self.better)


def loss(measured: Measured) -> float:
    """The weighted sum of all tasks' losses."""
    return measured.loss_mtl


def metric(task: str, name: str) -> Of:
    """A task's metric."""

    def of(measured: Measured) -> float:
        result = measured.metrics.get(task, {}).get(name)
        return result.value if result else math.nan

    return of


def mean_of(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (over n - 1); NaN where there are too few.

    Example:
        >>> mean_of([1.0, 2.0, 3.0])
        (2.0, 1.0)
    """
    if not values:
        return math.nan, math.nan
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def means(runs: Sequence[RunResult], of: Of) -> list[Mean]:
    """A figure over the rounds: at each, of the runs that got so far and have a number there."""
    found = []
    for place in range(max((len(run.measured) for run in runs), default=0)):
        there = [run.measured[place] for run in runs if len(run.measured) > place]
        known = [one for one in there if math.isfinite(of(one))]
        value, deviation = mean_of([of(one) for one in known])
        labels, cost = (mean_of([figure(one) for one in known])[0] for figure in (labels_of, cost_of))
        found.append(Mean(place, len(known), labels, cost, value, deviation))
    return [mean for mean in found if mean.seeds]


def labels_of(measured: Measured) -> float:
    """How many labels it learned from."""
    return float(sum(measured.labels.values()))


def cost_of(measured: Measured) -> float:
    """What these had cost."""
    return measured.spent


def measures(trial: PointResults, headlines: Mapping[str, str], reference: str) -> list[Measure]:
    """All figures that the strategies are compared by; the first is the one the verdict speaks of."""
    found = [
        _height(trial, "labels", labels_of),
        _height(trial, "cost", cost_of),
        _reach(trial, reference),
        _final(trial),
        *(_distance(trial, task, name) for task, name in headlines.items()),
    ]
    return [one for one in found if any(one.values.values())]


def _height(trial: PointResults, axis: str, place: Of) -> Measure:
    runs = {name: trial.finished(name) for name in trial.strategies}
    values: dict[str, dict[int, float]] = {name: {} for name in runs}
    for seed in sorted(set().union(*(own.keys() for own in runs.values()))):
        lines = {name: curve(own[seed], place) for name, own in runs.items() if seed in own}
        lines = {name: line for name, line in lines.items() if len(line[0]) > 1}
        if not lines:
            continue
        start, end = max(x[0] for x, _ in lines.values()), min(x[-1] for x, _ in lines.values())
        for name, line in lines.items():
            if start < end:
                values[name][seed] = mean_height(line, float(start), float(end))
    said = (
        f"The area under the curve of loss_mtl against {axis}, divided by its width: the mean loss on the way, between "
        "the first and the last place that all strategies of the seed reached."
    )
    return Measure(f"Mean loss_mtl over {axis}", said, "", "lower", values)


def curve(run: RunResult, place: Of) -> Curve:
    """A run's loss over labels or cost, where it is a number."""
    known = [one for one in run.measured if math.isfinite(one.loss_mtl)]
    return np.array([place(one) for one in known]), np.array([one.loss_mtl for one in known])


def _reach(trial: PointResults, reference: str) -> Measure:
    goals = {seed: curve(run, labels_of) for seed, run in trial.finished(reference).items()}
    values: dict[str, dict[int, float]] = {}
    reached: dict[str, int] = {}
    most = {seed: max(labels_of(run.measured[-1]) for run in own.values()) for seed, own in _by_seed(trial).items()}
    for name in trial.strategies:
        values[name], reached[name] = {}, 0
        for seed, run in trial.finished(name).items():
            line = curve(run, labels_of)
            if seed not in goals or not len(goals[seed][1]) or not len(line[0]):
                continue
            place = reaches(line, float(goals[seed][1][-1]), "lower")
            reached[name] += math.isfinite(place)
            values[name][seed] = min(place, most[seed])
    said = (
        f"How many labels a strategy needs for the loss that {reference} ends with, seed by seed. A run that never got "
        "there counts with the most labels that any run of its seed had; it may need more."
    )
    return Measure(f"Labels to reach the final loss of {reference}", said, "labels", "lower", values, reached)


def _by_seed(trial: PointResults) -> dict[int, dict[str, RunResult]]:
    found: dict[int, dict[str, RunResult]] = {}
    for name in trial.strategies:
        for seed, run in trial.finished(name).items():
            found.setdefault(seed, {})[name] = run
    return found


def _level(trial: PointResults) -> set[int]:
    """The seeds whose finished runs bought as many rounds: the ends of others were paid for with unequal budgets."""
    return {seed for seed, own in _by_seed(trial).items() if len({len(run.measured) for run in own.values()}) == 1}


def _final(trial: PointResults) -> Measure:
    values = _last(trial, loss)
    said = "At the end of each run, for seeds whose runs bought as many rounds."
    return Measure("loss_mtl after the last round", said, "", "lower", values)


def _distance(trial: PointResults, task: str, name: str) -> Measure:
    of, full, unit = metric(task, name), trial.full, ""
    values: dict[str, dict[int, float]] = {}
    for strategy, last in _last(trial, of).items():
        known = {seed: abs(value - of(full[seed])) for seed, value in last.items() if seed in full}
        values[strategy] = {seed: value for seed, value in known.items() if math.isfinite(value)}
        unit = next((r.measured[-1].metrics[task][name].unit for r in trial.of(strategy).values() if last), unit)
    said = f"|{name} after the last round − {name} with every label|, seed by seed."
    return Measure(f"δ of {task} ({name})", said, unit, "lower", values)


def _last(trial: PointResults, of: Of) -> dict[str, dict[int, float]]:
    """By strategy and seed, a figure after the last round, where it is a number."""
    level = _level(trial)
    found: dict[str, dict[int, float]] = {}
    for name in trial.strategies:
        last = {seed: of(run.measured[-1]) for seed, run in trial.finished(name).items() if seed in level}
        found[name] = {seed: value for seed, value in last.items() if math.isfinite(value)}
    return found
