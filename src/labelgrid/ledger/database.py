"""Creates, opens and migrates the ledger's database.

Its errors, and values that this program does not write, become `LedgerError`s: SQLite accepts any
type in any column, and a ledger may be somebody else's.
"""

import json
import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from labelgrid.errors import DatabaseError, LedgerError
from labelgrid.ledger.dialect import FOREIGN, INTERRUPTED, Dialect, SQLite, dialect_of
from labelgrid.ledger.schema import (
    APPEND_ONLY,
    METADATA,
    MIGRATIONS,
    OPERATIONS,
    REVISION,
    VERSION,
    VERSION_TABLE,
)

UNCHANGED = "Nothing was changed."


@dataclass
class Pending:
    """The operation that the moves of a transaction belong to.

    Args:
        command: what moves the cells.
        id: its row; None before the first move.
    """

    command: str
    id: int | None = None


#: The key of a write transaction's `Pending` in its connection's execution options.
_PENDING = "operation"


class Database:
    """A ledger's database and its connections; safe to use from several threads and processes.

    A writer always sees the newest state, and writers of several processes wait for each other.
    Readers are never blocked. Every commit is flushed to the disk, so that neither a kill nor a
    power cut loses it: labels cost money, and commits are few.

    Args:
        path: the ledger's file.
        dialect: the kind of database; SQLite by default.
    """

    def __init__(self, path: Path, dialect: Dialect | None = None) -> None:
        self.path = path
        self.dialect = dialect or SQLite()
        self._engine = create_engine(
            self.dialect.url(path),
            connect_args=self.dialect.arguments(),
            json_serializer=partial(
                json.dumps, sort_keys=True, ensure_ascii=False, allow_nan=False
            ),
        )
        self._local = threading.local()
        self.dialect.attach(self._engine)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a read transaction: one consistent snapshot.

        Inside `writing`, the same transaction.
        """
        outer = getattr(self._local, "connection", None)
        if outer is not None:
            with foreign_value_errors():
                yield outer
            return
        with (
            self._translated_errors(),
            foreign_value_errors(),
            self._engine.connect() as connection,
        ):
            yield connection

    @contextmanager
    def writing(self, command: str = "") -> Iterator[Connection]:
        """Open a write transaction; inside another one, a savepoint.

        Args:
            command: the name of the operation that its moves belong to; inside another transaction,
                they belong to that one's.
        """
        outer = getattr(self._local, "connection", None)
        if outer is not None:
            with self._translated_errors(), _savepoint(outer):
                yield outer
            return
        with self._translated_errors(), self._engine.connect() as connection:
            connection.execution_options(writing=True, **{_PENDING: Pending(command)})
            with connection.begin():
                self._local.connection = connection
                try:
                    yield connection
                finally:
                    self._local.connection = None

    def share(self) -> None:
        """Allow readers and one writer to work at the same time."""
        with self._translated_errors(), self._engine.connect() as connection:
            self.dialect.share(connection)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, self._engine.dialect.dbapi.Error) as error:  # type: ignore[union-attr]
            if getattr(getattr(error, "orig", error), "sqlite_errorname", "") == INTERRUPTED:
                raise KeyboardInterrupt from error
            raise self._database_error(error) from error

    def _database_error(self, error: Exception) -> DatabaseError:
        cause = getattr(error, "orig", error)
        unknown = f"the database reports '{cause}'", "Run again."
        fault, next_step = self.dialect.meaning(cause) or unknown
        return DatabaseError(
            _message(fault), where=str(self.path), next_step=next_step, unchanged=UNCHANGED
        )


def pending_operation(connection: Connection) -> Pending:
    """The operation of a write transaction."""
    operation: Pending = connection.get_execution_options()[_PENDING]
    return operation


@contextmanager
def _savepoint(connection: Connection) -> Iterator[None]:
    """Open a savepoint; an error also takes back the operation's row if it was written inside."""
    operation = pending_operation(connection)
    before = operation.id
    try:
        with connection.begin_nested():
            yield
    except BaseException:
        operation.id = before
        raise


def create_database(path: Path, dialect: Dialect | None = None) -> Database:
    """Create a new database; an empty file left by a stopped call is used.

    Raises:
        LedgerError: it exists already, or it cannot be written.
    """
    if not path.parent.is_dir():
        raise LedgerError(
            "There is no such folder.", where=str(path.parent), next_step="Create it and run again."
        )
    database = Database(path, dialect)
    try:
        _refuse_tables(database)
        database.share()
        with database.writing() as connection:
            _refuse_tables(database)  # again: another process may have created it meanwhile
            _migrate(connection)
    except BaseException:
        database.close()
        raise
    return database


