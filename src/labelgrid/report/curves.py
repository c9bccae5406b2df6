"""Computes the learning curves of one project, its newest metrics, and which rounds cannot be compared."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from labelgrid.project.records import Measurement
from labelgrid.results import Better, Result

#: The name of the curve of all tasks together: one that no task can have.
OVERALL = ""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of a curve.

    Args:
        round: its number.
        labels: the number of labels of all tasks that the network was trained on.
        own_labels: those of the curve's task.
        cost: of all these labels.
        value: of the metric.
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


@dataclass(frozen=True)
class NewestMetric:
    """A metric of the newest measured round, and its change since the measured round before (NaN without one)."""

    task: str
    result: Result
    measured_on: int
    change: float

    @property
    def verdict(self) -> str:
        """Whether the change is "better" or "worse"; "" without a change."""
        if not math.isfinite(self.change) or not self.change:
            return ""
        return "better" if (self.change > 0) == (self.result.better == "higher") else "worse"


def curves(measured: Sequence[Measurement], headlines: Mapping[str, str]) -> list[Curve]:
    """The curve of loss_mtl, then of each task's headline metric.

    Tasks that were never measured are left out.
    """
    overall = [_point(m, OVERALL, m.loss_mtl) for m in measured]
    result_curves = (
        [Curve(name=OVERALL, metric="loss_mtl", unit="", better="lower", points=overall)]
        if overall
        else []
    )
    for task, metric in headlines.items():
        results = [m.metrics.get(task, {}).get(metric) for m in measured]
        known = [result for result in results if result]
        if known:
            pairs = zip(measured, results, strict=True)
            points = [_point(m, task, result.value if result else math.nan) for m, result in pairs]
            result_curves.append(
                Curve(
                    name=task,
                    metric=metric,
                    unit=known[-1].unit,
                    better=known[-1].better,
                    points=points,
                )
            )
    return result_curves


def _point(measured: Measurement, name: str, value: float) -> Point:
    total = sum(measured.labels.values())
    heldout = sum(measured.heldout_labels.values())
    return Point(
        round=measured.round,
        labels=total,
        own_labels=measured.labels.get(name, 0) if name != OVERALL else total,
        cost=measured.spent,
        value=value,
        measured_on=measured.heldout_labels.get(name, 0) if name != OVERALL else heldout,
    )


def newest_metrics(measured: Sequence[Measurement], tasks: Sequence[str]) -> list[NewestMetric]:
    """All metrics of the newest measured round, by task."""
    if not measured:
        return []
    last = measured[-1]
    before = measured[-2].metrics if len(measured) > 1 else {}
    metrics = []
    for task in tasks:
        for name, result in last.metrics.get(task, {}).items():
            old = before.get(task, {}).get(name)
            change = result.value - old.value if old else math.nan
            metrics.append(NewestMetric(task, result, last.heldout_labels.get(task, 0), change))
    return metrics


def set_changes(measured: Sequence[Measurement]) -> list[tuple[int, int]]:
    """Consecutive measured rounds with different numbers of held-out labels: their metrics are not comparable.

    Example:
        >>> one = Measured(1, "", {}, 0.0, {"depth": 4}, {}, 0.5)
        >>> set_changes([one, Measured(2, "", {}, 0.0, {"depth": 9}, {}, 0.4)])
        [(1, 2)]
    """
    return [
        (a.round, b.round)
        for a, b in pairwise(measured)
        if dict(a.heldout_labels) != dict(b.heldout_labels)
    ]
