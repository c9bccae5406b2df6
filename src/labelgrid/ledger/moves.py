"""Moves cells: checks every move, records it as an event, and updates the cell."""

import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select

from labelgrid.basics.errors import LedgerError, StateError
from labelgrid.basics.type_names import Json
from labelgrid.ledger import operations, roster
from labelgrid.ledger.database import dialect_of, next_id
from labelgrid.ledger.grid import HINTS, LEGAL, Cell, Move, Part, State, is_time
from labelgrid.ledger.row_values import (
    UNCHANGED,
    check_optional,
    check_small,
    check_values,
    foreign_row_error,
    foreign_value_errors,
)
from labelgrid.ledger.schema import CELLS, CLASS_LISTS, EVENTS, IMAGES, PARTS


@dataclass(frozen=True, kw_only=True)
class CellRow:
    """The current state of a cell or a part, and the values of its last move.

    Args:
        cell: the cell or the part.
        state: its state.
        round: the round that requested it or imported its label without a request; 0 is outside the
            rounds.
        request_id: the open request, or the request that the label answered.
        path: the label's file.
        digest: the content hash of the label's file.
        cost: the cost of the label or, for a requested cell, of the request.
        weight: its weight in training.
        seconds: how long the label took; None if its import did not say so.
        annotator: who or what made the label; empty if its import did not say so.
        classes: the class list that the label was made with; empty if it has none.
        partition: the digest of the part's partition; empty for a cell.
        value: the class of a whole region, in place of a file.
    """

    cell: Cell
    state: State = State.MISSING
    round: int = 0
    request_id: str = ""
    path: str = ""
    digest: str = ""
    cost: float = 0.0
    weight: float = 1.0
    seconds: float | None = None
    annotator: str = ""
    classes: tuple[str, ...] = ()
    partition: str = ""
    value: int | None = None


@dataclass(kw_only=True)
class _Working:
    """The part of the ledger that a list of moves touches."""

    class_list_ids: dict[tuple[str, ...], int] = field(default_factory=dict)
    image_ids: dict[str, int] = field(default_factory=dict)
    task_ids: dict[str, int] = field(default_factory=dict)
    rows: dict[Cell, CellRow] = field(default_factory=dict)
    in_part: set[Cell] = field(default_factory=set)

    def row(self, cell: Cell) -> CellRow:
        """The cell's current row; for a missing cell an empty one."""
        return self.rows.get(cell) or CellRow(cell=cell)

    def key(self, cell: Cell) -> dict[str, int]:
        """The cell's primary key in the database."""
        return {"image_id": self.image_ids[cell.image_id], "task_id": self.task_ids[cell.task]}

    def class_list_id(self, classes: tuple[str, ...]) -> int | None:
        """The database id of a class list; None of an empty list."""
        return self.class_list_ids[classes] if classes else None


#: Types of the columns between a cell's state and its seconds.
CELL_TYPES = {
    "round": int,
    "request_id": str,
    "path": str,
    "digest": str,
    "cost": float,
    "weight": float,
}
#: The values that moves, rows of cells and their tables have under the same names.
SHARED = (*CELL_TYPES, "seconds", "annotator")


def cell_row(
    cell: Cell, state: int, rest: Sequence[Any], lists: Mapping[int, tuple[str, ...]]
) -> CellRow:
    """The row of a cell from its columns.

    `rest` are the columns after the state, in the table's order.

    Raises:
        LedgerError: a value has another type, or there is no such class list.
    """
    *values, seconds, annotator, list_id = rest
    check_values((*values, annotator), (*CELL_TYPES.values(), str), "a cell")
    check_optional(seconds, "a cell")
    return CellRow(
        cell=cell,
        state=State(state),
        seconds=seconds,
        annotator=annotator,
        classes=class_list_of(lists, list_id, "a cell"),
        **dict(zip(CELL_TYPES, values, strict=True)),
    )


def find(connection: Connection, cells: Iterable[Cell]) -> dict[Cell, CellRow]:
    """The rows of these cells; cells of unknown images or tasks are left out.

    An import compares paths and digests with these rows to recognise labels it imported before.
    """
    wanted = list(cells)
    working = _load(connection, wanted)
    rows = {}
    for cell in wanted:
        if cell.image_id in working.image_ids and cell.task in working.task_ids:
            rows[cell] = working.row(cell)
    return rows


def move(connection: Connection, moves: Sequence[Move], *, undoing: bool = False) -> None:
    """Make the moves in order; see `Store.move`. An undo may ask for a cell beside its regions."""
    if not moves:
        return
    working = _load(connection, [step.cell for step in moves])
    if not undoing and any(step.to == State.REQUESTED for step in moves):
        working.in_part = _asked_in_part(connection, working)
    working.class_list_ids = add_class_lists(connection, {step.classes for step in moves})
    before = dict(working.rows)
    operation_id = operations.current_id(connection)
    numbers = count(next_id(connection, EVENTS))
    for batch in roster.batches(_events(working, moves, operation_id)):
        rows = [{"id": number, **event} for event, number in zip(batch, numbers, strict=False)]
        dialect_of(connection).insert(connection, EVENTS, rows)
    _write(connection, working, before)


