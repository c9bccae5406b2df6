"""Adds, updates and lists the ledger's images and tasks."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from labelgrid.basics.errors import LedgerError
from labelgrid.basics.streams import image_key
from labelgrid.basics.type_names import Json
from labelgrid.ledger import rounds
from labelgrid.ledger.database import dialect_of, next_id
from labelgrid.ledger.grid import NO_SPLIT, SPLITS, ImageRow, Splits, TaskRow
from labelgrid.ledger.row_values import UNCHANGED, check_name, check_small, check_values, is_unicode
from labelgrid.ledger.schema import IMAGES, TASKS

T = TypeVar("T")
#: Rows per statement or fetch, and ids per IN. Measured: ten times more rows cost 50 % more time in
#: Python's garbage collector.
BATCH = 500
#: Whether images are not removed, of a few or in the order of their names; `~removed` would let
#: SQLite read all that are not.
PRESENT = IMAGES.c.removed.is_distinct_from(True)
#: The note of a migration that renamed unknown splits: each with its new name and its images.
RENAMED = "renamed splits"
#: What can be removed.
Removable = Literal["images", "tasks"]
_TABLES = {"images": IMAGES, "tasks": TASKS}
_PRIME = 65521
#: The key of what a reader knows, in the execution options of its connection.
KNOWN = "roster"


@dataclass(frozen=True, kw_only=True)
class Roster:
    """The tasks and images of a ledger during a command.

    Args:
        tasks: the tasks by database id, without dropped ones.
        dropped: the names of the dropped ones.
        last_image: the greatest database id of an image.
        removed: the database ids of the removed images.
        print: a fingerprint of the set of removed images.
    """

    tasks: Mapping[int, TaskRow]
    dropped: Sequence[str]
    last_image: int
    removed: frozenset[int]
    print: tuple[int, ...]


def read_roster(connection: Connection, before: Roster | None = None) -> Roster:
    """The tasks and images as a command sees them from now on; see `Store.steady`.

    The removed images of an earlier roster are not read again unless they changed.
    """
    now = _print_of_removed(connection)
    removed = before.removed if before and before.print == now else _removed_images(connection)
    return Roster(
        tasks=tasks(connection),
        dropped=removed_names(connection, "tasks"),
        last_image=_last_image(connection),
        removed=removed,
        print=now,
    )


def _known(connection: Connection) -> Roster | None:
    """The roster that the reader keeps to; None: the newest counts."""
    return connection.get_execution_options().get(KNOWN)


def _last_image(connection: Connection) -> int:
    return connection.scalar(select(func.max(IMAGES.c.id))) or 0


def _removed_images(connection: Connection) -> frozenset[int]:
    return frozenset(connection.scalars(select(IMAGES.c.id).where(IMAGES.c.removed)))


def renewed(
    connection: Connection,
    earlier: Roster,
    names: Mapping[Removable, Collection[str]],
    *,
    restored: bool = False,
) -> Roster:
    """A roster after the command's own changes of some images and tasks.

    The named ones are read as they are now or, with `restored`, as if present; all others stay as
    in the earlier roster.
    """
    present_tasks = dict(earlier.tasks)
    dropped = set(earlier.dropped)
    changed = select(TASKS).where(TASKS.c.name.in_(list(names.get("tasks", ()))))
    for row in connection.execute(changed):
        present_tasks.pop(row.id, None)
        dropped.discard(row.name)
        if row.removed and not restored:
            dropped.add(row.name)
        else:
            present_tasks[row.id] = _task(row)
    gone = set(earlier.removed)
    for batch in batches(names.get("images", ())):
        here = select(IMAGES.c.id, IMAGES.c.removed).where(IMAGES.c.name.in_(batch))
        for number, is_removed in connection.execute(here):
            gone.discard(number)
            if is_removed and not restored:
                gone.add(number)
    return Roster(
        tasks=dict(sorted(present_tasks.items())),
        dropped=sorted(dropped),
        last_image=earlier.last_image if restored else _last_image(connection),
        removed=frozenset(gone),
        # As `_print_of_removed`.
        print=(len(gone), sum(gone), sum((number % _PRIME) ** 2 for number in gone)),
    )


def _print_of_removed(connection: Connection) -> tuple[int, ...]:
    """A fingerprint of the set of removed images, read fast: count, sum, sum of squares."""
    rest = IMAGES.c.id % _PRIME
    sums = select(func.count(), func.sum(IMAGES.c.id), func.sum(rest * rest))
    row = connection.execute(sums.where(IMAGES.c.removed)).one()
    return tuple(int(value or 0) for value in row)


def check_tasks(connection: Connection, earlier: Roster, names: Collection[str]) -> None:
    """Refuse to write cells of tasks changed since the writer read the roster.

    Raises:
        LedgerError: somebody changed, dropped or restored one since.
    """
    now = {task.name: task for task in tasks(connection).values()}
    before = {task.name: task for task in earlier.tasks.values()}
    changed = sorted(name for name in names if now.get(name) != before.get(name))
    if changed:
        raise LedgerError(
            f"Another command changed the task '{changed[0]}' while this one worked.",
            next_step="Run the same command again.",
            unchanged=UNCHANGED,
        )


def batches(rows: Iterable[T]) -> Iterator[list[T]]:
    """Split the rows into lists of up to `BATCH`."""
    rest = iter(rows)
    while batch := list(islice(rest, BATCH)):
        yield batch


def add_images(connection: Connection, images: Iterable[ImageRow]) -> int:
    """Add new images and return their number; see `Store.add_images`."""
    dialect = dialect_of(connection)
    added = 0
    first = next_id(connection, IMAGES)
    for batch in batches(images):
        rows = [{"id": number, **_values(row)} for number, row in enumerate(batch, first)]
        new = dialect.insert(connection, IMAGES, rows, skip_existing=True)
        first += len(batch)
        if new < len(batch):
            roots = _roots(connection, batch)
            for row in batch:
                if roots[row.image_id] != row.root:
                    raise LedgerError(
                        f"Two images have the id '{row.image_id}': one in {roots[row.image_id]}, "
                        f"one in {row.root}.",
                        next_step="Rename one of them, or give the folder above both.",
                        unchanged="Nothing was added.",
                    )
            first = next_id(connection, IMAGES)  # the numbers of known images stay free
        added += new
    return added


def update_images(connection: Connection, rows: Iterable[ImageRow]) -> int:
    """Replace the rows of known images; see `Store.update_images`."""
    statement = update(IMAGES).where(IMAGES.c.name == bindparam("known"))
    changed = 0
    for batch in batches(rows):
        values = [_values(row) | {"known": row.image_id} for row in batch]
        count = connection.execute(statement, values).rowcount
        if count < len(batch):
            roots = _roots(connection, batch)
            unknown = [row.image_id for row in batch if row.image_id not in roots]
            raise unknown_image_error(unknown[0])
        changed += count
    return changed


def add_task(connection: Connection, row: TaskRow) -> None:
    """Add a column of missing cells; see `Store.add_task`."""
    _check_cost(row)
    removed = connection.scalar(select(TASKS.c.removed).where(TASKS.c.name == row.name))
    if removed:
        raise LedgerError(
            f"There was a task '{row.name}'; it was dropped.",
            next_step=f"`labelgrid task DIR {row.name} --restore` brings it back with its labels; "
            "or give the new one another name.",
            unchanged=UNCHANGED,
        )
    if removed is not None:
        raise LedgerError(
            f"There is already a task '{row.name}'.",
            next_step="Give the new one another name.",
            unchanged=UNCHANGED,
        )
    values = vars(row) | {"id": next_id(connection, TASKS), "options": dict(row.options)}
    connection.execute(insert(TASKS), values)


def _check_cost(row: TaskRow) -> None:
    if not (math.isfinite(row.cost) and row.cost >= 0):
        raise LedgerError(
            f"The cost of a label of '{row.name}' is {row.cost}; it must be a number from 0 up.",
            next_step="Give the task another cost.",
            unchanged=UNCHANGED,
        )


def update_task(connection: Connection, row: TaskRow) -> None:
    """Replace a task's cost and options; see `Store.update_task`."""
    _check_cost(row)
    values = {"cost": row.cost, "options": dict(row.options)}
    if not connection.execute(update(TASKS).where(TASKS.c.name == row.name), values).rowcount:
        raise unknown_task_error(row.name)


