"""How requests are cancelled, and skipped cells become missing again. Loads no torch."""

from collections.abc import Sequence

from labelgrid.errors import LedgerError, UsageError
from labelgrid.labels.grid import Cell, Move, Split, State
from labelgrid.labels.store import CellRow
from labelgrid.project.folder import ProjectFolder

#: Names that a refusal shows.
SHOWN = 20


def cancel(
    project: ProjectFolder, cells: Sequence[str] = (), *, round: int | None = None, requeue: bool = False
) -> int:
    """Take open requests back: their cells are missing again, and may be picked again. All of them or none.

    Args:
        project: whose requests.
        cells: request ids, or cells as `IMAGE:TASK`.
        round: all open requests of this round. With neither cells nor a round, all but the held-out images'.
        requeue: skipped cells instead of requested ones: they may be asked for again.

    Returns:
        how many cells became missing.

    Raises:
        LedgerError: a name is unknown, or its cell is in another state; names them. Nothing was cancelled.
        UsageError: cells and a round were given.
    """
    if cells and round is not None:
        raise UsageError("Name cells or a round, not both.", unchanged="Nothing was cancelled.")
    state = State.SKIPPED if requeue else State.REQUESTED
    with project.store.transaction():
        rows = _named(project, cells, state) if cells else _all(project, round, state)
        why = "asked for again" if requeue else "cancelled"
        project.store.move([Move(r.cell, State.MISSING, r.round, r.request_id, weight=r.weight, why=why) for r in rows])
    return len(rows)


def _all(project: ProjectFolder, round: int | None, state: State) -> list[CellRow]:
    splits: tuple[Split, ...] | None = ("train", "val", "test") if round is None else None
    return list(project.store.cells(state=state, round=round, splits=splits))


def _named(project: ProjectFolder, names: Sequence[str], state: State) -> list[CellRow]:
    found: dict[Cell, CellRow] = {}
    faults = []
    for name in names:
        row = _row(project, name)
        if row is None:
            faults.append(f"'{name}' is no request id and no cell (IMAGE:TASK)")
        elif row.state != state:
            faults.append(f"'{name}' is {row.state.name.lower()}, not {state.name.lower()}")
        else:
            found[row.cell] = row
    if faults:
        more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise LedgerError(
            f"{'; '.join(faults[:SHOWN])}{more}.",
            where=str(project.folder),
            next_step="The manifest.json of a request lists its ids.",
            unchanged="Nothing was cancelled.",
        )
    return list(found.values())


def _row(project: ProjectFolder, name: str) -> CellRow | None:
    image, _, task = name.rpartition(":")
    cell = Cell(image, task)
    row = project.store.find([cell]).get(cell) if image else None
    return row or next(project.store.cells(request_id=name), None) if name else None
