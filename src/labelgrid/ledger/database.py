"""Creates, opens and migrates the ledger's database.

Its errors become `LedgerError`s.
"""

import threading
import time
from collections.abc import Callable, Iterator, Set
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeGuard, TypeVar, cast

from sqlalchemy import (
    Connection,
    RootTransaction,
    Table,
    create_engine,
    event,
    func,
    inspect,
    select,
)
from sqlalchemy.exc import DBAPIError, StatementError

from labelgrid.basics.errors import DatabaseError, LabelgridError, LedgerError, LostConnectionError
from labelgrid.basics.type_names import Values
from labelgrid.ledger.dialect import FOREIGN, KEY, Dialect
from labelgrid.ledger.place import LedgerPlace
from labelgrid.ledger.row_values import (
    UNCHANGED,
    as_json,
    check_parameters,
    foreign_row_error,
    foreign_value_errors,
    unusable,
)
from labelgrid.ledger.schema import (
    APPEND_ONLY,
    METADATA,
    MIGRATIONS,
    NOTES,
    OPERATIONS,
    REVISION,
    VERSION,
    VERSION_TABLE,
)
from labelgrid.ledger.sqlite import SQLite, can_be_written, readable_copy

T = TypeVar("T")
#: How long a lost connection is made again, in seconds, before what was asked of it is an error;
#: and to learn whether a commit was done, whose answer was lost.
AGAIN_SECONDS = 5.0
ANSWER_SECONDS = 30.0
#: The pause before a connection is made again, in seconds.
PAUSE_SECONDS = 0.1
#: The revision of a ledger that was copied to another place, and the note of this place.
MOVED = "moved"
MOVED_TO = "moved to"


@dataclass
class Pending:
    """The operation that the moves of a transaction belong to.

    Args:
        command: what moves the cells.
        id: its row; None before the first move.
    """

    command: str
    id: int | None = None


#: What holds rows and does nothing by itself.
PLAIN = ("table", "index")
#: The key of a write transaction's `Pending` in its connection's execution options.
_PENDING = "operation"


