"""Claim: of 60 recorded campaigns 50 get a forecast of their last round, 70 to 90 % of its 80 % intervals hold, and without further labels all hold today's value.

Each study is left out in turn: what is known of curves beforehand comes from the others, without
runs that both have. A campaign is foreseen from its rounds before the last, three at most. The 60
are five of each study with three rounds or more; all of them, and metrics that no other record has,
are measured as well.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from _curve_priors import RECORDS, PastCurve, Run, bought, learn_priors, past_curves
from _measure import check_limit

from labelgrid.select.curve_priors import PRIORS
from labelgrid.select.label_curve import (
    CurvePrior,
    Forecast,
    LabelCurve,
    curve_inputs,
    fit_curve,
    prior_of,
)

#: The fewest rounds of a campaign that is foreseen, and the most that are seen of it.
ROUNDS = 3
MOST = 4
CAMPAIGNS = 60
ANSWERED = 50 / 60
HELD = (0.7, 0.9)


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """The last round of a curve, and what was foreseen of it.

    Args:
        curve: the curve.
        held: whether the interval holds the value.
        missed: whether the curve misses the newest round seen, so that nothing is foreseen.
        today: whether the interval of a forecast without further labels holds that round's value.
        bought: whether it is in the interval of a forecast with twice the task's own labels.
        from_curve: whether it is in the interval of what these labels do, if that starts from the
            curve.
        reach: half of the width of the interval.
        error: of the forecast.
        change: the error of saying that the metric stays as it is.
        rounds: that were seen.
    """

    curve: PastCurve
    held: bool
    missed: bool
    today: bool
    bought: bool
    from_curve: bool
    reach: float
    error: float
    change: float
    rounds: int


def foresee(curve: PastCurve, priors: Mapping[str, CurvePrior]) -> Foreseen | None:
    """Foresee the last of at most four rounds from those before."""
    *seen, last = curve.points[:MOST]
    prior = prior_of(curve.metric, curve.scale.unit, priors)
    fitted = fit_curve(seen, curve.scale, prior)
    if fitted is None:
        return None
    forecast = fitted.forecast(last.labels, last.all)
    now = fitted.newest
    still = fitted.forecast(now.labels, now.all)
    more = fitted.forecast(2 * now.labels, now.all)
    from_curve = _from_curve(fitted)
    return Foreseen(
        curve=curve,
        held=forecast.low <= last.value <= forecast.high,
        missed=fitted.misses,
        today=still.low <= now.value <= still.high,
        bought=more.low <= now.value <= more.high,
        from_curve=from_curve.low <= now.value <= from_curve.high,
        reach=(forecast.high - forecast.low) / 2,
        error=abs(last.value - forecast.value),
        change=abs(last.value - seen[-1].value),
        rounds=len(seen),
    )


def _from_curve(curve: LabelCurve) -> Forecast:
    """What a doubling of a task's own labels does, starting from where the curve lies."""
    start = replace(curve.newest, value=curve.fitted.value)
    return replace(curve, newest=start).change(2 * start.labels, start.all)


def left_out_in_turn(curves: Sequence[PastCurve], *, unknown: bool) -> list[Foreseen]:
    """Foresee all campaigns of each study by what the others tell.

    Args:
        curves: of all studies.
        unknown: whether the metric is left out, too: its unit alone is known then.
    """
    forecasts = []
    for study in sorted({curve.study for curve in curves}):
        of_study = [curve for curve in curves if curve.study == study]
        tried = [curve for curve in of_study if len(curve.points) >= ROUNDS]
        runs = {curve.points for curve in of_study}
        others = [curve for curve in curves if curve.study != study and curve.points not in runs]
        for metric in sorted({curve.metric for curve in tried}) if unknown else [""]:
            priors = learn_priors([curve for curve in others if curve.metric != metric])
            asked = [curve for curve in tried if metric in ("", curve.metric)]
            forecasts += [foresee(curve, priors) for curve in asked]
    return [foreseen for foreseen in forecasts if foreseen]


def alone_in_turn(curves: Sequence[PastCurve]) -> list[bool]:
    """Whether the forecasts with more labels of one task alone hold the second of two rounds.

    Nothing but the first round is known of these arms, beside what the other studies tell.
    """
    are_held = []
    for study in sorted({curve.study for curve in curves}):
        asked = [one for one in curves if one.study == study and bought(one) == "alone"]
        if not asked:
            continue
        priors = learn_priors([one for one in curves if one.study != study])
        for one in asked:
            first, second = one.points
            prior = prior_of(one.metric, one.scale.unit, priors)
            curve = LabelCurve(
                scale=one.scale,
                first=first,
                newest=first,
                centre=curve_inputs([first], first)[0],
                level=one.scale.gained(first.value),
                slopes=prior.slopes,
                spread=prior.spread,
                noise=prior.noise,
                rounds=1,
            )
            foreseen = curve.forecast(second.labels, first.all)
            are_held.append(foreseen.low <= second.value <= foreseen.high)
    return are_held


