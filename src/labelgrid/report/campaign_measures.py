"""Computes the measures of whole campaigns by which the strategies of a study are compared."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from labelgrid.project.records import Measurement
from labelgrid.report.final_networks import Ending, equal_cost_ending, last_round_ending
from labelgrid.report.means import (
    ValueGetter,
    delta_mtl_getter,
    finite_points,
    label_cost,
    label_count,
    metric_getter,
    same_for_all_seeds,
    total_loss,
)
from labelgrid.report.statistics import Curve, PairComparison, compare, first_crossing, mean_over
from labelgrid.report.study_content import PointResults, RunResult, StudyReport
from labelgrid.results import Better, mean_and_deviation

#: How the names of the measures begin that are relative gains.
DELTA_MTL = "delta_mtl"
#: The name of delta_mtl by its reference, and the reference in words.
OVER_FULL = (
    DELTA_MTL,
    "the network with every label, seed by seed: delta_mtl with that network in place of single-task networks. 0 is as "
    "good as every label",
)
OVER_SINGLE = (
    f"{DELTA_MTL} over single-task networks",
    "networks of one task each, which the same recipe trained on the strategy's initial labels of that task, seed by "
    "seed. Labels that the strategy bought are not among theirs",
)
OVER_SINGLE_FULL = (
    f"{DELTA_MTL} over single-task networks with every label",
    "networks of one task each, which the same recipe trained on every label of that task, seed by seed",
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
        return (
            *mean_and_deviation(list(self.values.get(strategy, {}).values())),
            len(self.values.get(strategy, {})),
        )

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
    return [
        campaign_measures(results, report.headlines, report.reference) for results in report.points
    ]


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
        *(
            _delta_mtl(ending, headlines, lambda _: results.full, *OVER_FULL)
            for ending in (last, alike)
        ),
        _delta_mtl(last, headlines, results.single_task, *OVER_SINGLE),
        _delta_mtl(last, headlines, lambda _: results.single_task("full"), *OVER_SINGLE_FULL),
        *(_gap_to_full(results, task, name, last) for task, name in headlines.items()),
    ]
    return [measure for measure in measures if any(measure.values.values())]


def _mean_loss_over(results: PointResults, axis: str, x_of: ValueGetter) -> CampaignMeasure:
    runs = {name: results.finished(name) for name in results.strategies}
    values: dict[str, dict[int, float]] = {name: {} for name in runs}
    for seed in sorted(set().union(*(own.keys() for own in runs.values()))):
        lines = {name: loss_curve(own[seed], x_of) for name, own in runs.items() if seed in own}
        lines = {name: line for name, line in lines.items() if len(line[0]) > 1}
        if not lines:
            continue
        start = max(x[0] for x, _ in lines.values())
        end = min(x[-1] for x, _ in lines.values())
        for name, line in lines.items():
            if start < end:
                values[name][seed] = mean_over(line, float(start), float(end))
    method = (
        f"The area under the curve of loss_mtl against {axis}, divided by its width. It covers the range of {axis} "
        "that all strategies of the seed have in common. Its lines between rounds are straight. They lie above a loss "
        "that flattens, so strategies that buy less in a round look better than they are."
    )
    return CampaignMeasure(
        name=f"Mean loss_mtl over {axis}", method=method, unit="", better="lower", values=values
    )


def loss_curve(run: RunResult, x_of: ValueGetter) -> Curve:
    """A run's loss over labels or cost, without points that are not finite."""
    return finite_points(run, same_for_all_seeds(total_loss), x_of)[1]


def _labels_to_reach(results: PointResults, reference: str) -> CampaignMeasure:
    goals = {
        seed: loss_curve(run, label_count) for seed, run in results.finished(reference).items()
    }
    values: dict[str, dict[int, float]] = {}
    reached: dict[str, int] = {}
    most = {
        seed: max(label_count(run.measured[-1]) for run in own.values())
        for seed, own in results.finished_by_seed.items()
    }
    for name in results.strategies:
        values[name] = {}
        reached[name] = 0
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
        found = {seed: value_of(seed, networks[seed]) for seed in sorted(networks)}
        values[strategy] = {seed: value for seed, value in found.items() if math.isfinite(value)}
    method = f"The mean over tasks of the relative gain of the headline metric over {over}. {ending.method}"
    return CampaignMeasure(
        name=f"{name} {ending.name}", method=method, unit="%", better="higher", values=values
    )


def _gap_to_full(results: PointResults, task: str, name: str, ending: Ending) -> CampaignMeasure:
    value_of = metric_getter(task, name)
    full = results.full
    unit = ""
    values: dict[str, dict[int, float]] = {}
    for strategy, last in ending.values(value_of).items():
        known = {
            seed: abs(value - value_of(full[seed])) for seed, value in last.items() if seed in full
        }
        values[strategy] = {seed: value for seed, value in known.items() if math.isfinite(value)}
        unit = next(
            (ending.networks[strategy][seed].metrics[task][name].unit for seed in last), unit
        )
    method = f"|{name} {ending.name} − {name} with every label|, seed by seed."
    return CampaignMeasure(
        name=f"δ of {task} ({name})", method=method, unit=unit, better="lower", values=values
    )
