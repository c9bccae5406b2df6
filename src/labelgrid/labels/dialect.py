"""What one kind of database does its own way: addresses, locking, durability, and the names of its faults."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, cast

from sqlalchemy import URL, Connection, Engine, Insert, Table, event
from sqlalchemy.dialects import sqlite

#: How long a process waits for another one's writing.
WAIT_SECONDS = 60
#: A fault's meaning, and what to do about it.
Meaning = tuple[str, str]
#: The file or database is none of ours.
FOREIGN: Meaning = ("it is not a labelgrid database", "Give the folder that `labelgrid init` made.")
#: The key of a connection's `info` under which its dialect is found.
_KEY = "labelgrid.dialect"


class Dialect(Protocol):
    """One kind of database. All else in `labelgrid.labels` is SQLAlchemy that SQLite and PostgreSQL both run."""

    def url(self, path: Path) -> URL:
        """The address of the ledger of a path."""

    def arguments(self) -> dict[str, Any]:
        """Arguments of the driver's `connect`."""

    def attach(self, engine: Engine) -> None:
        """Set up each connection of the engine, and say how its transactions begin.

        A transaction whose connection has the execution option `writing` sees the newest state and makes other
        writers wait. Every commit is flushed to the disk.
        """

    def share(self, connection: Connection) -> None:
        """Let readers and a writer work at once, from now on."""

    def insert_new(self, table: Table) -> Insert:
        """An INSERT that leaves rows of known keys as they are, and counts the others."""

    def append_only(self, table: str) -> Sequence[str]:
        """The statements after which rows of a table can be neither changed nor removed."""

    def meaning(self, cause: BaseException) -> Meaning | None:
        """What the driver's error means, if it has a common cause."""


def dialect_of(connection: Connection) -> Dialect:
    """The dialect whose `attach` set up the connection."""
    return cast("Dialect", connection.info[_KEY])


_LOCKED = (f"another process has kept it locked for {WAIT_SECONDS} s", "Let it end, or stop it, and run again.")
_READ_ONLY = ("it cannot be written", "Make its folder and its files writable for you and run again.")


class SQLite:
    """SQLite: one file, its write-ahead log beside it."""

    #: The beginning of SQLite's name for a fault -> its meaning.
    FAULTS: ClassVar[Mapping[str, Meaning]] = {
        "SQLITE_FULL": ("the disk is full", "Free some space and run again."),
        "SQLITE_READONLY": _READ_ONLY,
        "SQLITE_CANTOPEN": _READ_ONLY,
        "SQLITE_PERM": _READ_ONLY,
        "SQLITE_BUSY": _LOCKED,
        "SQLITE_LOCKED": _LOCKED,
        "SQLITE_NOTADB": FOREIGN,
        "SQLITE_CORRUPT": ("it is damaged", "Put back a copy of it; `sqlite3 FILE .recover` may save the rest."),
        "SQLITE_IOERR": ("the disk failed", "Look at the disk (space, quota, network) and run again."),
    }
    SETTINGS = ("foreign_keys=ON", "synchronous=FULL", "cache_size=-65536")

    def url(self, path: Path) -> URL:
        """As `Dialect.url`: the file's."""
        return URL.create("sqlite", database=str(path.absolute()))

    def arguments(self) -> dict[str, Any]:
        """As `Dialect.arguments`."""
        return {"timeout": WAIT_SECONDS}

    def attach(self, engine: Engine) -> None:
        """As `Dialect.attach`: a writer takes SQLite's write lock at once (BEGIN IMMEDIATE)."""

        def connect(connection: sqlite3.Connection, record: Any) -> None:
            record.info[_KEY] = self
            connection.isolation_level = None  # transactions begin where `begin` says, not where the driver guesses
            for setting in self.SETTINGS:
                connection.execute(f"PRAGMA {setting}")

        def begin(connection: Connection) -> None:
            writing = connection.get_execution_options().get("writing", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

        event.listen(engine, "connect", connect)
        event.listen(engine, "begin", begin)

    def share(self, connection: Connection) -> None:
        """As `Dialect.share`: a write-ahead log; the file remembers it."""
        cast("sqlite3.Connection", connection.connection.driver_connection).execute("PRAGMA journal_mode=WAL")

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

    def meaning(self, cause: BaseException) -> Meaning | None:
        """As `Dialect.meaning`, by SQLite's name for the error."""
        name = getattr(cause, "sqlite_errorname", "")
        return next((meaning for start, meaning in self.FAULTS.items() if name.startswith(start)), None)
