"""Computes the measures of whole campaigns by which the strategies of a study are compared."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from labelgrid.comparison import Curve, PairComparison, compare, first_crossing, mean_over
from labelgrid.project.records import Measurement
from labelgrid.report.final_networks import Ending, equal_cost_ending, last_round_ending
from labelgrid.report.means import (
    ValueGetter,
    delta_mtl_getter,
    finite_points,
    first_result,
    label_cost,
    label_count,
    metric_getter,
    same_for_all_seeds,
    total_loss,
)
from labelgrid.report.study_content import PointResults, RunResult, StudyReport
from labelgrid.results import Better, mean_and_deviation

#: How the names of the measures begin that are relative gains.
DELTA_MTL = "delta_mtl"
#: The name of delta_mtl by its reference, and the reference in words.
OVER_FULL = (
    DELTA_MTL,
    "the network with every label, seed by seed: delta_mtl with that network in place of "
    "single-task networks. 0 is as good as every label",
)
OVER_SINGLE = (
    f"{DELTA_MTL} over single-task networks",
    "networks of one task each, which the same recipe trained on the strategy's initial labels "
    "of that task, seed by seed. Labels that the strategy bought are not among theirs",
)
OVER_SINGLE_FULL = (
    f"{DELTA_MTL} over single-task networks with every label",
    "networks of one task each, which the same recipe trained on every label of that task, "
    "seed by seed",
)


@dataclass(frozen=True, kw_only=True)
class CampaignMeasure:
    """A measure of whole campaigns.

    Args:
        name: of the measure.
        method: how it is computed, as a sentence.
        unit: of its values.
        better: whether higher or lower is better.
        values: by strategy and seed.
        reached: for a measure with a goal, the number of runs that reached it, by strategy.
    """

    name: str
    method: str
    unit: str
    better: Better
    values: Mapping[str, Mapping[int, float]]
    reached: Mapping[str, int] | None = None

    def summary(self, strategy: str) -> tuple[float, float, int]:
        """Mean, standard deviation and number of seeds."""
        values = list(self.values.get(strategy, {}).values())
        mean, deviation = mean_and_deviation(values)
        return mean, deviation, len(values)

    def pairs(self) -> dict[tuple[str, str], PairComparison]:
        """Every pair of strategies, compared over their common seeds.

        P-values are corrected for their number.
        """
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


def study_measures(report: StudyReport) -> list[list[CampaignMeasure]]:
    """The measures of each point of a study's grid.

    The page and the JSON values show the same ones.
    """
    headlines = report.headlines
    reference = report.reference
    return [campaign_measures(results, headlines, reference) for results in report.points]


def campaign_measures(
    results: PointResults, headlines: Mapping[str, str], reference: str
) -> list[CampaignMeasure]:
    """All measures by which the strategies are compared; the verdict is on the first."""
    last = last_round_ending(results)
    alike = equal_cost_ending(results)
    measures = [
        _mean_loss_over(results, "labels", label_count),
        _mean_loss_over(results, "cost", label_cost),
        _labels_to_reach(results, reference),
        _loss_at(last),
        _loss_at(alike),
        _delta_mtl(last, headlines, lambda _: results.full, *OVER_FULL),
        _delta_mtl(alike, headlines, lambda _: results.full, *OVER_FULL),
        _delta_mtl(last, headlines, results.single_task, *OVER_SINGLE),
        _delta_mtl(last, headlines, lambda _: results.single_task("full"), *OVER_SINGLE_FULL),
    ]
    for task, name in headlines.items():
        measures.append(_gap_to_full(results, task, name, last))
    return [measure for measure in measures if any(measure.values.values())]


def _mean_loss_over(results: PointResults, axis: str, x_of: ValueGetter) -> CampaignMeasure:
    values: dict[str, dict[int, float]] = {name: {} for name in results.strategies}
    for seed, runs in sorted(results.finished_by_seed.items()):
        for name, mean in _mean_losses(runs, x_of).items():
            values[name][seed] = mean
    method = (
        f"The area under the curve of loss_mtl against {axis}, divided by its width. It covers "
        f"the range of {axis} that all strategies of the seed have in common. Its lines between "
        "rounds are straight. They lie above a loss that flattens, so strategies that buy less in "
        "a round look better than they are."
    )
    return CampaignMeasure(
        name=f"Mean loss_mtl over {axis}", method=method, unit="", better="lower", values=values
    )


def _mean_losses(runs: Mapping[str, RunResult], x_of: ValueGetter) -> dict[str, float]:
    """The mean losses of a seed's runs over the range that all their curves share."""
    lines = {}
    starts = []
    ends = []
    for name, run in runs.items():
        line = loss_curve(run, x_of)
        x, _ = line
        if len(x) > 1:
            lines[name] = line
            starts.append(float(x[0]))
            ends.append(float(x[-1]))
    if not lines or max(starts) >= min(ends):
        return {}
    start = max(starts)
    end = min(ends)
    return {name: mean_over(line, start, end) for name, line in lines.items()}


