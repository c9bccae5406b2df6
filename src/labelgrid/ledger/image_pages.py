"""Reads the images of the ledger page by page, with the states of their cells.

A page of a hundred thousand images is read as fast as a page of a hundred: only the shown images
are listed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from string import ascii_uppercase
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, false, func, or_, select

from labelgrid.basics.errors import LedgerError
from labelgrid.basics.type_names import Size
from labelgrid.ledger import roster
from labelgrid.ledger.grid import Splits, State
from labelgrid.ledger.schema import CELLS, EVENTS, IMAGES

#: No id of an image is longer; SQLite refuses patterns of some more characters.
LONGEST_ID = 2**14
#: The small letters of ASCII, which are those that names are compared with.
_SMALL = {ord(letter): letter.lower() for letter in ascii_uppercase}
_COLUMNS = (
    IMAGES.c.id,
    IMAGES.c.name,
    IMAGES.c.split,
    IMAGES.c.digest,
    IMAGES.c.height,
    IMAGES.c.width,
)


@dataclass(frozen=True, kw_only=True)
class ImageFilter:
    """A filter of images: an image matches if at least one cell matches all fields.

    Args:
        splits: the splits of their images; None: all.
        task: the cell's task; empty: any.
        state: its state; None: any.
        round: the round that requested it; None: any.
        annotator: who or what made the cell's label; empty: any.
        name: a part of the image's id; empty: any.
    """

    splits: Splits = None
    task: str = ""
    state: State | None = None
    round: int | None = None
    annotator: str = ""
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class ListedImage:
    """An image of a page.

    Args:
        image_id: its id.
        split: its split.
        digest: the content hash of its file.
        states: the state of each of its cells, by task.
        size: its height and width, upright; 0 where they are not known.
    """

    image_id: str
    split: str
    digest: str
    states: dict[str, State]
    size: Size = (0, 0)


@dataclass(frozen=True)
class ImagePage:
    """A page of images.

    Args:
        total: the number of matching images.
        images: the images of the page.
        unread: the number of labels that may match or not: they were not read.
    """

    total: int
    images: list[ListedImage]
    unread: int = 0


def page(
    connection: Connection, wanted: ImageFilter, *, first: int = 0, count: int = 60
) -> ImagePage:
    """The matching images from number `first` on, at most `count`, in the order of their ids.

    Raises:
        LedgerError: there is no such task.
    """
    counted = roster.restrict_to_splits(connection, select(func.count(IMAGES.c.id)), wanted.splits)
    total = connection.scalar(_matching(connection, counted, wanted)) or 0
    images: Select[Any] = roster.in_name_order(connection, select(*_COLUMNS), wanted.splits)
    rows = _matching(connection, images, wanted).offset(first).limit(count)
    return ImagePage(total, _listed(connection, rows))


def names(connection: Connection, wanted: ImageFilter, *, newest: bool = False) -> list[str]:
    """The ids of all matching images, in order or, with `newest`, by the last change."""
    images = select(IMAGES.c.name)
    if newest:
        last = select(func.max(EVENTS.c.id)).where(EVENTS.c.image_id == IMAGES.c.id)
        images = images.order_by(func.coalesce(last.scalar_subquery(), 0).desc())
    images = roster.in_name_order(connection, images, wanted.splits)
    return [name for (name,) in _rows(connection, _matching(connection, images, wanted))]


def names_and_labels(
    connection: Connection, wanted: ImageFilter, task: str
) -> list[tuple[str, str | None]]:
    """As `names`, with the content hash of each image's label of a task; None: none.

    Raises:
        LedgerError: there is no such task.
    """
    (number,) = _chosen_tasks(connection, replace(wanted, task=task))
    label_cells = CELLS.alias()  # not the cell that the filter looks for
    here = and_(
        label_cells.c.image_id == IMAGES.c.id,
        label_cells.c.task_id == number,
        label_cells.c.state == State.LABELLED,
    )
    labels: Select[Any] = select(IMAGES.c.name, label_cells.c.digest)
    labels = labels.join_from(IMAGES, label_cells, here, isouter=True)
    labels = roster.in_name_order(connection, labels, wanted.splits)
    return _rows(connection, _matching(connection, labels, wanted))


def labels(connection: Connection, wanted: ImageFilter) -> list[tuple[str, str]]:
    """The image ids and content hashes of the matching labels of the wanted task.

    They are ordered by the ids.

    Raises:
        LedgerError: there is no such task.
    """
    statement = roster.restrict_to_splits(
        connection, select(IMAGES.c.name, CELLS.c.digest), wanted.splits
    )
    of_task = CELLS.c.task_id.in_(_chosen_tasks(connection, wanted))
    rows = _rows(connection, _of_labels(statement, wanted).where(of_task))
    return sorted(rows, key=itemgetter(0))


def labels_of_images(
    connection: Connection, wanted: ImageFilter, image_ids: Iterable[str]
) -> list[tuple[str, str, str]]:
    """The image ids, content hashes and paths of the matching labels of some images.

    They are ordered by the ids.

    Raises:
        LedgerError: there is no such task.
    """
    columns = (IMAGES.c.name, CELLS.c.digest, CELLS.c.path, CELLS.c.task_id)
    statement = roster.restrict_present_to_splits(
        connection, _of_labels(select(*columns), wanted), wanted.splits
    )
    chosen = set(_chosen_tasks(connection, wanted))
    labels = []
    for batch in roster.batches(image_ids):
        # With a condition on tasks, SQLite reads all labels of the tasks.
        rows = _rows(connection, statement.where(IMAGES.c.name.in_(batch)))
        labels += [(name, digest, path) for name, digest, path, task in rows if task in chosen]
    return sorted(labels)


def _of_labels(statement: Select[Any], wanted: ImageFilter) -> Select[Any]:
    """Restrict a statement on images to matching labels, of any task and split."""
    joined = statement.join(CELLS, CELLS.c.image_id == IMAGES.c.id)
    if wanted.state not in (None, State.LABELLED):
        return joined.where(false())
    return _named(joined, wanted).where(*_conditions(replace(wanted, state=State.LABELLED)))


def _named(statement: Select[Any], wanted: ImageFilter) -> Select[Any]:
    if not wanted.name:
        return statement
    # A database's own small letters depend on the language that it was made for.
    part = wanted.name.translate(_SMALL)
    if len(part) > LONGEST_ID:
        return statement.where(false())
    return statement.where(func.lower(IMAGES.c.name).contains(part, autoescape=True))


def _chosen_tasks(connection: Connection, wanted: ImageFilter) -> list[int]:
    tasks = {task.name: number for number, task in roster.tasks(connection).items()}
    if wanted.task and wanted.task not in tasks:
        raise LedgerError(
            f"There is no task '{wanted.task}'.", next_step=f"The tasks are: {', '.join(tasks)}."
        )
    if wanted.task:
        return [tasks[wanted.task]]
    return list(tasks.values())


def _rows(connection: Connection, statement: Select[Any]) -> list[Any]:
    """The rows of a statement as the driver returns them: SQLAlchemy's take as long again."""
    result = connection.execute(statement)
    assert result.cursor is not None
    return list(result.cursor.fetchall())


