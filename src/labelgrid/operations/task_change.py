"""Changes a task's declaration, after checking the present labels.

Loads no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labelgrid.basics.errors import (
    LabelError,
    LedgerError,
    ProjectError,
    RecipeError,
    command,
    note_unchanged,
)
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.shown import Shown
from labelgrid.basics.type_names import Values
from labelgrid.basics.words import count_text, join_names
from labelgrid.evidence import figure_doubts
from labelgrid.ledger.grid import State, TaskRow
from labelgrid.ledger.older_classes import declare_complete, older_labels
from labelgrid.ledger.store import CellRow
from labelgrid.operations.cancel import cancel_all
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.images.strides import check_strides
from labelgrid.project.requests import request_heldout
from labelgrid.project.stored_labels import (
    changed_error,
    misfits,
    refuse_changed,
    refuse_misfits,
)
from labelgrid.project.task_spec import changed_row
from labelgrid.relations.bound import declared_relations
from labelgrid.relations.choice import RelationChoice
from labelgrid.tasks.task import TaskDef, TaskDefs

#: At most so many labels are read with both declarations, to say what the change does to their
#: values.
SAMPLE = 32
UNCHANGED = "The task is unchanged."


@dataclass(frozen=True)
class TaskChange:
    """A change of a task.

    Args:
        values: new values by key: `cost`, `classes` (a file or a list) and the options of its label
            files; None removes an option, so that its default counts.
        classes: names of classes to add at the end.
        merge: class -> the class that it becomes a part of.
        complete: the existing labels show all classes, including classes that were added later.
    """

    values: Values
    classes: Sequence[str] = ()
    merge: Mapping[str, str] | None = None
    complete: bool = False


@dataclass(frozen=True, kw_only=True, repr=False)
class Changed(Shown):
    """The result of a change.

    Args:
        row: the task as it is declared now.
        checked: the number of labels that were read with the new declaration.
        requested: the number of open requests of the task.
        stale: whether models and scores made before are of the old declaration.
        moved: figures of the labels that differ with the new declaration, such as their median
            depth, in words.
        cancelled: the number of requests that were cancelled because the task was dropped.
        older: the number of labels that are older than a class, and say nothing about it.
    """

    row: TaskRow
    checked: int
    requested: int
    stale: bool
    moved: Sequence[str] = ()
    cancelled: int = 0
    older: int = 0

    def __str__(self) -> str:
        row = self.row
        words = [f"{row.name} ({row.kind}), cost {row.cost:g} a label."]
        if self.checked:
            words.append(f"Read {count_text(self.checked, 'label')} with it.")
        if self.cancelled:
            words.append(f"Cancelled {count_text(self.cancelled, 'request')}.")
        if self.stale:
            words.append("Models and scores made before are stale: fit() trains with it.")
        return "\n".join([" ".join(words), *self.moved])


@note_unchanged(UNCHANGED)
def change_task(
    project: ProjectFolder, name: str, change: TaskChange, progress: Progress
) -> Changed:
    """Change a task's declaration, after reading every label with the new one.

    Models and scores made with the old declaration are refused as stale from then on, unless only
    the cost changed. Costs of labels that are paid or requested stay.

    Raises:
        LedgerError: there is no such task, or another command changed the ledger meanwhile.
        RecipeError, ProjectError: a value is wrong.
        LabelError: labels do not fit the new declaration; lists them. The task is unchanged.
    """
    store = project.store
    stamp = store.pool_hash()
    old = project.task_row(name)
    row = changed_row(
        old, change.values, classes=change.classes, merge=change.merge or {}, folder=Path()
    )
    before = TaskDef.of(old)
    after = TaskDef.of(row)
    _keep_indices(before, after, progress)
    stale = before.options != after.options or before.metrics != after.metrics or change.complete
    cells: list[CellRow] = []
    if before.options != after.options:
        cells += store.cells(task=name, state=State.LABELLED)
    moved: list[str] = []
    if not project.settings.oracle:
        _check_labels(project, cells, after, progress)
        moved = _compare_figures(project, cells, before, after)
    with store.transaction():
        if store.pool_hash() != stamp:
            raise changed_error(project)
        store.update_task(row)
        if stale:
            store.count_change()
        if change.complete:
            declare_complete(store, name, len(after.classes))
        requested = sum(1 for _ in store.cells(task=name, state=State.REQUESTED))
        labelled = store.cells(task=name, state=State.LABELLED)
        older = older_labels(store, name, labelled, len(after.classes))
    return Changed(
        row=row, checked=len(cells), requested=requested, stale=stale, moved=moved, older=older
    )


@note_unchanged(UNCHANGED)
def drop_task(project: ProjectFolder, name: str) -> int:
    """Drop a task, and hide its cells until a restoration.

    Returns the number of its cancelled requests.

    Raises:
        LedgerError: there is no such task.
        ProjectError: the task is the only one, or the recipe declares a relation that needs the
            task.
    """
    store = project.store
    with store.transaction("task"):
        project.task_row(name)
        if len(store.tasks()) == 1:
            raise ProjectError(
                f"'{name}' is the project's only task.",
                next_step="Add another one first, with `labelgrid add`.",
            )
        _refuse_needed(project, name)
        requested = list(store.cells(task=name, state=State.REQUESTED))
        cancelled = cancel_all(store, requested, "task dropped")
        store.remove("tasks", [name])
    return cancelled


@note_unchanged(UNCHANGED)
def restore_task(project: ProjectFolder, name: str) -> None:
    """Bring a dropped task back, with its labels.

    The missing labels of held-out images are requested again.

    Raises:
        LedgerError: no task of this name was dropped.
        ImageError: its stride does not divide an image's sides.
        LabelError: labels do not fit the declaration; lists them.
    """
    store = project.store
    with store.as_restored("tasks", [name]):  # read before the ledger is locked
        labelled = list(store.cells(task=name, state=State.LABELLED))
        rows = [row for row in store.tasks() if row.name == name]
        refuse_misfits(project, labelled, Silent())
    with store.transaction("task"):
        if not store.restore("tasks", [name]):
            raise LedgerError(
                f"No task '{name}' was dropped.",
                where=project.folder,
                next_step=f"Dropped: {', '.join(store.removed('tasks')) or 'none'}.",
            )
        refuse_changed(project, rows, labelled, list(store.cells(task=name, state=State.LABELLED)))
        check_strides(store)
        request_heldout(store, [row.image_id for row in store.images(("heldout",))], [name])


def _refuse_needed(project: ProjectFolder, name: str) -> None:
    recipe = project.recipe()
    tasks = project.tasks()
    remaining = {other: task for other, task in tasks.items() if other != name}
    for relation, choice in recipe.relations.items():
        declared = {relation: choice}
        if _can_bind(declared, tasks) and not _can_bind(declared, remaining):
            raise ProjectError(
                f"The relation '{relation}' of the recipe needs the task '{name}'.",
                where=project.folder / SETTINGS,
                next_step="Set `if_possible = true` in its table "
                f"[changes.relations.{relation}], or remove the table.",
            )


def _can_bind(relations: Mapping[str, RelationChoice], tasks: TaskDefs) -> bool:
    try:
        declared_relations(relations, tasks)
    except RecipeError:
        return False
    return True


def _keep_indices(before: TaskDef, after: TaskDef, progress: Progress) -> None:
    old = before.classes
    new = after.classes
    indices = {name: index for index, name in enumerate(new)}
    for index, name in enumerate(old):
        if indices.get(name, index) != index:
            raise ProjectError(
                f"Class '{name}' has index {index} and would get index {indices[name]}, but label "
                "files hold indices.",
                next_step="Keep the order of the classes; new ones come last.",
            )
    renamed = []
    for a, b in zip(old, new, strict=False):
        if a != b:
            renamed.append(f"'{a}' is '{b}' now")
    if renamed:
        progress.say(f"Renamed: {', '.join(renamed)}.")


def _compare_figures(
    project: ProjectFolder, cells: Sequence[CellRow], before: TaskDef, after: TaskDef
) -> list[str]:
    step = max(1, -(-len(cells) // SAMPLE))
    paths = [project.inside(cell.path) for cell in cells[::step]]
    old = [before.figures(before.read(path)) for path in paths]
    new = [after.figures(after.read(path)) for path in paths]
    return figure_doubts.figure_differences(old, new)


def _check_labels(
    project: ProjectFolder, cells: Sequence[CellRow], task: TaskDef, progress: Progress
) -> None:
    faults = misfits(project, cells, {task.name: task}, progress)
    if faults:
        labels = count_text(len(cells), "label")
        unlabel = command("unlabel", project.folder, f"IMAGE:{task.name}")
        raise LabelError(
            f"{len(faults)} of {labels} of '{task.name}' do not fit the new declaration:\n    "
            + join_names(faults, between="\n    "),
            next_step=f"Withdraw them with `{unlabel}`, or declare otherwise.",
        )