def chosen_runs(curves: Iterable[PastCurve]) -> set[tuple[str, Run]]:
    """60 campaigns with enough rounds, as many of each study as there are, far apart in the order of their names."""
    runs: dict[str, set[Run]] = defaultdict(set)
    for curve in curves:
        if len(curve.points) >= ROUNDS:
            runs[curve.study].add(curve.run)
    chosen: set[tuple[str, Run]] = set()
    by_size = sorted(runs.items(), key=lambda item: len(item[1]))
    for position, (study, names) in enumerate(by_size):
        ordered = sorted(names)
        count = min((CAMPAIGNS - len(chosen)) // (len(by_size) - position), len(ordered))
        chosen |= {(study, ordered[len(ordered) * index // count]) for index in range(count)}
    return chosen


def held(forecasts: Sequence[Foreseen]) -> float:
    """The share of intervals that hold."""
    return sum(one.held for one in forecasts) / len(forecasts)


def show_today(forecasts: Sequence[Foreseen]) -> None:
    """Print how often forecasts hold today's value, and of how many nothing is foreseen."""
    missed = [one for one in forecasts if one.missed]
    count = len(forecasts)
    print(f"cannot tell: {len(missed) / count:.1%} of {count}, where {held(missed):.1%} would hold")
    for name, holds in (
        ("no further label", [one.today for one in forecasts]),
        ("twice the labels of the task", [one.bought for one in forecasts]),
        ("the same, starting from the curve", [one.from_curve for one in forecasts]),
    ):
        print(f"  today's value is in the interval, {name}: {sum(holds) / count:.1%}")


def show_groups(forecasts: Sequence[Foreseen]) -> None:
    """Print the share that holds, and the width, by study and by metric."""
    studies: dict[str, list[Foreseen]] = defaultdict(list)
    metrics: dict[str, list[Foreseen]] = defaultdict(list)
    for one in forecasts:
        studies[one.curve.study].append(one)
        metrics[f"{one.curve.task} {one.curve.metric} ({one.curve.scale.unit})"].append(one)
        studies[f"after {one.rounds} rounds"].append(one)
    for name, group in sorted(studies.items()):
        print(f"  {name:28} {len(group):5} forecasts, {held(group):.0%} held")
    print("                                   held   median reach   error   of no change")
    for name, group in sorted(metrics.items()):
        reach = median(one.reach for one in group)
        error = median(one.error for one in group)
        change = median(one.change for one in group)
        print(f"  {name:28} {held(group):9.0%} {reach:14.3g} {error:7.3g} {change:14.3g}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", nargs="+", default=[], help="all by default")
    parser.add_argument("--priors", action="store_true", help="print what the records tell, only")
    options = parser.parse_args()
    folders = [path.parent for path in RECORDS.glob("*/outcomes.parquet")]
    if options.studies:
        folders = [RECORDS / name for name in options.studies]
    curves = past_curves(folders)
    if options.priors:
        for name, prior in learn_priors(curves).items():
            print(name, {key: float(f"{value:.3g}") for key, value in vars(prior).items()})
        return 0
    tried = left_out_in_turn(curves, unknown=False)
    forecasts = [one for one in tried if not one.missed]
    show_today(tried)
    alone = alone_in_turn(curves)
    if alone:
        rate = sum(alone) / len(alone)
        print(f"labels of one task alone, after one round: {rate:.1%} of {len(alone)} gains held")
    chosen = chosen_runs(curves)
    sixty = [one for one in forecasts if (one.curve.study, one.curve.run) in chosen]
    answered = len({(one.curve.study, one.curve.run) for one in sixty})
    print(
        f"{len(forecasts)} forecasts, {held(forecasts):.1%} held; after leaving studies out in turn:"
    )
    show_groups(forecasts)
    unknown = left_out_in_turn(curves, unknown=True)
    pairs = zip(_sorted(unknown), _sorted(tried), strict=True)
    wider = median(one.reach / two.reach for one, two in pairs)
    unknown = [one for one in unknown if not one.missed]
    shipped = [one for one in (foresee(one.curve, PRIORS) for one in tried) if one]
    shipped = [one for one in shipped if not one.missed]
    print(f"metrics that no other record has: {held(unknown):.1%} held, {wider:.2f} x the reach")
    print(f"by what is shipped, learnt from all records: {held(shipped):.1%} held")
    print(f"{len(chosen)} campaigns: {answered} answered, {held(sixty):.1%} of {len(sixty)} held")
    today = sum(one.today for one in tried) / len(tried)
    kept = [
        check_limit("today's value, no further label", today, 1.0, least=True),
        check_limit("campaigns with a forecast", answered / len(chosen), ANSWERED, least=True),
        check_limit("intervals that hold, 60 campaigns", held(sixty), HELD[0], least=True),
        check_limit("intervals that hold, 60 campaigns", held(sixty), HELD[1]),
        check_limit("intervals that hold, all", held(forecasts), HELD[0], least=True),
        check_limit("intervals that hold, all", held(forecasts), HELD[1]),
    ]
    return 0 if all(kept) else 1


def _sorted(forecasts: Iterable[Foreseen]) -> list[Foreseen]:
    return sorted(forecasts, key=lambda one: (one.curve.study, one.curve.run, one.curve.task))


if __name__ == "__main__":
    sys.exit(main())
