"""A project's ledger copied to PostgreSQL and back: the same rows, one place in use, nothing half done."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from labelgrid.basics.errors import LedgerError
from labelgrid.basics.progress import Silent
from labelgrid.ledger import transfer
from labelgrid.ledger.creation import create_database
from labelgrid.ledger.database import Database, open_database
from labelgrid.ledger.grid import Move, Part, State
from labelgrid.ledger.part_moves import PartitionRow
from labelgrid.ledger.place import LedgerPlace, project_place
from labelgrid.ledger.schema import METADATA
from labelgrid.ledger.store import Store
from labelgrid.operations import ledger_copy
from labelgrid.operations.ledger_copy import copy_ledger
from labelgrid.project.folder import ProjectFolder
from tests import postgres
from tests.campaigns import cells_of, make_project
from tests.support import Made

COVERS = ["labelgrid.ledger.transfer"]


@pytest.fixture
def made(made: Callable[..., Made]) -> Made:
    return made(n=3)


@pytest.fixture
def folder(made: Made, tmp_path: Path) -> Path:
    """A project with some history."""
    project = make_project(tmp_path / "flat", made)
    store = project.store
    first, second, *_ = cells_of(made)
    store.open_round()
    with store.transaction("import"):
        store.move([Move(cell=first, to=State.LABELLED, cost=0.1, classes=("a", "ü"))])
        store.keep(notes=("x",))
        store.put("x", {"b": [1, 2.5, None], "a": "é"})
    with store.transaction("request"):
        store.move([Move(cell=second, to=State.REQUESTED, round=1, request_id="r")])
    last = store.last_operation()
    assert last
    store.undo(last.operation)
    image = second.image_id
    options = {"regions": 4, "ü": None}
    row = PartitionRow(image_id=image, digest="p", maker="squares", options=options, count=2)
    store.add_partitions([row])
    key = Move(cell=Part(image, second.task, 2), to=State.LABELLED, partition="p", value=1)
    store.move([key])
    project.close()
    return tmp_path / "flat"


@pytest.fixture
def url() -> str:
    return str(postgres.server().place())


def content(place: LedgerPlace) -> dict[str, list[tuple[object, ...]]]:
    """All rows of a ledger."""
    with closing(open_database(place)) as base, base.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table))]
            for table in METADATA.sorted_tables
        }


def refused(folder: Path, to: str) -> str:
    before = (folder / "labelgrid.toml").read_bytes()
    with pytest.raises(LedgerError) as caught:
        copy_ledger(folder, to, Silent())
    assert (folder / "labelgrid.toml").read_bytes() == before
    return str(caught.value)


def test_a_ledger_goes_to_postgresql_and_back_and_there_again(folder: Path, url: str) -> None:
    file = folder / "labelgrid.db"
    before = content(file)
    rows = sum(map(len, before.values()))
    settings = (folder / "labelgrid.toml").read_text()
    for to in (url, "labelgrid.db", url):
        copied = copy_ledger(folder, to, Silent())
        assert (copied.target, copied.rows) == (to, rows)
        assert content(project_place(folder)) == before
        with ProjectFolder.open(folder) as project:
            assert str(project.store.place).endswith(to)
    copy_ledger(folder, "labelgrid.db", Silent())
    assert (folder / "labelgrid.toml").read_text() == settings
    assert [path.name for path in folder.glob("labelgrid.db*")] == ["labelgrid.db"]
    assert refused(folder, "labelgrid.db").startswith("The project's ledger is there already")


def test_the_ledger_that_was_copied_is_written_no_longer(folder: Path, url: str) -> None:
    with ProjectFolder.open(folder) as open_since:
        copy_ledger(folder, url, Silent())
        with pytest.raises(LedgerError, match="The ledger was copied to postgresql"):
            open_since.store.put("note", 1)
        assert open_since.store.get("note") is None
    with pytest.raises(LedgerError, match="no longer used here"):
        Store.open(folder / "labelgrid.db")


def test_another_ledger_at_the_target_is_refused_and_stays(folder: Path, url: str) -> None:
    shutil.copytree(folder, folder.with_name("other"))
    copy_ledger(folder, url, Silent())
    with ProjectFolder.open(folder) as project:
        project.store.put("note", 1)
    before = content(project_place(folder))
    assert "There is another ledger already" in refused(folder.with_name("other"), url)
    assert content(project_place(folder)) == before
    with ProjectFolder.open(folder.with_name("other")) as project:
        project.store.put("note", 2)


def test_an_older_ledger_in_the_file_is_refused_and_the_command_that_moves_it_away_helps(
    folder: Path, url: str
) -> None:
    copy_ledger(folder, url, Silent())
    copy_ledger(folder, str(postgres.server().place()), Silent())
    with ProjectFolder.open(folder) as project:
        project.store.put("z", 1)
    before = content(project_place(folder))
    file = folder / "labelgrid.db"
    older = file.read_bytes()
    (folder / "labelgrid.db.old1").write_bytes(b"of an earlier time")
    said = refused(folder, "labelgrid.db")
    assert "There is another ledger already" in said and "schema" not in said
    assert file.read_bytes() == older
    (command,) = re.findall("`(mv -n .*)`", said)
    subprocess.run(shlex.split(command), check=True)
    copy_ledger(folder, "labelgrid.db", Silent())
    assert content(file) == before
    assert (folder / "labelgrid.db.old2").read_bytes() == older


@pytest.mark.parametrize("step", ["close_for_good", "text_with_ledger"])
def test_a_copy_that_was_stopped_is_finished_by_the_same_call(
    folder: Path, url: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = content(folder / "labelgrid.db")
    where = transfer if step == "close_for_good" else ledger_copy
    for to in (url, "labelgrid.db"):
        monkeypatch.setattr(where, step, stop)
        with pytest.raises(KeyboardInterrupt):
            copy_ledger(folder, to, Silent())
        monkeypatch.undo()
        assert copy_ledger(folder, to, Silent()).target == to
        assert content(project_place(folder)) == before


def test_a_copy_that_fails_in_the_middle_leaves_nothing(
    folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for to in (url, "labelgrid.db"):
        monkeypatch.setattr(transfer, "first_difference", stop)
        with pytest.raises(KeyboardInterrupt):
            copy_ledger(folder, to, Silent())
        monkeypatch.undo()
        with ProjectFolder.open(folder) as project:
            project.store.put("note", to)
        copy_ledger(folder, to, Silent())


def test_a_copy_that_is_not_equal_is_refused(
    folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = transfer._rows

    def without_last(connection: object, table: object) -> Iterator[tuple[object, ...]]:
        yield from list(whole(connection, table))[: -1 if str(table) == "notes" else None]  # type: ignore[arg-type]

    copy = transfer.copy_rows

    def lossy(*arguments: object) -> None:
        monkeypatch.setattr(transfer, "_rows", without_last)
        copy(*arguments)  # type: ignore[arg-type]
        monkeypatch.undo()

    monkeypatch.setattr(transfer, "copy_rows", lossy)
    said = refused(folder, url)
    assert "The copy is not equal to the ledger (row " in said and " of notes: (" in said
    with pytest.raises(LedgerError, match="not a labelgrid database"):
        Store.open(postgres.server().place(url.rpartition("schema=")[2]))


def test_values_that_only_a_file_holds_are_refused_before_anything_is_there(
    folder: Path, url: str
) -> None:
    with closing(Database(folder / "labelgrid.db")) as base, base.writing() as connection:
        connection.exec_driver_sql("UPDATE images SET root = 'a' || char(0) || 'b' WHERE id = 1")
    said = refused(folder, url)
    assert "cannot be in the ledger: it holds the character NUL" in said
    with ProjectFolder.open(folder) as project:
        project.store.put("note", 1)


def test_an_old_file_that_a_process_has_open_is_not_replaced(folder: Path, url: str) -> None:
    copy_ledger(folder, url, Silent())
    with closing(Database(folder / "labelgrid.db")) as base, base.writing():
        assert "Another process has the old ledger open" in refused(folder, "labelgrid.db")
    copy_ledger(folder, "labelgrid.db", Silent())


def test_the_first_difference_is_named_also_by_type(tmp_path: Path) -> None:
    bases = [create_database(tmp_path / name) for name in ("a.db", "b.db")]
    with bases[0].writing() as first, bases[1].writing() as second:
        assert transfer.first_difference(first, second, Silent()) == ""
        for connection, value in ((first, 1.0), (second, 2.0)):
            statement = "INSERT INTO rounds VALUES (1,'open','',0,{},'labels','','','','')"
            connection.exec_driver_sql(statement.format(value))
        difference = transfer.first_difference(first, second, Silent())
    assert difference.startswith("row 1 of rounds: (1, 'open'")
    for base in bases:
        base.close()
