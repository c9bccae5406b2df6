"""Laws of the ledger's database: what is SQLite's own is in its dialect, and all else runs on PostgreSQL too."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql.elements import ClauseElement, TextClause

from labelgrid.ledger.grid import Cell, ImageRow, Move, State, TaskRow
from labelgrid.ledger.schema import APPEND_ONLY, CELLS, EVENTS, IMAGES, METADATA
from labelgrid.ledger.sqlite import SQLite
from labelgrid.ledger.store import Store

#: These tests are of how a ledger is made.
pytestmark = pytest.mark.usefixtures("_each_ledger_is_migrated")
COVERS = ["labelgrid.ledger.sqlite"]
POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]


@pytest.fixture
def statements() -> Iterator[list[Any]]:
    """All that is executed from now on."""
    heard: list[Any] = []

    def hear(connection: Any, statement: Any, *rest: Any) -> None:
        heard.append(statement)

    event.listen(Engine, "before_execute", hear)
    yield heard
    event.remove(Engine, "before_execute", hear)


def use_everything(path: Path) -> None:
    """Call every method of a store that executes a statement."""
    a, b = Cell("a.png", "depth"), Cell("b.png", "depth")
    with Store.create(path) as store:
        store.add_task(TaskRow("depth", "depth", 1.0))
        row = ImageRow(image_id="a.png", root="photos")
        store.add_images([row, ImageRow(image_id="b.png", root="photos")])
        store.add_images([row])
        store.update_images([row])
        store.image("a.png"), list(store.images(("train",))), store.count_images(("train",))
        opened = store.open_round()
        store.update_round(opened)
        store.close_round(opened, [Move(cell=a, to=State.REQUESTED, round=1, request_id="r1")])
        store.move([Move(cell=a, to=State.LABELLED), Move(cell=b, to=State.LABELLED)])
        store.move([Move(cell=a, to=State.MISSING)])
        store.move([Move(cell=a, to=State.LABELLED, classes=("near", "far"))])
        (
            store.find([a, b]),
            list(store.cells(state=State.LABELLED, splits=("train",), request_id="r1")),
        )
        store.grid(), store.counts(), store.counts(("train",)), store.history(a), store.pool_hash()
        store.current_round(), store.rounds()
        store.put("key", 1), store.put("key", 2), store.get("key"), store.rebuild()
        with store.transaction():
            store.put("key", 3)


def test_every_statement_of_the_ledger_is_one_that_postgresql_has(
    tmp_path: Path, statements: list[Any]
) -> None:
    use_everything(tmp_path / "ledger.db")
    own = [one for one in statements if isinstance(one, ClauseElement) and not _is_alembic(one)]
    assert len(own) > 40
    for statement in own:
        if isinstance(
            statement, Insert
        ):  # the dialect's: the one that another database has its own of
            assert statement.table in (IMAGES, EVENTS, CELLS)
        else:
            assert statement.compile(dialect=POSTGRESQL)


def _is_alembic(statement: ClauseElement) -> bool:
    """Plain SQL, which has a law of its own, or a statement about Alembic's table."""
    return isinstance(statement, TextClause) or "alembic_version" in str(statement)


def test_the_only_plain_sql_is_the_version_s_and_the_dialect_s(
    tmp_path: Path, statements: list[Any]
) -> None:
    use_everything(tmp_path / "ledger.db")
    texts = {str(one) for one in statements if isinstance(one, TextClause | str)}
    allowed = {text for table in APPEND_ONLY for text in SQLite(Path()).append_only(table)}
    assert {text for text in texts - allowed if "SELECT version_num FROM" not in text} == set()


def test_every_table_and_index_is_one_that_postgresql_has() -> None:
    for table in METADATA.sorted_tables:
        assert "WITHOUT ROWID" not in str(CreateTable(table).compile(dialect=POSTGRESQL))
        name = table.c.get("name")
        if name is not None:
            created = str(CreateTable(table).compile(dialect=POSTGRESQL))
            assert 'name TEXT COLLATE "C"' in created
        for index in table.indexes:
            created = str(CreateIndex(index).compile(dialect=POSTGRESQL))
            assert created.startswith(("CREATE INDEX", "CREATE UNIQUE INDEX"))


def test_another_dialect_is_used_for_all_that_databases_do_their_own_way(tmp_path: Path) -> None:
    class Counting(SQLite):
        """SQLite that counts which of its methods are used."""

        def __init__(self, path: Path) -> None:
            super().__init__(path)
            self.used: list[str] = []

        def __getattribute__(self, name: str) -> Any:
            found = super().__getattribute__(name)
            if callable(found):
                self.used.append(name)
            return found

    from labelgrid.ledger import creation, moves, roster

    dialect = Counting(tmp_path / "ledger.db")
    base = creation.create_database(tmp_path / "ledger.db", dialect)
    with base.writing() as connection:
        roster.add_images(connection, [ImageRow(image_id="a.png", root="photos")])
        assert moves.find(connection, []) == {}
    base.close()
    assert {"url", "arguments", "attach", "share", "insert", "append_only"} <= set(dialect.used)


def test_an_error_without_a_known_name_has_no_meaning() -> None:
    assert SQLite(Path()).meaning(ValueError("x")) is None
