"""Finds other labels of a labelled cell: predicted, derived or supplied.

Loads no torch.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from labelgrid.basics.camera import Camera
from labelgrid.data.cameras import read_cameras
from labelgrid.formats.codec import LabelArray
from labelgrid.images.places import image_file
from labelgrid.ledger.grid import Cell, Hint, State
from labelgrid.ledger.store import CellRow
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.image_files import size_of
from labelgrid.project.requests import prelabel
from labelgrid.project.stored_labels import read_stored_label
from labelgrid.project.suppliers import read_index, supplier_names
from labelgrid.relations.bound import BoundRelation
from labelgrid.tasks.task import TaskDef

#: The key of the prediction that a request came with.
PRELABEL = "prelabel"


@dataclass(frozen=True, kw_only=True)
class OtherLabel:
    """A label of a cell that the ledger does not hold.

    Args:
        key: the label's name among the cell's other labels, such as "prelabel" or
            "supplied/moge-2".
        name: what it is, for people.
        version: the label changes only with this text.
        read: reads it.
        hint: what an annotator is shown who sees it; None: neither of the known ones.
    """

    key: str
    name: str
    version: str
    read: Callable[[], LabelArray]
    hint: Hint | None = None


def other_labels(
    project: ProjectFolder, cell: Cell, read_label: Callable[[Cell], LabelArray]
) -> list[OtherLabel]:
    """The labels of a cell that the ledger does not hold.

    These are the prediction sent with the request, labels derived by relations that are on, and
    suppliers' labels with their own numbers.

    `read_label` reads a label of the ledger.
    """
    task = project.tasks()[cell.task]
    return [
        *_predicted(project, cell, task),
        *_derived(project, cell, read_label),
        *_supplied(project, cell, task),
    ]


def _predicted(project: ProjectFolder, cell: Cell, task: TaskDef) -> Iterator[OtherLabel]:
    path = prelabel(project, project.store.find([cell])[cell], task)
    if path:
        yield OtherLabel(
            key=PRELABEL,
            name="prediction of the request",
            version=f"{path} {path.stat().st_mtime_ns}",
            read=partial(task.read_prediction, path),
            hint="model",
        )


def _derived(
    project: ProjectFolder, cell: Cell, read_label: Callable[[Cell], LabelArray]
) -> Iterator[OtherLabel]:
    relations = [relation for relation in project.relations() if relation.gives == cell.task]
    if not relations:
        return
    labelled = project.store.cells(state=State.LABELLED, image_id=cell.image_id)
    rows = {row.cell.task: row for row in labelled}
    camera = _camera(project, cell.image_id)
    for relation in relations:
        if rows.keys() >= set(relation.reads) and (camera or not relation.needs_camera):
            read = {name: rows[name] for name in relation.reads}
            digests = [row.digest for row in read.values()]
            yield OtherLabel(
                key=f"derived/{relation.name}",
                name=f"derived from {', '.join(relation.reads)}",
                version=f"{relation.name} {digests} {camera} {project.settings}",
                read=partial(_derive, relation, read, camera, read_label),
            )


def _camera(project: ProjectFolder, image_id: str) -> Camera | None:
    cameras = read_cameras(project.folder)
    if cameras is None:
        return None
    row = project.store.image(image_id)
    return cameras.camera(image_id, size_of(row), image_file(row.root, image_id, row.digest))


def _derive(
    relation: BoundRelation,
    rows: Mapping[str, CellRow],
    camera: Camera | None,
    read_label: Callable[[Cell], LabelArray],
) -> LabelArray:
    labels = {name: read_label(row.cell) for name, row in rows.items()}
    return relation.label(labels, camera)


def _supplied(project: ProjectFolder, cell: Cell, task: TaskDef) -> Iterator[OtherLabel]:
    for name in supplier_names(project):
        row = read_index(project, name).row(cell)
        if row.state == State.LABELLED:
            yield OtherLabel(
                key=f"supplied/{name}",
                name=f"supplied by {name}",
                version=row.digest,
                read=partial(read_stored_label, project, row, task, supplied=True),
                hint="supplier",
            )
