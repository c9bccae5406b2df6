"""Finds the class that a query searches for, and refuses one that the model does not know.

Loads no torch.
"""

import numpy as np

from labelgrid.annotate.answers import spelling_hint
from labelgrid.basics.errors import NothingToBuyError, ProjectError, UsageError, command
from labelgrid.basics.words import join_names
from labelgrid.ledger.grid import Grid
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.label_classes import label_classes
from labelgrid.project.records import newest_fit
from labelgrid.score.table import Table
from labelgrid.select.class_statistic import CLASSES, shares_of_class
from labelgrid.tasks.task import TaskDef, TaskDefs

#: The classes of a task that a refusal names.
SHOWN = 12


def find_class(definitions: TaskDefs, asked: str) -> tuple[TaskDef, str]:
    """The task of a class, and the class's name.

    Args:
        definitions: the tasks by name.
        asked: the name of a class, or `TASK:CLASS`.

    Raises:
        UsageError: no task has it, or several have.
    """
    found = []
    for task in definitions.values():
        names = [name for name in task.class_names if asked in (name, full_name(task, name))]
        found += [(task, name) for name in names]
    if len(found) > 1:
        raise UsageError(
            f"Several tasks have a class '{asked:.80}'.",
            next_step=f"Name one: {join_names([full_name(*each) for each in found])}.",
            unchanged="Nothing was requested.",
        )
    if not found:
        raise _no_class(definitions, asked)
    return found[0]


def full_name(task: TaskDef, name: str) -> str:
    """A class as `TASK:CLASS`."""
    return f"{task.name}:{name}"


def _no_class(definitions: TaskDefs, asked: str) -> UsageError:
    """The error about a class that no task has."""
    known = set[str]()
    shown = []
    for task in definitions.values():
        known.update(task.class_names)
        known.update(full_name(task, name) for name in task.class_names)
        if task.class_names:
            shown.append(f"{task.name} has {join_names(task.class_names, SHOWN)}")
    classes = "No task of the project has classes."
    if shown:
        classes = f"The classes: {'; '.join(shown)}."
    hint = spelling_hint(asked, sorted(known))
    return UsageError(
        f"No task has a class '{asked:.80}'.",
        next_step=f"{hint} {classes} What is no class is found by an example: "
        "`--like IMAGE` in place of `--class`.".strip(),
        unchanged="Nothing was requested.",
    )


def refuse_unlearned(project: ProjectFolder, task: TaskDef, name: str) -> None:
    """Refuse a class that the newest model cannot have learnt.

    Raises:
        ProjectError: there is no model, it did not learn the task, or no label for training shows
            the class.
    """
    fit = newest_fit(project.folder)
    reason = ""
    if fit is None:
        reason = "there is no model yet"
    elif task.name not in fit.trained:
        reason = f"the newest model did not learn {task.name}"
    elif not fit.predictions and not _is_shown(project, task, name):
        reason = "no label for training shows it"
    if reason:
        raise ProjectError(
            f"No model can find '{full_name(task, name)}' yet: {reason}.",
            where=project.folder,
            next_step=_by_example(project, task, name),
            unchanged="Nothing was requested.",
        )


def refuse_unseen(
    project: ProjectFolder, table: Table, grid: Grid, task: TaskDef, name: str
) -> None:
    """Refuse a class that the model predicts in no image which lacks a label.

    Args:
        project: the project.
        table: the scores.
        grid: the pool.
        task: of the class.
        name: of the class.

    Raises:
        NothingToBuyError: it predicts none.
    """
    column = list(table.tasks).index(task.name)
    number = task.class_names.index(name)
    values = table.aligned(grid.images)[CLASSES][grid.eligible.any(1)]
    shares = shares_of_class(values, len(table.tasks), column, number)
    if not np.nanmax(shares, initial=0.0) > 0:
        raise NothingToBuyError(
            f"The newest model predicts '{full_name(task, name)}' in no image of the pool.",
            where=project.folder,
            next_step=_by_example(project, task, name),
            unchanged="Nothing was requested.",
        )


def _is_shown(project: ProjectFolder, task: TaskDef, name: str) -> bool:
    """Whether a label for training shows a class, or may: not all labels need be known."""
    found = project.store.matching_labels(ImageFilter(splits=("train",), task=task.name))
    shown, unread = label_classes(project, task).showing(name, [content for _, content in found])
    return bool(shown.any()) or unread > 0


def _by_example(project: ProjectFolder, task: TaskDef, name: str) -> str:
    """How images with a class are found without a model that knows it."""
    words = ["--like", "IMAGE", "--task", task.name, "--budget", "N"]
    return (
        f"Name an image that shows {name}: `{command('query', project.folder, *words)}` asks for "
        "labels of images that are like it."
    )
