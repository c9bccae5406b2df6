"""How cells move: every move is checked, written down as an event, and its cell brought up to date."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, insert, select

from labelgrid.errors import LedgerError
from labelgrid.labels import roster
from labelgrid.labels.database import UNCHANGED
from labelgrid.labels.grid import LEGAL, Cell, Move, State
from labelgrid.labels.schema import CELLS, EVENTS, IMAGES


@dataclass(frozen=True)
class CellRow:
    """What the ledger knows of a cell now: its state and what its last move said.

    Args:
        cell: which one.
        state: its state.
        round: the round that asked for it or, unasked, took the label in; 0 is outside any round.
        request_id: the request it waits for, or that its label answered.
        path: the label's file.
        digest: the label file's content hash.
        cost: what the label cost, or, while it is requested, is to cost.
        weight: its weight in training.
    """

    cell: Cell
    state: State = State.MISSING
    round: int = 0
    request_id: str = ""
    path: str = ""
    digest: str = ""
    cost: float = 0.0
    weight: float = 1.0


@dataclass
class _Desk:
    """The part of the ledger that some moves touch: numbers of images and tasks, and rows of cells."""

    image_ids: dict[str, int] = field(default_factory=dict)
    task_ids: dict[str, int] = field(default_factory=dict)
    rows: dict[Cell, CellRow] = field(default_factory=dict)

    def row(self, cell: Cell) -> CellRow:
        """The cell's row now; a missing cell has an empty one."""
        return self.rows.get(cell) or CellRow(cell)

    def knows(self, cell: Cell) -> bool:
        """Whether there are such an image and such a task."""
        return cell.image in self.image_ids and cell.task in self.task_ids

    def key(self, cell: Cell) -> dict[str, int]:
        """The cell as the tables name it."""
        return {"image_id": self.image_ids[cell.image], "task_id": self.task_ids[cell.task]}


def find(connection: Connection, cells: Iterable[Cell]) -> dict[Cell, CellRow]:
    """What the ledger knows of these cells; see `Store.find`."""
    wanted = list(cells)
    desk = _desk(connection, wanted)
    return {cell: desk.row(cell) for cell in wanted if desk.knows(cell)}


def move(connection: Connection, moves: Sequence[Move]) -> None:
    """Make the moves in their order; see `Store.move`."""
    desk = _desk(connection, [step.cell for step in moves])
    before = dict(desk.rows)
    for batch in roster.batches(_events(desk, moves)):
        connection.execute(insert(EVENTS), batch)
    _write(connection, desk, before)


def _desk(connection: Connection, cells: Sequence[Cell]) -> _Desk:
    desk = _Desk(task_ids={row.name: number for number, row in roster.tasks(connection).items()})
    names = {number: name for name, number in desk.task_ids.items()}
    joined = select(IMAGES.c.name, IMAGES.c.id, CELLS).outerjoin(CELLS, CELLS.c.image_id == IMAGES.c.id)
    for batch in roster.batches(dict.fromkeys(cell.image for cell in cells)):
        for image, image_id, _, task_id, state, *rest in connection.execute(joined.where(IMAGES.c.name.in_(batch))):
            desk.image_ids[image] = image_id
            if task_id is not None:
                cell = Cell(image, names[task_id])
                desk.rows[cell] = CellRow(cell, State(state), *rest)
    return desk


def _check(desk: _Desk, old: CellRow, step: Move) -> None:
    if step.cell.image not in desk.image_ids:
        raise roster.unknown_image(step.cell.image)
    if step.cell.task not in desk.task_ids:
        raise LedgerError(
            f"The ledger knows no task '{step.cell.task}'.",
            next_step=f"Its tasks are: {', '.join(desk.task_ids) or 'none yet'}.",
            unchanged=UNCHANGED,
        )
    if (old.state, step.to) not in LEGAL:
        allowed = " or ".join(_word(after) for before, after in sorted(LEGAL) if before == old.state)
        raise LedgerError(
            f"{_name(step.cell)} is {_word(old.state)} and cannot become {_word(step.to)}.",
            next_step=f"It may become {allowed}.",
            unchanged=UNCHANGED,
        )
    if old.state == State.REQUESTED and step.request_id not in ("", old.request_id):
        raise LedgerError(
            f"{_name(step.cell)} waits for request '{old.request_id}', and this is about request '{step.request_id}'.",
            next_step=f"Give the answer to '{old.request_id}', or cancel it first.",
            unchanged=UNCHANGED,
        )
    _check_numbers(step)


def _check_numbers(step: Move) -> None:
    if step.cost < 0 or not all(map(math.isfinite, (step.cost, step.weight, step.score or 0.0))):
        raise LedgerError(
            f"{_name(step.cell)} has cost {step.cost}, weight {step.weight} and score {step.score}; all are numbers, "
            "and a cost is not below 0.",
            next_step="Mend the one that is not.",
            unchanged=UNCHANGED,
        )


def _answering(old: CellRow, step: Move) -> Move:
    """The move with what its request said: what is learned from a label is what the strategy meant."""
    if old.state != State.REQUESTED:
        return step
    return replace(step, round=old.round, request_id=old.request_id, weight=old.weight)


def _after(step: Move) -> CellRow:
    return CellRow(step.cell, step.to, step.round, step.request_id, step.path, step.digest, step.cost, step.weight)


def _events(desk: _Desk, moves: Sequence[Move]) -> Iterator[dict[str, Any]]:
    """Check the moves one after the other, make them on the desk, and give their events."""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    for asked in moves:
        old = desk.row(asked.cell)
        _check(desk, old, asked)
        step = _answering(old, asked)
        desk.rows[step.cell] = _after(step)
        yield desk.key(step.cell) | {
            "at": at,
            "from_state": int(old.state),
            "to_state": int(step.to),
            "round": step.round,
            "request_id": step.request_id,
            "path": step.path,
            "digest": step.digest,
            "cost": step.cost,
            "score": step.score,
            "weight": step.weight,
            "why": step.why,
        }


def _write(connection: Connection, desk: _Desk, before: dict[Cell, CellRow]) -> None:
    """Bring the cells' table from `before` to the desk: old rows out, new rows in."""
    changed = [row for cell, row in desk.rows.items() if row != before.get(cell)]
    same_cell = and_(CELLS.c.image_id == bindparam("image"), CELLS.c.task_id == bindparam("task"))
    old = [desk.key(row.cell) for row in changed if row.cell in before]
    for batch in roster.batches(old):
        connection.execute(
            delete(CELLS).where(same_cell), [{"image": k["image_id"], "task": k["task_id"]} for k in batch]
        )
    new = (desk.key(row.cell) | _values(row) for row in changed if row.state != State.MISSING)
    for batch in roster.batches(new):
        connection.execute(insert(CELLS), batch)


def _values(row: CellRow) -> dict[str, Any]:
    names = ("state", "round", "request_id", "path", "digest", "cost", "weight")
    return {name: getattr(row, name) for name in names}


def _name(cell: Cell) -> str:
    return f"The cell ({cell.image}, {cell.task})"


def _word(state: State) -> str:
    return state.name.lower()