def annotators(connection: Connection) -> list[str]:
    """Who or what made labels, in alphabetical order."""
    return sorted(filter(None, connection.scalars(select(CELLS.c.annotator).distinct())))


def listed_images(connection: Connection, image_ids: Sequence[str]) -> list[ListedImage]:
    """Images with the states of their cells, in the given order and without unknown ids."""
    listed: dict[str, ListedImage] = {}
    for batch in roster.batches(image_ids):
        named = select(*_COLUMNS).where(IMAGES.c.name.in_(batch), roster.present(connection))
        listed |= {image.image_id: image for image in _listed(connection, named)}
    return [listed[image_id] for image_id in image_ids if image_id in listed]


def listed_image(connection: Connection, image_id: str) -> ListedImage:
    """An image with the states of its cells.

    Raises:
        LedgerError: there is no such image, or it was removed.
    """
    for image in listed_images(connection, [image_id]):
        return image
    raise roster.unknown_image_error(image_id)


def neighbours(connection: Connection, wanted: ImageFilter, image_id: str) -> tuple[str, str]:
    """The matching images before and after an image, in the order of the ids; "" for none."""
    name = IMAGES.c.name
    images = roster.restrict_present_to_splits(connection, select(name), wanted.splits)
    matching = _matching(connection, images, wanted).limit(1)
    before = connection.scalar(matching.where(name < image_id).order_by(name.desc()))
    after = connection.scalar(matching.where(name > image_id).order_by(name))
    return before or "", after or ""


def _listed(connection: Connection, statement: Select[Any]) -> list[ListedImage]:
    images = list(connection.execute(statement))
    tasks = {number: task.name for number, task in roster.tasks(connection).items()}
    states = {row.id: dict.fromkeys(tasks.values(), State.MISSING) for row in images}
    cells = select(CELLS.c.image_id, CELLS.c.task_id, CELLS.c.state)
    for ids in roster.batches(states):
        for image, task, state in connection.execute(cells.where(CELLS.c.image_id.in_(ids))):
            if task in tasks:
                states[image][tasks[task]] = State(state)
    listed = []
    for row in images:
        image = ListedImage(
            image_id=row.name,
            split=row.split,
            digest=row.digest,
            states=states[row.id],
            size=(row.height, row.width),
        )
        listed.append(image)
    return listed


def _matching(connection: Connection, statement: Select[Any], wanted: ImageFilter) -> Select[Any]:
    chosen = _chosen_tasks(connection, wanted)
    statement = _named(statement, wanted)
    if wanted.state == State.MISSING:
        if wanted.round is not None or wanted.annotator:
            return statement.where(false())  # nobody has asked for a missing cell
        return statement.where(or_(*(~_has_cell(IMAGES.c.id, [task]) for task in chosen)))
    conditions = _conditions(wanted)
    if not conditions:
        return statement
    return statement.where(_has_cell(IMAGES.c.id, chosen, *conditions))


def _conditions(wanted: ImageFilter) -> list[ColumnElement[bool]]:
    """Conditions on a cell that is not missing."""
    conditions = []
    if wanted.state is not None:
        conditions.append(CELLS.c.state == int(wanted.state))
    if wanted.round is not None:
        conditions.append(CELLS.c.round == wanted.round)
    if wanted.annotator:
        conditions.append(CELLS.c.annotator == wanted.annotator)
    return conditions


def _has_cell(
    image: ColumnElement[int], tasks: Sequence[int], *conditions: ColumnElement[bool]
) -> ColumnElement[bool]:
    here = and_(CELLS.c.image_id == image, CELLS.c.task_id.in_(tasks), *conditions)
    return exists().where(here)
