"""How the ledger's database is made, opened and shared, and how its faults become sentences."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import cast

from sqlalchemy import URL, Connection, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError

from labelgrid.errors import LedgerError
from labelgrid.labels.schema import MIGRATIONS, REVISION, VERSION_TABLE

UNCHANGED = "Nothing was changed."
#: How long a process waits for another one's writing.
WAIT_SECONDS = 60

_LOCKED = (f"another process has kept it locked for {WAIT_SECONDS} s", "Let it end, or stop it, and run again.")
_SHUT = ("it cannot be written", "Make its folder and its files writable for you and run again.")
#: The beginning of SQLite's name for a fault -> what it means, what to do.
_FAULTS = {
    "SQLITE_FULL": ("the disk is full", "Free some space and run again."),
    "SQLITE_READONLY": _SHUT,
    "SQLITE_CANTOPEN": _SHUT,
    "SQLITE_PERM": _SHUT,
    "SQLITE_BUSY": _LOCKED,
    "SQLITE_LOCKED": _LOCKED,
    "SQLITE_NOTADB": ("it is not a labelgrid database", "Give the folder that `labelgrid init` made."),
    "SQLITE_CORRUPT": ("it is damaged", "Put back a copy of it; `sqlite3 FILE .recover` may save the rest."),
    "SQLITE_IOERR": ("the disk failed", "Look at the disk (space, quota, network) and run again."),
}


class Database:
    """One SQLite file and its connections; safe to share between threads and between processes.

    Writes take SQLite's write lock at once (BEGIN IMMEDIATE), so a writer always sees the newest state and
    writers of several processes wait for each other. Readers are never blocked (write-ahead log). Every commit is
    flushed to the disk (`synchronous=FULL`): labels cost money, commits are few, so neither a killed process
    nor a power cut loses one that was acknowledged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = create_engine(
            URL.create("sqlite", database=str(path.absolute())),
            connect_args={"timeout": WAIT_SECONDS},
            json_serializer=partial(json.dumps, sort_keys=True, ensure_ascii=False, allow_nan=False),
        )
        self._own = threading.local()
        event.listen(self._engine, "connect", _set_up)
        event.listen(self._engine, "begin", _begin)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One unchanging picture of the database; inside `writing`, that transaction's own."""
        outer = getattr(self._own, "connection", None)
        if outer is not None:
            yield outer
            return
        with self._sentences(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: all of it or nothing. Inside another one: a part of it that fails alone."""
        outer = getattr(self._own, "connection", None)
        if outer is not None:
            with self._sentences(), outer.begin_nested():
                yield outer
            return
        with self._sentences(), self._engine.connect() as connection:
            connection.execution_options(writing=True)
            with connection.begin():
                self._own.connection = connection
                try:
                    yield connection
                finally:
                    self._own.connection = None

    def use_write_ahead_log(self) -> None:
        """Let readers and a writer work at once; the file remembers it."""
        with self._sentences(), self._engine.connect() as connection:
            cast("sqlite3.Connection", connection.connection.driver_connection).execute("PRAGMA journal_mode=WAL")

    def close(self) -> None:
        """Close the connections; the last one of all processes folds the write-ahead log into the file."""
        self._engine.dispose()

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            raise _fault(self.path, error) from error


def create(path: Path) -> Database:
    """Make a new database; a file left empty by one that was stopped is taken over.

    Raises:
        LedgerError: there is one already, or the place cannot be written.
    """
    if not path.parent.is_dir():
        raise LedgerError("There is no such folder.", where=str(path.parent), next_step="Make it and run again.")
    database = Database(path)
    try:
        _refuse_tables(database)
        database.use_write_ahead_log()
        with database.writing() as connection:
            _refuse_tables(database)  # once more: another process may have been quicker
            _migrate(connection)
    except BaseException:
        database.close()
        raise
    return database


def open_(path: Path) -> Database:
    """Open a database, bringing an older one up to date in one transaction.

    Raises:
        LedgerError: it is missing, not a ledger, newer than this program, or cannot be written.
    """
    if not path.is_file():
        raise LedgerError("There is no ledger.", where=str(path), next_step="Make one with `labelgrid init`.")
    database = Database(path)
    try:
        with database.reading() as connection:
            current = _is_current(connection, path)
        if not current:
            with database.writing() as connection:
                _migrate(connection)
    except BaseException:
        database.close()
        raise
    return database


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where `_begin` says, not where the driver guesses
    for setting in ("foreign_keys=ON", "synchronous=FULL", "cache_size=-65536"):
        connection.execute(f"PRAGMA {setting}")


def _begin(connection: Connection) -> None:
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _refuse_tables(database: Database) -> None:
    with database.reading() as connection:
        if inspect(connection).get_table_names():
            raise LedgerError(
                "There is a database already.",
                where=str(database.path),
                next_step="Open it, or choose another folder.",
                unchanged=UNCHANGED,
            )


def _is_current(connection: Connection, path: Path) -> bool:
    known = sorted(file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    ours = inspect(connection).has_table(VERSION_TABLE)
    version = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) if ours else None
    if version is None:
        what, next_step = _FAULTS["SQLITE_NOTADB"]
        raise LedgerError(_sentence(what), where=str(path), next_step=next_step, unchanged=UNCHANGED)
    if version not in known:
        raise LedgerError(
            f"The ledger was made by a newer labelgrid: its tables have revision {version}, this program knows "
            f"{known[-1]}.",
            where=str(path),
            next_step="Upgrade labelgrid.",
            unchanged=UNCHANGED,
        )
    return version == REVISION


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _sentence(what: str) -> str:
    return f"The ledger cannot be used: {what}."


def _fault(path: Path, error: DBAPIError | sqlite3.Error) -> LedgerError:
    cause = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(cause, "sqlite_errorname", "")
    known = (meaning for start, meaning in _FAULTS.items() if name.startswith(start))
    what, next_step = next(known, (f"the database says '{cause}'", "Run again."))
    return LedgerError(_sentence(what), where=str(path), next_step=next_step, unchanged=UNCHANGED)
