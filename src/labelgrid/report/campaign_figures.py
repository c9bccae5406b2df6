"""Computes a study's means over seeds, and the figures of whole campaigns by which strategies are compared."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from labelgrid.report.content import Measured
from labelgrid.report.statistics import Curve, PairComparison, compare, first_crossing, mean_over
from labelgrid.report.study_content import PointResults, RunResult, StudyReport
from labelgrid.results import Better, Result, delta_mtl

#: Reads one figure of a measured network; NaN if it has none.
ValueGetter = Callable[[Measured], float]


@dataclass(frozen=True)
class RoundMean:
    """The mean of a figure over seeds, after a number of rounds.

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


@dataclass(frozen=True)
class CampaignFigure:
    """A figure of whole campaigns.

    Args:
        name: of the figure.
        method: how it is computed, as a sentence.
        unit: of its values.
        better: whether higher or lower is better.
        values: by strategy and seed.
        reached: for a figure with a goal, the number of runs that reached it, by strategy.
    """

    name: str
    method: str
    unit: str
    better: Better
    values: Mapping[str, Mapping[int, float]]
    reached: Mapping[str, int] | None = None

    def summary(self, strategy: str) -> tuple[float, float, int]:
        """Mean, standard deviation and number of seeds."""
        return (*mean_and_deviation(list(self.values.get(strategy, {}).values())), len(self.values.get(strategy, {})))

    def pairs(self) -> dict[tuple[str, str], PairComparison]:
        """Every pair of strategies, compared over their common seeds; p-values are corrected for their number."""
        return self._pairs

    @cached_property
    def _pairs(self) -> dict[tuple[str, str], PairComparison]:
        values = {}
        for first, second in combinations(self.values, 2):
            seeds = sorted(self.values[first].keys() & self.values[second].keys())
            if seeds:
                values[first, second] = (
                    [self.values[first][s] for s in seeds],
                    [self.values[second][s] for s in seeds],
                )
        return compare(values, self.better)


def loss(measured: Measured) -> float:
    """The weighted sum of the losses of all tasks."""
    return measured.loss_mtl


def metric(task: str, name: str) -> ValueGetter:
    """A getter of a task's metric."""

    def value_of(measured: Measured) -> float:
        result = measured.metrics.get(task, {}).get(name)
        return result.value if result else math.nan

    return value_of


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard deviation (over n - 1); NaN where there are too few.

    Example:
        >>> mean_and_deviation([1.0, 2.0, 3.0])
        (2.0, 1.0)
    """
    if not values:
        return math.nan, math.nan
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def means_by_round(runs: Sequence[RunResult], value_of: ValueGetter) -> list[RoundMean]:
    """The mean of a figure after each round, over the runs that got this far and have a finite value."""
    by_round = []
    for rounds_bought in range(max((len(run.measured) for run in runs), default=0)):
        reached = [run.measured[rounds_bought] for run in runs if len(run.measured) > rounds_bought]
        by_round.append(round_mean(rounds_bought, reached, value_of))
    return [mean for mean in by_round if mean.seeds]


def round_mean(rounds_bought: int, reached: Sequence[Measured], value_of: ValueGetter) -> RoundMean:
    """The mean of a figure over the networks after a round, of those that have a finite value."""
    known = [one for one in reached if math.isfinite(value_of(one))]
    value, deviation = mean_and_deviation([value_of(one) for one in known])
    labels, cost = (mean_and_deviation([figure(one) for one in known])[0] for figure in (label_count, label_cost))
    return RoundMean(rounds_bought, len(known), labels, cost, value, deviation)


def label_count(measured: Measured) -> float:
    """The number of labels that the network was trained on."""
    return float(sum(measured.labels.values()))


def label_cost(measured: Measured) -> float:
    """The cost of these labels and of those of a val split."""
    return measured.spent


def study_figures(report: StudyReport) -> list[list[CampaignFigure]]:
    """The figures of each point of a study's grid; the page and the JSON values show the same ones."""
    return [campaign_figures(results, report.headlines, report.reference) for results in report.points]


def campaign_figures(results: PointResults, headlines: Mapping[str, str], reference: str) -> list[CampaignFigure]:
    """All figures by which the strategies are compared; the verdict is on the first."""
    figures = [
        _mean_loss_over(results, "labels", label_count),
        _mean_loss_over(results, "cost", label_cost),
        _labels_to_reach(results, reference),
        _final(results),
        _delta_mtl(results, headlines),
        *(_gap_to_full(results, task, name) for task, name in headlines.items()),
    ]
    return [figure for figure in figures if any(figure.values.values())]


def _mean_loss_over(results: PointResults, axis: str, x_of: ValueGetter) -> CampaignFigure:
    runs = {name: results.finished(name) for name in results.strategies}
    values: dict[str, dict[int, float]] = {name: {} for name in runs}
    for seed in sorted(set().union(*(own.keys() for own in runs.values()))):
        lines = {name: loss_curve(own[seed], x_of) for name, own in runs.items() if seed in own}
        lines = {name: line for name, line in lines.items() if len(line[0]) > 1}
        if not lines:
            continue
        start, end = max(x[0] for x, _ in lines.values()), min(x[-1] for x, _ in lines.values())
        for name, line in lines.items():
            if start < end:
                values[name][seed] = mean_over(line, float(start), float(end))
    method = (
        f"The area under the curve of loss_mtl against {axis}, divided by its width. It covers the range of {axis} "
        "that all strategies of the seed have in common."
    )
    return CampaignFigure(f"Mean loss_mtl over {axis}", method, "", "lower", values)


