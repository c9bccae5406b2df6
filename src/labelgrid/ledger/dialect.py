"""Wraps what is specific to a kind of database: its URL, locking, durability and error codes."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

from sqlalchemy import URL, Connection, Engine, Insert, Table, event
from sqlalchemy.dialects import sqlite

#: How long a process waits for another one's write transaction.
WAIT_SECONDS = 60
#: How many of SQLite's instructions run between two looks for signals: some hundredths of a second.
STEPS = 1_000_000
#: SQLite's name of the error of a statement that a signal has interrupted.
INTERRUPTED = "SQLITE_INTERRUPT"
#: An error's meaning, and what to do about it.
Meaning = tuple[str, str]
#: The file is not a labelgrid database.
FOREIGN: Meaning = (
    "it is not a labelgrid database",
    "Name the folder that `labelgrid init` created.",
)
#: The key of its dialect in a connection's `info`.
_KEY = "labelgrid.dialect"


class Dialect(Protocol):
    """One kind of database.

    All other code in `labelgrid.ledger` is SQLAlchemy that runs on SQLite and PostgreSQL.
    """

    def url(self, path: Path) -> URL:
        """The URL of the ledger at a path."""

    def arguments(self) -> dict[str, Any]:
        """The arguments of the driver's `connect`."""

    def attach(self, engine: Engine) -> None:
        """Set up each connection of the engine, and how its transactions begin.

        A transaction whose connection has the execution option `writing` sees the newest state and
        makes other writers wait. Every commit is flushed to the disk.
        """

    def share(self, connection: Connection) -> None:
        """Allow readers and one writer to work at the same time, from now on."""

    def insert_new(self, table: Table) -> Insert:
        """An INSERT that skips rows with existing keys; its row count is the number of new rows."""

    def append_only(self, table: str) -> Sequence[str]:
        """The statements that make a table's rows impossible to change or delete."""

    def foreign_objects(
        self, connection: Connection, tables: Sequence[Table], append_only: Sequence[str]
    ) -> Sequence[str]:
        """What a database's schema has besides these tables, or lacks of them, in words.

        A view in place of a table, or a trigger of somebody else's, would run in any command.

        Args:
            connection: the database.
            tables: the tables that it has.
            append_only: the names of those whose rows cannot be changed or deleted.
        """

    def meaning(self, cause: BaseException) -> Meaning | None:
        """The meaning of the driver's error, if it has a known cause."""


def dialect_of(connection: Connection) -> Dialect:
    """The dialect that set up the connection."""
    return cast("Dialect", connection.info[_KEY])


_LOCKED = (
    f"another process has kept it locked for {WAIT_SECONDS} s",
    "Wait for it or stop it, and run again.",
)
_READ_ONLY = (
    "it cannot be written",
    "Make its folder and its files writable for you and run again.",
)


def _let_signals_through() -> int:
    """Run Python for a moment in a long statement, so that Ctrl-C and SIGTERM end it.

    An exception that a signal's handler raises here interrupts the statement.
    """
    return 0


class SQLite:
    """SQLite: one file, with its write-ahead log beside it.

    Args:
        read_only: refuse to write.
    """

    #: Prefix of SQLite's error name -> meaning.
    FAULTS: ClassVar[Mapping[str, Meaning]] = {
        "SQLITE_FULL": ("the disk is full", "Free some space and run again."),
        "SQLITE_READONLY": _READ_ONLY,
        "SQLITE_CANTOPEN": _READ_ONLY,
        "SQLITE_PERM": _READ_ONLY,
        "SQLITE_BUSY": _LOCKED,
        "SQLITE_LOCKED": _LOCKED,
        "SQLITE_NOTADB": FOREIGN,
        "SQLITE_CORRUPT": (
            "it is damaged",
            "Restore a copy; `sqlite3 FILE .recover` may save what is readable.",
        ),
        "SQLITE_IOERR": (
            "the disk reports an error",
            "Check the disk (space, quota, network) and run again.",
        ),
    }
    SETTINGS: ClassVar[Sequence[str]] = ("foreign_keys=ON", "synchronous=FULL", "cache_size=-65536")
    read_only = False

    def __init__(self, *, read_only: bool = False) -> None:
        self.read_only = read_only

    def url(self, path: Path) -> URL:
        """As `Dialect.url`: the file's URL."""
        return URL.create("sqlite", database=str(path.absolute()))

    def arguments(self) -> dict[str, Any]:
        """As `Dialect.arguments`."""
        return {"timeout": WAIT_SECONDS}

    def attach(self, engine: Engine) -> None:
        """As `Dialect.attach`: a writer takes SQLite's write lock at once (BEGIN IMMEDIATE)."""

        def connect(connection: sqlite3.Connection, record: Any) -> None:
            record.info[_KEY] = self
            connection.isolation_level = (
                None  # transactions begin in `begin`, not where the driver decides
            )
            for setting in self.SETTINGS:
                connection.execute(f"PRAGMA {setting}")
            # SQLite's own way of reading only leaves the files of its log behind.
            if self.read_only:
                connection.execute("PRAGMA query_only=ON")
            connection.set_progress_handler(_let_signals_through, STEPS)

        def begin(connection: Connection) -> None:
            writing = connection.get_execution_options().get("writing", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

        event.listen(engine, "connect", connect)
        event.listen(engine, "begin", begin)

    def share(self, connection: Connection) -> None:
        """As `Dialect.share`: a write-ahead log; the setting is stored in the file."""
        cast("sqlite3.Connection", connection.connection.driver_connection).execute(
            "PRAGMA journal_mode=WAL"
        )

    def insert_new(self, table: Table) -> Insert:
        """As `Dialect.insert_new`."""
        return sqlite.insert(table).on_conflict_do_nothing()

    def append_only(self, table: str) -> Sequence[str]:
        """As `Dialect.append_only`: triggers."""
        return [
            f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} are only ever added'); END"
            for change in ("UPDATE", "DELETE")
        ]

    def foreign_objects(
        self, connection: Connection, tables: Sequence[Table], append_only: Sequence[str]
    ) -> Sequence[str]:
        """As `Dialect.foreign_objects`.

        Triggers are compared by their text, which is ours; tables and indexes by their names, as
        their text depends on the release of SQLAlchemy that made them.
        """
        expected: set[tuple[str, str]] = set()
        for table in tables:
            expected.add(("table", table.name))
            expected.update(("index", str(index.name)) for index in table.indexes)
        for name in append_only:
            expected.update(("trigger", text) for text in self.append_only(name))
        found: set[tuple[str, str]] = set()
        query = "SELECT type, name, sql FROM sqlite_master"
        for kind, name, text in connection.exec_driver_sql(query):
            if kind in ("table", "index") and name.startswith("sqlite_"):  # SQLite's own
                continue
            if kind == "table" and not str(text).startswith("CREATE TABLE"):
                kind = "virtual table"
            found.add((kind, text if kind == "trigger" else name))
        surplus = [f"it has the {kind} {name!r:.80}" for kind, name in sorted(found - expected)]
        lacking = [f"it lacks the {kind} {name!r:.80}" for kind, name in sorted(expected - found)]
        return surplus + lacking

    def meaning(self, cause: BaseException) -> Meaning | None:
        """As `Dialect.meaning`, by SQLite's name for the error."""
        name = getattr(cause, "sqlite_errorname", "")
        for start, meaning in self.FAULTS.items():
            if name.startswith(start):
                return meaning
        return None
