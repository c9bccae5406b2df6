"""Numbers the operations: transactions that move cells, with a command and a time.

Also keeps what one replaces beside cells.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, Table, func, insert, select

from labelgrid.basics.type_names import Values
from labelgrid.ledger import roster, rounds
from labelgrid.ledger.database import next_id, pending_operation
from labelgrid.ledger.grid import SPLITS, State
from labelgrid.ledger.row_values import check_values, foreign_row_error, foreign_value_errors
from labelgrid.ledger.schema import EVENTS, NOTES, OPERATIONS, PART_EVENTS, key_columns

#: The command of an operation that undid another one, before the other's number.
UNDO = "undo "
#: The number of an operation has fewer digits: Python reads no number of thousands of them.
DIGITS = 19
#: The note of what an operation replaced beside cells.
BEFORE = "before/{}"


@dataclass(frozen=True)
class Operation:
    """A transaction that moved cells.

    Args:
        id: a number from 1; a later operation has a greater number.
        command: what moved the cells, such as "import"; empty if the caller did not name it.
        at: its time (UTC, ISO 8601).
    """

    id: int
    command: str
    at: str

    @property
    def undid(self) -> int | None:
        """The number of the operation undone by this operation; None: none.

        Example:
            >>> Operation(8, "undo 7", "").undid, Operation(9, "import", "").undid
            (7, None)
        """
        number = self.command.removeprefix(UNDO)
        is_number = number != self.command and number.isdecimal() and len(number) < DIGITS
        return int(number) if is_number else None

    @property
    def undo_command(self) -> str:
        """The command of an undo of the operation."""
        return f"{UNDO}{self.id}"


@dataclass(frozen=True, kw_only=True)
class OperationSummary:
    """An operation with its effect.

    Args:
        operation: its number, command and time.
        moves: the number of its cells by their states before and after it.
        parts: the number of its regions, likewise.
        rounds: the rounds that requested its cells, ordered; 0 is outside the rounds.
        undone: whether it was undone.
    """

    operation: Operation
    moves: Mapping[tuple[State, State], int]
    rounds: Sequence[int]
    undone: bool
    parts: Mapping[tuple[State, State], int] = field(default_factory=dict)


def current_id(connection: Connection) -> int:
    """The id of the transaction's operation, whose row is written with the first move."""
    operation = pending_operation(connection)
    if operation.id is None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        number = next_id(connection, OPERATIONS)
        row = {"id": number, "command": operation.command, "at": at}
        connection.execute(insert(OPERATIONS), row)
        operation.id = number
    return operation.id


def operation_of(number: Any, command: Any, at: Any) -> Operation:
    """The operation from its columns.

    Raises:
        LedgerError: a value has another type.
    """
    check_values((number, command, at), (int, str, str), "an operation")
    return Operation(number, command, at)


def without_effect(connection: Connection) -> frozenset[int]:
    """The numbers of the undone operations and of their undos."""
    undos = select(OPERATIONS).where(OPERATIONS.c.command.startswith(UNDO))
    numbers = set()
    for row in connection.execute(undos):
        operation = operation_of(*row)
        if operation.undid is not None:
            numbers |= {operation.id, operation.undid}
    return frozenset(numbers)


def last_in_effect(connection: Connection) -> OperationSummary | None:
    """The newest operation that was neither undone nor an undo."""
    return next(iter(_summaries(connection, _last_in_effect(connection))), None)


def last_name(connection: Connection) -> tuple[Operation, int] | None:
    """The last operation in effect, and the number of events from its first on.

    The answer is fast, however much the operation did.
    """
    row = connection.execute(_last_in_effect(connection)).one_or_none()
    if row is None:
        return None
    operation = operation_of(*row)
    events = 0
    for of in (EVENTS, PART_EVENTS):
        newest = connection.scalar(select(func.max(of.c.id))) or 0
        events += newest - last_event_before(connection, operation.id, of)
    return operation, events


def _last_in_effect(connection: Connection) -> Select[Any]:
    rows = select(OPERATIONS).order_by(OPERATIONS.c.id.desc())
    return rows.where(OPERATIONS.c.id.not_in(without_effect(connection))).limit(1)


