"""Numbers the operations: the transactions that move cells, each with its command and time."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select

from labelgrid.ledger.database import check_values, foreign_value_errors, pending_operation
from labelgrid.ledger.grid import State
from labelgrid.ledger.schema import EVENTS, OPERATIONS

#: The command of an operation that undid another one, before the other's number.
UNDO = "undo "


@dataclass(frozen=True)
class Operation:
    """A transaction that moved cells.

    Args:
        id: from 1; a later operation has a greater one.
        command: what moved the cells, such as "import"; empty if the caller did not name it.
        at: its time (UTC, ISO 8601).
    """

    id: int
    command: str
    at: str

    @property
    def undid(self) -> int | None:
        """The number of the operation that this one undid; None if it undid none.

        Example:
            >>> Operation(8, "undo 7", "").undid, Operation(9, "import", "").undid
            (7, None)
        """
        number = self.command.removeprefix(UNDO)
        return int(number) if number != self.command and number.isdecimal() else None


@dataclass(frozen=True, kw_only=True)
class OperationSummary:
    """An operation, and what it did.

    Args:
        operation: its number, command and time.
        moves: the number of its cells by their states before and after it.
        rounds: those that its cells were requested in, ordered; 0 is outside the rounds.
        undone: whether it was undone.
    """

    operation: Operation
    moves: Mapping[tuple[State, State], int]
    rounds: Sequence[int]
    undone: bool


def current_id(connection: Connection) -> int:
    """The id of the transaction's operation, whose row is written with the first move."""
    operation = pending_operation(connection)
    if operation.id is None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        row = insert(OPERATIONS).values(command=operation.command, at=at)
        (operation.id,) = connection.execute(row).inserted_primary_key or (None,)
    assert operation.id is not None
    return operation.id


def operation_of(number: Any, command: Any, at: Any) -> Operation:
    """The operation from its columns.

    Raises:
        LedgerError: a value has another type.
    """
    check_values((number, command, at), (int, str, str), "an operation")
    return Operation(number, command, at)


def without_effect(connection: Connection) -> frozenset[int]:
    """The numbers of the operations that were undone, and of those that undid them."""
    undos = select(OPERATIONS).where(OPERATIONS.c.command.startswith(UNDO))
    numbers = set()
    for row in connection.execute(undos):
        operation = operation_of(*row)
        if operation.undid is not None:
            numbers |= {operation.id, operation.undid}
    return frozenset(numbers)


def last_in_effect(connection: Connection) -> Operation | None:
    """The newest operation that was neither undone nor undid another one."""
    rows = select(OPERATIONS).order_by(OPERATIONS.c.id.desc())
    cancelled = without_effect(connection)
    row = connection.execute(rows.where(OPERATIONS.c.id.not_in(cancelled)).limit(1)).one_or_none()
    return operation_of(*row) if row else None


@foreign_value_errors()
def newest(connection: Connection, count: int) -> list[OperationSummary]:
    """The newest operations, the last one first; see `Store.operations`."""
    rows = connection.execute(select(OPERATIONS).order_by(OPERATIONS.c.id.desc()).limit(count))
    found = [operation_of(*row) for row in rows]
    moves = defaultdict[int, Counter[tuple[State, State]]](Counter)
    rounds = defaultdict[int, set[int]](set)
    oldest = found[-1].id if found else 0
    for number, before, after, round, cells in connection.execute(_counts(connection, oldest)):
        moves[number][State(before), State(after)] += cells
        rounds[number].add(round)
    undone = without_effect(connection)
    return [
        OperationSummary(
            operation=operation,
            moves=moves[operation.id],
            rounds=sorted(rounds[operation.id]),
            undone=operation.id in undone and operation.undid is None,
        )
        for operation in found
    ]


def _counts(connection: Connection, oldest: int) -> Select[Any]:
    """The cells of operations from a number on, by operation, states before and after, and round.

    Events and operations are numbered in the same order, so that earlier events are not read.
    """
    earlier = select(EVENTS.c.id).where(EVENTS.c.operation_id < oldest)
    start = connection.scalar(earlier.order_by(EVENTS.c.id.desc()).limit(1)) or 0
    ends = (
        select(
            EVENTS.c.operation_id,
            func.min(EVENTS.c.id).label("first"),
            func.max(EVENTS.c.id).label("last"),
        )
        .where(EVENTS.c.id > start)
        .group_by(EVENTS.c.operation_id, EVENTS.c.image_id, EVENTS.c.task_id)
        .subquery()
    )
    first = EVENTS.alias("first_event")
    last = EVENTS.alias("last_event")
    what = (ends.c.operation_id, first.c.from_state, last.c.to_state, last.c.round)
    return (
        select(*what, func.count())
        .join_from(ends, first, first.c.id == ends.c.first)
        .join(last, last.c.id == ends.c.last)
        .group_by(*what)
    )