def loss_curve(run: RunResult, x_of: ValueGetter) -> Curve:
    """A run's loss over labels or cost, without points that are not finite."""
    return finite_points(run, same_for_all_seeds(total_loss), x_of)[1]


def _labels_to_reach(results: PointResults, reference: str) -> CampaignMeasure:
    goals = {}
    for seed, run in results.finished(reference).items():
        _, losses = loss_curve(run, label_count)
        if len(losses):
            goals[seed] = float(losses[-1])
    most = {}
    for seed, runs in results.finished_by_seed.items():
        most[seed] = max(label_count(run.measured[-1]) for run in runs.values())
    values: dict[str, dict[int, float]] = {}
    reached: dict[str, int] = {}
    for name in results.strategies:
        values[name] = {}
        reached[name] = 0
        for seed, run in results.finished(name).items():
            line = loss_curve(run, label_count)
            if seed not in goals or not len(line[0]):
                continue
            labels = first_crossing(line, goals[seed], "lower")
            reached[name] += math.isfinite(labels)
            values[name][seed] = min(labels, most[seed])
    method = (
        f"The number of labels a strategy needs to reach the final loss of {reference}, seed by "
        "seed. A run that never reaches it counts with the largest number of labels of any run of "
        "its seed; the true number may be larger."
    )
    return CampaignMeasure(
        name=f"Labels to reach the final loss of {reference}",
        method=method,
        unit="labels",
        better="lower",
        values=values,
        reached=reached,
    )


def _loss_at(ending: Ending) -> CampaignMeasure:
    return CampaignMeasure(
        name=f"loss_mtl {ending.name}",
        method=ending.method,
        unit="",
        better="lower",
        values=ending.values(total_loss),
    )


def _delta_mtl(
    ending: Ending,
    headlines: Mapping[str, str],
    references: Callable[[str], Mapping[int, Measurement]],
    *words: str,
) -> CampaignMeasure:
    """The gain over the references of a strategy, by seed.

    `words` are the measure's name and its references.
    """
    name, over = words
    values: dict[str, dict[int, float]] = {}
    for strategy, networks in ending.networks.items():
        value_of = delta_mtl_getter(references(strategy), headlines)
        values[strategy] = {}
        for seed in sorted(networks):
            value = value_of(seed, networks[seed])
            if math.isfinite(value):
                values[strategy][seed] = value
    method = (
        f"The mean over tasks of the relative gain of the headline metric over {over}. "
        f"{ending.method}"
    )
    return CampaignMeasure(
        name=f"{name} {ending.name}", method=method, unit="%", better="higher", values=values
    )


def _gap_to_full(results: PointResults, task: str, name: str, ending: Ending) -> CampaignMeasure:
    value_of = metric_getter(task, name)
    full = results.full
    unit = ""
    values: dict[str, dict[int, float]] = {}
    for strategy, last in ending.values(value_of).items():
        values[strategy] = {}
        for seed, value in last.items():
            gap = abs(value - value_of(full[seed])) if seed in full else math.nan
            if math.isfinite(gap):
                values[strategy][seed] = gap
        result = first_result(ending.networks[strategy].values(), task, name)
        if last and result:
            unit = result.unit
    method = f"|{name} {ending.name} − {name} with every label|, seed by seed."
    return CampaignMeasure(
        name=f"δ of {task} ({name})", method=method, unit=unit, better="lower", values=values
    )
