"""Reads the ledger: the grid, cells, counts, events, and a hash of its state."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, case, func, select

from labelgrid.ledger import roster, rounds
from labelgrid.ledger.database import dialect_of
from labelgrid.ledger.grid import HINTS, Cell, Grid, Move, Part, Split, Splits, State, is_time
from labelgrid.ledger.moves import (
    CELL_TYPES,
    CellRow,
    cell_row,
    class_list_of,
    class_lists_by_id,
)
from labelgrid.ledger.operations import Operation, operation_of, without_effect
from labelgrid.ledger.row_values import check_optional, check_values, foreign_row_error
from labelgrid.ledger.schema import (
    CELLS,
    EVENTS,
    IMAGES,
    IS_ANSWER,
    OPERATIONS,
    PART_EVENTS,
    PARTITIONS,
    PARTS,
    TASKS,
)

if TYPE_CHECKING:  # slow to load
    from labelgrid.basics.array_types import Ints


@dataclass(frozen=True, kw_only=True)
class TaskCount:
    """The cells of a task by state, and their cost.

    Args:
        missing: the number of cells without a label or a request.
        requested: the number of cells with an open request.
        labelled: the number of cells with a label.
        skipped: the number of cells that the annotator refused.
        spent: the cost of all answers, including labels that were withdrawn later.
        promised: the cost of the open requests.
    """

    missing: int
    requested: int
    labelled: int
    skipped: int
    spent: float
    promised: float


@dataclass(frozen=True, kw_only=True)
class PartCount:
    """The regions of a task by state, and the cells that have some.

    Args:
        requested: the number of regions with an open request.
        labelled: the number of regions with a label.
        skipped: the number of regions that the annotator refused.
        cells: the number of cells with such regions.
    """

    requested: int = 0
    labelled: int = 0
    skipped: int = 0
    cells: int = 0


@dataclass(frozen=True)
class Event:
    """A recorded move, with a number, the operation and the state before."""

    id: int
    operation: Operation
    before: State
    move: Move


def grid(connection: Connection, splits: Sequence[Split] = ("train",)) -> Grid:
    """The grid for strategies: states and costs as arrays, images ordered by id."""
    import numpy as np

    tasks = roster.tasks(connection)
    names, ids, keys = _columns_of_images(connection, splits)
    state = np.zeros((len(names), len(tasks)), np.int8)
    row_of = np.full(int(ids.max(initial=0)) + 1, -1, np.int64)
    row_of[ids] = np.arange(len(names))
    for column, task_id in enumerate(tasks):
        for value in (State.REQUESTED, State.LABELLED, State.SKIPPED):
            here = select(CELLS.c.image_id).where(
                CELLS.c.task_id == task_id, CELLS.c.state == int(value)
            )
            # Without a Python object per row.
            numbers = chain.from_iterable(chain.from_iterable(_chunks(connection, here)))
            cells = np.fromiter(numbers, np.int64)
            rows = row_of[cells[cells < len(row_of)]]
            state[rows[rows >= 0], column] = value
    return Grid(
        images=names,
        keys=keys.astype(np.uint64),
        tasks=[task.name for task in tasks.values()],
        state=state,
        cost=np.array([task.cost for task in tasks.values()], np.float64),
    )


def counts(connection: Connection, splits: Splits = None) -> dict[str, TaskCount]:
    """The cells by state and the costs of each task, over some splits (None: all)."""
    images = roster.count_images(connection, splits)
    by_state = select(CELLS.c.task_id, CELLS.c.state)
    # Without splits and removed images the sum needs no join.
    if splits is not None or roster.leaves_images_out(connection):
        by_state = roster.restrict_to_splits(connection, by_state.join_from(CELLS, IMAGES), splits)
    by_cell_state = _sums(connection, by_state, CELLS.c.cost)
    paid = _paid(connection, splits)
    parts = select(PARTS.c.task_id, PARTS.c.state)
    by_part_state = _sums(connection, _of_parts(connection, parts, splits), PARTS.c.cost)
    task_counts = {}
    for task_id, task in roster.tasks(connection).items():
        requested, promised = by_cell_state.get((task_id, State.REQUESTED), (0, 0.0))
        labelled, _ = by_cell_state.get((task_id, State.LABELLED), (0, 0.0))
        skipped, _ = by_cell_state.get((task_id, State.SKIPPED), (0, 0.0))
        task_counts[task.name] = TaskCount(
            missing=images - requested - labelled - skipped,
            requested=requested,
            labelled=labelled,
            skipped=skipped,
            spent=paid.get(task_id, 0.0),
            promised=promised + by_part_state.get((task_id, State.REQUESTED), (0, 0.0))[1],
        )
    return task_counts


def part_counts(connection: Connection, splits: Splits = None) -> dict[str, PartCount]:
    """The regions by state of each task that has any, over some splits (None: all)."""
    names = {task_id: task.name for task_id, task in roster.tasks(connection).items()}
    by_state = select(PARTS.c.task_id, PARTS.c.state, func.count())
    by_state = by_state.group_by(PARTS.c.task_id, PARTS.c.state)
    numbers = defaultdict[str, dict[str, int]](dict)
    for task_id, state, count in connection.execute(_of_parts(connection, by_state, splits)):
        numbers[names.get(task_id, "")][State(state).name.lower()] = count
    images = select(PARTS.c.task_id, func.count(func.distinct(PARTS.c.image_id)))
    images = images.group_by(PARTS.c.task_id)
    for task_id, count in connection.execute(_of_parts(connection, images, splits)):
        numbers[names.get(task_id, "")]["cells"] = count
    numbers.pop("", None)  # of dropped tasks
    return {name: PartCount(**counted) for name, counted in numbers.items()}


def cells_in_part(connection: Connection, splits: Splits = None) -> dict[Cell, State]:
    """The state to which each cell bought in part counts in a purchase.

    A cell with a whole label is left out. A cell with an open region counts as requested. One
    whose regions are all answered counts as labelled, or as skipped if all were skipped. Any other
    is missing still.
    """
    names = {task_id: task.name for task_id, task in roster.tasks(connection).items()}
    requested, labelled = (
        func.sum(case((PARTS.c.state == int(state), 1), else_=0))
        for state in (State.REQUESTED, State.LABELLED)
    )
    regions = func.count(func.distinct(PARTS.c.region))
    key = (IMAGES.c.name, PARTS.c.task_id)
    statement = (
        select(*key, requested, labelled, regions, func.max(PARTITIONS.c.count))
        .join_from(PARTS, IMAGES, IMAGES.c.id == PARTS.c.image_id)
        .join(PARTITIONS, PARTITIONS.c.id == PARTS.c.partition_id)
        .outerjoin(
            CELLS,
            and_(CELLS.c.image_id == PARTS.c.image_id, CELLS.c.task_id == PARTS.c.task_id),
        )
        .where(CELLS.c.state.is_(None), PARTS.c.task_id.in_(list(names)))
        .group_by(*key)
    )
    statement = roster.restrict_present_to_splits(connection, statement, splits)
    states = {}
    for image_id, task_id, asked, answered, count, whole in connection.execute(statement):
        state = State.MISSING
        if asked:
            state = State.REQUESTED
        elif count == whole:
            state = State.LABELLED if answered else State.SKIPPED
        states[Cell(image_id, names[task_id])] = state
    return states


def _of_parts(connection: Connection, statement: Select[Any], splits: Splits) -> Select[Any]:
    """A statement on parts, restricted to present images of some splits."""
    joined = statement.join_from(PARTS, IMAGES, IMAGES.c.id == PARTS.c.image_id)
    return roster.restrict_present_to_splits(connection, joined, splits)


def seconds(connection: Connection, splits: Splits = None) -> dict[str, list[float]]:
    """How long labels of some splits (None: all) took, by task, where their imports said so."""
    timed = (
        select(CELLS.c.task_id, CELLS.c.seconds)
        .join_from(CELLS, IMAGES)
        .where(CELLS.c.seconds.is_not(None), roster.present(connection))
    )
    if splits is not None:
        timed = timed.where(IMAGES.c.split.in_(splits))
    names = {task_id: task.name for task_id, task in roster.tasks(connection).items()}
    times: dict[str, list[float]] = {name: [] for name in names.values()}
    for task_id, value in connection.execute(timed):
        if not (isinstance(value, float) and is_time(value)):
            raise foreign_row_error(f"a cell has the time {value!r:.40}")
        if task_id in names:
            times[names[task_id]].append(value)
    return times


def amount_spent(connection: Connection, splits: Splits = None) -> float:
    """The cost of all answers in some splits (None: all).

    Those of removed images and dropped tasks count.
    """
    return sum(_paid(connection, splits).values(), 0.0)


def _paid(connection: Connection, splits: Splits) -> dict[int, float]:
    """The cost of all answers by task, in part too, also of dropped tasks and removed images."""
    spent = defaultdict[int, float](float)
    for of, is_answer in ((EVENTS, IS_ANSWER), (PART_EVENTS, PART_EVENTS.c.to_state.in_((2, 3)))):
        paid = select(of.c.task_id).where(is_answer)
        if splits is not None:
            paid = paid.join_from(of, IMAGES, IMAGES.c.id == of.c.image_id)
            paid = paid.where(IMAGES.c.split.in_(splits))
        paid = _restrict_to_effect(connection, paid, of)
        for (task_id,), (_, cost) in _sums(connection, paid, of.c.cost).items():
            spent[task_id] += cost
    return spent


def _sums(
    connection: Connection, keys: Select[Any], amount: ColumnElement[float]
) -> dict[tuple[int, ...], tuple[int, float]]:
    """The number of rows and the sum of amounts by the columns that a statement selects.

    The result is the same in every call. In databases whose plan decides the order of rows, equal
    amounts are counted, and their exact sum is rounded once.
    """
    columns = list(keys.selected_columns)
    if dialect_of(connection).sums_in_order:
        summed = keys.add_columns(func.count(), func.sum(amount)).group_by(*columns)
        return {tuple(key): (rows, total) for *key, rows, total in connection.execute(summed)}
    from fractions import Fraction  # the commands on a file need none of it

    counted = keys.add_columns(amount, func.count()).group_by(*columns, amount)
    numbers: dict[tuple[int, ...], int] = defaultdict(int)
    totals: dict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    for *key, value, rows in connection.execute(counted):
        numbers[tuple(key)] += rows
        totals[tuple(key)] += rows * Fraction(value)
    return {key: (rows, float(totals[key])) for key, rows in numbers.items()}


def cells(
    connection: Connection,
    *,
    state: State | None = None,
    task: str | None = None,
    image_id: str | None = None,
    round: int | None = None,
    request_id: str | None = None,
    splits: Splits = None,
) -> Iterator[CellRow]:
    """The cells that are not missing and match all given values.

    They are ordered by image id, then task.
    """
    wanted = (
        (IMAGES.c.name, image_id),
        (TASKS.c.name, task),
        (CELLS.c.state, state),
        (CELLS.c.round, round),
        (CELLS.c.request_id, request_id),
    )
    statement = (
        select(IMAGES.c.name, TASKS.c.name, *CELLS.c[2:])
        .join_from(CELLS, IMAGES)
        .join(TASKS)
        .where(
            TASKS.c.id.in_(list(roster.tasks(connection))),
            *(column == value for column, value in wanted if value is not None),
        )
        .order_by(IMAGES.c.name, TASKS.c.id)
        .execution_options(yield_per=roster.BATCH)
    )
    lists = class_lists_by_id(connection)
    for image_id, task, state, *rest in connection.execute(
        roster.restrict_present_to_splits(connection, statement, splits)
    ):
        yield cell_row(Cell(image_id, task), state, rest, lists)


def events(
    connection: Connection,
    *,
    after: int = 0,
    image_id: str | None = None,
    task: str | None = None,
    round: int | None = None,
    why: str | None = None,
    operation: int | None = None,
    in_effect: bool = False,
    among: Select[Any] | None = None,
    of: Table = EVENTS,
) -> Iterator[Event]:
    """The events after number `after` that match all given values, in order.

    With `in_effect`, undone operations and their undo operations are left out. `among` selects the
    numbers of events that count; None: all. `of` names their table, that of cells or of parts.
    """
    wanted = (
        (IMAGES.c.name, image_id),
        (TASKS.c.name, task),
        (of.c.round, round),
        (of.c.why, why),
        (of.c.operation_id, operation),
    )
    statement = (
        select(
            of,
            OPERATIONS.c.command,
            OPERATIONS.c.at,
            IMAGES.c.name.label("image"),
            TASKS.c.name.label("task"),
        )
        .join_from(of, IMAGES, IMAGES.c.id == of.c.image_id)
        .join(TASKS, TASKS.c.id == of.c.task_id)
        .join(OPERATIONS, OPERATIONS.c.id == of.c.operation_id)
        .where(
            of.c.id > after,
            *(column == value for column, value in wanted if value is not None),
        )
        .order_by(of.c.id)
        .execution_options(yield_per=roster.BATCH)
    )
    if of is PART_EVENTS:
        statement = statement.join(PARTITIONS, PARTITIONS.c.id == of.c.partition_id)
        statement = statement.add_columns(PARTITIONS.c.digest.label("partition"))
    if in_effect:
        statement = _restrict_to_effect(connection, statement, of)
    if among is not None:
        statement = statement.where(of.c.id.in_(among))
    lists = class_lists_by_id(connection)
    for row in connection.execute(statement):
        its_operation = operation_of(row.operation_id, row.command, row.at)
        move = _move(row, class_list_of(lists, row.class_list_id, "an event"))
        if of is PART_EVENTS:
            move = _part_move(row, move)
        yield Event(row.id, its_operation, State(row.from_state), move)


def part_events(connection: Connection, /, **wanted: Any) -> Iterator[Event]:
    """The events of parts; the arguments are those of `events`."""
    yield from events(connection, of=PART_EVENTS, **wanted)


def _restrict_to_effect(
    connection: Connection, statement: Select[Any], of: Table = EVENTS
) -> Select[Any]:
    cancelled = without_effect(connection)
    if not cancelled:
        return statement
    return statement.where(of.c.operation_id.not_in(cancelled))


#: The note that counts updates of image files and of what tasks declare of their labels.
CONTENTS = "contents"


def count_change(connection: Connection) -> None:
    """Count an update of image files or of a task's declaration, so that `pool_hash` differs."""
    count = rounds.get(connection, CONTENTS, 0)
    rounds.put(connection, CONTENTS, count + 1 if isinstance(count, int) else 1)