class Database:
    """A ledger's database and its connections; safe to use from several threads and processes.

    A writer always sees the newest state, and writers of several processes wait for each other.
    Readers are never blocked. Every commit is flushed to the disk, so that neither a kill nor a
    power cut loses it: labels cost money, and commits are few.

    A connection that is lost before a transaction has begun is made again. A connection lost in a
    transaction undoes the transaction. If a connection is lost during a commit, the database is
    asked whether the commit happened.

    Args:
        place: the ledger's file, or its URL.
        dialect: the kind of database; by default that of the place.
    """

    def __init__(self, place: LedgerPlace, dialect: Dialect | None = None) -> None:
        self.place = place
        self.dialect = dialect or dialect_at(place)
        self._revision: str | None = None  # what a writer must find; None: any
        self._engine = create_engine(
            self.dialect.url(), connect_args=self.dialect.arguments(), json_serializer=as_json
        )
        self._local = threading.local()
        self.dialect.attach(self._engine)
        event.listen(self._engine, "before_cursor_execute", check_parameters)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a read transaction: a consistent snapshot.

        Inside `writing`, the same transaction.
        """
        outer = self._outer()
        if outer is not None:
            with foreign_value_errors():
                yield outer
            return
        with (
            self._translated_errors(),
            foreign_value_errors(),
            self._engine.connect() as connection,
        ):
            if self.known:
                connection.execution_options(**self.known)
            yield connection

    @property
    def known(self) -> Values:
        """Execution options for this thread's readers."""
        return getattr(self._local, "known", {})

    @known.setter
    def known(self, options: Values) -> None:
        self._local.known = options

    @property
    def pending(self) -> Any:
        """The readers' options after this thread's commit; None: the same."""
        return getattr(self._local, "pending", None)

    @pending.setter
    def pending(self, pending: Any) -> None:
        self._local.pending = pending

    def is_writing(self) -> bool:
        """Whether this thread is in a write transaction."""
        return self._outer() is not None

    def again(self, act: Callable[[], T], seconds: float | None = None) -> T:
        """Run a function again while the connection is lost, for some seconds.

        Inside `writing`, once: its transaction is lost with the connection.
        """
        end = time.monotonic() + (AGAIN_SECONDS if seconds is None else seconds)
        while True:
            try:
                return act()
            except LostConnectionError:
                if self._outer() is not None or time.monotonic() > end:
                    raise
            time.sleep(PAUSE_SECONDS)

    def each_again(self, read: Callable[[], Iterator[T]]) -> Iterator[T]:
        """As `again` for a function that yields rows, until the first row.

        After that a lost connection is an error: later rows would be of another snapshot.
        """

        def begin() -> tuple[Iterator[T], list[T]]:
            rows = read()
            return rows, list(islice(rows, 1))

        rows, first = self.again(begin)
        yield from first
        yield from rows

    @contextmanager
    def writing(
        self, command: str = "", *, creating: bool = False, migrating: bool = False
    ) -> Iterator[Connection]:
        """Open a write transaction; inside another one, a savepoint.

        Args:
            command: the name of the operation of all moves inside; inside another transaction, the
                moves belong to the outer operation.
            creating: whether there may be no table yet.
            migrating: whether tables that others refer to may be made anew, with the same rows.
        """
        outer = self._outer()
        if outer is not None:
            with self._translated_errors(), _savepoint(outer):
                yield outer
            return
        begin = partial(self._begin, command, creating=creating, migrating=migrating)
        with self._translated_errors(), closing(self.again(begin)) as connection:
            if self._revision:
                self._check_revision(connection)
            number = self.dialect.transaction_number(connection)
            self._local.connection = connection
            transaction = connection.get_transaction()
            assert transaction is not None
            try:
                yield connection
            except BaseException:
                with suppress(DBAPIError):  # of a lost connection, which the cause has said
                    transaction.rollback()
                raise
            finally:
                self._local.connection = None
            self._commit(transaction, number, creating=creating)

    def keep_revision(self) -> None:
        """From now on, refuse to write a ledger of another revision."""
        self._revision = REVISION

    def share(self) -> None:
        """Allow readers and one writer to work at the same time."""
        with self._translated_errors(), self._engine.connect() as connection:
            self.dialect.share(connection)

    def close(self) -> None:
        """Close all connections of the engine."""
        self._engine.dispose()

    def _outer(self) -> Connection | None:
        return getattr(self._local, "connection", None)

    def _begin(self, command: str, *, creating: bool, migrating: bool = False) -> Connection:
        with self._translated_errors():
            connection = self._engine.connect()
            try:
                options = {
                    "writing": True,
                    "creating": creating,
                    "migrating": migrating,
                    _PENDING: Pending(command),
                }
                connection.execution_options(**options).begin()
            except BaseException:
                connection.close()
                raise
        return connection

    def _check_revision(self, connection: Connection) -> None:
        """Refuse to write a ledger that another process has migrated, or copied, meanwhile."""
        if connection.scalar(select(VERSION.c.version_num)) != self._revision:
            _is_current(connection, self.place)
            raise LedgerError(
                "Another labelgrid has changed the ledger's tables meanwhile.",
                where=self.place,
                next_step="Run again.",
                unchanged=UNCHANGED,
            )

    def _commit(self, transaction: RootTransaction, number: str, *, creating: bool) -> None:
        """Commit; if the answer is lost, find out whether that was done.

        Raises:
            LostConnectionError: it is not known.
        """
        try:
            transaction.commit()
        except DBAPIError as error:
            is_unknown = number and error.connection_invalidated
            if not (is_unknown and self._was_committed(number, creating=creating)):
                raise

    def _was_committed(self, number: str, *, creating: bool) -> bool:
        """Whether a transaction was committed, whose connection is lost."""

        def ask() -> bool | None:
            # It waits for the lock, so the other transaction has ended.
            begun = self._begin("", creating=creating)
            with self._translated_errors(), closing(begun) as connection:
                return self.dialect.was_committed(connection, number)

        try:
            committed = self.again(ask, ANSWER_SECONDS)
        except LedgerError:
            committed = None
        if committed is None:
            raise LostConnectionError(
                unusable("the connection was lost while it saved a change"),
                where=self.place,
                next_step="`labelgrid log` shows whether the change was made; if not, run again.",
                unchanged="Nothing was half done.",
            )
        return committed

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except (StatementError, self._engine.dialect.dbapi.Error) as error:  # type: ignore[union-attr]
            cause: BaseException = getattr(error, "orig", None) or error
            if isinstance(cause, LabelgridError):
                raise cause from None
            if isinstance(error, StatementError) and not isinstance(error, DBAPIError):
                raise
            if self.dialect.was_interrupted(cause):
                raise KeyboardInterrupt from error
            raise self._database_error(cause) from error

    def _database_error(self, cause: BaseException) -> DatabaseError:
        words = str(cause).partition("\n")[0]
        unknown = f"the database reports '{words}'", "Run again."
        fault, next_step = self.dialect.meaning(cause) or unknown
        kind = LostConnectionError if self.dialect.is_lost(cause) else DatabaseError
        return kind(
            unusable(fault), where=str(self.place), next_step=next_step, unchanged=UNCHANGED
        )