@foreign_value_errors()
def _load(connection: Connection, cells: Sequence[Cell]) -> _Working:
    working = _Working(
        task_ids={row.name: number for number, row in roster.tasks(connection).items()}
    )
    lists = class_lists_by_id(connection)
    names = {number: name for name, number in working.task_ids.items()}
    joined = select(IMAGES.c.name, IMAGES.c.id, CELLS).outerjoin(
        CELLS, CELLS.c.image_id == IMAGES.c.id
    )
    joined = roster.restrict_present_to_splits(connection, joined, None)
    image_ids = dict.fromkeys(cell.image_id for cell in cells)
    for batch in roster.batches(image_ids):
        rows = connection.execute(joined.where(IMAGES.c.name.in_(batch)))
        for image_id, number, _, task_id, state, *rest in rows:
            working.image_ids[image_id] = number
            if task_id in names:
                cell = Cell(image_id, names[task_id])
                working.rows[cell] = cell_row(cell, state, rest, lists)
    return working


def _asked_in_part(connection: Connection, working: _Working) -> set[Cell]:
    """The cells with a requested region."""
    names = {number: name for name, number in working.task_ids.items()}
    asked = select(IMAGES.c.name, PARTS.c.task_id).join_from(PARTS, IMAGES)
    asked = asked.where(PARTS.c.state == int(State.REQUESTED)).distinct()
    cells = set()
    for batch in roster.batches(working.image_ids):
        for image_id, task_id in connection.execute(asked.where(IMAGES.c.name.in_(batch))):
            cells.add(Cell(image_id, names.get(task_id, "")))
    return cells


def _check(working: _Working, old: CellRow, step: Move) -> None:
    check_known(step.cell, working.image_ids, working.task_ids)
    check_move(old, step)
    if step.to == State.REQUESTED and step.cell in working.in_part:
        raise StateError(
            f"{name_of(step.cell)} has requested regions, which would be paid twice.",
            next_step="Import their labels, or cancel them.",
            unchanged=UNCHANGED,
        )


def check_known(cell: Cell, image_ids: Collection[str], task_ids: Collection[str]) -> None:
    """Refuse a cell of an unknown image or task.

    Args:
        cell: the cell or the part.
        image_ids: the images of the ledger.
        task_ids: the names of its tasks.

    Raises:
        LedgerError: it is one.
    """
    if cell.image_id not in image_ids:
        raise roster.unknown_image_error(cell.image_id)
    if cell.task not in task_ids:
        raise LedgerError(
            f"The ledger has no task '{cell.task}'.",
            next_step=f"Its tasks are: {', '.join(task_ids) or 'none yet'}.",
            unchanged=UNCHANGED,
        )


def check_move(old: CellRow, step: Move) -> None:
    """Refuse a move that is not legal, answers another request, or has wrong values.

    Raises:
        LedgerError: it does.
    """
    if (old.state, step.to) not in LEGAL:
        allowed = []
        for before, after in sorted(LEGAL):
            if before == old.state:
                allowed.append(word_of(after))
        raise StateError(
            f"{name_of(step.cell)} is {word_of(old.state)} and cannot become {word_of(step.to)}.",
            next_step=f"It may become {' or '.join(allowed)}.",
            unchanged=UNCHANGED,
        )
    if old.state == State.REQUESTED and step.request_id not in ("", old.request_id):
        raise LedgerError(
            f"{name_of(step.cell)} waits for request '{old.request_id}', but this answers request "
            f"'{step.request_id}'.",
            next_step=f"Give the answer to '{old.request_id}', or cancel it first.",
            unchanged=UNCHANGED,
        )
    _check_values(step)


def _check_values(step: Move) -> None:
    check_small(round=step.round)
    are_finite = all(map(math.isfinite, (step.cost, step.weight, step.score or 0.0)))
    is_timed = step.seconds is None or is_time(step.seconds)
    if not are_finite or step.cost < 0 or not is_timed:
        raise LedgerError(
            f"{name_of(step.cell)} has cost {step.cost}, weight {step.weight}, score {step.score} "
            f"and seconds {step.seconds}. All must be finite numbers, the cost not below 0, the "
            "seconds above 0 and at most a day.",
            next_step="Fix the wrong one.",
            unchanged=UNCHANGED,
        )
    if step.hint is not None and step.hint not in HINTS:
        raise LedgerError(
            f"{name_of(step.cell)} has the hint {step.hint!r:.40}.",
            next_step=f"A hint is one of {', '.join(HINTS)}, or None where it is not known.",
            unchanged=UNCHANGED,
        )