def set_removed(
    connection: Connection, kind: Removable, names: Sequence[str], removed: bool
) -> int:
    """Mark images or tasks as removed, or restore them; see `Store.remove`."""
    table = _TABLES[kind]
    changed = 0
    for batch in batches(names):
        there = table.c.name.in_(batch), table.c.removed.is_distinct_from(removed)
        changed += connection.execute(update(table).where(*there).values(removed=removed)).rowcount
    return changed


def removed_names(connection: Connection, kind: Removable) -> list[str]:
    """The names of the removed images or tasks, in the order they were added."""
    table = _TABLES[kind]
    roster = _known(connection)
    if roster is not None and kind == "tasks":
        return list(roster.dropped)
    gone = table.c.removed if roster is None else table.c.id.in_(_literal(roster.removed))
    return list(connection.scalars(select(table.c.name).where(gone).order_by(table.c.id)))


def _literal(numbers: Collection[int]) -> Any:
    """Whole numbers in the text of a statement, for more numbers than parameters."""
    return bindparam(None, sorted(numbers), expanding=True, literal_execute=True)


def unknown_task_error(name: str) -> LedgerError:
    """An error for a task name without a row in the ledger."""
    return LedgerError(
        f"The ledger has no task '{name}'.",
        next_step="`labelgrid status` lists the tasks.",
        unchanged=UNCHANGED,
    )


