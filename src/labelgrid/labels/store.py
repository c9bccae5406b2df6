"""What the ledger can be asked and told: the one door to the database of a project."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from labelgrid.labels import database, moves, rebuild, roster, rounds, views
from labelgrid.labels.grid import Cell, Grid, ImageRow, Move, Split, State, TaskRow
from labelgrid.labels.moves import CellRow
from labelgrid.labels.rounds import RoundRow
from labelgrid.labels.views import Event, TaskCount

__all__ = ["CellRow", "Event", "RoundRow", "Store", "TaskCount"]


class Store:
    """The ledger: every move of every cell, kept for good, and the state of the grid that follows from them.

    Each method is one transaction: it is done whole or not at all, and once it has returned, neither `kill -9`
    nor a power cut undoes it. Several processes may read and write at once. Every method raises `LedgerError`
    with a sentence for the user where the database cannot be read or written (full disk, read-only folder,
    locked or damaged file); nothing has changed then.

    Iterators read while they are consumed: take a list before writing what depends on it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, Store.create(Path(folder, "ledger.db")) as store:
        ...     store.add_task(TaskRow("depth", "depth", 2.0))
        ...     added = store.add_images([ImageRow("a.png", "photos"), ImageRow("b.png", "photos")])
        ...     store.move([Move(Cell("a.png", "depth"), State.LABELLED, path="a.tiff", cost=2.0)])
        ...     store.counts()["depth"]
        TaskCount(missing=1, requested=0, labelled=1, skipped=0, spent=2.0, promised=0.0)
    """

    def __init__(self, base: database.Database) -> None:
        self._database = base

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new ledger.

        Raises:
            LedgerError: there is a database already, or the place cannot be written.
        """
        return cls(database.create_database(path))

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a ledger; one of an older program is brought up to date, in one transaction.

        Raises:
            LedgerError: it is missing, not a ledger, made by a newer program, or its folder is read-only.
        """
        return cls(database.open_database(path))

    @property
    def path(self) -> Path:
        """The database's file."""
        return self._database.path

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all that is done inside, by this thread, one step: all of it happens or, on any error, nothing.

        Other processes' writing waits meanwhile, so what is read inside cannot change before what is written.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as folder, Store.create(Path(folder, "ledger.db")) as store:
            ...     with store.transaction():
            ...         store.put("seen", store.get("seen", 0) + 1)
            ...     store.get("seen")
            1
        """
        with self._database.writing():
            yield

    def add_images(self, rows: Iterable[ImageRow]) -> int:
        """Add images and return how many were new; one given again (same name, same root) stays as it is.

        Raises:
            LedgerError: two different images have one name; names both roots. Nothing was added.
        """
        with self._database.writing() as connection:
            return roster.add_images(connection, rows)

    def update_images(self, rows: Iterable[ImageRow]) -> int:
        """Replace all that is known of these images (digest, size, split, group, root); returns how many.

        Raises:
            LedgerError: an image is unknown. Nothing was changed.
        """
        with self._database.writing() as connection:
            return roster.update_images(connection, rows)

    def images(self, splits: Sequence[Split] | None = None) -> Iterator[ImageRow]:
        """The images of some splits (None: all) in name order, by code point."""
        with self._database.reading() as connection:
            yield from roster.images(connection, splits)

    def image(self, name: str) -> ImageRow:
        """One image.

        Raises:
            LedgerError: there is no such image.
        """
        with self._database.reading() as connection:
            return roster.image(connection, name)

    def count_images(self, splits: Sequence[Split] | None = None) -> int:
        """How many images some splits have (None: all)."""
        with self._database.reading() as connection:
            return roster.count_images(connection, splits)

    def add_task(self, row: TaskRow) -> None:
        """Add a task: one more column of missing cells.

        Raises:
            LedgerError: there is a task of this name, or the cost is not a number from 0 up.
        """
        with self._database.writing() as connection:
            roster.add_task(connection, row)

    def tasks(self) -> tuple[TaskRow, ...]:
        """The tasks in the order they were added."""
        with self._database.reading() as connection:
            return tuple(roster.tasks(connection).values())

    def move(self, steps: Sequence[Move]) -> None:
        """Make all these moves, in their order, or none.

        A cell may move several times: labelled → missing → labelled replaces a label, and `history` keeps the
        old one. A move to `labelled` or `skipped` spends its cost, one to `requested` promises it. The answer to
        a request keeps the request's round, id and weight, whatever the move says.

        Raises:
            LedgerError: a move is not legal, answers another request than the one the cell waits for, or is of
                an unknown image or task; names the cell, its state and what is allowed. Nothing was changed.
        """
        with self._database.writing() as connection:
            moves.move(connection, steps)

    def find(self, cells: Iterable[Cell]) -> dict[Cell, CellRow]:
        """What the ledger knows of these cells; one whose image or task it does not know is left out.

        An import compares paths and digests with these rows to see what it took in before.
        """
        with self._database.reading() as connection:
            return moves.find(connection, cells)

    def cells(
        self,
        *,
        state: State | None = None,
        task: str | None = None,
        image: str | None = None,
        round: int | None = None,
        request_id: str | None = None,
        splits: Sequence[Split] | None = None,
    ) -> Iterator[CellRow]:
        """The cells that are not missing and fit all that is given, by image name, then task."""
        wanted = {"state": state, "task": task, "image": image, "round": round, "request_id": request_id}
        with self._database.reading() as connection:
            yield from views.cells(connection, splits, **wanted)

    def grid(self, splits: Sequence[Split] = ("train",)) -> Grid:
        """States and costs as arrays, images in name order: what strategies see."""
        with self._database.reading() as connection:
            return views.grid(connection, splits)

    def counts(self, splits: Sequence[Split] | None = None) -> dict[str, TaskCount]:
        """Cells by state and costs of each task, over some splits (None: all images)."""
        with self._database.reading() as connection:
            return views.counts(connection, splits)

    def events(
        self, *, after: int = 0, image: str | None = None, task: str | None = None, round: int | None = None
    ) -> Iterator[Event]:
        """The moves made after event number `after` that fit all that is given, in the order they were made."""
        with self._database.reading() as connection:
            yield from views.events(connection, after, image=image, task=task, round=round)

    def history(self, cell: Cell) -> tuple[Event, ...]:
        """All moves of one cell; those to `labelled` are the versions of its label."""
        return tuple(self.events(image=cell.image, task=cell.task))

    def pool_hash(self) -> str:
        """A stamp that changes with any move of a cell, any image added or put in another split, any new task."""
        with self._database.reading() as connection:
            return views.pool_hash(connection)

    def open_round(self) -> RoundRow:
        """Open the next round; the first is number 1.

        Raises:
            LedgerError: a round is open.
        """
        with self._database.writing() as connection:
            return rounds.open_round(connection)

    def current_round(self) -> RoundRow | None:
        """The open round, if there is one."""
        with self._database.reading() as connection:
            return rounds.current_round(connection)

    def update_round(self, row: RoundRow) -> None:
        """Keep what is known of the open round so far.

        Raises:
            LedgerError: it is not open.
        """
        with self._database.writing() as connection:
            rounds.update_round(connection, row)

    def close_round(self, row: RoundRow, requests: Sequence[Move] = ()) -> None:
        """Close the round and request its picks in one step.

        Raises:
            LedgerError: the round is not open, or a move is refused (see `move`). Nothing was changed.
        """
        with self._database.writing() as connection:
            rounds.close_round(connection, row)
            moves.move(connection, requests)

    def rounds(self) -> tuple[RoundRow, ...]:
        """All rounds by number."""
        with self._database.reading() as connection:
            return rounds.rounds(connection)

    def get(self, key: str, default: Any = None) -> Any:
        """The note kept under a key."""
        with self._database.reading() as connection:
            return rounds.get(connection, key, default)

    def put(self, key: str, value: Any) -> None:
        """Keep a note: any JSON value, over an older one of the same key."""
        with self._database.writing() as connection:
            rounds.put(connection, key, value)

    def rebuild(self) -> int:
        """Make the current state anew from the events; returns how many cells were not what they say (0: sound)."""
        with self._database.writing() as connection:
            return rebuild.rebuild(connection)
