"""Moves parts of cells: checks every move, records it as an event, and updates the part.

Cells stay whole. While a region of a cell is asked for or answered, the cell itself is missing, or
has a label that hides its parts.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select, tuple_

from labelgrid.basics.errors import LedgerError, StateError
from labelgrid.basics.type_names import Json, Values
from labelgrid.ledger import moves, operations, roster
from labelgrid.ledger.database import dialect_of, next_id
from labelgrid.ledger.grid import Cell, Move, Part, Splits, State
from labelgrid.ledger.moves import CELL_TYPES, CellRow, name_of
from labelgrid.ledger.row_values import (
    UNCHANGED,
    check_optional,
    check_small,
    check_values,
    foreign_row_error,
    foreign_value_errors,
)
from labelgrid.ledger.schema import CELLS, IMAGES, PART_EVENTS, PARTITIONS, PARTS

#: The most regions of an image.
MOST_REGIONS = 65_535


@dataclass(frozen=True, kw_only=True)
class PartitionRow:
    """How an image was divided.

    Args:
        image_id: the image.
        digest: the hash of the regions, which names their file in the project.
        maker: the name of the plug-in that divided it.
        version: the version of the library that did.
        options: the options of the plug-in.
        count: the number of regions.
    """

    image_id: str
    digest: str
    maker: str
    version: str = ""
    options: Values = field(default_factory=dict)
    count: int


def add_partitions(connection: Connection, rows: Iterable[PartitionRow]) -> None:
    """Add the partitions that are new.

    Raises:
        LedgerError: the ledger has no such image, or a partition has too many regions or none.
    """
    for batch in roster.batches(rows):
        ids = _image_ids(connection, {row.image_id for row in batch})
        present = {(row.image_id, row.digest) for row in partitions(connection, ids)}
        for row in batch:
            if row.image_id not in ids:
                raise roster.unknown_image_error(row.image_id)
            if not 1 <= row.count <= MOST_REGIONS:
                raise LedgerError(
                    f"The partition of {row.image_id} has {row.count:,} regions.",
                    next_step=f"Divide it into 1 to {MOST_REGIONS:,}.",
                    unchanged=UNCHANGED,
                )
            if (row.image_id, row.digest) in present:
                continue
            present.add((row.image_id, row.digest))
            values = {name: getattr(row, name) for name in _PARTITION}
            values |= {"id": next_id(connection, PARTITIONS), "image_id": ids[row.image_id]}
            connection.execute(insert(PARTITIONS), values | {"options": dict(row.options)})


def partitions(connection: Connection, image_ids: Collection[str]) -> list[PartitionRow]:
    """The partitions of some images, the oldest first."""
    return [row for _, row in _partitions(connection, image_ids)]


#: The columns of a partition that are values of its row.
_PARTITION = ("digest", "maker", "version", "count")


@foreign_value_errors()
def _partitions(
    connection: Connection, image_ids: Collection[str]
) -> Iterator[tuple[int, PartitionRow]]:
    columns = [PARTITIONS.c[name] for name in _PARTITION]
    rows = select(IMAGES.c.name, PARTITIONS.c.id, PARTITIONS.c.options, *columns)
    rows = rows.join_from(PARTITIONS, IMAGES).order_by(PARTITIONS.c.id)
    for batch in roster.batches(image_ids):
        for name, number, options, *values in connection.execute(
            rows.where(IMAGES.c.name.in_(batch))
        ):
            check_values(values, (str, str, str, int), "a partition")
            if not isinstance(options, dict):
                raise foreign_row_error(f"a partition has the options {options!r:.40}")
            named = dict(zip(_PARTITION, values, strict=True))
            yield number, PartitionRow(image_id=name, options=options, **named)


def _image_ids(connection: Connection, image_ids: Iterable[str]) -> dict[str, int]:
    named = select(IMAGES.c.name, IMAGES.c.id)
    named = roster.restrict_present_to_splits(connection, named, None)
    ids: dict[str, int] = {}
    for batch in roster.batches(image_ids):
        rows = connection.execute(named.where(IMAGES.c.name.in_(batch)))
        ids.update((row.name, row.id) for row in rows)
    return ids


@dataclass(kw_only=True)
class _Working:
    """The part of the ledger that a list of moves of parts touches.

    Args:
        image_ids: the images' numbers in the database.
        task_ids: the tasks' numbers.
        partitions: the number of each partition and of its regions, by image and digest.
        states: the states of whole cells that are not missing.
        rows: the parts of each image that are not missing.
        class_list_ids: the numbers of the class lists.
    """

    image_ids: Mapping[str, int]
    task_ids: Mapping[str, int]
    partitions: Mapping[tuple[str, str], tuple[int, int]]
    states: Mapping[Cell, State]
    rows: dict[str, dict[Part, CellRow]]
    class_list_ids: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def row(self, part: Part) -> CellRow:
        """The current row of a part."""
        return self.rows[part.image_id].get(part) or CellRow(cell=part)

    def columns(self, row: CellRow | Move) -> Json:
        """The values of a part's row and of its event."""
        part = row.cell
        assert isinstance(part, Part)
        return {
            "image_id": self.image_ids[part.image_id],
            "task_id": self.task_ids[part.task],
            "region": part.region,
            "answer": part.answer,
            "partition_id": self.partitions[part.image_id, row.partition][0],
            "value": row.value,
            "class_list_id": self.class_list_ids.get(row.classes),
            **moves.shared(row),
        }


