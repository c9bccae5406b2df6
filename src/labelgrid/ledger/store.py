"""Provides the ledger: the only interface to a project's database."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Connection

from labelgrid.ledger import (
    creation,
    database,
    image_pages,
    moves,
    part_moves,
    roster,
    undo_moves,
    views,
)
from labelgrid.ledger import operations as operation_rows
from labelgrid.ledger import rebuild as rebuilding
from labelgrid.ledger import rounds as round_rows
from labelgrid.ledger.grid import Cell, ImageRow, Move, Part, TaskRow
from labelgrid.ledger.moves import CellRow
from labelgrid.ledger.operations import Kept, Operation, OperationSummary
from labelgrid.ledger.place import LedgerPlace
from labelgrid.ledger.rounds import RoundRow
from labelgrid.ledger.views import Event, PartCount, TaskCount

__all__ = [
    "CellRow",
    "Event",
    "Kept",
    "Operation",
    "OperationSummary",
    "PartCount",
    "RoundRow",
    "Store",
    "TaskCount",
]

P = ParamSpec("P")
T = TypeVar("T")


def _read(method: "Callable[Concatenate[Store, P], T]") -> "Callable[Concatenate[Store, P], T]":
    """A method that reads, and reads again if the connection to the database is lost."""

    @wraps(method)
    def read(self: "Store", /, *arguments: P.args, **named: P.kwargs) -> T:
        return self._database.again(partial(method, self, *arguments, **named))

    return read


def _reads(
    function: Callable[Concatenate[Connection, P], T],
) -> "Callable[Concatenate[Store, P], T]":
    """The method that reads by a function, again if the connection to the database is lost."""

    @_read
    @wraps(function)
    def read(self: "Store", /, *arguments: P.args, **named: P.kwargs) -> T:
        with self._database.reading() as connection:
            return function(connection, *arguments, **named)

    return read


def _reads_each(
    function: Callable[Concatenate[Connection, P], Iterator[T]],
) -> "Callable[Concatenate[Store, P], Iterator[T]]":
    def rows(store: "Store", /, *arguments: P.args, **named: P.kwargs) -> Iterator[T]:
        with store._database.reading() as connection:
            yield from function(connection, *arguments, **named)

    @wraps(function)
    def read(self: "Store", /, *arguments: P.args, **named: P.kwargs) -> Iterator[T]:
        return self._database.each_again(partial(rows, self, *arguments, **named))

    return read


def _writes(
    function: Callable[Concatenate[Connection, P], T],
) -> "Callable[Concatenate[Store, P], T]":
    """The method that writes with a function, in a transaction."""

    @wraps(function)
    def write(self: "Store", /, *arguments: P.args, **named: P.kwargs) -> T:
        with self._database.writing() as connection:
            return function(connection, *arguments, **named)

    return write


def _move(connection: Connection, steps: Sequence[Move]) -> None:
    has_parts = any(isinstance(step.cell, Part) for step in steps)
    (part_moves if has_parts else moves).move(connection, steps)


class Store:
    """The ledger: all moves of all cells, and the resulting state of the grid.

    Each method is one transaction: it happens completely or not at all. Once it has returned,
    neither `kill -9` nor a power cut undoes it. Several processes may read and write at the same
    time. Every method raises `LedgerError` if the database cannot be read or written (full disk,
    read-only folder, locked or damaged file, lost connection); nothing has changed then.

    Iterators read while they are consumed: make a list before writing what depends on it.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from labelgrid.ledger.grid import State
        >>> label = Move(cell=Cell("a.png", "depth"), to=State.LABELLED, path="a.tiff", cost=2.0)
        >>> with TemporaryDirectory() as folder, Store.create(Path(folder, "ledger.db")) as store:
        ...     store.add_task(TaskRow("depth", "depth", 2.0))
        ...     images = [ImageRow(image_id=name, root="photos") for name in ("a.png", "b.png")]
        ...     added = store.add_images(images)
        ...     with store.transaction("import"):
        ...         store.move([label])
        ...     store.counts()["depth"]
        TaskCount(missing=1, requested=0, labelled=1, skipped=0, spent=2.0, promised=0.0)
    """

    def __init__(self, base: database.Database) -> None:
        self._database = base
        self._last_roster: roster.Roster | None = None

    @classmethod
    def create(cls, place: LedgerPlace) -> Self:
        """Create a new ledger.

        Raises:
            LedgerError: the database exists already, or it cannot be written.
        """
        return cls(creation.create_database(place))

    @classmethod
    @contextmanager
    def creation(cls, place: LedgerPlace, command: str) -> Iterator[Self]:
        """Create a new ledger with the content written inside, or nothing on any error.

        `command` is as of `transaction`.

        Raises:
            LedgerError: the database exists already, or it cannot be written.
        """
        with closing(database.Database(place)) as base, creation.creation(base, command):
            yield cls(base)

    @classmethod
    def open(cls, place: LedgerPlace, *, read_only: bool = False) -> Self:
        """Open a ledger.

        One of an older release is migrated in one transaction, or refused with `read_only`. A file
        that cannot be written is read in a migrated copy with `read_only`.

        Raises:
            LedgerError: it is missing, not a ledger, made by a newer program or a development
                version before 0.1.0, or its folder is read-only.
        """
        return cls(database.open_database(place, read_only=read_only))

    @property
    def place(self) -> LedgerPlace:
        """The ledger's file or URL."""
        return self._database.place

    @property
    def copy(self) -> Path | None:
        """The copy in use for a file without write permission; None: the file itself."""
        path: Path | None = getattr(self._database.dialect, "path", None)
        return None if path == self.place else path

    def close(self) -> None:
        """Close the connections to the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @contextmanager
    def transaction(self, command: str = "") -> Iterator[None]:
        """Run everything inside, by this thread, in a transaction; any error undoes all.

        Other processes wait with their writes, so values read inside cannot change before the
        writes. All moves inside are one operation, whose name is `command`; inside another
        transaction, the moves belong to the outer operation.

        Example:
            >>> from pathlib import Path
            >>> from tempfile import TemporaryDirectory
            >>> folder = TemporaryDirectory()
            >>> with folder, Store.create(Path(folder.name, "ledger.db")) as store:
            ...     with store.transaction():
            ...         store.put("imports", store.get("imports", 0) + 1)
            ...     store.get("imports")
            1
        """
        base = self._database
        pending = base.pending
        try:
            with base.writing(command):
                yield
        except BaseException:
            base.pending = pending
            raise
        if base.pending and not base.is_writing():  # what this thread has changed is committed
            base.known = {roster.KNOWN: base.pending}
            base.pending = None

    @contextmanager
    def steady(self, kept_roster: roster.Roster | None = None) -> Iterator[roster.Roster]:
        """Let this thread read tasks and images inside as at the beginning.

        They are read once, in one short transaction. A transaction that writes sees the newest
        state, and refuses to move cells of tasks that another process has changed since. What this
        store itself changes of tasks and images is seen. Inside another such block, the beginning
        of the outer block counts.

        Args:
            kept_roster: the roster of the command that this is a part of; None: read now.

        Example:
            >>> from pathlib import Path
            >>> from tempfile import TemporaryDirectory
            >>> folder = TemporaryDirectory()
            >>> with folder, Store.create(Path(folder.name, "ledger.db")) as store:
            ...     with store.steady(), Store.open(store.place) as other:
            ...         other.add_task(TaskRow("depth", "depth", cost=1.0))
            ...         before = store.tasks()
            ...     len(before), len(store.tasks())
            (0, 1)
        """
        base = self._database
        if base.known:
            yield base.known[roster.KNOWN]
            return
        try:
            yield self.know(kept_roster)
        finally:
            base.known = {}
            base.pending = None

    def know(self, kept_roster: roster.Roster | None = None) -> roster.Roster:
        """As `steady`, from now on until the store is closed."""
        current = kept_roster or self._read_roster()
        self._database.known = {roster.KNOWN: current}
        return current

    def known_roster(self) -> roster.Roster:
        """This thread's roster, for a process with a share of the work."""
        with self.steady() as kept_roster:
            return kept_roster

    @_read
    def _read_roster(self) -> roster.Roster:
        with self._database.reading() as connection:
            connection.execution_options(**{roster.KNOWN: None})
            self._last_roster = roster.read_roster(connection, self._last_roster)
            return self._last_roster

    @contextmanager
    def as_restored(self, kind: roster.Removable, names: Sequence[str]) -> Iterator[None]:
        """Let this thread read inside as if some removed images or tasks were restored."""
        base = self._database
        before = base.known
        base.known = {roster.KNOWN: self._as_restored({kind: names})}
        try:
            yield
        finally:
            base.known = before

    @contextmanager
    def _changing_roster(
        self, kind: roster.Removable, names: Sequence[str] = ()
    ) -> Iterator[Connection]:
        """A write transaction that also renews the roster, for the given names."""
        base = self._database
        with self.transaction(), base.writing() as connection:
            yield connection
            if base.known:
                kept_roster: roster.Roster = base.pending or base.known[roster.KNOWN]
                base.pending = roster.renewed(connection, kept_roster, {kind: names})

    @_read
    def _as_restored(self, names: Mapping[roster.Removable, Sequence[str]]) -> roster.Roster:
        with self._database.reading() as connection:
            return roster.renewed(connection, self.known_roster(), names, restored=True)

    def _check_tasks(self, connection: Connection, steps: Sequence[Move]) -> None:
        base = self._database
        if base.known and not base.pending:  # else this transaction itself has changed some
            kept_roster: roster.Roster = base.known[roster.KNOWN]
            roster.check_tasks(connection, kept_roster, {step.cell.task for step in steps})

    def add_images(self, rows: Iterable[ImageRow]) -> int:
        """Add images and return the number of new ones.

        Known images (same id, same root) are unchanged.

        Raises:
            LedgerError: two different images have the same id; the error names both roots. Nothing
                was added.
        """
        with self._changing_roster("images") as connection:
            return roster.add_images(connection, rows)

    def update_images(self, rows: Iterable[ImageRow]) -> int:
        """Replace the rows of these images (digest, size, split, group, root).

        Returns their number.

        Raises:
            LedgerError: an image is unknown. Nothing was changed.
        """
        with self._changing_roster("images") as connection:
            return roster.update_images(connection, rows)

    images = _reads_each(roster.images)
    image = _reads(roster.image)
    image_page = _reads(image_pages.page)
    matching_names = _reads(image_pages.names)
    matching_names_and_labels = _reads(image_pages.names_and_labels)
    matching_labels = _reads(image_pages.labels)
    labels_of_images = _reads(image_pages.labels_of_images)
    listed_images = _reads(image_pages.listed_images)
    annotators = _reads(image_pages.annotators)
    last_event = _reads(views.last_event)
    change_count = _reads(views.change_count)
    last_time = _reads(views.last_time)
    listed_image = _reads(image_pages.listed_image)
    neighbours = _reads(image_pages.neighbours)
    count_images = _reads(roster.count_images)
    splitless_images = _reads(roster.splitless_images)
    image_roots = _reads(roster.image_roots)

    def add_task(self, row: TaskRow) -> None:
        """Add a task: a new column of missing cells.

        Raises:
            LedgerError: the name is taken, or the cost is not a number from 0 up.
        """
        with self._changing_roster("tasks", [row.name]) as connection:
            roster.add_task(connection, row)

    tasks = _reads(roster.task_rows)
    class_lists = _reads(moves.class_lists)

    def update_task(self, row: TaskRow) -> None:
        """Replace the cost and the options of a task.

        Raises:
            LedgerError: the task is unknown, or the cost is not a number from 0 up.
        """
        with self._changing_roster("tasks", [row.name]) as connection:
            roster.update_task(connection, row)

    def remove(self, kind: roster.Removable, names: Sequence[str]) -> int:
        """Remove images or tasks; returns their number.

        Until they are restored, only `events` shows their cells.
        """
        with self._changing_roster(kind, names) as connection:
            return roster.set_removed(connection, kind, names, True)

    def restore(self, kind: roster.Removable, names: Sequence[str]) -> int:
        """Bring removed images or tasks back; returns their number."""
        with self._changing_roster(kind, names) as connection:
            return roster.set_removed(connection, kind, names, False)

    removed = _reads(roster.removed_names)

    def move(self, steps: Sequence[Move]) -> None:
        """Make all these moves in order, or none.

        A cell may move several times: labelled → missing → labelled replaces a label, and `history`
        keeps the old one. A move to `labelled` or `skipped` spends its cost, a move to `requested`
        promises it. The answer to a request keeps the request's round, id and weight; those of the
        move are ignored. Moves of cells come before those of parts.

        Raises:
            LedgerError: a move is not legal, answers a request other than the cell's open one, or
                names an unknown image or task; the error names the cell, its state and the allowed
                moves. Nothing was changed.
        """
        with self._database.writing() as connection:
            self._check_tasks(connection, steps)
            _move(connection, steps)

    find = _reads(moves.find)

    cells = _reads_each(views.cells)
    grid = _reads(views.grid)
    counts = _reads(views.counts)
    spent = _reads(views.amount_spent)
    seconds = _reads(views.seconds)
    parts = _reads_each(part_moves.parts)
    part_counts = _reads(views.part_counts)
    cells_in_part = _reads(views.cells_in_part)
    partitions = _reads(part_moves.partitions)
    add_partitions = _writes(part_moves.add_partitions)

    events = _reads_each(views.events)
    part_events = _reads_each(views.part_events)

    def history(self, cell: Cell, *, in_effect: bool = False) -> tuple[Event, ...]:
        """All events of a cell; the events to `labelled` are the versions of its label.

        `in_effect` is as of `events`.
        """
        return tuple(self.events(image_id=cell.image_id, task=cell.task, in_effect=in_effect))

    operations = _reads(operation_rows.newest)
    last_operation = _reads(operation_rows.last_in_effect)
    last_operation_name = _reads(operation_rows.last_name)
    keep = _writes(operation_rows.keep)

    kept = _reads(operation_rows.kept_before)

    def undo(self, operation: Operation) -> None:
        """Undo the last operation in effect; an outer transaction is named by its `undo_command`.

        The operation's cells, and the values kept beside them, are as before; events stay. The same
        is true of the hash of the pool and of what was spent.

        Raises:
            LedgerError: the operation is not the last in effect, its cells have changed since, or a
                round was begun after the round that it closed. Nothing was changed.
        """
        with self._database.writing(operation.undo_command) as connection:
            undo_moves.undo(connection, operation.id)

    pool_hash = _reads(views.pool_hash)
    open_round = _writes(round_rows.open_round)
    current_round = _reads(round_rows.current_round)
    update_round = _writes(round_rows.update_round)

    def close_round(self, row: RoundRow, requests: Sequence[Move] = ()) -> None:
        """Close the round and request its picks in the same transaction.

        Raises:
            LedgerError: the round is not open, or a move is refused (see `move`). Nothing was
                changed.
        """
        with self._database.writing() as connection:
            self._check_tasks(connection, requests)
            round_rows.update_round(connection, replace(row, state="closed"))
            _move(connection, requests)

    rounds = _reads(round_rows.rounds)
    get = _reads(round_rows.get)
    put = _writes(round_rows.put)
    count_change = _writes(views.count_change)
    rebuild = _writes(rebuilding.rebuild)
    differing_cells = _reads(rebuilding.differing_cells)
