"""A ledger from somebody else: any type may be in any column.

Every reader answers with a sentence.
"""

import signal
import sqlite3
import sys
import time
import tracemalloc
from contextlib import closing, suppress
from pathlib import Path

import pytest

from labelgrid.basics.errors import LabelgridError, LedgerError
from labelgrid.ledger.grid import Cell, ImageRow, Move, State, TaskRow
from labelgrid.ledger.place import LedgerPlace
from labelgrid.ledger.schema import APPEND_ONLY
from labelgrid.ledger.sqlite import SQLite
from labelgrid.ledger.store import Store
from labelgrid.tasks.task import definitions
from tests import postgres
from tests.databases import change, changing, drop_triggers
from tests.started import Started

STRANGE = ("'../../x'", "x'00ff'", "1e999", "-7", "9e18", "'{'", "'[[]]'", "''")
COLUMNS = {
    "images": ("name", "key", "root", "digest", "height", "width", "split", "grp"),
    "tasks": ("name", "kind", "cost", "options"),
    "cells": (
        *("state", "round", "request_id", "path", "digest", "cost", "weight", "seconds"),
        *("annotator", "class_list_id"),
    ),
    "events": (
        "operation_id",
        "from_state",
        "to_state",
        "round",
        "request_id",
        "path",
        "cost",
        "score",
        "weight",
        "why",
        "seconds",
        "annotator",
        "class_list_id",
        "hint",
    ),
    "operations": ("command", "at"),
    "class_lists": ("names",),
    "rounds": ("state", "seed", "budget", "unit", "note"),
    "notes": ("value",),
}
READERS = [
    lambda store: list(store.images()),
    lambda store: definitions(store.tasks()),
    lambda store: list(store.cells()),
    lambda store: list(store.events()),
    lambda store: store.find([Cell("a.png", "depth")]),
    lambda store: store.grid(("train", "val", "test", "heldout")),
    lambda store: store.counts(),
    lambda store: store.seconds(),
    lambda store: store.pool_hash(),
    lambda store: (store.rounds(), store.current_round(), store.get("note")),
    lambda store: store.move([Move(cell=Cell("a.png", "depth"), to=State.MISSING)]),
]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """The content of a ledger whose events can be changed; it is copied."""
    path = tmp_path_factory.mktemp("foreign") / "ledger.db"
    with Store.create(path) as store:
        store.add_task(TaskRow("depth", "depth", 2.0))
        store.add_images([ImageRow(image_id="a.png", root="photos")])
        store.open_round()
        store.move(
            [
                Move(
                    cell=Cell("a.png", "depth"),
                    to=State.LABELLED,
                    round=1,
                    path="labels/a.png",
                    cost=2.0,
                    seconds=9.0,
                    annotator="Ada",
                    classes=("near", "far"),
                )
            ]
        )
        store.put("note", {"a": 1})
    with changing(path) as connection:
        drop_triggers(connection)
    with closing(sqlite3.connect(path)) as content:
        yield content


@pytest.fixture(scope="module")
def other(ledger, tmp_path_factory):
    """A copy of it, opened once; its path."""
    path = tmp_path_factory.mktemp("foreign") / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        ledger.backup(connection)
        restore_triggers(connection)
    with Store.open(path) as store, closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        connection.execute("PRAGMA synchronous = 0")
        yield store, connection, path


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table in COLUMNS for column in COLUMNS[table]]
)
def test_any_value_in_any_column_is_read_or_refused(ledger, other, table, column):
    store, connection, path = other
    for value in STRANGE:
        ledger.backup(connection)
        connection.execute(f"UPDATE {table} SET {column} = {value}")
        connection.commit()
        for read in READERS:
            try:
                read(store)
            except LabelgridError as error:
                assert str(error)
    restore_triggers(connection)
    with suppress(LabelgridError), Store.open(path):
        pass


def restore_triggers(connection: sqlite3.Connection) -> None:
    """Make the triggers again that `drop_triggers` dropped, without which no ledger is opened."""
    for table in APPEND_ONLY:
        for statement in SQLite(Path()).append_only(table):
            connection.execute(statement)