def dialect_at(place: LedgerPlace, *, read_only: bool = False) -> Dialect:
    """The dialect of the ledger at a place.

    Raises:
        LedgerError: it needs a package that is not installed.
    """
    if isinstance(place, Path):
        return SQLite(place, read_only=read_only)
    from labelgrid.ledger.postgresql import PostgreSQL

    return PostgreSQL(place, read_only=read_only)


def dialect_of(connection: Connection) -> Dialect:
    """The dialect that set up the connection."""
    return cast("Dialect", connection.info[KEY])


def next_id(connection: Connection, table: Table) -> int:
    """The number of the next row of a table: one more than the greatest.

    A database's own sequence leaves gaps after undone transactions, which differ between databases.
    """
    return (connection.scalar(select(func.max(table.c.id))) or 0) + 1


def pending_operation(connection: Connection) -> Pending:
    """The operation that a write transaction's moves belong to."""
    return connection.get_execution_options()[_PENDING]


@contextmanager
def _savepoint(connection: Connection) -> Iterator[None]:
    """Open a savepoint; an error also takes back the operation's row if it was written inside."""
    operation = pending_operation(connection)
    before = operation.id
    savepoint = connection.begin_nested()
    try:
        yield
        savepoint.commit()
    except BaseException:
        operation.id = before
        with suppress(DBAPIError):  # SQLite has taken all back where the disk is full
            savepoint.rollback()
        raise


def open_database(place: LedgerPlace, *, read_only: bool = False) -> Database:
    """Open a database, after migrating an older version in a transaction.

    Raises:
        LedgerError: the file is missing, no ledger, newer than this program, of a development
            version before 0.1.0, or cannot be written; with `read_only`, older than this program. A
            file that cannot be written is read in a copy then, which is migrated.
        ProjectError: the temporary folder has no room for the copy.
    """
    if read_only and is_unwritable(place):
        return _open_copy(place)
    dialect = dialect_at(place, read_only=read_only)
    dialect.check_there()
    database = Database(place, dialect)
    try:
        current = database.again(partial(_look_at, database))
        if not current and read_only:
            raise LedgerError(
                "The ledger is of an older labelgrid.",
                where=place,
                next_step="`labelgrid status` of its project brings it up to date.",
            )
        if not current:
            with database.writing(migrating=True) as connection:
                migrate(connection)
                _check_schema(connection, place)
            database.close()  # the next connection checks references
    except BaseException:
        database.close()
        raise
    database.keep_revision()
    return database


