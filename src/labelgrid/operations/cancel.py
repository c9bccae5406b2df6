"""Makes cells missing again: cancels requests, asks for skipped cells again, withdraws labels.

Loads no torch.
"""

from collections.abc import Collection, Sequence

from labelgrid.basics.errors import LedgerError, StateError, UsageError, command, note_unchanged
from labelgrid.basics.words import join_names
from labelgrid.ledger.grid import Cell, Split, State
from labelgrid.ledger.moves import to_missing
from labelgrid.ledger.roster import is_text
from labelgrid.ledger.store import CellRow, Store
from labelgrid.project.cells.cell_names import named_cells
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.requests import request_heldout

#: The reason of the event that withdraws a label.
WITHDRAWN = "withdrawn"


def cancel(
    project: ProjectFolder,
    cells: Sequence[str] = (),
    *,
    round: int | None = None,
    requeue: bool = False,
) -> list[Cell]:
    """Cancel open requests, all or none: their cells become missing and may be picked again.

    Args:
        project: the project.
        cells: request ids, or cells as `IMAGE:TASK`.
        round: all open requests of this round. Without cells and round: all except those of
            held-out images.
        requeue: select skipped cells instead of requested ones, so that they may be requested
            again. Cells of held-out images are requested again at once, since no strategy picks
            them. Missing cells of held-out images are requested as well: the given cells, or all
            with round 0.

    Returns:
        the cells that became missing or, with `requeue`, were requested.

    Raises:
        LedgerError: a name is unknown, or its cell is in another state; the error lists them.
            Nothing was cancelled.
        UsageError: cells and a round were given.
    """
    if cells and round is not None:
        raise UsageError("Give cells or a round, not both.", unchanged="Nothing was cancelled.")
    store = project.store
    with store.transaction("cancel"):
        if requeue:
            return _requeue(project, cells, round)
        if cells:
            rows = find_rows(project, cells, State.REQUESTED, "cancelled")
        else:
            rows = _rows_of_round(project, round, State.REQUESTED)
        cancel_all(store, rows, "cancelled")
    return sorted(row.cell for row in rows)


def _requeue(project: ProjectFolder, cells: Sequence[str], round: int | None) -> list[Cell]:
    """Make skipped cells missing, and request those of held-out images again; see `cancel`."""
    store = project.store
    heldout = {row.image_id for row in store.images(("heldout",))}
    if cells:
        rows = find_rows(project, cells, State.SKIPPED, "cancelled", may_be_missing=heldout)
    else:
        rows = _rows_of_round(project, round, State.SKIPPED)
    skipped = [row for row in rows if row.state == State.SKIPPED]
    cancel_all(store, skipped, "asked for again")
    candidates = {row.cell for row in rows}
    if round == 0:
        for task in store.tasks():
            candidates |= {Cell(image_id, task.name) for image_id in heldout}
    requested = _request_again(store, candidates)
    return sorted({row.cell for row in skipped}.union(requested))


def cancel_all(store: Store, rows: Sequence[CellRow], why: str) -> int:
    """Make requested or skipped cells missing, and return their number.

    `why` is the reason of the events.
    """
    store.move([to_missing(row, why, row.request_id) for row in rows])
    return len(rows)


def unlabel(project: ProjectFolder, cells: Sequence[str]) -> list[Cell]:
    """Withdraw labels, all or none: their cells become missing; files and events are kept.

    The labels of held-out images are requested again, since no strategy picks their cells.

    Cells are named as `IMAGE:TASK`, or by the ids of the requests that they answered.

    Returns:
        the cells of the labels.

    Raises:
        LedgerError: a name is unknown, or its cell has no label; the error lists them. Nothing was
            withdrawn.
    """
    store = project.store
    with store.transaction("unlabel"):
        rows = find_rows(project, cells, State.LABELLED, "withdrawn")
        store.move([to_missing(row, WITHDRAWN) for row in rows])
        _request_again(store, [row.cell for row in rows])
    return [row.cell for row in rows]


