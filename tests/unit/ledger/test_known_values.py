"""Ledgers of the revision before that hold values which no command knows."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from labelgrid.basics.errors import LedgerError
from labelgrid.ledger import database
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.ledger.place import LedgerPlace
from labelgrid.ledger.roster import SplitlessImages
from labelgrid.ledger.store import Store
from tests.databases import change, changing, rows

#: These tests are of how a ledger is made.
pytestmark = pytest.mark.usefixtures("_each_ledger_is_migrated")
CELL = Cell("0.png", "depth")
SPLITS = ("train", "training", "validation", "testing", "val", "heldout", "foo", "Train", "foo")


def migrate_to_0002(connection: Connection) -> None:
    """In place of `database.migrate`: the tables as of the revision before."""
    config = Config()
    config.set_main_option("script_location", str(database.MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "0002")


def make_old(place: LedgerPlace, splits: Any = SPLITS) -> None:
    """A ledger of the revision before, whose images have these splits, and an event."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "migrate", migrate_to_0002)
        Store.create(place).close()
    with changing(place) as connection:
        connection.exec_driver_sql(
            "INSERT INTO tasks (id, name, kind, cost, options) VALUES (1, 'depth', 'depth', 1.0, '{}')"
        )
        for number, split in enumerate(splits):
            connection.exec_driver_sql(
                "INSERT INTO images (id, name, key, root, digest, height, width, split, grp) "
                f"VALUES ({number + 1}, '{number}.png', {number}, 'photos', '', 0, 0, '{split}', '')"
            )
        connection.exec_driver_sql(
            "INSERT INTO operations VALUES (1, 'query', '2026-01-01T00:00:00+00:00')"
        )
        connection.exec_driver_sql(
            "INSERT INTO events VALUES (1, 1, 1, 1, 0, 1, 0, '', '', '', 1.0, NULL, 1.0, '', NULL, '', NULL)"
        )
        connection.exec_driver_sql(
            "INSERT INTO cells VALUES (1, 1, 1, 0, '', '', '', 1.0, 1.0, NULL, '', NULL)"
        )
        connection.exec_driver_sql(
            "INSERT INTO rounds VALUES (1, 'closed', 'margin', 0, 2.0, 'labels', '', '', '', '')"
        )


def splits_of(store: Store) -> list[str]:
    return [row.split for row in store.images()]


def test_misspelt_splits_are_put_right_and_others_stay_out_of_training(place: LedgerPlace) -> None:
    make_old(place)
    with Store.open(place) as store:
        named = ["train", "train", "val", "test", "val", "heldout"]
        assert splits_of(store) == [*named, "none: foo", "none: Train", "none: foo"]
        assert [row.image_id for row in store.images(("train",))] == ["0.png", "1.png"]
        assert store.splitless_images(1) == [
            SplitlessImages(split="Train", count=1, names=["7.png"]),
            SplitlessImages(split="foo", count=2, names=["6.png"]),
        ]
        (newest, first) = store.operations(9)
        assert newest.operation.command == "rename splits"
        assert not newest.moves
        assert first.operation.command == "query"
        assert store.get("renamed splits") == {
            "Train": ["none: Train", 1],
            "foo": ["none: foo", 2],
            "testing": ["test", 1],
            "training": ["train", 1],
            "validation": ["val", 1],
        }
        assert store.differing_cells() == []
        assert [event.move.hint for event in store.history(CELL)] == [None]
        store.move([Move(cell=CELL, to=State.LABELLED, path="0.tiff", hint="supplier")])
        assert store.history(CELL)[-1].move.hint == "supplier"


