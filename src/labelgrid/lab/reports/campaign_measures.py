"""Computes the measures of whole campaigns by which the strategies of a study are compared."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain

from labelgrid.basics.results import Better
from labelgrid.lab.reports.curve_measures import labels_to_reach, mean_loss_over
from labelgrid.lab.reports.final_networks import (
    Ending,
    Networks,
    equal_cost_ending,
    last_round_ending,
)
from labelgrid.lab.reports.means import (
    SeedValueGetter,
    delta_mtl_getter,
    first_result,
    label_cost,
    label_count,
    metric_getter,
    same_for_all_seeds,
    total_loss,
)
from labelgrid.lab.reports.measure import CampaignMeasure, PairValues, of_same_seeds
from labelgrid.lab.reports.study_content import Headlines, PointResults, StudyReport
from labelgrid.project.records import Measurement

#: The getter of a strategy's values.
ValueOfStrategy = Callable[[str], SeedValueGetter]
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


def study_measures(report: StudyReport) -> list[list[CampaignMeasure]]:
    """The measures of each point of a study's grid.

    The page and the JSON values show the same ones.
    """
    return [campaign_measures(results, report.headlines) for results in report.points]


def campaign_measures(results: PointResults, headlines: Headlines) -> list[CampaignMeasure]:
    """All measures by which the strategies are compared; see `deciding_measure`."""
    last = last_round_ending(results)
    alike = equal_cost_ending(results)
    measures = [
        mean_loss_over(results, "labels", label_count),
        mean_loss_over(results, "cost", label_cost),
        labels_to_reach(results),
    ]
    for ending in (last, alike):
        measure = _measure_at(
            ending,
            lambda _: same_for_all_seeds(total_loss),
            name=f"loss_mtl {ending.name}",
            method=ending.method,
            unit="",
            better="lower",
        )
        measures.append(measure)
    measures += [
        _delta_mtl(last, headlines, lambda _: results.full, *OVER_FULL),
        _delta_mtl(alike, headlines, lambda _: results.full, *OVER_FULL),
        _delta_mtl(last, headlines, results.single_task, *OVER_SINGLE),
        _delta_mtl(last, headlines, lambda _: results.single_task("full"), *OVER_SINGLE_FULL),
    ]
    measures += [_gap_to_full(results, task, name, last) for task, name in headlines.items()]
    return [measure for measure in measures if any(measure.values.values())]


def _delta_mtl(
    ending: Ending,
    headlines: Headlines,
    references: Callable[[str], Mapping[int, Measurement]],
    *words: str,
) -> CampaignMeasure:
    """The gain over the references of a strategy, by seed.

    `words` are the name of the measure and the references in words.
    """
    name, over = words

    def why_not(first: str, second: str) -> str:
        if references(first) != references(second):
            return "they have other references"
        return ending.why_unlike(first, second)

    method = (
        f"The mean over tasks of the relative gain of the headline metric over {over}. "
        f"{ending.method}"
    )
    return _measure_at(
        ending,
        lambda strategy: delta_mtl_getter(references(strategy), headlines),
        name=f"{name} {ending.name}",
        method=method,
        unit="%",
        better="higher",
        why_not=why_not,
    )


def _gap_to_full(results: PointResults, task: str, name: str, ending: Ending) -> CampaignMeasure:
    value_of = metric_getter(task, name)
    full = results.full
    networks = chain.from_iterable(by_seed.values() for by_seed in ending.networks.values())
    result = first_result(networks, task, name)
    sign = -1 if result and result.better == "higher" else 1

    def gap_of(_strategy: str) -> SeedValueGetter:
        """How much worse a network is than the network with every label."""
        return lambda seed, network: (
            sign * (value_of(network) - value_of(full[seed])) if seed in full else math.nan
        )

    method = (
        f"|{name} {ending.name} − {name} with every label|, seed by seed. Pairs are compared with "
        f"the sign of these differences: a strategy above every label is not worse. {ending.method}"
    )
    measure = _measure_at(
        ending,
        gap_of,
        name=f"δ of {task} ({name})",
        method=method,
        unit=result.unit if result else "",
        better="lower",
    )
    distances = {}
    for strategy, gaps in measure.values.items():
        distances[strategy] = {seed: abs(gap) for seed, gap in gaps.items()}
    return replace(measure, values=distances)


def _measure_at(
    ending: Ending,
    value_of: ValueOfStrategy,
    *,
    name: str,
    method: str,
    unit: str,
    better: Better,
    why_not: Callable[[str, str], str] | None = None,
) -> CampaignMeasure:
    """A measure that compares strategies at an ending.

    Between rounds a pair has two further readings: one strategy by interpolation, the other at its
    next round.
    """
    values = _values(ending.networks, value_of)
    after = _values(ending.next_networks, value_of)
    why_unlike = why_not or ending.why_unlike

    def pair_values(first: str, second: str) -> PairValues:
        further = []
        if after and not ending.share_rounds(first, second):
            further = [
                of_same_seeds(values[first], after[second]),
                of_same_seeds(after[first], values[second]),
            ]
        pair = of_same_seeds(values[first], values[second])
        return PairValues(pair=pair, further=further, why_not=why_unlike(first, second))

    return CampaignMeasure(
        name=name,
        method=method,
        unit=unit,
        better=better,
        values=values,
        pair_values=pair_values,
    )


def _values(networks: Networks, value_of: ValueOfStrategy) -> dict[str, dict[int, float]]:
    """The finite values of networks, by strategy and seed."""
    values: dict[str, dict[int, float]] = {}
    for strategy, by_seed in networks.items():
        getter = value_of(strategy)
        of_seeds = {seed: getter(seed, network) for seed, network in sorted(by_seed.items())}
        values[strategy] = {seed: of for seed, of in of_seeds.items() if math.isfinite(of)}
    return values