def answering(old: CellRow, step: Move) -> Move:
    """The move with the round, the id and the weight of the open request."""
    if old.state != State.REQUESTED:
        return step  # of a request, training uses the weight that the strategy gave
    return replace(step, round=old.round, request_id=old.request_id, weight=old.weight)


def to_missing(row: CellRow, why: str, request_id: str = "") -> Move:
    """The move to missing that keeps the round, the weight and the partition."""
    return Move(
        cell=row.cell,
        to=State.MISSING,
        round=row.round,
        request_id=request_id,
        weight=row.weight,
        why=why,
        partition=row.partition,
    )


def row_after(step: Move) -> CellRow:
    """The row of a cell or a part after the move."""
    return CellRow(
        cell=step.cell,
        state=step.to,
        classes=step.classes,
        partition=step.partition,
        value=step.value,
        **shared(step),
    )


def shared(source: Move | CellRow) -> Json:
    """The values that have the same name in moves, rows and tables."""
    return {name: getattr(source, name) for name in SHARED}


def _events(working: _Working, moves: Sequence[Move], operation_id: int) -> Iterator[Json]:
    """Check and apply the moves in memory, in order, and yield the rows of their events."""
    for asked in moves:
        old = working.row(asked.cell)
        _check(working, old, asked)
        step = answering(old, asked)
        working.rows[step.cell] = row_after(step)
        others = {
            "operation_id": operation_id,
            "from_state": int(old.state),
            "to_state": int(step.to),
            "score": step.score,
            "why": step.why,
            "class_list_id": working.class_list_id(step.classes),
            "hint": step.hint,
        }
        yield working.key(step.cell) | shared(step) | others


def _write(connection: Connection, working: _Working, before: dict[Cell, CellRow]) -> None:
    """Replace the rows of the changed cells."""
    changed = [row for cell, row in working.rows.items() if row != before.get(cell)]
    old = defaultdict[int, list[int]](list)
    new = []
    for row in changed:
        key = working.key(row.cell)
        if row.cell in before:
            old[key["task_id"]].append(key["image_id"])
        if row.state != State.MISSING:
            others = {"state": row.state, "class_list_id": working.class_list_id(row.classes)}
            new.append(shared(row) | key | others)
    for task, images in old.items():
        for some in roster.batches(images):  # not row by row, which takes PostgreSQL long
            same = and_(CELLS.c.task_id == task, CELLS.c.image_id.in_(some))
            connection.execute(delete(CELLS).where(same))
    for rows in roster.batches(new):
        dialect_of(connection).insert(connection, CELLS, rows)


def name_of(cell: Cell) -> str:
    """The beginning of a sentence on a cell or a part."""
    if isinstance(cell, Part):
        return f"Region {cell.region} of the cell ({cell.image_id}, {cell.task})"
    return f"The cell ({cell.image_id}, {cell.task})"


def word_of(state: State) -> str:
    """The name of a state in a sentence."""
    return state.name.lower()


def class_lists_by_id(connection: Connection) -> dict[int, tuple[str, ...]]:
    """The class lists that labels were made with, by id.

    Raises:
        LedgerError: a stored list is not a list of names.
    """
    lists = {}
    for number, text in connection.execute(select(CLASS_LISTS)):
        try:
            names = json.loads(text)
        except (RecursionError, TypeError, ValueError):
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise foreign_row_error(f"it has the class list {text!r:.40}")
        lists[number] = tuple(names)
    return lists


def class_lists(connection: Connection) -> tuple[tuple[str, ...], ...]:
    """The class lists that labels were made with, the oldest first."""
    lists = class_lists_by_id(connection)
    return tuple(lists[number] for number in sorted(lists))


def class_list_of(lists: Mapping[int, tuple[str, ...]], number: Any, owner: str) -> tuple[str, ...]:
    """The class list with an id; an empty one for None.

    Raises:
        LedgerError: there is none; `owner` names the row that refers to it.
    """
    if number is None:
        return ()
    if number not in lists:
        raise foreign_row_error(f"{owner} has the class list {number!r:.40}")
    return lists[number]


def add_class_lists(
    connection: Connection, wanted: Collection[tuple[str, ...]]
) -> dict[tuple[str, ...], int]:
    """Add class lists that are new, and return the ids of all; an empty list has none."""
    ids = {names: number for number, names in class_lists_by_id(connection).items()}
    for names in sorted(set(wanted) - ids.keys() - {()}):
        number = next_id(connection, CLASS_LISTS)
        row = {"id": number, "names": json.dumps(names, ensure_ascii=False)}
        connection.execute(insert(CLASS_LISTS), row)
        ids[names] = number
    return ids
