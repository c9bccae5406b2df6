"""The ledger in a file: what is SQLite's own."""

import atexit
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

from sqlalchemy import URL, Connection, Engine, Table, Text, event

from labelgrid.basics.errors import LedgerError
from labelgrid.basics.files import disk_errors
from labelgrid.basics.type_names import Json, Values
from labelgrid.ledger import dialect
from labelgrid.ledger.dialect import FOREIGN, KEY, Dialect, Meaning, Objects

#: How many of SQLite's instructions run between two looks for signals: some hundredths of a second.
STEPS = 1_000_000
#: SQLite's name of the error of a statement that a signal has interrupted.
INTERRUPTED = "SQLITE_INTERRUPT"

#: The computed columns of plain tables: reading one runs what its text says.
_COMPUTED = (
    "SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_xinfo(m.name) c "
    "WHERE m.type = 'table' AND m.sql LIKE 'CREATE TABLE%' AND c.hidden > 1"
)
_UNCHANGED = "Nothing was changed."
#: What SQLite has beside a file, by the ends of the names: the log, and the memory of its index.
_BESIDE = ("-wal", "-shm")
#: How often a file is copied that changes meanwhile, and the pause in between, in seconds.
_TRIES = 20
_PAUSE = 0.1

_READ_ONLY = (
    "it cannot be written",
    "Make its folder and its files writable for you and run again.",
)


def _let_signals_through() -> int:
    """Run Python for a moment in a long statement, so that a signal ends the statement.

    An exception that a signal's handler raises here interrupts the statement.
    """
    return 0


class SQLite(Dialect):
    """SQLite: a file with its write-ahead log.

    Args:
        path: the file.
        read_only: refuse to write.
    """

    #: Prefix of SQLite's error name -> meaning.
    FAULTS: ClassVar[Mapping[str, Meaning]] = {
        "SQLITE_FULL": ("the disk is full", "Free some space and run again."),
        "SQLITE_READONLY": _READ_ONLY,
        "SQLITE_CANTOPEN": _READ_ONLY,
        "SQLITE_PERM": _READ_ONLY,
        "SQLITE_NOTADB": FOREIGN,
        "SQLITE_CORRUPT": (
            "it is damaged",
            "Restore a copy; `sqlite3 FILE .recover` may save what is readable.",
        ),
        "SQLITE_TOOBIG": dialect.TOO_LONG,
        "SQLITE_IOERR": (
            "the disk reports an error",
            "Check the disk (space, quota, network) and run again.",
        ),
    }
    LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED")
    SETTINGS: ClassVar[Sequence[str]] = ("foreign_keys=ON", "synchronous=FULL", "cache_size=-65536")
    sums_in_order = True

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only

    def url(self) -> URL:
        """As `Dialect.url`: the file's URL."""
        return URL.create("sqlite", database=str(self.path.absolute()))

    def arguments(self) -> Json:
        """As `Dialect.arguments`: how long a locked file is waited for."""
        return {"timeout": dialect.WAIT_SECONDS}

    def attach(self, engine: Engine) -> None:
        """As `Dialect.attach`: a writer takes SQLite's write lock at once (BEGIN IMMEDIATE)."""

        def connect(connection: sqlite3.Connection, record: Any) -> None:
            record.info[KEY] = self
            # Transactions begin in `begin`, not where the driver decides.
            connection.isolation_level = None
            for setting in self.SETTINGS:
                connection.execute(f"PRAGMA {setting}")
            # SQLite's own way of reading only leaves the files of its log behind.
            if self.read_only:
                connection.execute("PRAGMA query_only=ON")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, dialect.LONGEST)
            connection.set_progress_handler(_let_signals_through, STEPS)

        def begin(connection: Connection) -> None:
            options = connection.get_execution_options()
            writing = options.get("writing", False)
            if options.get("migrating"):  # else a table that is made anew takes all rows along
                connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

        event.listen(engine, "connect", connect)
        event.listen(engine, "begin", begin)

    def check_new(self) -> None:
        """As `Dialect.check_new`; an empty file left by a stopped call is used."""
        if not self.path.parent.is_dir():
            raise LedgerError(
                "There is no such folder.",
                where=self.path.parent,
                next_step="Create it and run again.",
            )

    def check_there(self) -> None:
        """As `Dialect.check_there`: the file must exist."""
        if not self.path.is_file():
            raise LedgerError(
                "There is no ledger.",
                where=self.path,
                next_step="Create one with `labelgrid init`.",
            )

    def share(self, connection: Connection) -> None:
        """As `Dialect.share`: a write-ahead log; the setting is stored in the file."""
        cast("sqlite3.Connection", connection.connection.driver_connection).execute(
            "PRAGMA journal_mode=WAL"
        )

    def insert(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[Values],
        *,
        skip_existing: bool = False,
    ) -> int:
        """As `Dialect.insert`: the driver takes the values as they are, half as long a row."""
        columns = [table.columns[name] for name in rows[0]]
        names = ", ".join(map(connection.dialect.identifier_preparer.format_column, columns))
        places = ", ".join("?" * len(columns))
        skipping = " ON CONFLICT DO NOTHING" if skip_existing else ""
        result = connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({names}) VALUES ({places}){skipping}",
            [tuple(row.values()) for row in rows],
            execution_options={"preserve_rowcount": True},
        )
        return result.rowcount

    def append_only(self, table: str) -> Sequence[str]:
        """As `Dialect.append_only`: a trigger for each kind of change."""
        return [
            f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} are only ever added'); END"
            for change in ("UPDATE", "DELETE")
        ]

    def objects(
        self, connection: Connection, tables: Sequence[Table], append_only: Sequence[str]
    ) -> tuple[Objects, Objects]:
        """As `Dialect.objects`.

        Triggers are compared by their text, which labelgrid writes; tables and indexes by their
        names, because their text depends on the release of SQLAlchemy.
        """
        expected: set[tuple[str, str]] = set()
        for table in tables:
            expected.add(("table", table.name))
            expected.update(("index", str(index.name)) for index in table.indexes)
        for name in append_only:
            expected.update(("trigger", text) for text in self.append_only(name))
        present: set[tuple[str, str]] = set()
        query = "SELECT type, name, sql FROM sqlite_master"
        for kind, name, text in connection.exec_driver_sql(query):
            if kind in ("table", "index") and name.startswith("sqlite_"):  # SQLite's own
                continue
            if kind == "table" and not str(text).startswith("CREATE TABLE"):
                kind = "virtual table"
            present.add((kind, text if kind == "trigger" else name))
        computed = connection.exec_driver_sql(_COMPUTED).scalars()
        present.update(("computed column", name) for name in computed)
        return present, expected

    def check_keys(self, connection: Connection, tables: Sequence[Table]) -> None:
        """As `Dialect.check_keys`: a look at each row, 0.1 s for a million images or labels.

        SQLite's limit of length holds for what is read from a table. Whoever follows an index, or
        looks for a row of a table in key order, has the whole key in memory before.
        """
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        if pages * connection.exec_driver_sql("PRAGMA page_size").scalar_one() <= dialect.LONGEST:
            return
        for table in tables:
            # No text is a zero byte, so every column of every row is looked at.
            looks = " OR ".join(f"{name} = char(0)" for name in _texts_in_keys(table))
            if looks:
                connection.exec_driver_sql(
                    f"SELECT count(*) FROM {table.name} NOT INDEXED WHERE {looks}"
                )

    def transaction_number(self, connection: Connection) -> str:
        """As `Dialect.transaction_number`: a file's commit has no answer that could be lost."""
        return ""

    def meaning(self, cause: BaseException) -> Meaning | None:
        """As `Dialect.meaning`, by SQLite's name for the error."""
        name = getattr(cause, "sqlite_errorname", "")
        if name.startswith(self.LOCKED):
            return dialect.locked()
        for start, meaning in self.FAULTS.items():
            if name.startswith(start):
                return meaning
        return None

    def was_interrupted(self, cause: BaseException) -> bool:
        """As `Dialect.was_interrupted`, by SQLite's name for the error."""
        return getattr(cause, "sqlite_errorname", "") == INTERRUPTED


