"""Learns what labels cost from how long labels took. Loads no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelgrid.ledger.grid import Grid, Split
from labelgrid.progress import Progress
from labelgrid.project.folder import ProjectFolder
from labelgrid.words import count_text

#: As many labels with the declared cost are added to those with a time.
DECLARED_LABELS = 5
#: A time counts as at most this many medians of its task: the rest was a break.
MOST_MEDIANS = 10
#: The significant digits of a learned cost. An estimate has no more, and exact purchases need round
#: numbers.
DIGITS = 3


@dataclass(frozen=True)
class TaskTimes:
    """The labels of a task that have a time: their number, their median and mean in seconds, and the learned cost."""

    labels: int
    median: float
    mean: float
    cost: float


def learned_costs(
    declared: Mapping[str, float], seconds: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """The cost of a label of each task, in the unit of the declared costs, learned from how long labels took.

    The budget pays for the sum of all labels, so a task's mean time counts, not its median; a time
    is cut at `MOST_MEDIANS` medians. The mean is shrunk toward the declared cost: n labels of m
    seconds and a declared cost c give (n·r·m + 5·c) / (n + 5). The rate r of units a second is such
    that all labels with a time together cost what they cost as declared, but for rounding. So only
    the ratios between tasks are learned: the costs of a single task with times, and of tasks
    without, are the declared ones; a free task stays free.

    Args:
        declared: task -> the declared cost of a label.
        seconds: task -> the times of its labels.

    Example:
        >>> learned_costs({"semseg": 10, "depth": 1}, {"semseg": [300] * 95, "depth": [60] * 95})
        {'semseg': 9.21, 'depth': 1.79}
    """
    paid = [name for name, cost in declared.items() if cost > 0 and len(seconds.get(name, ()))]
    timed = {name: np.asarray(seconds[name], np.float64) for name in paid}
    if len(timed) < 2:
        return dict(declared)
    count = np.array([len(times) for times in timed.values()])
    mean = np.array(
        [np.minimum(times, MOST_MEDIANS * np.median(times)).mean() for times in timed.values()]
    )
    mean /= mean.max()  # only ratios count; the rate is finite then
    cost = np.array([declared[name] for name in timed])
    weight = count / (count + DECLARED_LABELS)
    rate = (weight * count * cost).sum() / (weight * count * mean).sum()
    learned = weight * rate * mean + (1 - weight) * cost
    return {
        **declared,
        **{name: float(f"{c:.{DIGITS}g}") for name, c in zip(timed, learned.tolist(), strict=True)},
    }


def times_of(project: ProjectFolder, splits: Sequence[Split] | None = None) -> dict[str, TaskTimes]:
    """The times of the labels in some splits (None: all), of tasks that have any.

    All splits' count for the costs.
    """
    costs, seconds = _learned(project)
    return {
        name: TaskTimes(len(times), float(np.median(times)), float(np.mean(times)), costs[name])
        for name, times in (project.store.seconds(splits) if splits else seconds).items()
        if times
    }


def apply_learned_costs(project: ProjectFolder, grid: Grid, progress: Progress) -> Grid:
    """The grid with learned costs; says what they are, and what a budget of them means."""
    costs, timed = _learned(project)
    if sum(cost > 0 for name, cost in costs.items() if name in timed) < 2:
        progress.say(
            "Costs are as declared: they are learned once two tasks have labels with times."
        )
        return grid
    labels = count_text(sum(map(len, timed.values())), "label")
    declared = zip(grid.tasks, grid.cost.tolist(), strict=True)
    each = ", ".join(f"{name} {costs[name]:g} (declared {cost:g})" for name, cost in declared)
    progress.say(
        f"Costs are learned from the times of {labels}: {each}. Their unit is that of the declared costs: these labels "
        "cost as much together as declared."
    )
    return replace(grid, cost=np.array([costs[name] for name in grid.tasks]))


def _learned(project: ProjectFolder) -> tuple[dict[str, float], dict[str, list[float]]]:
    """The learned costs, and the times of the labels of tasks that have any; by task."""
    seconds = {name: times for name, times in project.store.seconds().items() if times}
    return learned_costs({row.name: row.cost for row in project.store.tasks()}, seconds), seconds
