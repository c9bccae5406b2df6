import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, inspect

from labelgrid.basics.errors import LedgerError
from labelgrid.ledger import database, dialect
from labelgrid.ledger.grid import Cell, ImageRow, Move, State, TaskRow
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.ledger.place import LedgerPlace
from labelgrid.ledger.store import Store
from tests.databases import change, changing, columns, everything

#: These tests are of how a ledger is made.
pytestmark = pytest.mark.usefixtures("_each_ledger_is_migrated")
COVERS = ["labelgrid.ledger.creation"]
CELL = Cell("a.png", "depth")
NEXT = """
from alembic import op
revision, down_revision = "0005", "0004"
def upgrade():
    op.execute("ALTER TABLE rounds ADD COLUMN mood TEXT DEFAULT 'good' NOT NULL")
"""


def fill(place: LedgerPlace) -> None:
    """Make a ledger with one task and one image."""
    with Store.create(place) as store:
        store.add_task(TaskRow("depth", "depth", 1.0))
        store.add_images([ImageRow(image_id="a.png", root="photos")])


@pytest.fixture
def made(place: LedgerPlace) -> LedgerPlace:
    """A ledger with one task and one image, on each database."""
    fill(place)
    return place


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The same in a file."""
    fill(tmp_path / "ledger.db")
    return tmp_path / "ledger.db"


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The migrations of a program with one more revision; it is used until `monkeypatch.undo`."""
    folder = tmp_path / "100% migrations"
    shutil.copytree(database.MIGRATIONS, folder)
    (folder / "versions" / "0005_mood.py").write_text(NEXT)
    monkeypatch.setattr(database, "MIGRATIONS", folder)
    monkeypatch.setattr(database, "REVISION", "0005")
    return folder


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Every database opened from now on may have 60 pages, then SQLite says that the disk is full."""

    def limit(connection: Any, _: object) -> None:
        connection.execute("PRAGMA max_page_count=60")

    event.listen(Engine, "connect", limit)
    yield
    event.remove(Engine, "connect", limit)


def columns_at(place: LedgerPlace, table: str) -> list[str]:
    with changing(place) as connection:
        return columns(connection, table)


def refused(act: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(LedgerError) as caught:
        act(*arguments)
    return str(caught.value)


def test_creating_over_an_existing_ledger_is_refused_and_leaves_it_as_it_was(
    made: LedgerPlace,
) -> None:
    before = everything(made)
    assert refused(Store.create, made) == (
        f"A database exists already ({made}).\n  Open it, or choose another place. Nothing was changed."
    )
    assert everything(made) == before


def test_creating_over_a_file_that_is_no_database_is_refused_and_leaves_it_as_it_was(
    tmp_path: Path,
) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, and long enough to be looked at")
    assert "it is not a labelgrid database" in refused(Store.create, path)
    assert path.read_text().startswith("not a database")


def test_creating_in_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "nowhere"
    said = refused(Store.create, folder / "ledger.db")
    assert said == f"There is no such folder ({folder}).\n  Create it and run again."


def test_opening_what_is_not_there_makes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    assert (
        refused(Store.open, path)
        == f"There is no ledger ({path}).\n  Create one with `labelgrid init`."
    )
    assert not path.exists()


def test_a_foreign_database_is_refused_and_left_as_it_was(place: LedgerPlace) -> None:
    fill(place)
    with changing(place) as connection:
        first = ["parts", "part_events", "partitions", "events", "cells"]
        names = set(inspect(connection).get_table_names()) - {"notes", *first}
        for name in (*first, *sorted(names)):
            connection.exec_driver_sql(f"DROP TABLE {name}")
        connection.exec_driver_sql("ALTER TABLE notes RENAME TO alembic_version")
    before = everything(place)
    assert refused(Store.open, place) == (
        f"The ledger cannot be used: it is not a labelgrid database ({place}).\n"
        "  Name the folder that `labelgrid init` created. Nothing was changed."
    )
    assert "A database exists already" in refused(Store.create, place)
    assert everything(place) == before


def test_a_name_with_url_characters_is_only_a_name(tmp_path: Path) -> None:
    path = tmp_path / "100%#1?mode=memory.db"
    Store.create(path).close()
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    Store.open(path).close()


def test_an_older_ledger_is_upgraded_and_keeps_what_it_has(made: LedgerPlace, newer: Path) -> None:
    with Store.open(made) as store:
        assert [row.image_id for row in store.images()] == ["a.png"]
    assert "mood" in columns_at(made, "rounds")


@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004", "0005"])
def test_a_ledger_of_a_development_version_is_refused_and_left_as_it_was(
    made: LedgerPlace, revision: str
) -> None:
    change(
        made,
        "DROP TABLE part_events",
        "DROP TABLE events",
        "DROP TABLE operations",
        f"UPDATE ledger_version SET version_num = '{revision}'",
    )
    before = everything(made)
    for read_only in (True, False):
        with pytest.raises(LedgerError) as caught:
            Store.open(made, read_only=read_only)
        assert str(caught.value) == (
            "The ledger was made by a development version before 0.1.0, which this program does not "
            f"read ({made}).\n  Create a new project with `labelgrid init` and import the labels "
            "there. Nothing was changed."
        )
    assert everything(made) == before


def test_a_failing_upgrade_changes_nothing(made: LedgerPlace, newer: Path) -> None:
    broken = (
        NEXT.replace('"0005"', '"0006"')
        .replace('"0004"', '"0005"')
        .replace("ALTER TABLE rounds", "ALTER TABLE no")
    )
    (newer / "versions" / "0006_broken.py").write_text(broken)
    said = refused(Store.open, made)
    assert "the database reports 'no such table: no'" in said or "not a labelgrid database" in said
    assert "mood" not in columns_at(made, "rounds")


def test_a_ledger_of_a_newer_program_is_refused_and_left_as_it_was(
    made: LedgerPlace, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open(made).close()
    monkeypatch.undo()
    before = everything(made)
    assert refused(Store.open, made) == (
        "The ledger was made by a newer labelgrid: its tables have revision 0005, this program knows 0004 "
        f"({made}).\n  Upgrade labelgrid. Nothing was changed."
    )
    assert everything(made) == before


@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_is_one_sentence_and_changes_nothing(path: Path) -> None:
    with Store.open(path) as store:
        many = [ImageRow(image_id=f"{number:06d}.png", root="photos") for number in range(20_000)]
        assert refused(store.add_images, many) == (
            f"The ledger cannot be used: the disk is full ({path}).\n  Free some space and run again. "
            "Nothing was changed."
        )
        assert store.count_images() == 1


def test_of_two_that_create_a_ledger_at_once_one_is_refused(
    place: LedgerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quicker(_: database.Database) -> None:
        monkeypatch.undo()
        with Store.create(place) as store:
            store.put("note", 1)

    monkeypatch.setattr(database.Database, "share", quicker)
    assert "A database exists already" in refused(Store.create, place)
    with Store.open(place) as store:
        assert store.get("note") == 1


def test_a_create_that_was_stopped_is_done_again(
    place: LedgerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(database, "migrate", stop)
    with pytest.raises(KeyboardInterrupt):
        Store.create(place)
    monkeypatch.undo()
    assert "it is not a labelgrid database" in refused(Store.open, place)
    with Store.create(place) as store:
        assert store.tasks() == ()


AS_NOBODY = """
import os, sys
from pathlib import Path
from labelgrid.basics.errors import LedgerError
from labelgrid.ledger.grid import TaskRow
from labelgrid.ledger.store import Store
folder, act = Path(sys.argv[1]), sys.argv[2]
(folder / "ledger.db").chmod(0o444)
folder.chmod(0o777 if act == "write" else 0o555)
if os.geteuid() == 0:
    os.seteuid(65534)