def _texts_in_keys(table: Table) -> Iterable[str]:
    """The text columns that an index holds; of a table in key order, all of them."""
    is_key = not table.dialect_options["sqlite"]["with_rowid"]
    indexed = {column.name for index in table.indexes for column in index.columns}
    for column in table.columns:
        if isinstance(column.type, Text) and (
            is_key or column.name in indexed or column.unique or column.primary_key
        ):
            yield column.name


class _LedgerCopy(NamedTuple):
    """A copy of a ledger's file, and the stamp of the file when the copy was made."""

    path: Path
    stamp: object


#: This process's copies by the file they are of, the newest last.
_COPIES: dict[Path, list[_LedgerCopy]] = {}
_COPYING = threading.Lock()


def can_be_written(path: Path) -> bool:
    """Whether a ledger's file and the files beside it can be written, as reading needs."""
    beside = [path.with_name(path.name + end) for end in _BESIDE]
    there = [path.parent, path, *(file for file in beside if file.exists())]
    return all(os.access(file, os.W_OK) for file in there)


def readable_copy(path: Path) -> Path:
    """A copy, in the temporary folder, of a ledger's file that cannot be written.

    The same one until the file changes; it is removed when the process ends.

    Raises:
        LedgerError: the file is changed all the time.
        ProjectError: the temporary folder has no room, or the file cannot be read.
    """
    path = path.absolute()
    with _COPYING, disk_errors(Path(tempfile.gettempdir()), _UNCHANGED):
        kept = _COPIES.setdefault(path, [])
        stamp = _stamp(path)
        if not kept or kept[-1].stamp != stamp:
            folder = Path(tempfile.mkdtemp(prefix="labelgrid-ledger-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            _copy(path, folder / path.name)
            kept.append(_LedgerCopy(folder / path.name, stamp))
            for old in kept[:-2]:  # somebody may be opening the last one
                shutil.rmtree(old.path.parent, ignore_errors=True)
            del kept[:-2]
        return kept[-1].path


def _stamp(path: Path) -> object:
    stamps = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        about = file.stat() if file.exists() else None
        stamps.append(about and (about.st_ino, about.st_size, about.st_mtime_ns))
    return stamps


def _copy(path: Path, target: Path) -> None:
    """Copy the state of a ledger's file at a single moment.

    SQLite does so where it can read the file, as while somebody else has it open. Otherwise the
    file and its log are copied until neither has changed meanwhile.
    """
    try:
        reader = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        with closing(reader), closing(sqlite3.connect(target)) as writer:
            reader.backup(writer)
        return
    except sqlite3.Error:
        target.unlink(missing_ok=True)
    for _ in range(_TRIES):
        before = _stamp(path)
        for end in ("", "-wal"):
            source = path.with_name(path.name + end)
            copied = target.with_name(target.name + end)
            copied.unlink(missing_ok=True)
            if source.exists():
                shutil.copyfile(source, copied)
        if _stamp(path) == before:
            return
        time.sleep(_PAUSE)
    raise LedgerError(
        "The ledger cannot be written, and changes all the time while it is copied.",
        where=path,
        next_step="Run again when nobody works with the project.",
        unchanged=_UNCHANGED,
    )