def open_database(path: Path, *, read_only: bool = False) -> Database:
    """Open a database; an older one is migrated in one transaction.

    Raises:
        LedgerError: it is missing, not a ledger, newer than this program, of a development version
            before 0.1.0, or cannot be written; with `read_only`, it is older than this program.
    """
    if not path.is_file():
        raise LedgerError(
            "There is no ledger.", where=str(path), next_step="Create one with `labelgrid init`."
        )
    database = Database(path, SQLite(read_only=read_only))
    try:
        with database.reading() as connection:
            current = _is_current(connection, path)
            if current:
                _check_schema(connection, path)
        if not current and read_only:
            next_step = "`labelgrid status` of its project brings it up to date."
            raise LedgerError(
                "The ledger is of an older labelgrid.", where=str(path), next_step=next_step
            )
        if not current:
            with database.writing() as connection:
                _migrate(connection)
                _check_schema(connection, path)
    except BaseException:
        database.close()
        raise
    return database


def _check_schema(connection: Connection, path: Path) -> None:
    """Refuse a ledger with triggers, views or tables that this program does not make.

    They would act in every command.
    """
    tables = [*METADATA.sorted_tables, VERSION]
    found = dialect_of(connection).foreign_objects(connection, tables, APPEND_ONLY)
    if found:
        error = foreign_row_error(found[0])
        error.where = str(path)
        raise error


def check_values(row: Sequence[Any], kinds: Sequence[type], owner: str) -> None:
    """Check the types of a row's values, and that its numbers are finite.

    Raises:
        LedgerError: one is wrong; `owner` names the row.
    """
    if tuple(map(type, row)) != tuple(kinds):
        raise foreign_row_error(f"{owner} has a value of another type")
    if not all(math.isfinite(value) for value in row if type(value) is float):
        raise foreign_row_error(f"{owner} has a number that is not finite")


def check_optional(value: Any, owner: str) -> None:
    """Check a value that is a finite number or None.

    Raises:
        LedgerError: it is neither; `owner` names the row.
    """
    if value is not None:
        check_values((value,), (float,), owner)


def check_name(name: Any, owner: str) -> None:
    """Check a name that becomes part of a path.

    Raises:
        LedgerError: it is no text, or would lead out of a folder.
    """
    if type(name) is not str or not name or name in (".", "..") or {"/", "\0"} & set(name):
        raise foreign_row_error(f"{owner} has the name {name!r}")


def foreign_row_error(fault: str) -> DatabaseError:
    """The error for a row that this program did not write."""
    return DatabaseError(
        _message(f"{fault}, which labelgrid does not write"),
        next_step="Restore the ledger from a copy, or use a project whose origin you know.",
        unchanged=UNCHANGED,
    )


@contextmanager
def foreign_value_errors() -> Iterator[None]:
    """Turn the errors of unreadable values into `DatabaseError`, such as of damaged JSON."""
    try:
        yield
    except (KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise foreign_row_error(
            f"it holds a value that cannot be read ({type(error).__name__}: {error})"
        ) from error


def _refuse_tables(database: Database) -> None:
    with database.reading() as connection:
        if inspect(connection).get_table_names():
            raise LedgerError(
                "A database exists already.",
                where=str(database.path),
                next_step="Open it, or choose another folder.",
                unchanged=UNCHANGED,
            )


def _is_current(connection: Connection, path: Path) -> bool:
    """Whether a ledger has the newest revision.

    Raises:
        LedgerError: it is no ledger, newer than this program, or of a development version.
    """
    version = _version(connection)
    if version is None:
        fault, next_step = FOREIGN
        raise DatabaseError(
            _message(fault), where=str(path), next_step=next_step, unchanged=UNCHANGED
        )
    if not inspect(connection).has_table(OPERATIONS.name):
        raise LedgerError(
            "The ledger was made by a development version before 0.1.0, which this program does "
            "not read.",
            where=str(path),
            next_step="Create a new project with `labelgrid init` and import the labels there.",
            unchanged=UNCHANGED,
        )
    files = (MIGRATIONS / "versions").glob("[0-9]*.py")
    revisions = sorted(file.name.partition("_")[0] for file in files)
    if version not in revisions:
        raise LedgerError(
            f"The ledger was made by a newer labelgrid: its tables have revision {version}, this "
            f"program knows {revisions[-1]}.",
            where=str(path),
            next_step="Upgrade labelgrid.",
            unchanged=UNCHANGED,
        )
    return version == REVISION


def _version(connection: Connection) -> str | None:
    """The revision of a ledger; None if the database is none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
    return version


def _migrate(connection: Connection) -> None:
    """Bring a database to the newest revision."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _message(fault: str) -> str:
    return f"The ledger cannot be used: {fault}."
