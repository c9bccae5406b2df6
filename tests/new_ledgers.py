"""The tables of new ledgers: the migrations make a process's first, and say how to make the others.

That is seven times as fast. Tests of how a ledger is made, and the commands that tests start,
migrate each ledger; the runs of a study do not.
"""

import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event

from labelgrid.ledger import database
from labelgrid.ledger.creation import create_database

#: As the program does it.
migrate = database.migrate
#: What makes the tables of a ledger in a file; empty before the first.
STATEMENTS: list[str] = []
#: What makes them in a schema of PostgreSQL, with its values.
POSTGRESQL: list[tuple[str, Any]] = []
#: Whether there are tables already.
ANY_TABLE = {
    "sqlite": "SELECT 1 FROM sqlite_master LIMIT 1",
    "postgresql": "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() LIMIT 1",
}


def make_tables(connection: Connection) -> None:
    """In place of `database.migrate`: the same tables, with the same contents."""
    name = connection.dialect.name
    if connection.exec_driver_sql(ANY_TABLE[name]).first() is not None:
        migrate(connection)
    elif name == "postgresql":
        _make_in_postgresql(connection)
    else:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        _make_in_file(connection, driver)


def _make_in_file(connection: Connection, driver: sqlite3.Connection) -> None:
    if not STATEMENTS:
        migrate(connection)
        begin, *statements, commit = driver.iterdump()
        assert (begin, commit) == ("BEGIN TRANSACTION;", "COMMIT;")
        STATEMENTS.extend(statements)
        return
    for statement in STATEMENTS:
        driver.execute(statement)


def _make_in_postgresql(connection: Connection) -> None:
    if not POSTGRESQL:
        noted = []

        def note(_: object, _cursor: object, statement: str, values: Any, *_rest: object) -> None:
            if not statement.lstrip().startswith(("SELECT", "select", "show")):
                noted.append((statement, values))

        event.listen(connection, "before_cursor_execute", note)
        migrate(connection)
        event.remove(connection, "before_cursor_execute", note)
        POSTGRESQL.extend(noted)
        return
    for statement, values in POSTGRESQL:
        connection.exec_driver_sql(statement, values)


def make_all_fast() -> None:
    """Put `make_tables` in the place of `database.migrate`, for this process and its forks, which know the statements."""
    database.migrate = make_tables
    with tempfile.TemporaryDirectory() as folder:
        create_database(Path(folder, "ledger.db")).close()
    assert STATEMENTS