def heldout_cells(store: Store, cells: Collection[Cell]) -> list[Cell]:
    """The cells whose images are held out, ordered."""
    image_ids = {cell.image_id for cell in cells}
    heldout = {row.image_id for row in store.images(("heldout",), image_ids)}
    return sorted(cell for cell in cells if cell.image_id in heldout)


def _request_again(store: Store, cells: Collection[Cell]) -> list[Cell]:
    """Request the missing labels of held-out images among the cells, and return the cells."""
    rows = store.find(heldout_cells(store, cells))
    missing = []
    for cell, row in rows.items():
        if row.state == State.MISSING:
            missing.append(cell)
    for task in dict.fromkeys(cell.task for cell in missing):
        request_heldout(store, [cell.image_id for cell in missing if cell.task == task], [task])
    return missing


def withdrawn_labels(project: ProjectFolder, cells: Collection[Cell]) -> dict[Cell, set[str]]:
    """The content hashes of the withdrawn labels of each cell that has any."""
    digests: dict[Cell, set[str]] = {}
    withdrawn = {event.move.cell for event in project.store.events(why=WITHDRAWN, in_effect=True)}
    for cell in withdrawn.intersection(cells):
        last = ""
        digests[cell] = set()
        for event in project.store.history(cell, in_effect=True):
            if event.move.to == State.LABELLED:
                last = event.move.digest
                digests[cell].discard(last)  # it was taken back
            elif event.move.why == WITHDRAWN:
                digests[cell].add(last)
    return digests


def _rows_of_round(project: ProjectFolder, round: int | None, state: State) -> list[CellRow]:
    """The rows of a round's cells in a state; without a round, of all but held-out images."""
    splits: tuple[Split, ...] | None = ("train", "val", "test") if round is None else None
    return list(project.store.cells(state=state, round=round, splits=splits))


def find_rows(
    project: ProjectFolder,
    names: Sequence[str],
    state: State,
    done: str,
    may_be_missing: Collection[str] = (),
) -> list[CellRow]:
    """The rows of the named cells in this state.

    Cells of the images `may_be_missing` may be missing, too.

    Raises:
        LedgerError: a name is unknown, or its cell is in another state (`StateError`, if no name
            is unknown); lists them. `done` is what would be done.
    """
    rows = {}
    faults = []
    fault_type: type[LedgerError] = StateError
    with note_unchanged(f"Nothing was {done}."):
        cells = named_cells(project, names)
    rows_of_cells = project.store.find(cells.values())
    for name in names:
        row = rows_of_cells.get(cells[name]) if name in cells else None
        if row is None and name and is_text(name):
            row = next(project.store.cells(request_id=name), None)
        if row is None:
            fault_type = LedgerError
            faults.append(
                f"'{name}' is neither a cell (IMAGE:TASK) of the project nor the id of a request"
            )
            continue
        is_missing = row.state == State.MISSING and row.cell.image_id in may_be_missing
        if row.state == state or is_missing:
            rows[row.cell] = row
        else:
            faults.append(f"'{name}' is {row.state.name.lower()}, not {state.name.lower()}")
    if faults:
        raise fault_type(
            f"{join_names(faults, between='; ')}.",
            where=str(project.folder),
            next_step=_example(project, state),
            unchanged=f"Nothing was {done}.",
        )
    return list(rows.values())


def _example(project: ProjectFolder, state: State) -> str:
    if state == State.MISSING:  # the ledger has no rows of these
        listed = command("cells", project.folder, "--state", "missing")
        return f"`{listed}` lists the missing cells."
    row = next(project.store.cells(state=state), None)
    word = state.name.lower()
    if row is None:
        return f"No cell is {word}."
    return f"A {word} cell is, for example, '{row.cell.image_id}:{row.cell.task}'."
