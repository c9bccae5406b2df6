import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from labelgrid.ledger import database
from labelgrid.ledger.schema import METADATA, MIGRATIONS, REVISION, VERSION_TABLE
from labelgrid.ledger.store import Store
from tests import new_ledgers, postgres
from tests.postgres import PostgresServer

#: These tests are of how a ledger is made.
pytestmark = pytest.mark.usefixtures("_each_ledger_is_migrated")
COVERS = [
    "labelgrid.ledger.migrations.env",
    "labelgrid.ledger.migrations.versions.0001_ledger",
    "labelgrid.ledger.migrations.versions.0002_paid_in_effect",
    "labelgrid.ledger.migrations.versions.0003_known_values",
    "labelgrid.ledger.migrations.versions.0004_parts",
]


def test_the_migrations_make_exactly_the_tables_that_the_program_uses(tmp_path: Path) -> None:
    Store.create(tmp_path / "ledger.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    with engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, METADATA) == []
        assert connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) == REVISION
        cells = connection.scalar(text("SELECT sql FROM sqlite_master WHERE name = 'cells'"))
        partial = connection.scalars(
            text("SELECT name FROM sqlite_master WHERE sql LIKE '%WHERE%' ORDER BY name")
        )
        for table in ("images", "tasks"):
            created = text(f"SELECT sql FROM sqlite_master WHERE name = '{table}'")
            assert 'name TEXT COLLATE "BINARY"' in str(connection.scalar(created))
        assert "WITHOUT ROWID" in str(cells)
        assert list(partial) == ["cells_by_request", "cells_timed", "events_paid"]
    engine.dispose()


def dump(path: Path) -> list[str]:
    """A ledger's tables and all that is in them."""
    Store.create(path).close()
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_other_tests_make_the_tables_that_the_migrations_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrated = dump(tmp_path / "migrated.db")
    monkeypatch.setattr(database, "migrate", new_ledgers.make_tables)
    dump(tmp_path / "first.db")
    assert new_ledgers.STATEMENTS
    assert dump(tmp_path / "second.db") == migrated


#: What PostgreSQL knows of a schema.
DESCRIBED = (
    "SELECT table_name, column_name, data_type, collation_name, column_default, is_nullable"
    " FROM information_schema.columns WHERE table_schema = %s ORDER BY 1, ordinal_position",
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = %s::regnamespace ORDER BY 1, 2",
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = %s ORDER BY 1",
    "SELECT tgname, pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger JOIN pg_class"
    " ON tgrelid = pg_class.oid WHERE relnamespace = %s::regnamespace AND NOT tgisinternal"
    " ORDER BY 1, 2",
    "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = %s::regnamespace ORDER BY 1",
)


def described(server: PostgresServer) -> list[str]:
    """A new ledger's tables, their rules and its revision, without the schema's name."""
    place = server.place()
    Store.create(place).close()
    rows = [server.run(query, place.schema) for query in DESCRIBED]
    assert all(rows[:4])
    rows.append(server.run(f'SELECT * FROM "{place.schema}".{VERSION_TABLE}'))
    return [str(part).replace(place.schema, "SCHEMA") for part in rows]


def test_they_do_so_in_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    server = postgres.server()
    migrated = described(server)
    monkeypatch.setattr(database, "migrate", new_ledgers.make_tables)
    described(server)
    assert new_ledgers.POSTGRESQL
    assert described(server) == migrated


def test_the_revision_is_the_newest_migration() -> None:
    files = sorted((MIGRATIONS / "versions").glob("[0-9]*.py"))
    assert files[-1].name.startswith(f"{REVISION}_")
