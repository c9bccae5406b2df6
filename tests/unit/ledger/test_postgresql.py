"""What is PostgreSQL's own: errors by their code, connections that are lost in each phase, values and order."""

import gc
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from labelgrid.basics.errors import LedgerError, LostConnectionError
from labelgrid.ledger import database, row_values
from labelgrid.ledger.database import Database
from labelgrid.ledger.grid import Cell, ImageRow, Move, State, TaskRow
from labelgrid.ledger.place import DatabaseUrl
from labelgrid.ledger.store import Store
from tests import postgres
from tests.postgres import PostgresServer
from tests.started import Started

#: These tests are of how a ledger is made.
pytestmark = pytest.mark.usefixtures("_each_ledger_is_migrated")
CELLS = [Cell(f"{number:03d}.png", "depth") for number in range(30)]
#: The connections of programs that use a ledger.
OURS = "FROM pg_stat_activity WHERE application_name = 'labelgrid' AND pid <> pg_backend_pid()"


@pytest.fixture
def server() -> PostgresServer:
    return postgres.server()


@pytest.fixture
def url(server: PostgresServer) -> DatabaseUrl:
    """A ledger with 30 missing cells."""
    place = server.place()
    with Store.create(place) as store:
        store.add_task(TaskRow("depth", "depth", 1.0))
        store.add_images(ImageRow(image_id=cell.image_id, root="photos") for cell in CELLS)
    return place


def label(cell: Cell) -> list[Move]:
    return [Move(cell=cell, to=State.LABELLED, path=cell.image_id)]


def kill(server: PostgresServer) -> None:
    """Kill all connections of ledgers of this test."""
    server.run(f"SELECT pg_terminate_backend(pid) {OURS}")
    while server.run(f"SELECT 1 {OURS}"):
        time.sleep(0.01)


