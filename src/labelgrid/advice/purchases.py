"""Says what a project can buy for a budget, and what it may gain. Loads no torch."""

from collections.abc import Mapping, Sequence

from labelgrid.advice.advised import Advice
from labelgrid.advice.buying_advice import Offer, buying_advice
from labelgrid.advice.task_curves import TaskCurve
from labelgrid.project.derived_labels import grid_to_buy
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.prices import times_of
from labelgrid.project.records import Fit, newest_fit
from labelgrid.select.following import brings_of, known_labels


def purchases(project: ProjectFolder, curves: Sequence[TaskCurve], budget: float) -> list[Advice]:
    """As `buying_advice`, of what a project can buy."""
    brings = brings_of(project.relations())
    return buying_advice(curves, _offers(project), brings, budget, folder=project.folder)


def most_labels(project: ProjectFolder) -> Mapping[str, int]:
    """How many labels of each task a training can learn from once all are there."""
    counts = project.store.counts(("train",))
    most = {}
    for row in project.store.tasks():
        count = counts[row.name]
        most[row.name] = count.missing + count.requested + count.labelled
    return most


def last_cost(project: ProjectFolder) -> float:
    """What labels cost between the last two trainings, or before the only one."""
    last = newest_fit(project.folder)
    if last is None:
        return project.store.spent(("train",))
    before: Fit | None = newest_fit(project.folder, last.round) if last.round else None
    return max(last.spent - (before.spent if before else 0.0), 0.0) or last.spent


def _offers(project: ProjectFolder) -> Mapping[str, Offer]:
    """What can be bought of each task; what follows from other labels need not be.

    Nor need what will follow mostly, once the labels that it is derived from are bought.
    """
    times = times_of(project)
    missing = _missing(project)
    offers = {}
    for row in project.store.tasks():
        timed = times.get(row.name)
        learned = timed and project.settings.costs == "times"
        offers[row.name] = Offer(
            missing=missing[row.name],
            price=timed.cost if timed and learned else row.cost,
            seconds=timed.mean if timed else None,
            timed=timed.labels if timed else 0,
        )
    return offers


def _missing(project: ProjectFolder) -> Mapping[str, int]:
    """The missing labels of each task that neither follow nor are going to."""
    relations = project.relations()
    if not relations:
        counts = project.store.counts(("train",))
        return {task: count.missing for task, count in counts.items()}
    grid = grid_to_buy(project)
    left = grid.eligible & ~known_labels(grid, relations)
    return dict(zip(grid.tasks, left.sum(0).tolist(), strict=True))