def last_event(connection: Connection) -> int:
    """The number of the newest event of a cell; 0 without any."""
    return connection.scalar(select(func.max(EVENTS.c.id))) or 0


def change_count(connection: Connection) -> int:
    """The number of events of cells and parts."""
    newest = (connection.scalar(select(func.max(of.c.id))) for of in (EVENTS, PART_EVENTS))
    return sum(number or 0 for number in newest)


def last_time(connection: Connection, state: State) -> str:
    """When a cell last became of a state (UTC, ISO 8601), even if it was undone; "": never."""
    moved = select(OPERATIONS.c.at).join_from(EVENTS, OPERATIONS)
    newest = moved.where(EVENTS.c.to_state == int(state)).order_by(EVENTS.c.id.desc()).limit(1)
    return str(connection.scalar(newest) or "")


def pool_hash(connection: Connection) -> str:
    """A hash that changes with any move, any new task, and any image added or updated.

    Undoing an operation restores the earlier hash.
    """
    last, last_part = (
        connection.scalar(_restrict_to_effect(connection, _newest(of), of)) or 0
        for of in (EVENTS, PART_EVENTS)
    )
    # Half of each key is enough to detect a new image, and the sum of 2**31 halves fits the
    # database's integers.
    sums = select(IMAGES.c.split, func.count(), func.sum(IMAGES.c.key % 2**32)).group_by(
        IMAGES.c.split
    )
    images = roster.restrict_to_splits(connection, sums, None)
    splits = sorted(
        (split, count, int(total)) for split, count, total in connection.execute(images)
    )
    tasks = [task.name for task in roster.tasks(connection).values()]
    contents = rounds.get(connection, CONTENTS, 0)
    parts = [last_part] if last_part else []
    text = json.dumps([last, splits, tasks, contents, *parts])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _newest(of: Table) -> Select[Any]:
    return select(of.c.id).order_by(of.c.id.desc()).limit(1)