def newest(connection: Connection, count: int) -> list[OperationSummary]:
    """The newest operations, at most `count`, the last first, with their effects."""
    return _summaries(connection, select(OPERATIONS).order_by(OPERATIONS.c.id.desc()).limit(count))


def last_event_before(connection: Connection, number: int, of: Table = EVENTS) -> int:
    """The number of the last event before an operation, in a table; 0 if there is none.

    Events and operations are numbered in the same order, so only the events from the operation on
    are read.
    """
    earlier = select(of.c.id).where(of.c.operation_id < number)
    return connection.scalar(earlier.order_by(of.c.id.desc()).limit(1)) or 0


@foreign_value_errors()
def _summaries(connection: Connection, rows: Select[Any]) -> list[OperationSummary]:
    operations = [operation_of(*row) for row in connection.execute(rows)]
    if not operations:
        return []
    moves = defaultdict[int, Counter[tuple[State, State]]](Counter)
    parts = defaultdict[int, Counter[tuple[State, State]]](Counter)
    rounds = defaultdict[int, set[int]](set)
    for of, moved in ((EVENTS, moves), (PART_EVENTS, parts)):
        counts = _counts(last_event_before(connection, operations[-1].id, of), of)
        for number, before, after, round, count in connection.execute(counts):
            moved[number][State(before), State(after)] += count
            rounds[number].add(round)
    undone = without_effect(connection)
    summaries = []
    for operation in operations:
        summary = OperationSummary(
            operation=operation,
            moves=moves[operation.id],
            parts=parts[operation.id],
            rounds=sorted(rounds[operation.id]),
            undone=operation.id in undone and operation.undid is None,
        )
        summaries.append(summary)
    return summaries


def _counts(after: int, of: Table) -> Select[Any]:
    """The cells or parts with an event after a number.

    They are counted by operation, states before and after, and round.
    """
    ends = (
        select(
            of.c.operation_id,
            func.min(of.c.id).label("first"),
            func.max(of.c.id).label("last"),
        )
        .where(of.c.id > after)
        .group_by(of.c.operation_id, *key_columns(of))
        .subquery()
    )
    first = of.alias("first_event")
    last = of.alias("last_event")
    groups = (ends.c.operation_id, first.c.from_state, last.c.to_state, last.c.round)
    return (
        select(*groups, func.count())
        .join_from(ends, first, first.c.id == ends.c.first)
        .join(last, last.c.id == ends.c.last)
        .group_by(*groups)
    )


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The values that an operation replaced, besides cells.

    Args:
        notes: each note's value before, in a list; an empty one if it was not there.
        splits: the splits of images before.
        round: the round that it closed; 0: none.
        row: the row of this round before; None if it was not there.
    """

    notes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    round: int = 0
    row: Values | None = None


def keep(
    connection: Connection, *, notes: Sequence[str] = (), images: Sequence[str] = (), round: int = 0
) -> None:
    """Keep the present values that the transaction's operation replaces beside cells.

    `undo` needs it.

    Kept are the notes under some keys, the splits of images, and the round that is closed, and
    opened if it is not open.
    """
    values = {}
    for key in notes:
        values[key] = list(connection.scalars(select(NOTES.c.value).where(NOTES.c.key == key)))
    splits = {row.image_id: row.split for row in roster.images(connection, None, images)}
    current = rounds.current_round(connection)
    number = current_id(connection)
    earlier = kept_before(connection, number)  # by another call of the same operation
    kept = Kept(
        notes={**values, **earlier.notes},
        splits={**splits, **earlier.splits},
        round=earlier.round or round,
        row=earlier.row if earlier.round or not current else asdict(current),
    )
    rounds.put(connection, BEFORE.format(number), asdict(kept))


@foreign_value_errors()
def kept_before(connection: Connection, number: int) -> Kept:
    """The values that an operation kept; see `Store.kept`.

    Raises:
        LedgerError: the note is not of this program.
    """
    note = rounds.get(connection, BEFORE.format(number), None)
    if note is None:
        return Kept()
    kept = Kept(**note)
    are_lists = all(isinstance(values, list) for values in kept.notes.values())
    if type(kept.round) is not int or not are_lists or set(kept.splits.values()) - set(SPLITS):
        raise foreign_row_error(f"it has the note {note!r:.40}")
    return kept