#: Statements that change the schema, and what is said of each; on both databases, then on one.
ON_BOTH = [
    ("CREATE VIEW v AS SELECT 1", "has the view 'v'"),
    ("CREATE TABLE more (a integer)", "has the table 'more'"),
    ("CREATE INDEX i ON images (root)", "has the index 'i'"),
    ("DROP INDEX cells_timed", "lacks the index 'cells_timed'"),
    ("ALTER TABLE notes RENAME TO other", "has the table 'other'"),
]
ON_SQLITE = [
    ("CREATE TRIGGER t AFTER INSERT ON cells BEGIN DELETE FROM cells; END", "has the trigger"),
    ("CREATE VIRTUAL TABLE f USING fts5(a)", "has the virtual table 'f'"),
    ("DROP TRIGGER events_no_delete", "lacks the trigger"),
]
BODY = "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"
ON_POSTGRESQL = [
    (
        f"CREATE FUNCTION f() {BODY}\nCREATE TRIGGER t AFTER INSERT ON cells EXECUTE FUNCTION f()",
        "has the function 'f'",
    ),
    (f"CREATE OR REPLACE FUNCTION only_added() {BODY}", "has the trigger"),
    ("ALTER TABLE events DISABLE TRIGGER events_no_change", "has the trigger"),
    ("DROP TRIGGER events_no_change ON events", "lacks the trigger"),
    ("CREATE SEQUENCE s", "has the sequence 's'"),
    ("CREATE MATERIALIZED VIEW m AS SELECT 1", "has the materialized view 'm'"),
    ("ALTER TABLE notes ENABLE ROW LEVEL SECURITY", "has the policy of the table 'notes'"),
    (
        "CREATE RULE r AS ON INSERT TO notes DO ALSO DELETE FROM cells",
        "has the rule of the table 'notes'",
    ),
]


def check_refused(place: LedgerPlace, statement: str, found: str) -> None:
    Store.create(place).close()
    Store.open(place).close()
    with changing(place) as connection:
        for line in statement.splitlines():
            connection.exec_driver_sql(line)
    with pytest.raises(LedgerError, match="which labelgrid does not write") as refused:
        Store.open(place)
    assert found in str(refused.value)


@pytest.mark.parametrize(("statement", "found"), ON_BOTH)
def test_a_schema_that_labelgrid_does_not_make_is_refused(
    place: LedgerPlace, statement: str, found: str
) -> None:
    check_refused(place, statement, found)


@pytest.mark.parametrize(("statement", "found"), ON_SQLITE)
def test_what_would_act_in_a_file_is_refused(tmp_path: Path, statement: str, found: str) -> None:
    check_refused(tmp_path / "ledger.db", statement, found)


@pytest.mark.parametrize(("statement", "found"), ON_POSTGRESQL)
def test_what_would_act_in_a_schema_is_refused(statement: str, found: str) -> None:
    check_refused(postgres.server().place(), statement, found)


def test_a_view_in_place_of_a_table_is_refused_and_never_read(place: LedgerPlace) -> None:
    Store.create(place).close()
    change(
        place,
        "DROP TABLE notes",
        "CREATE VIEW notes AS WITH RECURSIVE r(value) AS "
        "(SELECT 1 UNION ALL SELECT value + 1 FROM r) SELECT 'a' AS key, value FROM r",
    )
    with pytest.raises(LedgerError, match="has the view 'notes'"):
        Store.open(place)


#: What stands in the place of the table of the revision: read, it would have no end.
ENDLESS = (
    "CREATE VIEW ledger_version AS WITH RECURSIVE r(version_num) AS "
    "(SELECT '0' UNION ALL SELECT version_num FROM r) SELECT max(version_num) AS version_num FROM r"
)


@pytest.mark.parametrize("revision", ["none", "0001"])
def test_a_view_in_place_of_the_revision_is_refused_and_never_read(
    place: LedgerPlace, revision: str
) -> None:
    Store.create(place).close()
    change(place, "DROP TABLE ledger_version", ENDLESS)
    if revision != "none":  # an older ledger, too, is looked at before anything is read
        change(
            place,
            "DROP VIEW ledger_version",
            "CREATE TABLE ledger_version (version_num varchar(32) NOT NULL)",
            f"INSERT INTO ledger_version VALUES ('{revision}')",
            ENDLESS.replace("ledger_version", "more"),
        )
    name = "ledger_version" if revision == "none" else "more"
    with pytest.raises(LedgerError, match=f"has the view '{name}'"):
        Store.open(place)


