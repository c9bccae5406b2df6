"""Learns what labels cost from how long labels took. Loads no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from labelgrid.basics.progress import Progress
from labelgrid.basics.words import count_text
from labelgrid.ledger.grid import Grid, Splits
from labelgrid.project.folder import ProjectFolder

#: As many labels with the declared cost are added to those with a time.
DECLARED_LABELS = 5
#: Of times of fewer labels it is said of how many they are.
FEW_TIMES = 5
#: A time counts as at most this many medians of its task: the rest was a break.
MOST_MEDIANS = 10
#: The significant digits of a learned cost. An estimate has no more, and exact purchases need round
#: numbers.
DIGITS = 3


@dataclass(frozen=True)
class TaskTimes:
    """The labels of a task that have a time.

    These are their number, their median and mean in seconds, and the learned cost.
    """

    labels: int
    median: float
    mean: float
    cost: float


def learned_costs(
    declared: Mapping[str, float], seconds: Mapping[str, Sequence[float]]
) -> dict[str, float]:
    """The cost of a label of each task, learned from how long labels took.

    Its unit is that of the declared costs. The budget pays for the sum of all labels, so a task's
    mean time counts, not its median; a time is cut at `MOST_MEDIANS` medians. The mean is shrunk
    toward the declared cost: n labels of m seconds and a declared cost c give (n·r·m + 5·c) / (n +
    5). The rate r of units a second is chosen so that all labels with a time together keep their
    declared cost, except for rounding. So only the ratios between tasks are learned: the costs of a
    single task with times, and of tasks without, are the declared ones; a free task stays free.

    Args:
        declared: task -> the declared cost of a label.
        seconds: task -> the times of its labels.

    Example:
        >>> learned_costs({"semseg": 10, "depth": 1}, {"semseg": [300] * 95, "depth": [60] * 95})
        {'semseg': 9.21, 'depth': 1.79}
    """
    paid = [name for name, cost in declared.items() if cost > 0 and len(seconds.get(name, ()))]
    if len(paid) < 2:
        return dict(declared)
    import numpy as np  # slow to load, and most projects have no times

    timed = {name: np.asarray(seconds[name], np.float64) for name in paid}
    count = np.array([len(times) for times in timed.values()])
    cut = [np.minimum(times, MOST_MEDIANS * np.median(times)) for times in timed.values()]
    mean = np.array([times.mean() for times in cut])
    mean /= mean.max()  # only ratios count; the rate is finite then
    cost = np.array([declared[name] for name in timed])
    weight = count / (count + DECLARED_LABELS)
    rate = (weight * count * cost).sum() / (weight * count * mean).sum()
    learned = weight * rate * mean + (1 - weight) * cost
    costs = dict(declared)
    for name, value in zip(timed, learned.tolist(), strict=True):
        costs[name] = float(f"{value:.{DIGITS}g}")
    return costs


def times_of(project: ProjectFolder, splits: Splits = None) -> dict[str, TaskTimes]:
    """The times of the labels in some splits (None: all), of tasks that have any.

    All splits' count for the costs.
    """
    costs, seconds = _costs_and_times(project)
    if not seconds:
        return {}
    if splits:
        seconds = project.store.seconds(splits)
    import numpy as np

    times_by_task = {}
    for name, times in seconds.items():
        if times:
            times_by_task[name] = TaskTimes(
                len(times), float(np.median(times)), float(np.mean(times)), costs[name]
            )
    return times_by_task


def few_times(labels: int) -> str:
    """From how many timed labels something is known, if these are few; else "".

    Example:
        >>> few_times(1), few_times(FEW_TIMES)
        ('from 1 timed label', '')
    """
    if 0 < labels < FEW_TIMES:
        return f"from {count_text(labels, 'timed label')}"
    return ""


def apply_learned_costs(project: ProjectFolder, grid: Grid, progress: Progress) -> Grid:
    """The grid with learned costs, after saying the costs and the meaning of a budget."""
    import numpy as np

    costs, timed = _costs_and_times(project)
    if sum(cost > 0 for name, cost in costs.items() if name in timed) < 2:
        progress.say(
            "Costs are as declared: they are learned once two tasks have labels with times."
        )
        return grid
    labels = count_text(sum(map(len, timed.values())), "label")
    words = []
    for name, declared in zip(grid.tasks, grid.cost.tolist(), strict=True):
        few = few_times(len(timed.get(name, ())))
        origin = f"declared {declared:g}{', ' if few else ''}{few}"
        words.append(f"{name} {costs[name]:g} ({origin})")
    progress.say(
        f"Costs are learned from the times of {labels}: {', '.join(words)}. Their unit is that of "
        "the declared costs: these labels cost as much together as declared."
    )
    return replace(grid, cost=np.array([costs[name] for name in grid.tasks]))


def prices_of(project: ProjectFolder) -> dict[str, float]:
    """The cost of a label of each task in queries: as declared, or as learned."""
    if project.settings.costs == "declared":
        return {row.name: row.cost for row in project.store.tasks()}
    return _costs_and_times(project)[0]


def _costs_and_times(project: ProjectFolder) -> tuple[dict[str, float], dict[str, list[float]]]:
    """The learned costs, and the times of the labels of tasks that have any; by task."""
    seconds = {name: times for name, times in project.store.seconds().items() if times}
    return learned_costs({row.name: row.cost for row in project.store.tasks()}, seconds), seconds
