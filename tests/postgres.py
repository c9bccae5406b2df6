"""A real PostgreSQL for tests: a server of this process's own, started when a test first needs one.

`./dev postgres` installs Debian's package. The server refuses to run as root, so its user is `postgres` then. It
listens on a socket in its folder alone, and ends with this process, also if that is killed.
"""

import atexit
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from labelgrid.ledger.place import DatabaseUrl

USER = "labelgrid"
DATABASE = "labelgrid"
#: Seconds until a server answers, on cores that others use, too.
START = 120
ABSENT = "PostgreSQL is not installed"
#: A database whose own order of names is that of English, so that a name's own order is noticed.
CREATE = (
    f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu "
    "ICU_LOCALE 'en-US' LC_COLLATE 'C' LC_CTYPE 'C'"
)
_DIE_WITH_PARENT = 1


def programs() -> Path | None:
    """The folder of PostgreSQL's programs, of the newest release; None if it is not installed."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max(
        (file.parent for file in found), key=lambda folder: int(folder.parent.name), default=None
    )


@dataclass(frozen=True)
class PostgresServer:
    """A running server, by the folder of its socket."""

    folder: Path
    process: "subprocess.Popen[bytes]"

    def place(self, schema: str = "", *, user: str = USER, database: str = DATABASE) -> DatabaseUrl:
        """A schema, by default a new one."""
        return DatabaseUrl(
            database=database,
            schema=schema or f"t{uuid.uuid4().hex[:12]}",
            user=user,
            options={"host": str(self.folder)},
        )

    def connect(self, database: str = DATABASE) -> Any:
        """A connection of its administrator, each of whose statements is a transaction."""
        import psycopg

        return psycopg.connect(host=str(self.folder), user=USER, dbname=database, autocommit=True)

    def run(
        self, statement: str, *values: object, database: str = DATABASE
    ) -> list[tuple[Any, ...]]:
        """The rows of a statement of its administrator."""
        with closing(self.connect(database)) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        """Stop it at once, and remove its folder."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def server() -> PostgresServer:
    """The server of this process; a test is skipped if PostgreSQL is not installed.

    Nothing is flushed to its disk: no test takes the power away.
    """
    if programs() is None:
        pytest.skip(ABSENT)
    started = start("-c", "fsync=off", "-c", "shared_buffers=32MB")
    atexit.register(started.stop)
    return started


@contextmanager
def running(*settings: str) -> Iterator[PostgresServer]:
    """A server of one's own."""
    started = start(*settings)
    try:
        yield started
    finally:
        started.stop()


def start(*settings: str) -> PostgresServer:
    """Start a server with a database for ledgers."""
    bin = programs()
    assert bin is not None, ABSENT
    folder = Path(tempfile.mkdtemp(prefix="labelgrid-postgres-"))
    own: dict[str, Any] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        own = {"user": "postgres", "group": "postgres", "extra_groups": []}
    data = folder / "data"
    words = ["-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    subprocess.run([bin / "initdb", *words], check=True, capture_output=True, cwd=folder, **own)
    listen = ["-k", str(folder), "-c", "listen_addresses=", "-c", "max_connections=60"]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [bin / "postgres", "-D", data, *listen, *settings],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            preexec_fn=_die_with_parent,
            **own,
        )
    started = PostgresServer(folder, process)
    try:
        _wait(started)
        started.run(CREATE, database="postgres")
    except BaseException:
        started.stop()
        raise
    return started


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGQUIT)


def _wait(started: PostgresServer) -> None:
    """Wait until the server answers."""
    import psycopg

    end = time.monotonic() + START
    while started.process.poll() is None:
        try:
            started.run("SELECT 1", database="postgres")
        except psycopg.OperationalError:
            assert time.monotonic() < end, "the server does not answer"
            time.sleep(0.05)
        else:
            return
    raise RuntimeError((started.folder / "log.txt").read_text(errors="replace")[-3000:])