def _columns_of_images(
    connection: Connection, splits: Sequence[Split]
) -> "tuple[list[str], Ints, Ints]":
    import numpy as np

    statement = roster.restrict_to_splits(
        connection, select(IMAGES.c.name, IMAGES.c.id, IMAGES.c.key), splits
    ).order_by(IMAGES.c.name)
    names: list[str] = []
    numbers = [np.zeros((2, 0), np.int64)]
    for rows in _chunks(connection, statement):
        some_names, *some_numbers = zip(*rows, strict=True)
        if set(map(type, some_names)) != {str}:
            raise foreign_row_error("an image has a name that is no text")
        names += some_names
        numbers.append(np.array(some_numbers, np.int64))
    ids, keys = np.concatenate(numbers, axis=1)
    return names, ids, keys


def _chunks(connection: Connection, statement: Select[Any]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the driver's own tuples: SQLAlchemy's rows would take most of a million rows' time."""
    cursor = cast("Any", connection.execute(statement).cursor)
    while rows := cursor.fetchmany(roster.BATCH):
        yield rows


#: Types of an event's columns that are values of its move and never null.
EVENT_TYPES = {**CELL_TYPES, "why": str, "annotator": str}
_values_of_move = attrgetter(*EVENT_TYPES)


def _part_move(row: Any, move: Move) -> Move:
    check_values((row.region, row.answer, row.partition), (int, int, str), "an event of a part")
    if row.value is not None:
        check_values((row.value,), (int,), "an event of a part")
    part = Part(row.image, row.task, row.region, row.answer)
    return replace(move, cell=part, partition=row.partition, value=row.value)


def _move(row: Any, classes: tuple[str, ...]) -> Move:
    values = _values_of_move(row)
    check_values(values, tuple(EVENT_TYPES.values()), "an event")
    for value in (row.score, row.seconds):
        check_optional(value, "an event")
    if row.hint is not None and row.hint not in HINTS:
        raise foreign_row_error(f"an event has the hint {row.hint!r:.40}")
    return Move(
        cell=Cell(row.image, row.task),
        to=State(row.to_state),
        score=row.score,
        seconds=row.seconds,
        classes=classes,
        hint=row.hint,
        **dict(zip(EVENT_TYPES, values, strict=True)),
    )