def tasks(connection: Connection) -> dict[int, TaskRow]:
    """The present tasks by database id, in the order of their addition."""
    roster = _known(connection)
    if roster is not None:
        return dict(roster.tasks)
    rows = connection.execute(select(TASKS).where(~TASKS.c.removed).order_by(TASKS.c.id))
    return {row.id: _task(row) for row in rows}


def task_rows(connection: Connection) -> tuple[TaskRow, ...]:
    """The tasks in the order of their addition."""
    return tuple(tasks(connection).values())


def images(
    connection: Connection,
    splits: Splits = None,
    names: Collection[str] | None = None,
) -> Iterator[ImageRow]:
    """The images of some splits and some names (None: all), ordered by id (code points)."""
    statement = in_name_order(connection, select(IMAGES), splits)
    statement = statement.execution_options(yield_per=BATCH)
    if names is None:
        yield from map(_image, connection.execute(statement))
        return
    wanted = sorted(name for name in set(names) if is_text(name))
    for batch in batches(wanted):
        yield from map(_image, connection.execute(statement.where(IMAGES.c.name.in_(batch))))


def image(connection: Connection, image_id: str) -> ImageRow:
    """One image.

    Raises:
        LedgerError: the id is unknown.
    """
    named = select(IMAGES).where(IMAGES.c.name == image_id, present(connection))
    row = connection.execute(named).one_or_none()
    if row is None:
        raise unknown_image_error(image_id)
    return _image(row)


def count_images(connection: Connection, splits: Splits = None) -> int:
    """The number of images in some splits (None: all)."""
    count = select(func.count()).select_from(IMAGES)
    return connection.scalar(restrict_to_splits(connection, count, splits)) or 0


@dataclass(frozen=True, kw_only=True)
class SplitlessImages:
    """Images in no split, for no training and no measurement.

    Args:
        split: the unknown split that an older version put the images into.
        count: their number.
        names: the ids of the first ones.
    """

    split: str
    count: int
    names: Sequence[str]


def splitless_images(connection: Connection, most: int = 5) -> list[SplitlessImages]:
    """The images in no split, by their former unknown split, with the ids of `most` of each.

    A ledger of an older labelgrid may have some: no training and no measurement reads them.
    """
    if not rounds.get(connection, RENAMED, {}):
        return []
    is_splitless = IMAGES.c.split.not_in(SPLITS)
    counts = select(IMAGES.c.split, func.count()).where(is_splitless).group_by(IMAGES.c.split)
    groups = connection.execute(restrict_to_splits(connection, counts, None))
    splitless = []
    for split, count in sorted(groups.all()):
        names = restrict_to_splits(connection, select(IMAGES.c.name), (split,))
        images = SplitlessImages(
            split=split.removeprefix(NO_SPLIT),
            count=count,
            names=list(connection.scalars(names.order_by(IMAGES.c.name).limit(most))),
        )
        splitless.append(images)
    return splitless