def loss_curve(run: RunResult, x_of: ValueGetter) -> Curve:
    """A run's loss over labels or cost, without points that are not finite."""
    known = [one for one in run.measured if math.isfinite(one.loss_mtl)]
    return np.array([x_of(one) for one in known]), np.array([one.loss_mtl for one in known])


def _labels_to_reach(results: PointResults, reference: str) -> CampaignFigure:
    goals = {seed: loss_curve(run, label_count) for seed, run in results.finished(reference).items()}
    values: dict[str, dict[int, float]] = {}
    reached: dict[str, int] = {}
    most = {seed: max(label_count(run.measured[-1]) for run in own.values()) for seed, own in _by_seed(results).items()}
    for name in results.strategies:
        values[name], reached[name] = {}, 0
        for seed, run in results.finished(name).items():
            line = loss_curve(run, label_count)
            if seed not in goals or not len(goals[seed][1]) or not len(line[0]):
                continue
            labels = first_crossing(line, float(goals[seed][1][-1]), "lower")
            reached[name] += math.isfinite(labels)
            values[name][seed] = min(labels, most[seed])
    method = (
        f"The number of labels a strategy needs to reach the final loss of {reference}, seed by seed. A run that never "
        "reaches it counts with the largest number of labels of any run of its seed; the true number may be larger."
    )
    return CampaignFigure(f"Labels to reach the final loss of {reference}", method, "labels", "lower", values, reached)


def _by_seed(results: PointResults) -> dict[int, dict[str, RunResult]]:
    by_seed: dict[int, dict[str, RunResult]] = {}
    for name in results.strategies:
        for seed, run in results.finished(name).items():
            by_seed.setdefault(seed, {})[name] = run
    return by_seed


def _seeds_with_equal_rounds(results: PointResults) -> set[int]:
    """The seeds whose finished runs all bought the same number of rounds, so that their budgets are equal."""
    return {seed for seed, own in _by_seed(results).items() if len({len(run.measured) for run in own.values()}) == 1}


def _final(results: PointResults) -> CampaignFigure:
    values = _last_values(results, loss)
    method = "The loss at the end of each run, for seeds whose runs all bought the same number of rounds."
    return CampaignFigure("loss_mtl after the last round", method, "", "lower", values)


def _delta_mtl(results: PointResults, headlines: Mapping[str, str]) -> CampaignFigure:
    values: dict[str, dict[int, float]] = {}
    seeds = _seeds_with_equal_rounds(results) & results.full.keys()
    for strategy in results.strategies:
        runs, values[strategy] = results.finished(strategy), {}
        for seed in sorted(seeds & runs.keys()):
            found, base = (_headline_results(one, headlines) for one in (runs[seed].measured[-1], results.full[seed]))
            if found.keys() == base.keys() == headlines.keys() and all(one.value for one in base.values()):
                values[strategy][seed] = 100 * delta_mtl(found, base)
        values[strategy] = {seed: value for seed, value in values[strategy].items() if math.isfinite(value)}
    method = (
        "The mean over tasks of the relative gain of the headline metric over the network with every label, seed by "
        "seed: delta_mtl with that network in place of single-task networks. 0 is as good as every label."
    )
    return CampaignFigure("delta_mtl over every label", method, "%", "higher", values)


def _headline_results(measured: Measured, headlines: Mapping[str, str]) -> dict[str, Result]:
    """Each task's headline result, of tasks that have one."""
    found = {task: measured.metrics.get(task, {}).get(name) for task, name in headlines.items()}
    return {task: result for task, result in found.items() if result}


def _gap_to_full(results: PointResults, task: str, name: str) -> CampaignFigure:
    value_of, full, unit = metric(task, name), results.full, ""
    values: dict[str, dict[int, float]] = {}
    for strategy, last in _last_values(results, value_of).items():
        known = {seed: abs(value - value_of(full[seed])) for seed, value in last.items() if seed in full}
        values[strategy] = {seed: value for seed, value in known.items() if math.isfinite(value)}
        unit = next((r.measured[-1].metrics[task][name].unit for r in results.of(strategy).values() if last), unit)
    method = f"|{name} after the last round − {name} with every label|, seed by seed."
    return CampaignFigure(f"δ of {task} ({name})", method, unit, "lower", values)


def _last_values(results: PointResults, value_of: ValueGetter) -> dict[str, dict[int, float]]:
    """The finite values of a figure after the last round, by strategy and seed."""
    seeds = _seeds_with_equal_rounds(results)
    values: dict[str, dict[int, float]] = {}
    for name in results.strategies:
        last = {seed: value_of(run.measured[-1]) for seed, run in results.finished(name).items() if seed in seeds}
        values[name] = {seed: value for seed, value in last.items() if math.isfinite(value)}
    return values
