"""Verifies a project: reads every image and every label, and compares them with the ledger.

Loads no torch.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from labelgrid.annotate.answers import Fault
from labelgrid.basics.errors import ImageError, LabelError, ModelError, ProjectError, command
from labelgrid.basics.progress import Progress
from labelgrid.basics.shown import Shown
from labelgrid.basics.words import count_text
from labelgrid.data.part_labels import PartLabel, part_labels
from labelgrid.evidence.relation_evidence import relation_remarks
from labelgrid.formats.codec import check_digest
from labelgrid.images.places import image_file
from labelgrid.images.reading import changed_image_error, check_image
from labelgrid.ledger.grid import Cell, ImageRow, State
from labelgrid.ledger.place import FILE
from labelgrid.ledger.store import CellRow
from labelgrid.nets.encoder_files import read_encoder
from labelgrid.operations.unknown_splits import splitless_faults
from labelgrid.project.folder import ENCODERS, ProjectFolder
from labelgrid.project.known_labels import ProjectLabels
from labelgrid.project.records import read_fit, read_members
from labelgrid.project.stored_labels import check_stored_label
from labelgrid.project.suppliers import confidence_files, supplied_rows
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True, kw_only=True, repr=False)
class Verified(Shown):
    """The result of a verification: how many images and labels were read, and their faults.

    `supplied` are the labels of suppliers.
    `remarks` are on sound files whose labels contradict each other.
    """

    images: int
    labels: int
    faults: Sequence[Fault]
    supplied: int = 0
    remarks: Sequence[str] = ()

    def __str__(self) -> str:
        read = f"{count_text(self.images, 'image')} and {count_text(self.labels, 'label')}"
        if self.supplied:
            read += f", and {count_text(self.supplied, 'label')} of suppliers"
        summary = f"Read {read}: {count_text(len(self.faults), 'fault')}."
        return "\n  ".join([summary, *map(str, self.faults), *self.remarks])


def verify(project: ProjectFolder, progress: Progress) -> Verified:
    """Read every image and every label of a project completely; nothing is changed.

    So are frozen encoders that checkpoints need.

    Raises:
        ProjectError: the project is a run of a simulation, whose images and labels belong to its
            data set.
    """
    if project.settings.oracle:
        raise ProjectError(
            "This project is a run of a simulation: its images and labels are those of its data "
            "set.",
            where=project.folder,
            next_step=f"Check the data set in {project.settings.oracle.root}.",
        )
    rows = {row.image_id: row for row in project.store.images()}
    cells = list(project.store.cells(state=State.LABELLED))
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        progress.start("Reading images", len(rows), "images")
        local = [row for row in rows.values() if not row.is_remote]
        faults = _collect_faults(threads.map(partial(_image_fault, project), local), progress)
        remote = [row for row in rows.values() if row.is_remote]
        faults += _object_faults(project, remote, progress)
        progress.start("Reading labels", len(cells), "labels")
        check_label = partial(_label_fault, project, project.tasks(), rows)
        faults += _collect_faults(threads.map(check_label, cells), progress)
        supplied = supplied_rows(project)
        if supplied:
            progress.start("Reading labels of suppliers", len(supplied), "labels")
            check_supplied = partial(check_label, supplied=True)
            faults += _collect_faults(threads.map(check_supplied, supplied), progress)
        for path, content in confidence_files(project):
            try:
                check_digest(project.inside(path), content)
            except (LabelError, ProjectError) as error:
                faults.append(Fault(path, error.what, error.next_step))
    in_part = part_labels(project.store, project.folder)
    faults += _part_faults(project, in_part)
    ledger = project.settings.ledger or FILE
    fault = "The cell's state in the ledger is not what its history says."
    for cell in project.store.differing_cells():
        faults.append(Fault(ledger, fault, "It is damaged; restore a copy.", cell))
    faults += splitless_faults(project)
    faults += _encoder_faults(project)
    labels = ProjectLabels(project)
    return Verified(
        images=len(rows),
        labels=len(cells) + len(in_part),
        faults=faults,
        supplied=len(supplied),
        remarks=relation_remarks(labels, labels.by_image(), command("audit", project.folder)),
    )


def _collect_faults(results: Iterable[Fault | None], progress: Progress) -> list[Fault]:
    faults = []
    for fault in results:
        progress.advance()
        if fault:
            faults.append(fault)
    return faults


def _part_faults(project: ProjectFolder, labels: Mapping[Cell, PartLabel]) -> list[Fault]:
    """The faults of labels of regions, whose files are read anew."""
    tasks = project.tasks()
    faults = []
    for cell, label in labels.items():
        try:
            label.compose(tasks[cell.task])
        except LabelError as error:
            faults.append(Fault(error.where or label.digest, error.what, error.next_step, cell))
    return faults


def _object_faults(
    project: ProjectFolder, rows: Sequence[ImageRow], progress: Progress
) -> list[Fault]:
    """The faults of images in stores of objects, without reading known versions."""
    if not rows:
        return []
    # Most projects have no objects.
    from labelgrid.project.images.object_faults import object_faults

    errors = object_faults(rows, progress)
    progress.advance(len(rows))
    return [_fault_of(project, image_id, error) for image_id, error in errors.items()]


def _image_fault(project: ProjectFolder, row: ImageRow) -> Fault | None:
    path = image_file(row.root, row.image_id)
    try:
        image = check_image(path)
        if row.digest and image.digest != row.digest:
            raise changed_image_error(path)
    except ImageError as error:
        return _fault_of(project, row.image_id, error)
    return None


def _fault_of(project: ProjectFolder, image_id: str, error: ImageError) -> Fault:
    remove = f"`{command('remove', project.folder, image_id)}` takes it out of the project."
    return Fault(image_id, error.what, f"{error.next_step} {remove}")


def _encoder_faults(project: ProjectFolder) -> list[Fault]:
    """The faults of the frozen encoders that the checkpoints of rounds need."""
    sources: dict[str, str] = {}
    faults = []
    for path in sorted(project.folder.glob("rounds/*/fit.json")):
        try:
            sources |= _needed_encoders(path.parent)
        except ProjectError as error:
            faults.append(Fault(str(path), error.what, error.next_step))
    for key, source in sources.items():
        try:
            read_encoder(project.encoders, key, source)
        except ModelError as error:
            faults.append(Fault(f"{ENCODERS}/{key}.safetensors", error.what, error.next_step))
    return faults


def _needed_encoders(folder: Path) -> dict[str, str]:
    """The frozen encoders that the checkpoints of a round need, by hash."""
    fit = read_fit(folder)
    if fit is None:
        return {}
    keys = [fit.encoder, *(member.encoder for member in read_members(folder).values())]
    name = fit.recipe.get("backbone", {}).get("name")
    return {key: f"{name} of round {fit.round}" for key in keys if key}


def _label_fault(
    project: ProjectFolder,
    tasks: dict[str, TaskDef],
    images: dict[str, ImageRow],
    row: CellRow,
    *,
    supplied: bool = False,
) -> Fault | None:
    image = images.get(row.cell.image_id)
    if image is None:
        return Fault(
            row.path,
            "The ledger has no such image.",
            f"{project.settings.ledger or FILE} is damaged; restore a copy.",
            row.cell,
        )
    try:
        check_stored_label(project, row, tasks[row.cell.task], image, supplied=supplied)
    except (LabelError, ProjectError) as error:
        return Fault(row.path, error.what, error.next_step, row.cell)
    return None