def move(connection: Connection, steps: Sequence[Move], *, undoing: bool = False) -> None:
    """Make moves of cells, then moves of parts; see `Store.move`."""
    of_parts = [step for step in steps if isinstance(step.cell, Part)]
    of_cells = [step for step in steps if not isinstance(step.cell, Part)]
    moves.move(connection, of_cells, undoing=undoing)
    if of_parts:
        _move_parts(connection, of_parts, undoing=undoing)


def find(connection: Connection, cells: Iterable[Cell]) -> dict[Cell, CellRow]:
    """The rows of cells and parts; those of unknown images or tasks are left out."""
    wanted = list(cells)
    found_parts = [cell for cell in wanted if isinstance(cell, Part)]
    rows = moves.find(connection, (cell for cell in wanted if not isinstance(cell, Part)))
    if found_parts:
        working = _load(connection, {part.image_id for part in found_parts})
        for part in found_parts:
            if part.image_id in working.image_ids and part.task in working.task_ids:
                rows[part] = working.row(part)
    return rows


def _move_parts(connection: Connection, steps: Sequence[Move], *, undoing: bool) -> None:
    working = _load(connection, {step.cell.image_id for step in steps})
    if undoing:  # a region may have been asked for before the cell had a label
        working.states = {}
    working.class_list_ids = moves.add_class_lists(connection, {step.classes for step in steps})
    before = {image_id: dict(rows) for image_id, rows in working.rows.items()}
    operation_id = operations.current_id(connection)
    numbers = count(next_id(connection, PART_EVENTS))
    for batch in roster.batches(_events(working, steps, operation_id)):
        rows = [{"id": number, **event} for event, number in zip(batch, numbers, strict=False)]
        dialect_of(connection).insert(connection, PART_EVENTS, rows)
    _write(connection, working, before)


def _load(connection: Connection, image_ids: Collection[str]) -> _Working:
    numbers = {}
    for number, partition in _partitions(connection, image_ids):
        numbers[partition.image_id, partition.digest] = (number, partition.count)
    rows = defaultdict[str, dict[Part, CellRow]](dict)
    for row in parts(connection, image_ids=image_ids):
        assert isinstance(row.cell, Part)
        rows[row.cell.image_id][row.cell] = row
    tasks = {row.name: number for number, row in roster.tasks(connection).items()}
    return _Working(
        image_ids=_image_ids(connection, image_ids),
        task_ids=tasks,
        partitions=numbers,
        states=_states(connection, image_ids, tasks),
        rows=rows,
    )


def _states(
    connection: Connection, image_ids: Collection[str], task_ids: Mapping[str, int]
) -> dict[Cell, State]:
    names = {number: name for name, number in task_ids.items()}
    cells = select(IMAGES.c.name, CELLS.c.task_id, CELLS.c.state).join_from(CELLS, IMAGES)
    states = {}
    for batch in roster.batches(image_ids):
        for image_id, task, state in connection.execute(cells.where(IMAGES.c.name.in_(batch))):
            if task in names:
                states[Cell(image_id, names[task])] = State(state)
    return states


def _events(working: _Working, steps: Sequence[Move], operation_id: int) -> Iterator[Json]:
    """Check and apply the moves in memory, in order, and yield the rows of their events."""
    for asked in steps:
        part = asked.cell
        assert isinstance(part, Part)
        old = working.row(part)
        moves.check_known(part, working.image_ids, working.task_ids)
        moves.check_move(old, asked)
        step = moves.answering(old, replace(asked, partition=asked.partition or old.partition))
        _check(working, part, step)
        rows = working.rows[part.image_id]
        if step.to == State.MISSING:
            del rows[part]
        else:
            rows[part] = moves.row_after(step)
        yield {
            "operation_id": operation_id,
            "from_state": int(old.state),
            "to_state": int(step.to),
            "score": step.score,
            "why": step.why,
            "hint": step.hint,
            **working.columns(step),
        }


def _check(working: _Working, part: Part, step: Move) -> None:
    check_small(region=part.region, answer=part.answer, value=step.value or 0)
    has_label = (step.value is not None) + bool(step.path)
    if has_label != (step.to == State.LABELLED):
        raise LedgerError(
            f"{name_of(part)} has {has_label} labels as {moves.word_of(step.to)}: a labelled one "
            "has a file or a class, and others have neither.",
            next_step="Give the one that it has.",
            unchanged=UNCHANGED,
        )
    most = len(step.classes) or MOST_REGIONS
    if step.value is not None and not 0 <= step.value < most:
        raise LedgerError(
            f"{name_of(part)} has the class {step.value}, and its task has {most:,}.",
            next_step="Give the number of one, from 0 on.",
            unchanged=UNCHANGED,
        )
    _check_partition(working, part, step.partition)
    if step.to == State.REQUESTED and part.cell in working.states:
        raise StateError(
            f"{name_of(part.cell)} is {moves.word_of(working.states[part.cell])}, and so are its "
            "regions.",
            next_step="Ask for regions of missing cells.",
            unchanged=UNCHANGED,
        )


