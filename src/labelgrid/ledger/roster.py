"""Adds, updates and lists the ledger's images and tasks."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, Select, bindparam, func, insert, select, update

from labelgrid.errors import LedgerError
from labelgrid.ledger import rounds
from labelgrid.ledger.database import (
    UNCHANGED,
    check_name,
    check_small,
    check_values,
    dialect_of,
    is_unicode,
    next_id,
)
from labelgrid.ledger.grid import NO_SPLIT, SPLITS, ImageRow, Split, TaskRow
from labelgrid.ledger.schema import IMAGES, TASKS
from labelgrid.streams import image_key

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
        new = dialect.insert(connection, IMAGES, rows, known=True)
        first += len(batch)
        if new < len(batch):
            _refuse_duplicate_ids(connection, batch)
            first = next_id(connection, IMAGES)  # the numbers of known images stay free
        added += new
    return added


def update_images(connection: Connection, rows: Iterable[ImageRow]) -> int:
    """Replace the rows of known images; see `Store.update_images`."""
    statement = update(IMAGES).where(IMAGES.c.name == bindparam("known"))
    changed = 0
    for batch in batches(rows):
        count = connection.execute(
            statement, [_values(row) | {"known": row.image_id} for row in batch]
        ).rowcount
        if count < len(batch):
            roots = _roots(connection, batch)
            unknown = [row.image_id for row in batch if row.image_id not in roots]
            raise unknown_image_error(unknown[0])
        changed += count
    return changed


def add_task(connection: Connection, row: TaskRow) -> None:
    """Add a task; see `Store.add_task`."""
    _check_cost(row)
    removed = connection.scalar(select(TASKS.c.removed).where(TASKS.c.name == row.name))
    if removed is not None:
        raise _name_taken_error(row.name, removed=removed)
    values = {
        "id": next_id(connection, TASKS),
        "name": row.name,
        "kind": row.kind,
        "cost": row.cost,
        "options": dict(row.options),
    }
    connection.execute(insert(TASKS), values)


def _name_taken_error(name: str, *, removed: bool) -> LedgerError:
    """The error for a new task with the name of another one, which may have been removed."""
    if removed:
        return LedgerError(
            f"There was a task '{name}'; it was dropped.",
            next_step=f"`labelgrid task DIR {name} --restore` brings it back with its labels; or "
            "give the new one another name.",
            unchanged=UNCHANGED,
        )
    return LedgerError(
        f"There is already a task '{name}'.",
        next_step="Give the new one another name.",
        unchanged=UNCHANGED,
    )


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
    """The names of the removed images or tasks; see `Store.removed`."""
    table = _TABLES[kind]
    return list(
        connection.scalars(select(table.c.name).where(table.c.removed).order_by(table.c.id))
    )


def unknown_task_error(name: str) -> LedgerError:
    """The error for an unknown task."""
    return LedgerError(
        f"The ledger has no task '{name}'.",
        next_step="`labelgrid status` lists the tasks.",
        unchanged=UNCHANGED,
    )


def tasks(connection: Connection) -> dict[int, TaskRow]:
    """The tasks by database id, in the order they were added, without removed ones."""
    rows = connection.execute(select(TASKS).where(~TASKS.c.removed).order_by(TASKS.c.id))
    return {row.id: _task(row) for row in rows}


def images(
    connection: Connection, splits: Sequence[Split] | None, names: Collection[str] | None
) -> Iterator[ImageRow]:
    """The images of the splits and names, ordered by id; see `Store.images`."""
    statement = in_name_order(select(IMAGES), splits)
    statement = statement.execution_options(yield_per=BATCH)
    if names is None:
        yield from map(_image, connection.execute(statement))
        return
    wanted = sorted(name for name in set(names) if is_text(name))
    for batch in batches(wanted):
        yield from map(_image, connection.execute(statement.where(IMAGES.c.name.in_(batch))))


def image(connection: Connection, image_id: str) -> ImageRow:
    """One image; see `Store.image`."""
    row = connection.execute(
        select(IMAGES).where(IMAGES.c.name == image_id, ~IMAGES.c.removed)
    ).one_or_none()
    if row is None:
        raise unknown_image_error(image_id)
    return _image(row)


def count_images(connection: Connection, splits: Sequence[Split] | None) -> int:
    """The number of images in the splits."""
    count = select(func.count()).select_from(IMAGES)
    return connection.scalar(restrict_to_splits(count, splits)) or 0


@dataclass(frozen=True, kw_only=True)
class SplitlessImages:
    """Images that are in no split: no training and no measurement reads them.

    Args:
        split: the unknown split that a command of before put them into.
        count: their number.
        names: the ids of the first ones.
    """

    split: str
    count: int
    names: Sequence[str]


def splitless_images(connection: Connection, most: int) -> list[SplitlessImages]:
    """The images in no split, at most so many of each; see `Store.splitless_images`."""
    if not rounds.get(connection, RENAMED, {}):
        return []
    is_splitless = IMAGES.c.split.not_in(SPLITS)
    counts = select(IMAGES.c.split, func.count()).where(is_splitless).group_by(IMAGES.c.split)
    found = []
    for split, count in sorted(connection.execute(restrict_to_splits(counts, None)).all()):
        names = restrict_to_splits(select(IMAGES.c.name), (split,)).order_by(IMAGES.c.name)
        images = SplitlessImages(
            split=split.removeprefix(NO_SPLIT),
            count=count,
            names=list(connection.scalars(names.limit(most))),
        )
        found.append(images)
    return found


def image_roots(connection: Connection) -> set[str]:
    """The roots of all images that are not removed."""
    roots = select(IMAGES.c.root).distinct()
    return set(connection.scalars(restrict_to_splits(roots, None)))


def restrict_to_splits(statement: Select[Any], splits: Sequence[Split] | None) -> Select[Any]:
    """Restrict a statement to the images of these splits (None: all), without removed ones."""
    statement = statement.where(~IMAGES.c.removed)
    if splits is None:
        return statement
    return statement.where(IMAGES.c.split.in_(splits))


def in_name_order(statement: Select[Any], splits: Sequence[Split] | None) -> Select[Any]:
    """Like `restrict_to_splits`, ordered by the images' names.

    SQLite then walks along the names: the first images of many are there at once. Else it would
    read those of the splits, and sort them.
    """
    return restrict_present_to_splits(statement, splits).order_by(IMAGES.c.name)


def restrict_present_to_splits(
    statement: Select[Any], splits: Sequence[Split] | None
) -> Select[Any]:
    """Like `restrict_to_splits`, of a statement that knows a few images by other conditions.

    SQLite then does not read all images of the splits to find them.
    """
    statement = statement.where(PRESENT)
    if splits is None:
        return statement
    return statement.where(IMAGES.c.split.in_(splits))


def unknown_image_error(image_id: str) -> LedgerError:
    """The error for an unknown image id."""
    return LedgerError(
        f"The ledger has no image '{image_id}'.",
        next_step="Check the id, or add the image with `labelgrid add`.",
        unchanged=UNCHANGED,
    )


def is_text(name: str) -> bool:
    """Whether a name can be in the ledger: Unicode without the character NUL."""
    return is_unicode(name) and "\0" not in name


def _values(row: ImageRow) -> dict[str, Any]:
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
    statement = select(IMAGES.c.name, IMAGES.c.root).where(
        IMAGES.c.name.in_([row.image_id for row in batch])
    )
    return {row.name: row.root for row in connection.execute(statement)}


def _refuse_duplicate_ids(connection: Connection, batch: Sequence[ImageRow]) -> None:
    roots = _roots(connection, batch)
    for row in batch:
        if roots[row.image_id] != row.root:
            raise LedgerError(
                f"Two images have the id '{row.image_id}': one in {roots[row.image_id]}, one in "
                f"{row.root}.",
                next_step="Rename one of them, or give the folder above both.",
                unchanged="Nothing was added.",
            )
