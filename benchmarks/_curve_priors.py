"""Learns what is known of metrics' curves from the records of published studies.

What a task's own labels do is told by arms that bought labels of one task alone, beside arms of the
study that bought none of it. In campaigns that buy all tasks, curves cannot tell it from longer
training.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np

from labelgrid.lab.reports.study_data import study_report
from labelgrid.lab.simulation.study_results import Outcome, read_outcomes
from labelgrid.select.label_curve import (
    FREEDOM,
    CurvePoint,
    CurvePrior,
    Floats,
    MetricScale,
    curve_inputs,
)

RECORDS = Path(__file__).resolve().parents[1] / "docs/results/records"
#: Steps of the estimate: further ones change no figure of three digits.
STEPS = 100
#: The strategy, the seed and the point of a study's grid.
Run = tuple[str, int, str]


@dataclass(frozen=True, kw_only=True)
class PastCurve:
    """A headline metric of a task over the rounds of a run.

    Args:
        study: its name.
        run: of the study.
        task: its name.
        metric: its name.
        scale: of the metric.
        points: the rounds.
    """

    study: str
    run: Run
    task: str
    metric: str
    scale: MetricScale
    points: tuple[CurvePoint, ...]

    @property
    def gained(self) -> Floats:
        """Where the values lie."""
        return np.array([self.scale.gained(point.value) for point in self.points])


def past_curves(folders: Iterable[Path]) -> list[PastCurve]:
    """The curves of two rounds or more of all runs of strategies in the records of studies."""
    return [curve for folder in sorted(folders) for curve in _study_curves(folder)]


def _study_curves(folder: Path) -> Iterator[PastCurve]:
    headlines = study_report(folder).headlines
    by_curve: dict[tuple[Run, str], list[Outcome]] = defaultdict(list)
    for row in read_outcomes(folder):
        if row.kind == "strategy" and headlines.get(row.task) == row.metric and row.task_labels:
            by_curve[(row.strategy, row.seed, row.point), row.task].append(row)
    for (run, task), rows in by_curve.items():
        if len(rows) > 1:
            rows.sort(key=lambda row: row.round)
            yield PastCurve(
                study=folder.name,
                run=run,
                task=task,
                metric=rows[0].metric,
                scale=MetricScale(rows[0].unit, rows[0].better),
                points=tuple(CurvePoint(row.task_labels, row.labels, row.value) for row in rows),
            )


def learn_priors(curves: Sequence[PastCurve]) -> dict[str, CurvePrior]:
    """A prior for each metric, and for those of one unit together."""
    groups: Mapping[str, list[PastCurve]] = defaultdict(list)
    for curve in curves:
        groups[curve.metric].append(curve)
        groups["percentage" if curve.scale.unit == "%" else "other"].append(curve)
    return {name: learn_prior(group) for name, group in sorted(groups.items())}


def learn_prior(curves: Sequence[PastCurve]) -> CurvePrior:
    """The prior under which these curves are likeliest, by expectation and maximisation.

    Slopes are normal about their mean and rounds about their curve; each curve's noise has a scale
    of its own, so that a few odd ones do not count for much.
    """
    batches = list(_batches(curves))
    task_gain = own_gain(curves)
    slopes = np.array([task_gain, 0.03])
    spread = np.eye(2)
    variance = 0.003
    for _ in range(STEPS):
        precision = np.linalg.inv(spread)
        sums = _Sums()
        for inputs, gained in batches:
            inner = np.linalg.inv(precision + np.einsum("nap,naq->npq", inputs, inputs))
            pulled = precision @ slopes + np.einsum("nap,na->np", inputs, gained)
            estimates = np.einsum("npq,nq->np", inner, pulled)
            rest = gained - np.einsum("nap,np->na", inputs, estimates)
            moved = estimates - slopes
            squares = (rest**2).sum(1) + np.einsum("np,pq,nq->n", moved, precision, moved)
            weight = (FREEDOM + gained.shape[1]) / (FREEDOM + squares / variance)
            sums.curves += len(gained)
            sums.weight += weight.sum()
            sums.slopes += weight @ estimates
            sums.spread += np.einsum("n,np,nq->pq", weight / variance, moved, moved) + inner.sum(0)
            sums.squares += weight @ (rest**2).sum(1)
            sums.squares += variance * np.einsum("nap,npq,naq->", inputs, inner, inputs)
            sums.rounds += gained.size
        slopes[1] = (sums.slopes / sums.weight)[1]
        spread = sums.spread / sums.curves + 1e-6 * np.eye(2)
        variance = sums.squares / sums.rounds
    return CurvePrior(
        task=float(slopes[0]),
        all=float(slopes[1]),
        task_spread=float(spread[0, 0]),
        all_spread=float(spread[1, 1]),
        shared_spread=float(spread[0, 1]),
        noise=float(np.sqrt(variance)),
    )


def own_gain(curves: Sequence[PastCurve]) -> float:
    """The mean gain by a doubling of a task's labels in arms that bought no other label.

    0 without such arms.
    """
    gains = []
    of_task: Mapping[tuple[str, str], list[PastCurve]] = defaultdict(list)
    for curve in curves:
        of_task[curve.study, curve.task].append(curve)
    for group in of_task.values():
        alone = [curve for curve in group if bought(curve) == "alone"]
        others = [curve for curve in group if bought(curve) == "others"]
        if alone and others:
            doublings = np.mean(
                [np.log2(one.points[1].labels / one.points[0].labels) for one in alone]
            )
            gains.append((_mean_gain(alone) - _mean_gain(others)) / doublings)
    return max(float(np.mean(gains)), 0.0) if gains else 0.0


def bought(curve: PastCurve) -> str:
    """Whether the second of two rounds had more labels of the task alone, or only of others."""
    first, second = curve.points[:2]
    added = second.labels - first.labels
    if len(curve.points) > 2 or second.all == first.all:
        return ""
    if added == second.all - first.all:
        return "alone"
    return "" if added else "others"


def _mean_gain(curves: Sequence[PastCurve]) -> float:
    """The mean gain from the first round to the second."""
    return float(np.mean([curve.gained[1] - curve.gained[0] for curve in curves]))


class _Sums:
    """What a step of the estimate adds up over curves."""

    def __init__(self) -> None:
        self.curves = 0
        self.rounds = 0
        self.weight = 0.0
        self.squares = 0.0
        self.slopes = np.zeros(2)
        self.spread = np.zeros((2, 2))


def _batches(curves: Sequence[PastCurve]) -> Iterator[tuple[Floats, Floats]]:
    """Inputs [n, m - 1, 2] and gains [n, m - 1] of all curves of m rounds, without their means."""
    ordered = sorted(curves, key=lambda curve: len(curve.points))
    for rounds, group in groupby(ordered, key=lambda curve: len(curve.points)):
        same = list(group)
        contrasts = np.linalg.svd(np.eye(rounds) - 1 / rounds)[0][:, : rounds - 1].T
        inputs = np.stack([curve_inputs(curve.points, curve.points[0]) for curve in same])
        gained = np.stack([curve.gained for curve in same])
        yield np.einsum("am,nmp->nap", contrasts, inputs), gained @ contrasts.T