def _check_partition(working: _Working, part: Part, digest: str) -> None:
    rows = working.rows[part.image_id]
    standing = {rows[part].partition} if part in rows else {row.partition for row in rows.values()}
    if standing - {digest}:
        raise StateError(
            f"{name_of(part)} is of another partition than the {len(rows)} regions of the image "
            "that are asked for or answered.",
            next_step="Use the partition of those, or cancel and withdraw them first.",
            unchanged=UNCHANGED,
        )
    _, regions = working.partitions.get((part.image_id, digest), (0, 0))
    if not 1 <= part.region <= regions:
        raise LedgerError(
            f"{name_of(part)} is unknown: its partition has {regions:,} regions.",
            next_step="Add the partition first." if not regions else "Give one of these.",
            unchanged=UNCHANGED,
        )


def _write(
    connection: Connection, working: _Working, before: Mapping[str, Mapping[Part, CellRow]]
) -> None:
    """Replace the rows of the changed parts."""
    old = []
    new = []
    for image_id, rows in working.rows.items():
        earlier = before.get(image_id, {})
        old += [part for part, row in earlier.items() if rows.get(part) != row]
        new += [row for part, row in rows.items() if earlier.get(part) != row]
    for some in roster.batches(old):  # not row by row, which takes PostgreSQL long
        keys = [_key(working, part) for part in some]
        images = {image_id for image_id, *_ in keys}  # SQLite finds these alone by the index
        here = and_(PARTS.c.image_id.in_(images), tuple_(*PARTS.primary_key).in_(keys))
        connection.execute(delete(PARTS).where(here))
    for batch in roster.batches(new):
        values = [{"state": int(row.state), **working.columns(row)} for row in batch]
        dialect_of(connection).insert(connection, PARTS, values)


def _key(working: _Working, part: Part) -> tuple[int, ...]:
    image_id = working.image_ids[part.image_id]
    return image_id, working.task_ids[part.task], part.region, part.answer


#: The columns of a part between its key and its class list.
_PART = (*CELL_TYPES, "annotator")


@foreign_value_errors()
def parts(
    connection: Connection,
    *,
    image_ids: Collection[str] | None = None,
    task: str | None = None,
    state: State | None = None,
    request_id: str | None = None,
    splits: Splits = None,
) -> Iterator[CellRow]:
    """The parts that are not missing and match all given values, by image, task and region.

    Raises:
        LedgerError: a row is of another origin.
    """
    names = {number: row.name for number, row in roster.tasks(connection).items()}
    key = (PARTS.c.task_id, PARTS.c.region, PARTS.c.answer, PARTS.c.state, PARTS.c.class_list_id)
    optional = (PARTS.c.value, PARTS.c.seconds, PARTITIONS.c.digest)
    statement = (
        select(IMAGES.c.name, *key, *optional, *(PARTS.c[name] for name in _PART))
        .join_from(PARTS, IMAGES, PARTS.c.image_id == IMAGES.c.id)
        .join(PARTITIONS, PARTITIONS.c.id == PARTS.c.partition_id)
        .where(PARTS.c.task_id.in_(list(names)))
        .order_by(IMAGES.c.name, PARTS.c.task_id, PARTS.c.region, PARTS.c.answer)
    )
    if task is not None:
        numbers = [number for number, name in names.items() if name == task]
        statement = statement.where(PARTS.c.task_id.in_(numbers))
    if state is not None:
        statement = statement.where(PARTS.c.state == int(state))
    if request_id is not None:
        statement = statement.where(PARTS.c.request_id == request_id)
    statement = roster.restrict_present_to_splits(connection, statement, splits)
    lists = moves.class_lists_by_id(connection)
    chosen = [None] if image_ids is None else roster.batches(image_ids)
    for batch in chosen:
        wanted = statement if batch is None else statement.where(IMAGES.c.name.in_(batch))
        for name, task_id, *values in connection.execute(wanted):
            yield _row(name, names[task_id], values, lists)


def _row(
    image_id: str, task: str, columns: Sequence[Any], lists: Mapping[int, tuple[str, ...]]
) -> CellRow:
    region, answer, state, list_id, value, seconds, digest, *values = columns
    kinds = (int, int, str, *CELL_TYPES.values(), str)
    check_values((region, answer, digest, *values), kinds, "a part")
    check_optional(seconds, "a part")
    if value is not None:
        check_values((value,), (int,), "a part")
    return CellRow(
        cell=Part(image_id, task, region, answer),
        state=State(state),
        partition=digest,
        value=value,
        seconds=seconds,
        classes=moves.class_list_of(lists, list_id, "a part"),
        **dict(zip(_PART, values, strict=True)),
    )
