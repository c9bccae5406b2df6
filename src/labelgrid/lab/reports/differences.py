"""Computes and draws the differences of strategies to a reference along their curves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.basics.comparison import MIN_PAIRS, Curve, bootstrap_interval
from labelgrid.basics.results import Better
from labelgrid.drawings.charts import MAX_BANDS, Chart, Line
from labelgrid.drawings.wording import rough_number, rough_range
from labelgrid.lab.reports.means import AXES, SeedValueGetter, ValueGetter, finite_points
from labelgrid.lab.reports.study_content import PointResults, RunResult
from labelgrid.report.page_blocks import (
    Block,
    Column,
    DataTable,
    Figure,
    Text,
    Value,
    number_columns,
)


@dataclass(frozen=True, kw_only=True)
class MeanDifference:
    """The mean difference of a strategy to the reference over seeds, after a number of rounds.

    Args:
        rounds_bought: the number of the strategy's rounds, from 0.
        seeds: the number of pairs.
        at: the labels or the cost where both are read, mean over seeds.
        mean: the mean of the paired differences, strategy minus reference.
        low, high: its 95 % bootstrap interval, or the smallest and the largest difference with too
            few pairs. Between rounds it spans that with the value after the next round, too.
    """

    rounds_bought: int
    seeds: int
    at: float
    mean: float
    low: float
    high: float


#: In a line, a round that is left out.
GAP = MeanDifference(
    rounds_bought=0, seeds=0, at=math.nan, mean=math.nan, low=math.nan, high=math.nan
)


def differences_method(reference: str) -> str:
    """How the differences to the reference are computed, in words."""
    return (
        f"Differences to {reference} are computed seed by seed over finished runs, at the labels "
        f"or the cost of each round of the other strategy. {reference} is read there on a straight "
        "line between its rounds; beyond its end both are read at its end. Where a curve flattens, "
        "a straight line lies on its worse side, most of all between the first two networks: "
        "nothing is shown there. Rounds that not all seeds have are left out, too. The intervals "
        f"of the mean are 95 % bootstrap intervals (with fewer than {MIN_PAIRS} seeds: the "
        f"smallest to the largest difference), drawn as bands if there are at most {MAX_BANDS} "
        "lines. Between rounds they also span the difference to the value after the next round, "
        "which a curve that flattens does not pass before. They are not corrected for the number "
        "of comparisons; the tests are in the section Differences."
    )


def mean_differences(
    results: PointResults,
    strategy: str,
    reference: str,
    value_of: SeedValueGetter,
    x_of: ValueGetter,
) -> list[MeanDifference]:
    """The mean differences of a strategy to the reference after each of its rounds.

    They are over finished runs of both. Each seed is read at the labels (or cost) of the strategy's
    round, on straight lines between the rounds of the reference. A round beyond the reference's end
    is read at that end, once. Left out are rounds that are read between the first two points of a
    curve in any seed, and rounds that some seed lacks.
    """
    runs = results.finished(strategy)
    reference_runs = results.finished(reference)
    by_seed = []
    for seed in sorted(runs.keys() & reference_runs.keys()):
        of_seed = _seed_differences(runs[seed], reference_runs[seed], value_of, x_of)
        by_seed.append(of_seed)
    by_seed = [in_seed for in_seed in by_seed if in_seed]
    if not by_seed:
        return []
    common = set.intersection(*map(set, by_seed))
    means = []
    for bought in sorted(common):
        at, differences, with_next = np.array([in_seed[bought] for in_seed in by_seed]).T
        intervals = [bootstrap_interval(values, 0) for values in (differences, with_next)]
        means.append(
            MeanDifference(
                rounds_bought=bought,
                seeds=len(by_seed),
                at=float(at.mean()),
                mean=float(differences.mean()),
                low=min(low for low, _ in intervals),
                high=max(high for _, high in intervals),
            )
        )
    return means


def _seed_differences(
    run: RunResult, reference_run: RunResult, value_of: SeedValueGetter, x_of: ValueGetter
) -> dict[int, tuple[float, float, float]]:
    """A seed's x and difference, and the difference to the value of the next round, by round.

    Values of x outside either curve are left out.
    """
    rounds, curve = finite_points(run, value_of, x_of)
    _, reference = finite_points(reference_run, value_of, x_of)
    differences: dict[int, tuple[float, float, float]] = {}
    if not len(reference[0]):
        return differences
    end = float(reference[0][-1])
    before = -math.inf
    for bought, x in zip(rounds, curve[0].tolist(), strict=True):
        at = min(x, end)
        value = _value_at(curve, at)
        reference_value = _value_at(reference, at)
        if at > before and math.isfinite(value) and math.isfinite(reference_value):
            with_next = _next_value(curve, at) - _next_value(reference, at)
            differences[bought] = (at, value - reference_value, with_next)
        before = at
    return differences


def _value_at(curve: Curve, at: float) -> float:
    """The value of a curve, linear between its points.

    NaN outside it, and between its first two points.
    """
    x, y = curve
    exact = np.flatnonzero(np.abs(x - at) <= _rounding(at))
    if len(exact):
        return float(y[exact[0]])
    if 1 < np.searchsorted(x, at) < len(x):
        return float(np.interp(at, x, y))
    return math.nan


def _next_value(curve: Curve, at: float) -> float:
    """The value of a curve at the first point that is not before a place."""
    x, y = curve
    return float(y[np.argmax(x >= at - _rounding(at))])


def _rounding(at: float) -> float:
    # The rule of `np.isclose`, which would take most of the time of a report.
    return 1e-8 + 1e-9 * abs(at)


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
    line, even without points, so that colours match those of the curves.
    """
    strategies = [strategy for strategy in results.strategies if results.of(strategy)]
    has_bands = len(strategies) <= MAX_BANDS
    drawings = []
    rows = []
    for axis, (x_label, x_of) in AXES.items():
        lines = []
        axis_rows = []
        has_rounds = False
        for strategy in strategies:
            means = mean_differences(
                results, strategy, reference=reference, value_of=value_of, x_of=x_of
            )
            lines.append(_line(strategy, means, has_bands))
            if strategy != reference:
                has_rounds |= any(mean.rounds_bought for mean in means)
                axis_rows += [_row(strategy, axis, mean) for mean in means]
        if has_rounds:
            chart = Chart(
                name=f"{name}-difference-{axis}",
                x_label=x_label,
                y_label=f"{label}, difference",
                lines=lines,
                whole=axis == "labels",
            )
            drawings.append(chart)
            rows += axis_rows
    if not drawings:
        return []
    columns = [Column("strategy"), *number_columns("rounds bought"), Column("over")]
    columns += number_columns("at", "difference", "interval", "seeds")
    text = f"Difference to {reference}: {'below' if better == 'lower' else 'above'} 0 is better."
    return [
        Text(text, "small"),
        Figure(drawings=drawings, numbers=DataTable(columns, rows), summary="The differences"),
    ]


def _row(strategy: str, axis: str, difference: MeanDifference) -> list[Value]:
    return [
        strategy,
        difference.rounds_bought,
        axis,
        difference.at,
        rough_number(difference.mean),
        rough_range(difference.low, difference.high),
        difference.seeds,
    ]


def _line(name: str, differences: Sequence[MeanDifference], has_bands: bool) -> Line:
    """A line with gaps where rounds are left out."""
    by_round = {difference.rounds_bought: difference for difference in differences}
    x = []
    y = []
    low = []
    high = []
    for bought in range(max(by_round, default=-1) + 1):
        point = by_round.get(bought, GAP)
        x.append(point.at)
        y.append(point.mean)
        if has_bands:
            low.append(point.low)
            high.append(point.high)
    return Line(name=name, x=x, y=y, low=low, high=high)