def is_unwritable(place: LedgerPlace) -> TypeGuard[Path]:
    """Whether a ledger is a file without the right to write, which reading needs, too."""
    return isinstance(place, Path) and place.is_file() and not can_be_written(place)


def _open_copy(place: Path) -> Database:
    copy = readable_copy(place)
    try:
        open_database(copy).close()  # an older one is migrated
    except LedgerError as error:
        error.where = str(place)
        raise
    return Database(place, SQLite(copy, read_only=True))


def _look_at(database: Database) -> bool:
    with database.reading() as connection:
        current = _is_current(connection, database.place)
        if current:
            _check_schema(connection, database.place)
    return current


def _check_schema(connection: Connection, place: LedgerPlace) -> None:
    """Refuse a ledger with triggers, views or tables of another origin.

    They would act in every command.
    """
    tables = [*METADATA.sorted_tables, VERSION]
    dialect = dialect_of(connection)
    present, expected = dialect.objects(connection, tables, APPEND_ONLY)
    try:
        _refuse_difference(present, expected)
        _refuse_difference(expected, present, "lacks")
        dialect.check_keys(connection, tables)
    except DatabaseError as error:
        error.where = str(place)
        raise


def _refuse_difference(
    present: Set[tuple[str, str]], expected: Set[tuple[str, str]], verb: str = "has"
) -> None:
    for kind, name in sorted(present - expected):
        raise foreign_row_error(f"it {verb} the {kind} {name!r:.80}")


def _is_current(connection: Connection, place: LedgerPlace) -> bool:
    """Whether a ledger has the newest revision.

    Raises:
        LedgerError: it is no ledger, newer than this program, of a development version, or was
            copied to another place.
    """
    try:
        version = revision_of(connection)
    except DatabaseError as error:
        error.where = error.where or str(place)
        raise
    if version is None:
        fault, next_step = FOREIGN
        raise DatabaseError(unusable(fault), where=place, next_step=next_step, unchanged=UNCHANGED)
    if not inspect(connection).has_table(OPERATIONS.name):
        raise LedgerError(
            "The ledger was made by a development version before 0.1.0, which this program does "
            "not read.",
            where=place,
            next_step="Create a new project with `labelgrid init` and import the labels there.",
            unchanged=UNCHANGED,
        )
    if version == MOVED:
        raise moved_error(place, moved_to(connection))
    files = (MIGRATIONS / "versions").glob("[0-9]*.py")
    revisions = sorted(file.name.partition("_")[0] for file in files)
    if version not in revisions:
        raise LedgerError(
            f"The ledger was made by a newer labelgrid: its tables have revision {version:.40}, "
            f"this program knows {revisions[-1]}.",
            where=place,
            next_step="Upgrade labelgrid.",
            unchanged=UNCHANGED,
        )
    return version == REVISION


def moved_to(connection: Connection) -> str:
    """The place that a ledger was copied to, or ""."""
    return str(connection.scalar(select(NOTES.c.value).where(NOTES.c.key == MOVED_TO)) or "")


def moved_error(place: LedgerPlace, target: str) -> LedgerError:
    """The error for a ledger that was copied to another place and is used no longer."""
    return LedgerError(
        f"The ledger was copied to {target}, and is no longer used here.",
        where=place,
        next_step="If the settings name this one, run `labelgrid ledger copy` to there again.",
        unchanged=UNCHANGED,
    )


def revision_of(connection: Connection) -> str | None:
    """The revision of a ledger; None if the database is none.

    Raises:
        DatabaseError: reading a row would run what somebody else wrote, such as a view.
    """
    present, expected = dialect_of(connection).objects(connection, [VERSION], APPEND_ONLY)
    if VERSION_TABLE not in {name for _, name in present}:
        return None
    acting = {entry for entry in present if entry[0] not in PLAIN}
    _refuse_difference(acting, expected)
    return connection.scalar(select(VERSION.c.version_num))


def migrate(connection: Connection) -> None:
    """Bring a database to the newest revision."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