def refused(act: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(LedgerError) as caught:
        act(*arguments)
    return str(caught.value)


# Lost connections, phase by phase.


def test_a_connection_killed_between_two_transactions_is_made_again(
    url: DatabaseUrl, server: PostgresServer
) -> None:
    with Store.open(url) as store:
        for cell in CELLS[:3]:
            store.move(label(cell))
            kill(server)
            assert store.counts()["depth"].missing >= 27
            kill(server)
        assert store.counts()["depth"].labelled == 3


def test_a_read_whose_connection_is_killed_is_done_again(
    url: DatabaseUrl, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(url) as store:
        store.move(label(CELLS[0]))
        whole = row_values.check_parameters
        left = [2]

        def killing(*arguments: object) -> None:
            if left[0]:
                left[0] -= 1
                kill(server)
            whole(*arguments)  # type: ignore[arg-type]

        from sqlalchemy import event

        event.listen(store._database._engine, "before_cursor_execute", killing)
        assert store.counts()["depth"].labelled == 1
        left[0] = 1
        assert len(list(store.cells())) == 1
        assert not left[0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_rows_of_a_read_that_has_begun_are_not_mixed_with_later_ones(
    url: DatabaseUrl, server: PostgresServer
) -> None:
    with Store.open(url) as store:
        store.add_images(ImageRow(image_id=f"x{n:05d}", root="photos") for n in range(3000))
        rows = store.images()
        next(rows)
        kill(server)
        with pytest.raises(LostConnectionError, match="the connection to the server was lost"):
            list(rows)
    del rows
    gc.collect()  # the driver warns of the cursor that was lost


def test_a_transaction_whose_connection_is_killed_changes_nothing_and_can_be_done_again(
    url: DatabaseUrl, server: PostgresServer
) -> None:
    with Store.open(url) as store:

        def import_labels(*, lost: bool) -> None:
            with store.transaction("import"):
                store.move(label(CELLS[0]))
                if lost:
                    kill(server)
                store.move(label(CELLS[1]))

        said = refused(lambda: import_labels(lost=True))
        assert said == (
            f"The ledger cannot be used: the connection to the server was lost ({url}).\n"
            "  Run again when the server answers. Nothing was changed."
        )
        assert store.counts()["depth"].labelled == 0
        import_labels(lost=False)
        assert [event.id for event in store.events()] == [1, 2]
        assert [each.operation.id for each in store.operations(9)] == [1]


def test_an_error_of_the_caller_is_not_hidden_by_a_connection_that_was_killed(
    url: DatabaseUrl, server: PostgresServer
) -> None:
    with Store.open(url) as store:
        with pytest.raises(KeyError), store.transaction("import"):
            store.move(label(CELLS[0]))
            kill(server)
            raise KeyError
        assert store.counts()["depth"].labelled == 0


class Proxy:
    """Stands between a ledger and its server, and cuts the connection at a COMMIT.

    Args:
        arrives: whether the server gets the COMMIT; its answer never arrives.
        again: whether a later connection is let through.
    """

    def __init__(
        self, server: PostgresServer, folder: Path, *, arrives: bool, again: bool = True
    ) -> None:
        self.target = str(server.folder / ".s.PGSQL.5432")
        self.arrives = arrives
        self.again = again
        self.cut = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / ".s.PGSQL.5432"))
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                there = socket.socket(socket.AF_UNIX)
                there.connect(self.target)
                for source, target in ((client, there), (there, client)):
                    threading.Thread(
                        target=self._forward, args=(source, target, source is client), daemon=True
                    ).start()

    def _forward(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        with suppress(OSError), source:
            while data := source.recv(65536):
                if asks and b"COMMIT\0" in data and not self.cut:
                    self.cut += 1
                    if not self.again:
                        self.close()
                    source.shutdown(socket.SHUT_RDWR)  # nothing comes back any more
                    if self.arrives:
                        target.sendall(data)
                        time.sleep(0.2)
                    break
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxied(
    url: DatabaseUrl, server: PostgresServer, folder: Path, *, arrives: bool, again: bool = True
) -> Iterator[tuple[Proxy, Store]]:
    with closing(Proxy(server, folder, arrives=arrives, again=again)) as proxy:
        place = DatabaseUrl(
            database=url.database, schema=url.schema, user=url.user, options={"host": str(folder)}
        )
        with Store.open(place) as store:
            yield proxy, store


def test_a_commit_that_was_done_though_its_answer_was_lost_is_recognised(
    url: DatabaseUrl, server: PostgresServer, tmp_path: Path
) -> None:
    with proxied(url, server, tmp_path, arrives=True) as (proxy, store):
        store.move(label(CELLS[0]))
        assert proxy.cut == 1
        assert [event.id for event in store.events()] == [1]
        store.move(label(CELLS[1]))
        assert [event.id for event in store.events()] == [1, 2]


def test_a_commit_that_never_arrived_is_said_and_nothing_was_changed(
    url: DatabaseUrl, server: PostgresServer, tmp_path: Path
) -> None:
    with proxied(url, server, tmp_path, arrives=False) as (proxy, store):
        said = refused(store.move, label(CELLS[0]))
        assert proxy.cut == 1
        assert said.endswith("Nothing was changed.")
        assert list(store.events()) == []
        store.move(label(CELLS[0]))
        assert [event.id for event in store.events()] == [1]


def test_a_commit_of_which_nobody_knows_is_said_to_be_unknown(
    url: DatabaseUrl, server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "ANSWER_SECONDS", 0.2)
    with proxied(url, server, tmp_path, arrives=True, again=False) as (_, store):
        said = refused(store.move, label(CELLS[0]))
    assert "the connection was lost while it saved a change" in said
    assert "`labelgrid log` shows whether the change was made" in said
    with Store.open(url) as store:
        assert [event.id for event in store.events()] == [1]


def test_a_killed_process_gives_its_lock_back(url: DatabaseUrl) -> None:
    code = (
        "import sys, time\n"
        "from labelgrid.ledger.place import read_place\n"
        "from labelgrid.ledger.store import Store\n"
        "store = Store.open(read_place(sys.argv[1]))\n"
        "with store.transaction():\n"
        "    store.put('note', 1)\n"
        "    print('holds it', flush=True)\n"
        "    time.sleep(100)\n"
    )
    words = [sys.executable, "-c", code, str(url)]
    with Started(*words) as process:
        assert process.next_line() == "holds it\n"
        process.kill()
        with Store.open(url) as store:
            store.put("note", 2)
            assert store.get("note") == 2


# Locks.


def test_two_ledgers_in_one_database_do_not_wait_for_each_other(
    url: DatabaseUrl, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelgrid.ledger.dialect.WAIT_SECONDS", 0.2)
    with Store.open(url) as store, store.transaction():
        store.put("note", 1)
        with Store.create(server.place()) as other:
            other.put("note", 2)


def test_a_new_ledger_of_one_name_is_made_once(server: PostgresServer) -> None:
    place = server.place()
    done: list[str] = []

    def make() -> None:
        try:
            with Store.creation(place, "init") as store:
                store.add_task(TaskRow("depth", "depth", 1.0))
            done.append("made")
        except LedgerError as error:
            done.append(error.what)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == ["A database exists already."] * 3 + ["made"]
    with Store.open(place) as store:
        assert [task.name for task in store.tasks()] == ["depth"]


def test_a_creation_that_fails_leaves_nothing(server: PostgresServer) -> None:
    place = server.place()
    with pytest.raises(KeyError), Store.creation(place, "init") as store:
        store.add_task(TaskRow("depth", "depth", 1.0))
        raise KeyError
    assert server.run("SELECT 1 FROM pg_namespace WHERE nspname = %s", place.schema) == []


def test_an_empty_schema_that_an_administrator_has_made_is_used(server: PostgresServer) -> None:
    server.run("DO $$ BEGIN CREATE ROLE guest LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
    place = server.place(user="guest")
    said = refused(Store.create, place)
    assert "its user has not the right to do this" in said
    server.run(f"CREATE SCHEMA {place.schema} AUTHORIZATION guest")
    with Store.create(place) as store:
        store.put("note", 1)


# Numbers of rows.


def test_rows_are_numbered_without_gaps_after_what_was_refused(url: DatabaseUrl) -> None:
    with Store.open(url) as store:
        for _ in range(3):
            with suppress(LedgerError), store.transaction("import"):
                store.move(label(CELLS[0]))
                raise LedgerError("no")
        store.add_images(ImageRow(image_id=cell.image_id, root="photos") for cell in CELLS)
        store.add_images([ImageRow(image_id="new.png", root="photos")])
        store.move(label(Cell("new.png", "depth")))
        (event,) = store.events()
        assert (event.id, event.operation.id) == (1, 1)
        with store._database.reading() as connection:
            newest = connection.exec_driver_sql("SELECT max(id) FROM images").scalar()
        assert newest == len(CELLS) + 1


def test_sums_are_exact_and_depend_on_no_order(url: DatabaseUrl) -> None:
    with Store.open(url) as store:
        costs = [0.1, 1e15, 0.3, -0.0, 2.0**-30, 0.7]
        for cell, cost in zip(CELLS, costs, strict=False):
            store.move([Move(cell=cell, to=State.LABELLED, cost=cost)])
        assert store.spent() == store.counts()["depth"].spent == 1e15 + 1.125


# What the server says.


def test_a_server_that_is_not_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "AGAIN_SECONDS", 0.3)
    place = DatabaseUrl(database="labels", schema="flat", options={"host": str(tmp_path)})
    said = refused(Store.open, place)
    assert "the server does not answer: " in said and str(place) in said
    assert said.endswith("Check the URL, and that the server runs. Nothing was changed.")


def test_a_database_or_a_user_that_is_not_there_is_one_sentence(server: PostgresServer) -> None:
    start = time.monotonic()
    said = refused(Store.create, server.place(database="nothing"))
    assert "there is no such database on the server" in said and "createdb" in said
    said = refused(Store.create, server.place(user="nobody"))
    assert "the server refuses the login" in said and "PGPASSFILE" in said
    assert time.monotonic() - start < database.AGAIN_SECONDS  # it is not asked again


def test_a_schema_without_a_ledger_is_one_sentence(server: PostgresServer) -> None:
    said = refused(Store.open, server.place())
    assert "it is not a labelgrid database" in said


def test_a_password_is_read_from_the_file_and_never_said(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of its own, which asks for passwords."""
    with postgres.running() as own:
        own.run("CREATE ROLE ann LOGIN SUPERUSER PASSWORD 'secret-word'")
        rules = own.folder / "data" / "pg_hba.conf"
        rules.write_text("local all labelgrid trust\nlocal all all scram-sha-256\n")
        own.run("SELECT pg_reload_conf()")
        place = own.place(user="ann")
        monkeypatch.setenv("PGPASSFILE", str(tmp_path / "absent"))
        monkeypatch.setenv("PGPASSWORD", "secret-word")  # every server would get it
        said = refused(Store.create, place)
        assert "the server refuses the login" in said
        passwords = tmp_path / "passwords"
        passwords.write_text("*:*:*:ann:wrong-word\n")
        passwords.chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(passwords))
        said += refused(Store.create, place)
        passwords.write_text("*:*:*:ann:secret-word\n")
        with Store.create(place) as store:
            assert "secret" not in f"{said}{store.place}{store.place!r}"
        rules.write_text("local all labelgrid trust\nlocal all all password\n")
        own.run("SELECT pg_reload_conf()")
        said = refused(Store.open, place)
        assert "the server asks for the password as it is" in said


def test_a_full_disk_of_the_server_is_one_sentence(url: DatabaseUrl) -> None:
    """The server's own error, raised by a function: the disk of this machine is not filled."""
    full = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
    with closing(database.open_database(url)) as base:

        def fill() -> None:
            with base.writing() as connection:
                connection.exec_driver_sql(full)

        assert "the disk of the server is full" in refused(fill)


def test_a_package_that_is_not_installed_is_named_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError(name='psycopg')\n")
    code = (
        "from labelgrid.ledger.place import read_place\n"
        "from labelgrid.ledger.store import Store\n"
        "try:\n    Store.open(read_place('postgresql:///x?schema=y'))\n"
        "except Exception as error:\n    print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout == (
        "A ledger on PostgreSQL needs a package that is not installed: psycopg is missing.\n"
        "  Install it: pip install 'labelgrid[postgres]'. Nothing was changed.\n"
    )


def test_an_error_of_another_driver_has_no_meaning(url: DatabaseUrl) -> None:
    base = Database(url)
    assert base.dialect.meaning(ValueError("x")) is None
    assert not base.dialect.is_lost(ValueError("x"))
    base.close()


def test_after_many_new_rows_the_server_knows_what_its_tables_hold() -> None:
    with postgres.running("-c", "autovacuum=off") as server, Store.create(server.place()) as store:
        counted = "SELECT count(*) FROM pg_stats WHERE tablename = 'images'"
        with suppress(KeyError), store.transaction("add"):
            store.add_images(ImageRow(image_id=f"{number}", root="b") for number in range(10_000))
            raise KeyError  # these are not there
        store.add_images(ImageRow(image_id=f"{number}", root="a") for number in range(100))
        after_few = server.run(counted)
        store.add_images(ImageRow(image_id=f"{number}", root="b") for number in range(100, 10_100))
        assert (after_few, server.run(counted)) == ([(0,)], [(10,)])


def test_many_new_rows_of_who_does_not_own_the_tables_are_added(server: PostgresServer) -> None:
    place = server.place()
    Store.create(place).close()
    server.run("CREATE ROLE colleague LOGIN")
    server.run(f'GRANT USAGE ON SCHEMA "{place.schema}" TO colleague')
    tables = f'ALL TABLES IN SCHEMA "{place.schema}"'
    server.run(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO colleague")

    with Store.open(server.place(place.schema, user="colleague")) as store:
        store.add_images(ImageRow(image_id=f"{number}", root="a") for number in range(10_000))
        assert sum(1 for _ in store.images()) == 10_000
