"""Computes and draws the differences of strategies to a reference along their curves, seed by seed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.report.blocks import Block, Column, DataTable, Figure, Text, Value, numeric
from labelgrid.report.charts import MAX_BANDS, Chart, Line
from labelgrid.report.means import SeedValueGetter, ValueGetter, label_cost, label_count
from labelgrid.report.statistics import MIN_PAIRS, Curve, interval
from labelgrid.report.study_content import PointResults, RunResult
from labelgrid.report.wording import rough
from labelgrid.results import Better

#: By axis: its label, and how a network is placed on it.
AXES: dict[str, tuple[str, ValueGetter]] = {
    "labels": ("training labels", label_count),
    "cost": ("cost of training labels", label_cost),
}


@dataclass(frozen=True)
class MeanDifference:
    """The mean difference of a strategy to the reference over seeds, after a number of rounds.

    Args:
        rounds_bought: the number of the strategy's rounds, from 0.
        seeds: the number of pairs.
        at: the labels or the cost at which both are read, mean over seeds.
        mean: of the paired differences, strategy minus reference.
        low, high: its 95 % bootstrap interval, or the smallest and the largest difference with too few pairs.
    """

    rounds_bought: int
    seeds: int
    at: float
    mean: float
    low: float
    high: float


def differences_method(reference: str) -> str:
    """How the differences to the reference are computed, in words."""
    return (
        f"Differences to {reference} are computed seed by seed over finished runs, at the labels or the cost of each "
        f"round of the other strategy. {reference} is read there on straight lines between its rounds, which shifts "
        "the differences where its curve bends. Bands are 95 % bootstrap intervals of the mean difference (with fewer "
        f"than {MIN_PAIRS} seeds they reach from the smallest to the largest difference). They are not corrected for "
        "the number of comparisons; the tests are in the section Differences."
    )


def mean_differences(
    results: PointResults, strategy: str, reference: str, value_of: SeedValueGetter, x_of: ValueGetter
) -> list[MeanDifference]:
    """The mean differences of a strategy to the reference after each of its rounds, over finished runs of both.

    Each seed is read at the labels (or cost) of the strategy's round, on straight lines between the rounds of the
    reference. A round beyond the reference's end is read at that end, once.
    """
    own, other = results.finished(strategy), results.finished(reference)
    by_round: dict[int, list[tuple[float, float]]] = {}
    for seed in sorted(own.keys() & other.keys()):
        for bought, at, difference in _seed_differences(own[seed], other[seed], value_of, x_of):
            by_round.setdefault(bought, []).append((at, difference))
    found = []
    for bought, pairs in sorted(by_round.items()):
        at, differences = np.array(pairs).T
        low, high = interval(differences, 0)
        found.append(MeanDifference(bought, len(pairs), float(at.mean()), float(differences.mean()), low, high))
    return found


def _seed_differences(
    own: RunResult, other: RunResult, value_of: SeedValueGetter, x_of: ValueGetter
) -> Iterator[tuple[int, float, float]]:
    """Yield round, place and difference of one seed; rounds that start beyond the reference's curve are left out."""
    rounds = [bought for bought, one in enumerate(own.measured) if math.isfinite(value_of(own.seed, one))]
    (x, y), (other_x, other_y) = (_curve(run, value_of, x_of) for run in (own, other))
    if not len(other_x):
        return
    before = -math.inf
    for bought, place in zip(rounds, x.tolist(), strict=True):
        at = min(place, float(other_x[-1]))
        if other_x[0] <= at and before < at and x[0] <= at:
            yield bought, at, float(np.interp(at, x, y) - np.interp(at, other_x, other_y))
        before = at


def _curve(run: RunResult, value_of: SeedValueGetter, x_of: ValueGetter) -> Curve:
    """A run's values over labels or cost, without those that are not finite."""
    points = [(x_of(one), value) for one in run.measured if math.isfinite(value := value_of(run.seed, one))]
    x, y = np.array(points).reshape(-1, 2).T
    return x, y


def difference_blocks(
    results: PointResults, value_of: SeedValueGetter, label: str, better: Better, reference: str, name: str
) -> list[Block]:
    """The curves of the differences to the reference, against labels and against cost.

    An empty list if no strategy shares a seed with the reference.

    Args:
        results: the runs.
        value_of: reads the compared value.
        label: the name of the value, with its unit.
        better: whether higher or lower values are better.
        reference: the strategy that the others are compared with.
        name: the start of the names of the drawings.
    """
    drawings: list[Chart] = []
    rows: list[list[Value]] = []
    for axis, (x_label, x_of) in AXES.items():
        found = {one: mean_differences(results, one, reference, value_of, x_of) for one in results.strategies}
        known = {one: own for one, own in found.items() if own}  # with the reference, so that colours are the curves'
        if len(known) < 2:
            continue
        lines = [_line(*own, len(known) <= MAX_BANDS) for own in known.items()]
        y_label, place = f"{label}, difference", f"{name}-difference-{axis}"
        drawings.append(Chart(place, x_label, y_label, lines, whole=axis == "labels"))
        for one in [one for one in known if one != reference]:
            rows += [[one, d.rounds_bought, axis, d.at, rough(d.mean), _span(d), d.seeds] for d in known[one]]
    if not drawings:
        return []
    columns = [Column("strategy"), *numeric("rounds bought"), Column("over")]
    columns += numeric("at", "difference", "interval", "seeds")
    text = f"Difference to {reference}: {'below' if better == 'lower' else 'above'} 0 is better."
    return [Text(text, "small"), Figure(drawings, DataTable(columns, rows), "The differences")]


def _span(difference: MeanDifference) -> str:
    return f"{rough(difference.low)} to {rough(difference.high)}"


def _line(name: str, found: Sequence[MeanDifference], banded: bool) -> Line:
    low, high = ([d.low for d in found], [d.high for d in found]) if banded else ([], [])
    return Line(name, [d.at for d in found], [d.mean for d in found], low, high)
