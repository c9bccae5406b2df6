"""Knows the training cells that queries drew at random to audit suppliers.

On these cells the labels of suppliers are measured. Loads no torch.
"""

from collections.abc import Sequence

from labelgrid.basics.errors import LedgerError, ProjectError, command
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.suppliers import read_index, supplier_names
from labelgrid.select.draws import SuppliedCells

#: The ledger's key of the drawn cells: by supplier, then by task, the images.
DRAWN_CELLS = "audits"


def supplied_cells(project: ProjectFolder) -> list[SuppliedCells]:
    """The training cells with labels of suppliers; `earlier` are the cells that queries drew.

    They are listed by supplier, then by task in the order these were added. Tasks without such a
    cell are left out.

    Raises:
        ProjectError: the list of a supplier's labels is damaged.
        LedgerError: the ledger's note is damaged.
    """
    noted = noted_audits(project)
    training = {row.image_id for row in project.store.images(("train",))}
    supplied = []
    for supplier in supplier_names(project):
        labels = read_index(project, supplier).labels
        for row in project.store.tasks():
            images = training.intersection(labels.get(row.name, ()))
            earlier = noted.get(supplier, {}).get(row.name, [])
            drawn = [image_id for image_id in earlier if image_id in images]
            if images:
                cells = SuppliedCells(
                    supplier=supplier, task=row.name, images=images, earlier=drawn
                )
                supplied.append(cells)
    return supplied


def cells_to_audit(project: ProjectFolder) -> list[SuppliedCells]:
    """The cells of which some can be drawn to audit suppliers: `supplied_cells`.

    Raises:
        ProjectError: no supplier gave a label of a training image.
    """
    cells = supplied_cells(project)
    if not cells:
        given = f"{command('import', project.folder)} FOLDER --supplier NAME"
        raise ProjectError(
            "No supplier gave labels of training images, so there is nothing to audit.",
            where=project.folder,
            next_step=f"Import some with `{given}`.",
            unchanged="Nothing was requested.",
        )
    return cells


def note_audits(project: ProjectFolder, audited: Sequence[SuppliedCells]) -> None:
    """Add cells to the drawn cells, in the transaction of their requests."""
    noted = noted_audits(project)
    for cells in audited:
        tasks = noted.setdefault(cells.supplier, {})
        tasks[cells.task] = list(dict.fromkeys([*tasks.get(cells.task, []), *cells.images]))
    if audited:
        project.store.put(DRAWN_CELLS, noted)


def noted_audits(project: ProjectFolder) -> dict[str, dict[str, list[str]]]:
    """The images that queries ever drew to audit suppliers, by supplier and task.

    Raises:
        LedgerError: it is not a list of names by supplier and task.
    """
    note = project.store.get(DRAWN_CELLS, {})
    if isinstance(note, dict) and all(_is_table(table) for table in note.values()):
        return note
    raise LedgerError(
        f"The ledger's note '{DRAWN_CELLS}' has no lists of images by supplier and task: "
        f"{note!r:.80}.",
        where=project.folder,
        next_step="Restore the project from a backup.",
    )


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and all(_is_list(images) for images in value.values())


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
