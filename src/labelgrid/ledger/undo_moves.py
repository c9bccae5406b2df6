"""Undoes the last operation: restores cells, notes, splits and a round.

Nothing is deleted from the history: another operation moves the cells back. Together, the two are
without effect.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, Table, and_, delete, func, select, update

from labelgrid.basics.errors import LedgerError, StateError
from labelgrid.ledger import moves, operations, part_moves, rounds, views
from labelgrid.ledger.database import pending_operation
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.ledger.moves import CellRow
from labelgrid.ledger.operations import Kept
from labelgrid.ledger.row_values import UNCHANGED
from labelgrid.ledger.schema import EVENTS, IMAGES, NOTES, PART_EVENTS, key_columns

#: The reason of the events that make cells missing again.
UNDONE = "undone"


def undo(connection: Connection, number: int) -> None:
    """Undo an operation, which must be the last in effect; see `Store.undo`."""
    last = operations.last_in_effect(connection)
    if last is None or last.operation.id != number:
        raise StateError(
            "Another command changed the ledger meanwhile.",
            next_step="Run the same command again.",
            unchanged=UNCHANGED,
        )
    if pending_operation(connection).command != last.operation.undo_command:
        raise LedgerError(
            "An undo is an operation of its own, not a part of another one.",
            next_step="Call it outside of other transactions.",
            unchanged=UNCHANGED,
        )
    operations.current_id(connection)  # the undone operation may have moved no cell
    back = [
        *_moves_back(connection, number, of=PART_EVENTS),
        *_moves_back(connection, number, of=EVENTS),
    ]
    part_moves.move(connection, back, undoing=True)
    _restore(connection, operations.kept_before(connection, number))


def _moves_back(connection: Connection, number: int, of: Table) -> list[Move]:
    """The moves that restore the cells or the parts of an operation.

    Raises:
        LedgerError: one is not as the operation left it, or its image or task was removed.
    """
    start = operations.last_event_before(connection, number, of)
    events = views.events(connection, after=start, operation=number, of=of)
    left = {event.move.cell: event.move for event in events}
    before = _moves_before(connection, number, start, of=of)
    rows = part_moves.find(connection, left)
    back: list[Move] = []
    for cell, move in left.items():
        _check_unchanged(move, rows.get(cell))
        back += _way_back(rows[cell], before.get(cell))
    return back


def _moves_before(
    connection: Connection, number: int, start: int, *, of: Table
) -> dict[Cell, Move]:
    this = of.alias("this")
    pairs = zip(key_columns(this), key_columns(of), strict=True)
    last = (
        select(func.max(of.c.id))
        .join(this, and_(*(one == other for one, other in pairs)))
        .where(this.c.id > start, this.c.operation_id == number, of.c.id <= start)
        .group_by(*key_columns(of))
    )
    return {event.move.cell: event.move for event in views.events(connection, among=last, of=of)}


def _check_unchanged(move: Move, row: CellRow | None) -> None:
    name = f"'{move.cell.image_id}:{move.cell.task}'"
    if row is None:
        raise LedgerError(
            f"The image or the task of {name} was removed since.",
            next_step="Bring it back first: `labelgrid remove DIR IMAGES --restore`, "
            "`labelgrid task DIR TASK --restore`.",
            unchanged=UNCHANGED,
        )
    is_missing = move.to == row.state == State.MISSING
    if not is_missing and row != moves.row_after(move):
        raise StateError(
            f"{name} was changed since.",
            next_step=f"`labelgrid log DIR {name}` shows what happened to it.",
            unchanged=UNCHANGED,
        )


def _way_back(now: CellRow, before: Move | None) -> Iterator[Move]:
    """The legal moves that restore a cell to an earlier move; None: to no move at all.

    All ways lead through `missing`, so that no move is legal only here.
    """
    if now.state != State.MISSING:
        yield moves.to_missing(now, UNDONE, now.request_id)
    if before is None or before.to == State.MISSING:
        return
    if before.to == State.SKIPPED:
        yield Move(
            cell=now.cell,
            to=State.REQUESTED,
            round=before.round,
            request_id=before.request_id,
            weight=before.weight,
            why=UNDONE,
            partition=before.partition,
        )
    yield before


def _restore(connection: Connection, kept: Kept) -> None:
    for key, values in kept.notes.items():
        connection.execute(delete(NOTES).where(NOTES.c.key == key))
        for value in values:
            rounds.put(connection, key, value)
    for image_id, split in kept.splits.items():
        connection.execute(update(IMAGES).where(IMAGES.c.name == image_id).values(split=split))
    if kept.round:
        before = rounds.round_of(kept.row) if kept.row else None
        rounds.restore_round(connection, kept.round, before)
