"""Answers the requests of a simulated campaign from a data set: labels are granted, not copied."""

from collections.abc import Iterable

from labelgrid.data.dataset import ListedDataset, Source, nonempty_label
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.ledger.store import Store
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.sources import dataset_of

#: Why a requested cell is skipped.
NO_LABEL = "the data set has no label here, or one without a valid pixel"


def grant(store: Store, source: Source, cells: Iterable[Cell]) -> None:
    """Label the cells whose label has a valid pixel.

    Others are skipped if requested, else stay missing.
    """
    from labelgrid.tasks.task import definitions

    tasks = definitions(store.tasks())
    costs = {row.name: row.cost for row in store.tasks()}
    rows = store.find(cells)
    moves = []
    for cell, row in rows.items():
        if nonempty_label(source, cell.image_id, tasks[cell.task]) is not None:
            moves.append(
                Move(
                    cell=cell,
                    to=State.LABELLED,
                    round=row.round,
                    request_id=row.request_id,
                    cost=costs[cell.task],
                    weight=row.weight,
                    classes=tasks[cell.task].classes,
                )
            )
        elif row.state == State.REQUESTED:
            moves.append(
                Move(
                    cell=cell,
                    to=State.SKIPPED,
                    round=row.round,
                    request_id=row.request_id,
                    why=NO_LABEL,
                )
            )
    with store.transaction("import"):
        store.move(moves)


def skip_unlabelled(store: Store, source: Source) -> None:
    """Skip the cells of the pool of which a `ListedDataset` has no label: nobody can buy them."""
    if not isinstance(source, ListedDataset):
        return
    labelled = source.labelled()
    names = [task.name for task in store.tasks()]
    moves = []
    for row in store.images(("train",)):
        cells = [Cell(row.image_id, name) for name in names]
        for cell in cells:
            if cell not in labelled:
                moves.append(Move(cell=cell, to=State.REQUESTED))
                moves.append(Move(cell=cell, to=State.SKIPPED, why=NO_LABEL))
    with store.transaction("import"):
        store.move(moves)


def answer(project: ProjectFolder) -> int:
    """Answer every open request; returns their number."""
    assert project.settings.oracle is not None
    cells = [row.cell for row in project.store.cells(state=State.REQUESTED)]
    if cells:
        grant(project.store, dataset_of(project.settings.oracle), cells)
    return len(cells)
