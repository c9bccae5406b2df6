"""Copies the labelled part of a project, for a study that sees no later change.

Label files are linked to where the disk can do that; images stay where they are. Loads no torch.
"""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from labelgrid.annotate.answer_folder import DECLARATION
from labelgrid.basics import files
from labelgrid.basics.config import read_toml
from labelgrid.basics.files import copy_file, inside, link_or_copy, write_text
from labelgrid.basics.progress import Progress
from labelgrid.data.cameras import read_cameras
from labelgrid.formats.codec import check_digest
from labelgrid.formats.confidence import confidence_folder
from labelgrid.formats.naming import label_name
from labelgrid.ledger.grid import Move, State
from labelgrid.ledger.older_classes import complete_classes, declare_complete
from labelgrid.operations.create import new_project
from labelgrid.project.folder import CAMERAS, ProjectFolder
from labelgrid.project.settings import Settings
from labelgrid.project.suppliers import read_declaration, read_index, supplier_folder

#: The folder of suppliers' labels in a copy, with a folder for each, as a study reads them.
SUPPLIERS = "suppliers"


def copy_labelled(
    project: ProjectFolder, folder: Path, suppliers: Collection[str], progress: Progress
) -> None:
    """Make a project of the labelled images and their labels, or on any error nothing.

    The project is only read. The new project has the default settings, and the labels of the named
    suppliers.

    Raises:
        LabelError: a label's file is gone, or its content has changed since its import.
        ProjectError: the disk reports an error.
    """
    rows = list(project.store.cells(state=State.LABELLED))
    labelled = {row.cell.image_id for row in rows}
    progress.start("Reading the labels", len(rows), "files")
    tasks = project.store.tasks()
    with files.disk_errors(folder), new_project(folder, Settings(), tasks) as (target, store):
        store.add_images([row for row in project.store.images() if row.image_id in labelled])
        for row in rows:
            _copy_label(project, row.path, row.digest, target / row.path)
            progress.advance()
        moves = []
        for row in rows:
            move = Move(
                cell=row.cell,
                to=State.LABELLED,
                path=row.path,
                digest=row.digest,
                cost=row.cost,
                annotator=row.annotator,
                classes=row.classes,
            )
            moves.append(move)
        store.move(moves)
        for task, classes in complete_classes(project.store).items():
            declare_complete(store, task, classes)
        _copy_cameras(project.folder, target)
        for name in suppliers:
            _copy_supplied(project, name, target / SUPPLIERS / name, labelled)


def _copy_label(project: ProjectFolder, path: str, digest: str, target: Path) -> None:
    source = inside(project.folder, path)
    check_digest(source, digest)
    link_or_copy(source, target)


def _copy_cameras(folder: Path, target: Path) -> None:
    if read_cameras(folder) is None:  # a wrong file is refused
        return
    copy_file(folder / CAMERAS, target / CAMERAS)
    table = read_toml(folder / CAMERAS).get("table")
    if table:
        copy_file(folder / table, target / table)


def _copy_supplied(
    project: ProjectFolder, name: str, target: Path, image_ids: Collection[str]
) -> None:
    declared = read_declaration(supplier_folder(project, name) / DECLARATION)
    # Labels were brought to the task's classes, and grades to yes or no, by the import.
    declared = replace(declared, classes={}, map={}, grades=())
    write_text(target / DECLARATION, declared.text())
    for task, labels in read_index(project, name).labels.items():
        for image_id in sorted(labels.keys() & set(image_ids)):
            label = labels[image_id]
            file = label_name(image_id, Path(label.path).suffix, whole=True)
            _copy_label(project, label.path, label.digest, target / task / file)
            if label.confidence:
                beside = target / confidence_folder(task) / Path(file).with_suffix(".png")
                _copy_label(project, label.confidence, label.confidence_digest, beside)
