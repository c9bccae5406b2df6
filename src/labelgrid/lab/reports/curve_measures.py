"""Computes the measures of whole curves: mean losses, and the labels that reach a loss.

Two strategies are compared at the x values alone where both were measured. A straight line between
rounds lies above a loss that flattens, the more the longer the round.
"""

from collections.abc import Callable, Mapping

from labelgrid.basics.comparison import Curve, at_shared_x, first_crossing, mean_over
from labelgrid.lab.reports.means import (
    ValueGetter,
    finite_points,
    label_count,
    same_for_all_seeds,
    total_loss,
)
from labelgrid.lab.reports.measure import CampaignMeasure, PairValues, Values, of_same_seeds
from labelgrid.lab.reports.study_content import PointResults, RunResult

#: A run's loss over labels or cost, by seed and strategy.
Curves = Mapping[int, Mapping[str, Curve]]
#: Reads one value of a curve of a seed.
CurveReader = Callable[[int, Curve], float]


def mean_loss_over(results: PointResults, axis: str, x_of: ValueGetter) -> CampaignMeasure:
    """The mean loss over labels or cost, where all strategies of a seed have a curve."""
    curves = _curves(results, x_of)
    values: dict[str, dict[int, float]] = {name: {} for name in results.strategies}
    for seed, of_seed in curves.items():
        start = max(float(curve[0][0]) for curve in of_seed.values())
        end = min(float(curve[0][-1]) for curve in of_seed.values())
        if start >= end:
            continue
        for name, curve in of_seed.items():
            values[name][seed] = mean_over(curve, start, end)
    method = (
        f"The area under the curve of loss_mtl against {axis}, divided by its width. It covers "
        f"the range of {axis} that all strategies of the seed have in common, on straight lines "
        f"between rounds. A pair is tested on the rounds alone after which both have the same "
        f"{axis}: a straight line lies above a loss that flattens, so others would favour the "
        "strategy that buys less in a round."
    )
    return CampaignMeasure(
        name=f"Mean loss_mtl over {axis}",
        method=method,
        unit="",
        better="lower",
        values=values,
        pair_values=_values_at_shared_x(
            curves,
            values,
            read=lambda _, curve: mean_over(curve, float(curve[0][0]), float(curve[0][-1])),
            why_not=f"they share no two rounds with the same {axis}",
        ),
    )


def labels_to_reach(results: PointResults) -> CampaignMeasure:
    """The labels that each strategy needs for the highest final loss of a seed's strategies.

    The goal is symmetric in the strategies, and all reach it, so that none counts with a limit.
    """
    goals = {}
    curves = {}
    for seed, of_seed in _curves(results, label_count).items():
        most = max(curve[0][-1] for curve in of_seed.values())
        longest = {name: curve for name, curve in of_seed.items() if curve[0][-1] == most}
        goals[seed] = max(float(curve[1][-1]) for curve in longest.values())
        curves[seed] = longest
    values: dict[str, dict[int, float]] = {name: {} for name in results.strategies}
    for seed, of_seed in curves.items():
        for name, curve in of_seed.items():
            values[name][seed] = first_crossing(curve, goals[seed], "lower")
    method = (
        "The number of labels after which a strategy first has the highest final loss of all "
        "strategies of the seed, on straight lines between rounds. All reach it. Runs that end "
        "with fewer labels than others of their seed are left out. A pair is tested on the rounds "
        "alone after which both have the same number of labels."
    )
    return CampaignMeasure(
        name="Labels to reach the highest final loss",
        method=method,
        unit="labels",
        better="lower",
        values=values,
        pair_values=_values_at_shared_x(
            curves,
            values,
            read=lambda seed, curve: first_crossing(curve, goals[seed], "lower"),
            why_not="they share no two rounds with the same labels",
        ),
    )


def loss_curve(run: RunResult, x_of: ValueGetter) -> Curve:
    """A run's loss over labels or cost, without points that are not finite."""
    return finite_points(run, same_for_all_seeds(total_loss), x_of)[1]


def _curves(results: PointResults, x_of: ValueGetter) -> Curves:
    """The curves of finished runs with more than one point, by seed."""
    curves: dict[int, dict[str, Curve]] = {}
    for seed, runs in sorted(results.finished_by_seed.items()):
        for name, run in runs.items():
            curve = loss_curve(run, x_of)
            if len(curve[0]) > 1:
                curves.setdefault(seed, {})[name] = curve
    return curves


def _values_at_shared_x(
    curves: Curves, shown: Values, *, read: CurveReader, why_not: str
) -> Callable[[str, str], PairValues]:
    """Compares two strategies at the x values where both curves have points.

    Pairs that share fewer than two of these in a seed are shown and not tested.
    """

    def pair_values(first: str, second: str) -> PairValues:
        values: list[list[float]] = [[], []]
        for seed, of_seed in curves.items():
            if first in of_seed and second in of_seed:
                both = at_shared_x(of_seed[first], of_seed[second])
                if len(both[0][0]) < 2:
                    return PairValues(
                        pair=of_same_seeds(shown[first], shown[second]), why_not=why_not
                    )
                for column, curve in zip(values, both, strict=True):
                    column.append(read(seed, curve))
        return PairValues(pair=(values[0], values[1]))

    return pair_values