def image_roots(connection: Connection) -> set[str]:
    """The folders and addresses of the present images."""
    roots = select(IMAGES.c.root).distinct()
    return set(connection.scalars(restrict_to_splits(connection, roots, None)))


def present(connection: Connection, now: ColumnElement[bool] = PRESENT) -> ColumnElement[bool]:
    """Whether an image is there: not removed or, for a reader who knows a roster, not then.

    `now` says whether it is not removed now.
    """
    roster = _known(connection)
    if roster is None:
        return now
    if _print_of_removed(connection) != roster.print:
        removed = _removed_images(connection)
        now = or_(now, IMAGES.c.id.in_(_literal(removed - roster.removed)))
        now = now & IMAGES.c.id.not_in(_literal(roster.removed - removed))
    if _last_image(connection) != roster.last_image:
        now = now & (IMAGES.c.id <= roster.last_image)
    return now


def leaves_images_out(connection: Connection) -> bool:
    """Whether a reader of this connection does not see all images of the ledger."""
    roster = _known(connection)
    is_removed = _print_of_removed(connection)[0] > 0
    return is_removed or (roster is not None and _last_image(connection) != roster.last_image)


def restrict_to_splits(
    connection: Connection, statement: Select[Any], splits: Splits
) -> Select[Any]:
    """Restrict a statement to the present images of some splits (None: all)."""
    return _of_splits(statement.where(present(connection, ~IMAGES.c.removed)), splits)


def in_name_order(connection: Connection, statement: Select[Any], splits: Splits) -> Select[Any]:
    """Like `restrict_to_splits`, ordered by the images' names.

    SQLite then walks along the names: the first images of many are there at once. Otherwise the
    rows of the splits would be read and sorted.
    """
    return restrict_present_to_splits(connection, statement, splits).order_by(IMAGES.c.name)


def restrict_present_to_splits(
    connection: Connection, statement: Select[Any], splits: Splits
) -> Select[Any]:
    """Like `restrict_to_splits`, for a statement with other conditions for a few images.

    SQLite then does not read all images of the splits to find them.
    """
    return _of_splits(statement.where(present(connection)), splits)


def _of_splits(statement: Select[Any], splits: Splits) -> Select[Any]:
    if splits is None:
        return statement
    return statement.where(IMAGES.c.split.in_(splits))


def unknown_image_error(image_id: str) -> LedgerError:
    """An error for an image id without a row in the ledger."""
    return LedgerError(
        f"The ledger has no image '{image_id}'.",
        next_step="Check the id, or add the image with `labelgrid add`.",
        unchanged=UNCHANGED,
    )


def is_text(name: str) -> bool:
    """Whether a name can be in the ledger: Unicode without the character NUL."""
    return is_unicode(name) and "\0" not in name


def _values(row: ImageRow) -> Json:
    try:
        key = image_key(row.image_id)
    except UnicodeEncodeError as error:
        raise LedgerError(
            f"The image name {row.image_id!r} is not Unicode text.",
            next_step="Rename the file.",
            unchanged=UNCHANGED,
        ) from error
    check_small(height=row.height, width=row.width)
    return {
        "name": row.image_id,
        "key": key,
        "root": row.root,
        "digest": row.digest,
        "height": row.height,
        "width": row.width,
        "split": row.split,
        "grp": row.group,
    }


def _task(row: Any) -> TaskRow:
    check_name(row.name, "a task")
    check_values((row.kind, row.cost, row.options), (str, float, dict), f"task '{row.name}'")
    return TaskRow(row.name, row.kind, row.cost, row.options)


#: The types of an image's columns without its id.
IMAGE_TYPES = (str, int, str, str, int, int, str, str, bool)


def _image(row: Any) -> ImageRow:
    check_values(tuple(row)[1:], IMAGE_TYPES, "an image")
    return ImageRow(
        image_id=row.name,
        root=row.root,
        digest=row.digest,
        height=row.height,
        width=row.width,
        split=row.split,
        group=row.grp,
    )


def _roots(connection: Connection, batch: Sequence[ImageRow]) -> dict[str, str]:
    names = [row.image_id for row in batch]
    statement = select(IMAGES.c.name, IMAGES.c.root).where(IMAGES.c.name.in_(names))
    return {row.name: row.root for row in connection.execute(statement)}