def test_a_column_that_is_computed_is_refused_and_never_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    Store.create(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE ledger_version")
        computed = "version_num GENERATED ALWAYS AS (hex(zeroblob(a)))"
        connection.execute(f"CREATE TABLE ledger_version (a, {computed})")
        connection.execute("INSERT INTO ledger_version (a) VALUES (400000000)")
        connection.commit()
    with pytest.raises(LedgerError, match=r"has the computed column 'ledger_version\.version_num'"):
        Store.open(path)


def changed_copy(ledger: sqlite3.Connection, path: Path, statement: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        ledger.backup(connection)
        restore_triggers(connection)
        connection.execute("PRAGMA synchronous = 0")
        connection.execute(statement)
        connection.commit()
    return path


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tasks SET options = json_object('note', printf('%.*c', 20000000, 'x'))",
        "UPDATE images SET name = printf('%.*c', 500000000, 'x')",
        "UPDATE cells SET annotator = printf('%.*c', 20000000, 'x')",
    ],
)
def test_a_text_that_is_too_long_is_refused_and_never_read(
    ledger: sqlite3.Connection, tmp_path: Path, statement: str
) -> None:
    path = changed_copy(ledger, tmp_path / "ledger.db", statement)
    tracemalloc.start()
    try:
        with (
            pytest.raises(LedgerError, match="a text in it is longer than"),
            Store.open(path) as store,
        ):
            list(store.images())
            definitions(store.tasks())
            list(store.cells())
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE images SET name = printf('%.*c', 20000000, 'x')",
        "UPDATE images SET split = 'none: ' || printf('%.*c', 20000000, 'x')",
        "UPDATE tasks SET name = printf('%.*c', 20000000, 'x')",
        "INSERT INTO class_lists VALUES (9, printf('%.*c', 20000000, 'x'))",
        "INSERT INTO notes VALUES (printf('%.*c', 20000000, 'x'), '1')",
        "UPDATE cells SET request_id = printf('%.*c', 20000000, 'x')",
        "UPDATE cells SET path = printf('%.*c', 20000000, 'x')",
    ],
)
def test_a_key_that_is_too_long_is_refused_before_an_index_is_followed(
    ledger: sqlite3.Connection, tmp_path: Path, statement: str
) -> None:
    """SQLite loads a key whole, its limit of length or not, when it looks for the key's row."""
    path = changed_copy(ledger, tmp_path / "ledger.db", statement)
    with pytest.raises(LedgerError, match="a text in it is longer than"):
        Store.open(path)


def test_a_text_that_is_too_long_is_not_written(place: LedgerPlace) -> None:
    with Store.create(place) as store:
        with pytest.raises(LedgerError, match="longer than"):
            store.put("note", "x" * 20_000_000)
        assert store.get("note") is None


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_statement_without_end(place: LedgerPlace, sign: signal.Signals) -> None:
    code = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from labelgrid.ledger.creation import create_database\n"
        "from labelgrid.ledger.place import read_place\n"
        "from labelgrid.basics.processes import stop_on_sigterm\n"
        f"base = create_database(read_place({str(place)!r}))\n"
        "try:\n"
        "    with stop_on_sigterm(), base.reading() as connection:\n"
        "        print('reading', flush=True)\n"
        "        connection.exec_driver_sql('WITH RECURSIVE r(v) AS (SELECT 1 UNION ALL '\n"
        "            'SELECT v + 1 FROM r) SELECT count(*) FROM r').all()\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped', flush=True)\n"
    )
    with Started(sys.executable, "-c", code) as process:
        assert process.next_line() == "reading\n"
        time.sleep(0.2)
        process.send_signal(sign)
        assert process.communicate(timeout=120)[0] == "stopped\n", process.complaints


def test_rounds_that_are_not_numbered_from_1_are_refused(place: LedgerPlace) -> None:
    with Store.create(place) as store:
        store.close_round(store.open_round())
        change(place, "UPDATE rounds SET number = 1000000")
        for read in (store.rounds, store.current_round, store.open_round):
            with pytest.raises(LedgerError, match="rounds have the numbers 1000000"):
                read()
