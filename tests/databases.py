"""Helpers that read and change a ledger's database by SQL, past the Store and its checks."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar, cast

from sqlalchemy import URL, Connection, inspect

from labelgrid.basics.errors import LedgerError
from labelgrid.ledger.database import Database
from labelgrid.ledger.dialect import Dialect
from labelgrid.ledger.place import LedgerPlace
from labelgrid.ledger.sqlite import SQLite

Row = tuple[Any, ...]


class Unchecked(SQLite):
    """SQLite without foreign keys, so that rows may be wrong."""

    SETTINGS: ClassVar[Sequence[str]] = ()


class Immutable(Unchecked):
    """SQLite that opens a file without writing anything beside it."""

    def url(self) -> URL:
        """The file's URL."""
        options = {"immutable": "1", "uri": "true"}
        return URL.create("sqlite", database=self.path.absolute().as_uri(), query=options)


def unchecked(place: LedgerPlace) -> Dialect:
    """The dialect of a place, without foreign keys; on PostgreSQL also without triggers."""
    if isinstance(place, Path):
        return Unchecked(place)
    from labelgrid.ledger.postgresql import PostgreSQL

    class UncheckedPostgreSQL(PostgreSQL):
        SETTINGS: ClassVar[Mapping[str, str]] = {"session_replication_role": "replica"}

    return UncheckedPostgreSQL(place)


@contextmanager
def changing(place: LedgerPlace) -> Iterator[Connection]:
    """Open a write transaction on a database, which need not be a ledger."""
    with closing(Database(place, unchecked(place))) as base, base.writing() as connection:
        yield connection


def change(place: LedgerPlace, *statements: str) -> None:
    """Run statements in one transaction."""
    with changing(place) as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def rows(place: LedgerPlace, query: str, *values: object) -> list[Row]:
    """The rows that a query gives."""
    with closing(Database(place, unchecked(place))) as base, base.reading() as connection:
        return _rows(connection, query, *values)


def everything(place: LedgerPlace) -> dict[str, list[Row]]:
    """All rows of a database."""
    with closing(Database(place)) as base, base.reading() as connection:
        tables = inspect(connection).get_table_names()
        return {
            name: sorted(map(tuple, connection.exec_driver_sql(f"SELECT * FROM {name}")), key=repr)
            for name in tables
        }


def columns(connection: Connection, table: str) -> list[str]:
    """The names of a table's columns."""
    return [str(column["name"]) for column in inspect(connection).get_columns(table)]


def drop_triggers(connection: Connection) -> None:
    """Drop the triggers, so that events can be changed."""
    for (name,) in _rows(connection, "SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        connection.exec_driver_sql(f"DROP TRIGGER {name}")


def empty_log(path: Path) -> None:
    """Move everything from the write-ahead log into the database's file."""
    with closing(Database(path, Unchecked(path))) as base, base.reading() as connection:
        driver = cast("Any", connection.connection).driver_connection
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def content(path: Path) -> dict[str, list[Row]] | bytes:
    """All rows of all tables, without the times of operations; the bytes of a damaged database.

    A killed process leaves a write-ahead log, which must be read too; reading it needs write access.
    """
    has_log = path.with_name(f"{path.name}-wal").exists()
    tables = {}
    try:
        base = Database(path, Unchecked(path) if has_log else Immutable(path))
        with closing(base), base.reading() as connection:
            names = _rows(
                connection, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
            )
            for (table,) in names:
                listed = ", ".join(name for name in columns(connection, table) if name != "at")
                query = f"SELECT {listed} FROM {table} ORDER BY {listed}"
                tables[table] = _rows(connection, query)
    except LedgerError:
        return path.read_bytes()
    return tables


def _rows(connection: Connection, query: str, *values: object) -> list[Row]:
    return [tuple(row) for row in connection.exec_driver_sql(query, values)]
