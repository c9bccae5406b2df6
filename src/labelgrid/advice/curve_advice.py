"""Says what the next round should measure, and which tasks have flattened."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelgrid.advice.advised import Advice
from labelgrid.advice.flat_rounds import FlatRounds
from labelgrid.advice.forecast_text import (
    EXPECT,
    fitted_curve,
    foreseen_advice,
    interval_text,
    relative_gain,
    rising_curves,
    value_text,
)
from labelgrid.advice.task_curves import TaskCurve
from labelgrid.basics.words import count_text
from labelgrid.drawings.wording import number

#: A task has flattened if a doubling of its labels may move its metric by this share at most.
FLAT = 0.02
#: Fewer labels are none: what follows from others counts in parts.
_NOTHING = 0.5


@dataclass(frozen=True)
class _Upcoming:
    """A task's labels after the next round, and how many of those it would buy are not there."""

    labels: float
    lacking: float


def next_round_advice(
    curves: Sequence[TaskCurve], most: Mapping[str, int] | None = None
) -> list[Advice]:
    """What the next round should measure, if it buys as the last one did.

    Of a task whose newest rounds show no gain, nothing is foreseen.

    Args:
        curves: of the tasks.
        most: the labels that each task can have; it buys no more. None: any number.
    """
    fitted = [each for each in curves if each.curve]
    upcoming = {each.task: _upcoming(each, most or {}) for each in fitted}
    lacking = sum(each.lacking for each in upcoming.values())
    rows = []
    for task_curve in rising_curves(fitted):
        curve = fitted_curve(task_curve)
        before, newest = task_curve.points[-2:]
        everything = 2 * newest.all - before.all - lacking
        if everything <= newest.all + _NOTHING:
            continue
        own = upcoming[task_curve.task]
        found = curve.forecast(own.labels, everything)
        left = ", as far as labels are left" if own.lacking else ""
        text = (
            f"{task_curve.task}: if the next round buys and trains as the last one did{left}, "
            f"{task_curve.metric} should be {value_text(found.value, task_curve)} "
            f"({interval_text(found)}), from {number(curve.now)}."
        )
        rows.append(foreseen_advice("next round", text, task_curve, found))
    return rows


def _upcoming(curve: TaskCurve, most: Mapping[str, int]) -> _Upcoming:
    """A task's labels after a round that buys as many as the last one did, if there are any."""
    before, newest = curve.points[-2:]
    wanted = max(2 * newest.own - before.own, newest.own)
    labels = max(min(wanted, most.get(curve.task, math.inf)), newest.own)
    return _Upcoming(labels, wanted - labels)


def flat_advice(curves: Sequence[TaskCurve]) -> list[Advice]:
    """The tasks whose further labels hardly help, by their newest rounds or by their curves."""
    rows = [_still(curve, curve.flat) for curve in curves if curve.flat]
    for task_curve in rising_curves(curves):
        curve = fitted_curve(task_curve)
        newest = curve.newest
        doubled = curve.change(2 * newest.own, newest.all + newest.own)
        best = doubled.high if curve.scale.better == "higher" else doubled.low
        if relative_gain(best, curve) > FLAT:
            continue
        text = (
            f"{task_curve.task} has flattened: twice its {count_text(round(newest.own), 'label')} "
            f"would take {task_curve.metric} from {number(curve.now)} to "
            f"{value_text(best, task_curve)} at best (80 % interval)."
        )
        rows.append(foreseen_advice("flat", text, task_curve, doubled))
    return rows


def _still(curve: TaskCurve, flat: FlatRounds) -> Advice:
    """That the newest rounds of a task show no gain."""
    return Advice(
        topic="flat",
        text=f"{curve.task}: {flat.text}: {EXPECT}.",
        task=curve.task,
        metric=curve.metric,
        unit=curve.unit,
        measured=curve.points[-1].value,
        rounds=flat.count,
    )
