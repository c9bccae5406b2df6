"""Reads the labels of a project from its folder, and finds misfits."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from labelgrid.basics.errors import LabelError, LedgerError, ProjectError, command
from labelgrid.basics.files import digest
from labelgrid.basics.progress import Progress
from labelgrid.basics.words import count_text, join_names
from labelgrid.formats.codec import LabelArray, check_digest
from labelgrid.ledger.grid import ImageRow, TaskRow
from labelgrid.ledger.older_classes import complete_classes
from labelgrid.ledger.store import CellRow, Store
from labelgrid.project.folder import ProjectFolder
from labelgrid.tasks.task import TaskDef, TaskDefs


def read_stored_label(
    project: ProjectFolder, row: CellRow, task: TaskDef, *, supplied: bool = False
) -> LabelArray:
    """Read a label of the project as its task is declared.

    Raises:
        LabelError: its file is missing or changed, or is not a label of the task.
        ProjectError: its path leads out.
    """
    path = project.inside(row.path)
    check_digest(path, row.digest)
    with name_task_commands(project, task.name):
        return (task.read_supplied if supplied else task.read)(path)


def limit_to_known(store: Store, row: CellRow, label: LabelArray, task: TaskDef) -> LabelArray:
    """A label without the classes added to its task afterwards.

    It says nothing about these, unless all labels were declared complete.
    """
    class_count = max(len(row.classes), complete_classes(store).get(task.name, 0))
    if row.classes:
        return task.limit_classes(label, class_count)
    return label


def check_stored_label(
    project: ProjectFolder, row: CellRow, task: TaskDef, image: ImageRow, *, supplied: bool = False
) -> None:
    """Read a label of the project, and compare its size with the image's known size.

    Raises:
        LabelError: as by `read_stored_label`; or it has another size.
        ProjectError: its path leads out.
    """
    height, width = read_stored_label(project, row, task, supplied=supplied).size
    if image.height and (height, width) != (image.height, image.width):
        raise LabelError(
            f"The label is {height}x{width}, its image is {image.height}x{image.width} "
            "(height x width).",
            where=row.path,
            next_step="Import a label of the image's size with --replace.",
        )


def is_intact(project: ProjectFolder, row: CellRow) -> bool:
    """Whether the file of a label in the project still has the content that was imported."""
    try:
        return digest(project.inside(row.path)) == row.digest
    except (OSError, ProjectError):  # missing, not a file any more, or a link that leads out
        return False


def misfits(
    project: ProjectFolder,
    cells: Sequence[CellRow],
    tasks: TaskDefs,
    progress: Progress,
) -> list[str]:
    """The labels that do not fit some tasks, each with the reason.

    Such labels cannot be read as the tasks declare them, or have another size then.
    """
    faults = []
    image_ids = {row.cell.image_id for row in cells}
    images = {image.image_id: image for image in project.store.images(names=image_ids)}
    if cells:
        progress.start("Checking labels", len(cells), "files")
    for row in cells:
        cell = row.cell
        try:
            check_stored_label(project, row, tasks[cell.task], images[cell.image_id])
        except (LabelError, ProjectError) as error:
            faults.append(f"{cell.image_id}:{cell.task}: {error.what}")
        progress.advance()
    return faults


def refuse_misfits(project: ProjectFolder, cells: Sequence[CellRow], progress: Progress) -> None:
    """Refuse labels that no longer fit, as a task may have changed meanwhile.

    Damaged files are left out.

    Raises:
        LabelError: labels do not fit; lists them.
    """
    if project.settings.oracle:
        return
    intact = [row for row in cells if is_intact(project, row)]
    faults = misfits(project, intact, project.tasks(), progress)
    if faults:
        count = count_text(len(faults), "label does", "labels do")
        declare = command("task", project.folder, "TASK")
        raise LabelError(
            f"{count} not fit what the task declares today:\n    "
            + join_names(faults, between="\n    "),
            next_step=f"Declare otherwise with `{declare}`, or leave them out.",
        )


def refuse_changed(
    project: ProjectFolder,
    tasks: Sequence[TaskRow],
    labels: Sequence[CellRow],
    now: Sequence[CellRow],
) -> None:
    """Refuse to go on if tasks or labels changed before the ledger was locked.

    Raises:
        LedgerError: a task is declared otherwise, or the labels are others.
    """
    if labels != now or not set(map(repr, tasks)) <= set(map(repr, project.store.tasks())):
        raise changed_error(project)


def changed_error(project: ProjectFolder) -> LedgerError:
    """The error for a ledger that changed while labels were checked."""
    return LedgerError(
        "Another command changed the ledger while the labels were checked.",
        where=project.folder,
        next_step="Run the same command again.",
    )


@contextmanager
def name_task_commands(project: ProjectFolder, task: str) -> Iterator[None]:
    """Add commands that declare a task's options to errors with advice on declarations."""
    try:
        yield
    except LabelError as error:
        if error.declare:
            commands = []
            for key, value in error.declare.items():
                commands.append(f"`{command('task', project.folder, task, *_words(key, value))}`")
            error.next_step += f" In this project: {' or '.join(commands)}."
        raise


def _words(key: str, value: object) -> list[str]:
    if key == "classes" and isinstance(value, list):
        words = []
        for name in value:
            words += ["--class", name]
        return words
    return ["--set", f"{key}={json.dumps(value)}"]
