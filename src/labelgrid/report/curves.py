"""Computes a project's learning curves, newest metrics, and which rounds cannot be compared."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from labelgrid.basics.results import Better, Result
from labelgrid.operations.headlines import Headline, with_change
from labelgrid.project.records import Measurement

#: The name of the curve of all tasks together: one that no task can have.
OVERALL = ""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of a curve.

    Args:
        round: its number.
        labels: the number of labels of all tasks that the network was trained on.
        own_labels: the number of labels of the curve's task.
        cost: the cost of all these labels.
        value: the value of the metric.
        measured_on: the number of held-out labels it was measured on.
    """

    round: int
    labels: int
    own_labels: int
    cost: float
    value: float
    measured_on: int


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One metric, or loss_mtl, over the rounds; `name` is a task's name, or `OVERALL`."""

    name: str
    metric: str
    unit: str
    better: Better
    points: Sequence[Point]

    @property
    def finite(self) -> Sequence[Point]:
        """The points whose value is a finite number."""
        return [point for point in self.points if math.isfinite(point.value)]


def curves(measured: Sequence[Measurement], headlines: Mapping[str, str]) -> list[Curve]:
    """The curve of loss_mtl, then of each task's headline metric.

    Tasks that were never measured are left out.
    """
    if not measured:
        return []
    overall = [_point(network, OVERALL, network.loss_mtl) for network in measured]
    all_curves = [Curve(name=OVERALL, metric="loss_mtl", unit="", better="lower", points=overall)]
    for task, metric in headlines.items():
        newest: Result | None = None
        points = []
        for network in measured:
            result = network.metrics.get(task, {}).get(metric)
            value = math.nan
            if result:
                newest = result
                value = result.value
            points.append(_point(network, task, value))
        if newest:
            unit = newest.unit
            better = newest.better
            curve = Curve(name=task, metric=metric, unit=unit, better=better, points=points)
            all_curves.append(curve)
    return all_curves


def _point(measured: Measurement, name: str, value: float) -> Point:
    total = sum(measured.labels.values())
    own_labels = measured.labels.get(name, 0)
    measured_on = measured.heldout_labels.get(name, 0)
    if name == OVERALL:
        own_labels = total
        measured_on = sum(measured.heldout_labels.values())
    return Point(
        round=measured.round,
        labels=total,
        own_labels=own_labels,
        cost=measured.spent,
        value=value,
        measured_on=measured_on,
    )


def newest_metrics(measured: Sequence[Measurement], tasks: Sequence[str]) -> list[Headline]:
    """All metrics of the newest measured round, by task, with their changes."""
    if not measured:
        return []
    metrics = []
    for task in tasks:
        results = measured[-1].metrics.get(task, {}).values()
        metrics += [with_change(measured, task, result) for result in results]
    return metrics


def set_changes(measured: Sequence[Measurement]) -> list[tuple[int, int]]:
    """Consecutive measured rounds with different numbers of held-out labels.

    Their metrics are not comparable.

    Example:
        >>> from dataclasses import replace
        >>> first = Measurement(
        ...     round=1,
        ...     model="",
        ...     labels={},
        ...     spent=0.0,
        ...     heldout_labels={"depth": 4},
        ...     metrics={},
        ...     loss_mtl=0.5,
        ... )
        >>> set_changes([first, replace(first, round=2, heldout_labels={"depth": 9})])
        [(1, 2)]
    """
    changes = []
    for before, after in pairwise(measured):
        if dict(before.heldout_labels) != dict(after.heldout_labels):
            changes.append((before.round, after.round))
    return changes
