"""Computes and draws the differences of strategies to a reference along their curves, seed by seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.drawings.charts import MAX_BANDS, Chart, Line
from labelgrid.drawings.wording import rough_number, rough_range
from labelgrid.report.blocks import Block, Column, DataTable, Figure, Text, Value, number_columns
from labelgrid.report.means import AXES, SeedValueGetter, ValueGetter, finite_points
from labelgrid.report.statistics import MIN_PAIRS, Curve, bootstrap_interval
from labelgrid.report.study_content import PointResults, RunResult
from labelgrid.results import Better


@dataclass(frozen=True)
class MeanDifference:
    """The mean difference of a strategy to the reference over seeds, after a number of rounds.

    Args:
        rounds_bought: the number of the strategy's rounds, from 0.
        seeds: the number of pairs.
        at: the labels or the cost at which both are read, mean over seeds.
        mean: of the paired differences, strategy minus reference.
        low, high: its 95 % bootstrap interval, or the smallest and the largest difference with too
            few pairs.
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
        f"round of the other strategy. {reference} is read there on a straight line between its rounds; beyond its end "
        "both are read at its end. Where a curve flattens, a straight line lies on its worse side, most of all between "
        "the first two networks: nothing is shown there. Rounds that not all seeds have are left out, too. The "
        f"intervals of the mean are 95 % bootstrap intervals (with fewer than {MIN_PAIRS} seeds: the smallest to the "
        f"largest difference), drawn as bands if there are at most {MAX_BANDS} lines. They are not corrected for the "
        "number of comparisons; the tests are in the section Differences."
    )


def mean_differences(
    results: PointResults,
    strategy: str,
    reference: str,
    value_of: SeedValueGetter,
    x_of: ValueGetter,
) -> list[MeanDifference]:
    """The mean differences of a strategy to the reference after each of its rounds, over finished runs of both.

    Each seed is read at the labels (or cost) of the strategy's round, on straight lines between the
    rounds of the reference. A round beyond the reference's end is read at that end, once. Rounds
    that are read between the first two points of a curve, in any seed, are left out, as are those
    that not all seeds have.
    """
    own = results.finished(strategy)
    other = results.finished(reference)
    seeds = sorted(own.keys() & other.keys())
    found = [_seed_differences(own[seed], other[seed], value_of, x_of) for seed in seeds]
    found = [differences for differences in found if differences]
    common = set.intersection(*(set(differences) for differences in found)) if found else set()
    means = []
    for bought in sorted(common):
        at, differences = np.array([one[bought] for one in found]).T
        low, high = bootstrap_interval(differences, 0)
        means.append(
            MeanDifference(
                bought,
                len(found),
                at=float(at.mean()),
                mean=float(differences.mean()),
                low=low,
                high=high,
            )
        )
    return means


def _seed_differences(
    own: RunResult, other: RunResult, value_of: SeedValueGetter, x_of: ValueGetter
) -> dict[int, tuple[float, float]]:
    """Place and difference of one seed by round; places outside one of the curves are left out."""
    (rounds, curve), (_, reference) = (finite_points(run, value_of, x_of) for run in (own, other))
    found: dict[int, tuple[float, float]] = {}
    if not len(reference[0]):
        return found
    before = -math.inf
    for bought, place in zip(rounds, curve[0].tolist(), strict=True):
        at = min(place, float(reference[0][-1]))
        values = [_value_at(one, at) for one in (curve, reference)]
        if at > before and all(math.isfinite(value) for value in values):
            found[bought] = at, values[0] - values[1]
        before = at
    return found


def _value_at(curve: Curve, at: float) -> float:
    """The value of a curve, linear between its points.

    NaN outside it, and between its first two points.
    """
    x, y = curve
    exact = np.flatnonzero(
        np.abs(x - at) <= 1e-8 + 1e-9 * abs(at)
    )  # `np.isclose`, which takes most of a report
    if len(exact):
        return float(y[exact[0]])
    return float(np.interp(at, x, y)) if 1 < np.searchsorted(x, at) < len(x) else math.nan


def difference_blocks(
    results: PointResults,
    value_of: SeedValueGetter,
    label: str,
    better: Better,
    reference: str,
    name: str,
) -> list[Block]:
    """The curves of the differences to the reference, against labels and against cost.

    An empty list if no strategy has a difference after a round. Each strategy with a curve has a
    line, even if it has no points, so that it has the colour of its curve.

    Args:
        results: the runs.
        value_of: reads the compared value.
        label: the name of the value, with its unit.
        better: whether higher or lower values are better.
        reference: the strategy that the others are compared with.
        name: the start of the names of the drawings.
    """
    drawn = [strategy for strategy in results.strategies if results.of(strategy)]
    drawings: list[Chart] = []
    rows: list[list[Value]] = []
    for axis, (x_label, x_of) in AXES.items():
        found = {
            one: mean_differences(results, one, reference=reference, value_of=value_of, x_of=x_of)
            for one in drawn
        }
        others = {one: own for one, own in found.items() if one != reference}
        if not any(d.rounds_bought for own in others.values() for d in own):
            continue
        lines = [_line(one, own, len(found) <= MAX_BANDS) for one, own in found.items()]
        y_label = f"{label}, difference"
        place = f"{name}-difference-{axis}"
        drawings.append(
            Chart(name=place, x_label=x_label, y_label=y_label, lines=lines, whole=axis == "labels")
        )
        for one, own in others.items():
            rows += [
                [
                    one,
                    d.rounds_bought,
                    axis,
                    d.at,
                    rough_number(d.mean),
                    rough_range(d.low, d.high),
                    d.seeds,
                ]
                for d in own
            ]
    if not drawings:
        return []
    columns = [Column("strategy"), *number_columns("rounds bought"), Column("over")]
    columns += number_columns("at", "difference", "interval", "seeds")
    text = f"Difference to {reference}: {'below' if better == 'lower' else 'above'} 0 is better."
    return [
        Text(text, "small"),
        Figure(drawings=drawings, numbers=DataTable(columns, rows), summary="The differences"),
    ]


def _line(name: str, found: Sequence[MeanDifference], banded: bool) -> Line:
    """A line with gaps where rounds are left out."""
    by_round = {one.rounds_bought: one for one in found}
    gap = MeanDifference(0, 0, *[math.nan] * 4)
    points = [by_round.get(bought, gap) for bought in range(max(by_round, default=-1) + 1)]
    low, high = ([d.low for d in points], [d.high for d in points]) if banded else ([], [])
    return Line(name=name, x=[d.at for d in points], y=[d.mean for d in points], low=low, high=high)
