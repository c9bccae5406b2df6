"""Reads the curves of a project's tasks over their labels from its rounds. Loads no torch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Measurement, measured_rounds, read_fit
from labelgrid.results import Result
from labelgrid.rounds.choose import training_history
from labelgrid.select.curve_priors import PRIORS
from labelgrid.select.following import brings_of
from labelgrid.select.label_curve import CurvePoint, LabelCurve, MetricScale, fit_curve, prior_of
from labelgrid.select.strategy import Brings


@dataclass(frozen=True, kw_only=True)
class TaskCurve:
    """A task's metric over the rounds.

    Args:
        task: its name.
        metric: its name.
        unit: of the metric.
        points: the rounds that can be compared, the newest last.
        curve: through them; None with too few.
    """

    task: str
    metric: str
    unit: str
    points: Sequence[CurvePoint]
    curve: LabelCurve | None


def task_curves(project: ProjectFolder) -> list[TaskCurve]:
    """The curves of all tasks with a measured round.

    They are of the headline metrics on the held-out labels of today, or else of the losses on the
    val images.

    Raises:
        ProjectError: a file of a round is damaged.
    """
    measured = comparable_rounds(measured_rounds(project.folder))
    if not measured:
        return _val_curves(project)
    shares = following_shares(brings_of(project.relations()))
    filled = {}
    for one in measured:
        fit = read_fit(project.round_folder(one.round))
        filled[one.round] = fit.filled if fit else {}
    curves = []
    for name, task in project.tasks().items():
        results = {one.round: one.metrics.get(name, {}).get(task.headline) for one in measured}
        points = []
        for one in measured:
            result = results[one.round]
            if result is not None and math.isfinite(result.value):
                given = shares.get(name, 0.0) * filled[one.round].get(name, 0)
                own = one.labels.get(name, 0) + given
                points.append(CurvePoint(own, sum(one.labels.values()), result.value))
        newest = results[measured[-1].round]
        if newest is not None and points:
            curves.append(_task_curve(name, newest, points))
    return curves


def comparable_rounds(measured: Sequence[Measurement]) -> list[Measurement]:
    """The rounds that were measured on the same held-out labels as the newest."""
    if not measured:
        return []
    return [one for one in measured if one.is_comparable(measured[-1])]


def following_shares(brings: Brings) -> dict[str, float]:
    """By task, the share of its label that follows from the label of another.

    Example:
        >>> following_shares({"depth": {"normals": 0.9}, "semseg": {"normals": 0.2, "edges": 0.5}})
        {'normals': 0.9, 'edges': 0.5}
    """
    shares: dict[str, float] = {}
    for brought in brings.values():
        for name, share in brought.items():
            shares[name] = max(share, shares.get(name, 0.0))
    return shares


def _val_curves(project: ProjectFolder) -> list[TaskCurve]:
    history = training_history(project.folder)
    curves = []
    for name in project.tasks():
        points = []
        for trained in history:
            loss = trained.val.get(f"{name}/loss", math.nan)
            if math.isfinite(loss):
                labels = trained.labels
                points.append(CurvePoint(labels.get(name, 0), sum(labels.values()), loss))
        if points:
            result = Result("loss on val images", points[-1].value, "", "lower")
            curves.append(_task_curve(name, result, points))
    return curves


def _task_curve(name: str, result: Result, points: Sequence[CurvePoint]) -> TaskCurve:
    prior = prior_of(result.name, result.unit, PRIORS)
    return TaskCurve(
        task=name,
        metric=result.name,
        unit=result.unit,
        points=points,
        curve=fit_curve(points, MetricScale(result.unit, result.better), prior),
    )
