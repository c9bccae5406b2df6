"""Chooses the values of a study of a project's own labels by how many there are. Loads no torch."""

from collections.abc import Mapping, Sequence

import numpy as np

from labelgrid.basics.config import merge
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Json, Values
from labelgrid.basics.words import count_text, join_names
from labelgrid.ledger.grid import State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.prices import prices_of

#: The least number of labelled training images of a study.
LEAST_IMAGES = 10
#: The share of the labelled images that have all labels from the start, and their least number.
INITIAL = 0.2
LEAST_INITIAL = 4
#: The share of the labels that a round buys.
BUDGET = 0.1
#: What a project's own strategy is compared with.
CHANCE = ("random_cells", "random_images")


def study_values(project: ProjectFolder, options: Values, progress: Progress) -> Json:
    """The table [simulate] of a study of a project's labels.

    Args:
        project: the project.
        options: values that replace the default ones.
        progress: is told which tasks are left out, for lack of labels.

    Raises:
        ProjectError: the project has too few labels.
    """
    settings = project.settings
    used = _usable_tasks(project, options.get("only", ()), progress)
    sizes = _pool_sizes(project, used)
    if sizes["images"] < LEAST_IMAGES:
        raise ProjectError(
            f"A study needs at least {LEAST_IMAGES} labelled training images. "
            f"The project has {sizes['images']:.0f}.",
            where=project.folder,
            next_step="Import more labels.",
        )
    unit = options.get("unit", "labels")
    prices = prices_of(project)
    image = {"labels": len(used), "images": 1, "cost": sum(prices[name] for name in used)}
    has_val = any(count.labelled for count in project.store.counts(("val",)).values())
    tasks = {}
    for row in project.store.tasks():
        tasks[row.name] = {"kind": row.kind, "cost": prices[row.name], **row.options}
    values = {
        "data": "project",
        "pool": "train",
        "test": "heldout",
        "val": "val" if has_val else "",
        "only": used,
        "initial": max(LEAST_INITIAL, round(INITIAL * sizes["images"])),
        "budget": max(round(BUDGET * sizes.get(unit, 0)), image.get(unit, 1)),
        "unit": unit,
        "rounds": 3,
        "seeds": 3,
        "strategies": list(dict.fromkeys([settings.strategy.name, *CHANCE])),
        "group": settings.group,
        "tasks": tasks,
    }
    if settings.strategy.options:
        values["variants"] = {settings.strategy.name: dict(vars(settings.strategy))}
    values = merge(values, {**options, "only": used})
    _check_amount(project, sizes, values)
    return values


def _usable_tasks(project: ProjectFolder, only: Sequence[str], progress: Progress) -> list[str]:
    """The tasks with labels to buy, and labels to measure on."""
    pool = project.store.counts(("train",))
    heldout = project.store.counts(("heldout",))
    asked = [name for name in pool if not only or name in only]
    used = [name for name in asked if pool[name].labelled and heldout[name].labelled]
    if not any(heldout[name].labelled for name in asked):
        raise ProjectError(
            "No held-out image has a label, so nothing can be measured.",
            where=project.folder,
            next_step=f"Hold out images with `labelgrid add {project.folder} --holdout 20%`, and "
            "import their labels.",
        )
    if not used:
        raise ProjectError(
            "No task has labels of training images and of held-out images.",
            where=project.folder,
            next_step="Import labels of both.",
        )
    left_out = [name for name in asked if name not in used]
    if left_out:
        progress.say(
            f"Left out, for lack of labels of training or held-out images: {join_names(left_out)}."
        )
    return used


def _pool_sizes(project: ProjectFolder, tasks: Sequence[str]) -> dict[str, float]:
    """The size of the labelled part of the pool, by the unit of budgets."""
    grid = project.store.grid(("train",))
    columns = [grid.tasks.index(name) for name in tasks]
    labelled = grid.state[:, columns] == State.LABELLED
    prices = prices_of(project)
    cost = np.array([prices[name] for name in tasks])
    return {
        "labels": float(labelled.sum()),
        "images": float(labelled.any(1).sum()),
        "cost": float((labelled * cost).sum()),
    }


def _check_amount(project: ProjectFolder, sizes: Mapping[str, float], values: Values) -> None:
    """Refuse a study that would buy more than there is: all strategies would end alike."""
    unit = values["unit"]
    amount = sizes.get(unit, 0)
    initial = values["initial"] * amount / sizes["images"]
    needed = initial + values["rounds"] * values["budget"]
    if unit in sizes and needed > amount:
        raise ProjectError(
            f"The study needs {needed:.0f} {unit}: about {initial:.0f} at the start, and "
            f"{count_text(values['rounds'], 'round')} of {values['budget']:g}. The project has "
            f"{amount:.0f} in its training images.",
            where=project.folder,
            next_step="Lower `--initial`, `--budget` or `--rounds`, or import more labels.",
        )
