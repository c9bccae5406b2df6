"""Draws the cells of initial label plans, keyed by seed and image id.

The order of the pool does not matter.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from labelgrid.basics.streams import image_keys, keyed_uniform, seed_of
from labelgrid.lab.simulation.arms import InitialLabels, InitialPlan
from labelgrid.ledger.grid import Cell

#: The strategy that draws a run's initial images.
FIRST = "random_images"
#: Image ids, tasks, plan, seed -> cells.
Draw = Callable[[Sequence[str], Sequence[str], InitialLabels, int], list[Cell]]


def initial_cells(
    plan: InitialLabels, images: Sequence[str], tasks: Sequence[str], seed: int
) -> list[Cell]:
    """Draw the cells whose labels a run starts with, ordered by image id, then task.

    Example:
        >>> plan = InitialLabels(plan="one")
        >>> len(initial_cells(plan, ["a.jpg", "b.jpg"], ["semseg", "depth"], seed=0))
        2
    """
    return sorted(_DRAWS[plan.plan](images, tasks, plan, seed_of(seed, "initial", plan.plan)))


def most_labels(plan: InitialLabels, images: int, tasks: int) -> int:
    """The largest number of labels that a plan draws for some images and tasks."""
    per_image = {"one": 1, "shares": 1, "random": _most_random(tasks)}
    return images * per_image.get(plan.plan, len(plan.tasks) or tasks)


def _uniform(image_ids: Sequence[str], seed: int) -> Mapping[str, float]:
    """A number in [0, 1) for each image id, independent of all other ids."""
    draws = keyed_uniform(image_keys(image_ids), seed)
    return dict(zip(image_ids, draws.tolist(), strict=True))


def _shuffled(images: Sequence[str], seed: int) -> list[str]:
    """The images in an order by keyed draws."""
    draws = _uniform(images, seed)
    return sorted(images, key=lambda image: (draws[image], image))


def _all_labels(
    images: Sequence[str], tasks: Sequence[str], plan: InitialLabels, _: int
) -> list[Cell]:
    used = [task for task in tasks if plan.may_have(task)]
    return [Cell(image, task) for image in images for task in used]


def _one_label(
    images: Sequence[str], tasks: Sequence[str], _: InitialLabels, seed: int
) -> list[Cell]:
    """Draw a label for each image; the tasks' counts differ by at most one.

    Images are ordered by their own draws and dealt to the tasks in turn. The order of the tasks,
    and so which of them get the remainder, depends on the seed and their names.

    Source: MTPSL section 4, one label, as in its published splits.
    """
    turns = sorted(tasks, key=lambda task: (seed_of(seed, "turn", task), task))
    cells = []
    for index, image in enumerate(_shuffled(images, seed)):
        cells.append(Cell(image, turns[index % len(turns)]))
    return cells


def _random_labels(
    images: Sequence[str], tasks: Sequence[str], _: InitialLabels, seed: int
) -> list[Cell]:
    """Draw from 1 to K - 1 labels of K tasks for each image, each number equally likely.

    With a single task, each image has the label.

    Source: MTPSL section 4, random labels.
    """
    numbers = _uniform(images, seed)
    task_numbers = {task: _uniform(images, seed_of(seed, task)) for task in tasks}
    cells = []
    for image, number in numbers.items():
        count = 1 + int(number * _most_random(len(tasks)))
        image_numbers = {task: task_numbers[task][image] for task in tasks}
        chosen = sorted(tasks, key=image_numbers.__getitem__)[:count]
        cells += [Cell(image, task) for task in chosen]
    return cells


def _most_random(tasks: int) -> int:
    return max(tasks - 1, 1)


def _share_labels(
    images: Sequence[str], tasks: Sequence[str], plan: InitialLabels, seed: int
) -> list[Cell]:
    """Draw a label for each image, of tasks in a given ratio, exact to one label.

    Source: MTPSL section 4, labels of the tasks in the ratio p:q.
    """
    order = _shuffled(images, seed)
    ends = np.cumsum([plan.shares.get(task, 0.0) for task in tasks])
    ends = np.floor(ends / ends[-1] * len(order) + 0.5).astype(int)
    starts = [0, *ends[:-1].tolist()]
    cells = []
    for task, start, end in zip(tasks, starts, ends.tolist(), strict=True):
        cells += [Cell(image, task) for image in order[start:end]]
    return cells


_DRAWS: Mapping[InitialPlan, Draw] = {
    "images": _all_labels,
    "one": _one_label,
    "random": _random_labels,
    "shares": _share_labels,
}