acts = {
    "create": lambda: Store.create(folder / "new.db"),
    "open": lambda: Store.open(folder / "ledger.db"),
    "write": lambda: Store.open(folder / "ledger.db").add_task(TaskRow("normals", "normals", 1.0)),
}
try:
    acts[act]()
except LedgerError as error:
    print(error)
"""


@pytest.mark.parametrize("act", ["create", "open", "write"])
def test_a_read_only_folder_or_file_is_one_sentence(path: Path, act: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # one that another user may enter
        shutil.copy(path, folder)
        script = [sys.executable, "-c", AS_NOBODY, folder, act]
        answer = subprocess.run(script, capture_output=True, text=True, check=False)
        Path(folder).chmod(0o755)
        with Store.open(Path(folder, "ledger.db")) as store:
            assert len(store.tasks()) == 1
    assert answer.stderr == ""
    assert answer.stdout.startswith("The ledger cannot be used: it cannot be written (")
    assert (
        "Make its folder and its files writable for you and run again. Nothing was changed."
        in answer.stdout
    )


def test_a_damaged_ledger_is_one_sentence(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * len(content[4096:])
    path.write_bytes(content)
    assert "it is damaged" in refused(Store.open, path)


def test_a_lock_held_too_long_is_one_sentence(
    made: LedgerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "WAIT_SECONDS", 0.05)
    with Store.open(made) as store, changing(made):
        said = refused(store.add_task, TaskRow("normals", "normals", 1.0))
        assert "another process has kept it locked" in said
        assert store.count_images() == 1  # reading goes on


def run(place: LedgerPlace, statement: str) -> None:
    """Run a statement as the program would."""
    with closing(database.open_database(place)) as base, base.writing() as connection:
        connection.exec_driver_sql(statement)


def test_events_and_operations_can_only_be_added(made: LedgerPlace) -> None:
    with Store.open(made) as store:
        store.move([Move(cell=Cell("a.png", "depth"), to=State.LABELLED)])
    for table, column in (("events", "round"), ("operations", "id")):
        for statement in (f"UPDATE {table} SET {column} = 0", f"DELETE FROM {table}"):
            with pytest.raises(LedgerError, match=f"{table} are only ever added"):
                run(made, statement)


def test_a_cell_of_an_image_that_is_not_there_is_refused(made: LedgerPlace) -> None:
    row = "INSERT INTO cells VALUES (99, 1, 2, 0, '', '', '', 0.0, 1.0, NULL, '', NULL)"
    assert "foreign key constraint" in refused(run, made, row).lower()


def test_every_commit_is_flushed_to_the_disk_and_readers_are_not_blocked(path: Path) -> None:
    with closing(database.open_database(path)) as base, base.reading() as connection:
        settings = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("synchronous", "journal_mode")
        ]
    assert settings == [2, "wal"]


def test_a_ledger_that_is_opened_for_reading_only_is_neither_written_nor_migrated(
    made: LedgerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(made, read_only=True) as store:
        assert [row.image_id for row in store.images()] == ["a.png"]
        with pytest.raises(LedgerError, match="cannot be written"):
            store.add_images([ImageRow(image_id="b.png", root="photos")])
    with Store.open(made) as writer, Store.open(made, read_only=True) as reader:
        writer.add_images([ImageRow(image_id="b.png", root="photos")])
        assert len(list(reader.images())) == 2
    monkeypatch.setattr(database, "REVISION", "0005")
    before = everything(made)
    with pytest.raises(LedgerError, match="of an older labelgrid"):
        Store.open(made, read_only=True)
    assert everything(made) == before


def test_reading_only_leaves_no_file_beside_a_ledger(path: Path) -> None:
    files = sorted(path.parent.iterdir())
    with Store.open(path, read_only=True) as store:
        assert store.count_images() == 1
    assert sorted(path.parent.iterdir()) == files


def test_a_ledger_that_another_process_migrated_meanwhile_is_not_written(
    made: LedgerPlace, newer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "REVISION", "0004")
    with Store.open(made) as store:
        change(made, "UPDATE ledger_version SET version_num = '0005'")
        monkeypatch.undo()
        assert "made by a newer labelgrid" in refused(store.put, "note", 1)
        assert store.get("note") is None


@pytest.mark.parametrize("value", ["é\U0001f600", "a\0b", 2**53, -1.5e300, {"ä": [None, True, ""]}])
def test_notes_come_back_as_they_were_put(made: LedgerPlace, value: object) -> None:
    with Store.open(made) as store:
        store.put("note ü", value)
        assert store.get("note ü") == value


def test_names_are_ordered_and_compared_by_code_point(made: LedgerPlace) -> None:
    names = ["ä", "Z", "a", "B", "_", "z", "A10", "A9"]
    with Store.open(made) as store:
        for name in names:
            store.add_task(TaskRow(name, "depth", 1.0))
        store.add_images(ImageRow(image_id=name, root="photos") for name in names)
        assert [row.image_id for row in store.images()] == sorted([*names, "a.png"])
        found = store.image_page(ImageFilter(name="A")).images
        assert [image.image_id for image in found] == ["A10", "A9", "a", "a.png"]
        assert store.image_page(ImageFilter(name="Ä")).total == 0
        before, after = store.neighbours(ImageFilter(), "a")
        assert (before, after) == ("_", "a.png")