def test_a_sound_ledger_keeps_its_pool_and_its_history(place: LedgerPlace) -> None:
    make_old(place, ("train", "val", "test", "heldout"))
    with Store.open(place) as store:
        assert splits_of(store) == ["train", "val", "test", "heldout"]
        assert store.splitless_images() == []
        assert [summary.operation.command for summary in store.operations(9)] == ["query"]
        assert store.get("renamed splits") is None
        kept = store.pool_hash()
    other = rows(
        place,
        "SELECT id, name, key, root, digest, height, width, grp, removed FROM images ORDER BY id",
    )
    assert [row[0] for row in other] == [1, 2, 3, 4]
    with Store.open(place) as store:
        assert store.pool_hash() == kept


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("UPDATE tasks SET cost = -1", "task 'depth' has the cost -1"),
        ("UPDATE rounds SET unit = 'label'", "round 1 has the unit 'label'"),
        ("UPDATE images SET height = -2 WHERE id = 3", "image '2.png' has the size -2 x 0"),
    ],
)
def test_other_rows_that_no_command_writes_are_named_and_nothing_is_changed(
    place: LedgerPlace, wrong: str, said: str
) -> None:
    make_old(place)
    change(place, wrong)
    for _ in range(2):
        with pytest.raises(LedgerError) as caught:
            Store.open(place)
        assert said in str(caught.value)
        assert "Nothing was changed." in str(caught.value)
    assert rows(place, "SELECT version_num FROM ledger_version") == [("0002",)]
    assert rows(place, "SELECT split FROM images WHERE id = 2") == [("training",)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE images SET split = 'training'",
        "UPDATE images SET split = 'none'",
        "UPDATE images SET width = -1",
        "UPDATE tasks SET cost = -0.5",
        "UPDATE rounds SET unit = 'label'",
        "INSERT INTO events VALUES (9, 1, 1, 1, 0, 1, 0, '', '', '', 1.0, NULL, 1.0, '', NULL, '', NULL, 'all')",
    ],
)
def test_the_database_itself_refuses_values_that_no_command_knows(
    place: LedgerPlace, statement: str
) -> None:
    make_old(place)
    Store.open(place).close()
    with pytest.raises(LedgerError, match=r"(?i)check constraint"):
        change(place, statement)


def test_the_tables_of_an_older_ledger_are_those_of_a_new_one(tmp_path: Path) -> None:
    make_old(tmp_path / "old.db")
    Store.open(tmp_path / "old.db").close()
    Store.create(tmp_path / "new.db").close()
    names = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    assert rows(tmp_path / "old.db", names) == rows(tmp_path / "new.db", names)


def test_references_are_checked_again_after_the_migration(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    make_old(path)
    with Store.open(path) as store, store._database.writing() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []


def test_a_migrated_table_keeps_what_it_had(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    make_old(path)
    query = "SELECT name, sql FROM sqlite_master WHERE tbl_name IN ('images', 'tasks', 'rounds') AND sql NOT NULL"
    before = dict(rows(path, query))
    Store.open(path).close()
    after = dict(rows(path, query))
    assert set(after) == set(before)
    for name, sql in before.items():
        lines = {line.strip(" ,") for line in str(after[name]).split("\n")[1:]}
        assert {line.strip(" ,") for line in str(sql).split("\n")[1:]} <= lines


#: Opens a ledger, and is killed before a statement that begins so.
KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from labelgrid.ledger.place import read_place
from labelgrid.ledger.store import Store

def kill(connection, cursor, statement, *rest):
    if statement.lstrip().startswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

event.listen(Engine, "before_cursor_execute", kill)
Store.open(read_place(sys.argv[1]))
"""


#: Statements of the migration, on both databases, in a file alone, and on a server alone.
KILLS = (
    "UPDATE images",
    "INSERT INTO operations",
    "ALTER TABLE events",
    "UPDATE ledger_version",
    "CREATE TABLE parts",
    "CREATE INDEX parts_by_state",
)
KILLS_IN_A_FILE = ("DROP TABLE images", "ALTER TABLE _alembic_tmp_images", "DROP TABLE rounds")
KILLS_ON_A_SERVER = ("ALTER TABLE images", "ALTER TABLE rounds")


def test_a_migration_that_is_killed_is_done_anew(place: LedgerPlace) -> None:
    make_old(place)
    own = KILLS_IN_A_FILE if isinstance(place, Path) else KILLS_ON_A_SERVER
    for statement in (*KILLS, *own):
        words = [sys.executable, "-c", KILLED, str(place), statement]
        assert subprocess.run(words, check=False).returncode == -signal.SIGKILL, statement
        assert rows(place, "SELECT version_num FROM ledger_version") == [("0002",)]
        assert rows(place, "SELECT split FROM images WHERE id = 2") == [("training",)]
    with Store.open(place) as store:
        assert [row.image_id for row in store.images(("train",))] == ["0.png", "1.png"]
        assert len(store.operations(9)) == 2
