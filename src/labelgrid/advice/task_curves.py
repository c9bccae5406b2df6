"""Reads the curves of tasks over their labels from a project's rounds. Loads no torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labelgrid.advice.flat_rounds import FlatRounds, flat_rounds
from labelgrid.basics.results import Result
from labelgrid.project.records import Measurement, all_fits, measured_rounds
from labelgrid.rounds.training_history import training_history
from labelgrid.select.curve_priors import PRIORS
from labelgrid.select.label_curve import CurvePoint, LabelCurve, MetricScale, fit_curve, prior_of
from labelgrid.tasks.task import TaskDefs


@dataclass(frozen=True, kw_only=True)
class TaskCurve:
    """A task's metric over the rounds.

    Args:
        task: its name.
        metric: its name.
        unit: the unit of the metric.
        points: the rounds that can be compared, the newest last.
        curve: the curve through the points; None with too few points.
        flat: the newest of them that show no gain; None: the newest rounds do.
    """

    task: str
    metric: str
    unit: str
    points: Sequence[CurvePoint]
    curve: LabelCurve | None
    flat: FlatRounds | None = None


def task_curves(folder: Path, tasks: TaskDefs) -> list[TaskCurve]:
    """The curves of a project's tasks with a measured round.

    They are of the headline metrics on the held-out labels of today, or else of the losses on the
    val images. A label that followed from others counts as much as it was worth in bought labels.

    Raises:
        ProjectError: a file of a round is damaged.
    """
    measured = comparable_rounds(measured_rounds(folder))
    if not measured:
        return _val_curves(folder, tasks)
    derived = {fit.round: fit.derived for fit in all_fits(folder)}
    curves = []
    for name, task in tasks.items():
        results = {one.round: one.metrics.get(name, {}).get(task.headline) for one in measured}
        points = []
        without = []
        for one in measured:
            result = results[one.round]
            if result is not None and math.isfinite(result.value):
                without.append(one.without.get(name, {}).get(result.name, ()))
                label_count = one.labels.get(name, 0) + derived[one.round].get(name, 0.0)
                points.append(CurvePoint(label_count, sum(one.labels.values()), result.value))
        newest = results[measured[-1].round]
        if newest is not None and points:
            curves.append(_task_curve(name, newest, points, without))
    return curves


def comparable_rounds(measured: Sequence[Measurement]) -> list[Measurement]:
    """The rounds that were measured on the same held-out labels as the newest."""
    if not measured:
        return []
    return [one for one in measured if one.is_comparable(measured[-1])]


def _val_curves(folder: Path, tasks: TaskDefs) -> list[TaskCurve]:
    history = training_history(folder)
    curves = []
    for name in tasks:
        points = []
        for trained in history:
            loss = trained.val.get(f"{name}/loss", math.nan)
            if math.isfinite(loss):
                label_count = trained.labels.get(name, 0) + trained.derived.get(name, 0.0)
                points.append(CurvePoint(label_count, sum(trained.labels.values()), loss))
        if points:
            result = Result("loss on val images", points[-1].value, "", "lower")
            curves.append(_task_curve(name, result, points, [()] * len(points)))
    return curves


def _task_curve(
    name: str,
    result: Result,
    points: Sequence[CurvePoint],
    without: Sequence[Sequence[float]],
) -> TaskCurve:
    prior = prior_of(result.name, result.unit, PRIORS)
    curve = fit_curve(points, MetricScale(result.unit, result.better), prior)
    return TaskCurve(
        task=name,
        metric=result.name,
        unit=result.unit,
        points=points,
        curve=curve,
        flat=flat_rounds(points, without, curve) if curve else None,
    )
