"""Remembers what versions of objects contained: an interrupted reading of many goes on from there.

The memory is a file beside the cache. It may be lost at any time: objects are then read again.
"""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from labelgrid.storage.addresses import Address
from labelgrid.storage.stamps import Stamp
from labelgrid.storage.store_settings import cache_folder

_FILE = "contents.db"
_TABLE = (
    "CREATE TABLE IF NOT EXISTS contents (version BLOB PRIMARY KEY, digest TEXT NOT NULL, "
    "height INTEGER NOT NULL, width INTEGER NOT NULL) WITHOUT ROWID"
)
#: Seconds to wait for another process that writes.
_WAIT = 60
#: So many are looked up at a time.
_BATCH = 500


class Content(NamedTuple):
    """The content of an object: the hash, and the upright size of an image; 0 if unknown."""

    digest: str
    height: int = 0
    width: int = 0


def known_contents(stamps: Mapping[Address, Stamp]) -> dict[Address, Content]:
    """The remembered contents of versions of objects; versions without a tag are unknown."""
    versions = {}
    for item in stamps.items():
        if item[1].tag:
            versions[_version(item)] = item[0]
    keys = list(versions)
    contents: dict[Address, Content] = {}
    with _database() as database, suppress(sqlite3.Error):
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            marks = ",".join("?" * len(batch))
            rows = database.execute(  # the marks are question marks
                f"SELECT version, digest, height, width FROM contents WHERE version IN ({marks})",
                batch,
            )
            contents |= {versions[version]: Content(*content) for version, *content in rows}
    return contents


def remember(contents: Iterable[tuple[Address, Stamp, Content]]) -> None:
    """Remember the contents of versions of objects; versions without a tag are left out."""
    rows = []
    for address, stamp, content in contents:
        if stamp.tag:
            rows.append((_version((address, stamp)), *content))
    if not rows:
        return
    # It may be locked, or its disk full.
    with _database() as database, suppress(sqlite3.Error), database:
        database.executemany("INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?)", rows)


def _version(item: tuple[Address, Stamp]) -> bytes:
    address, stamp = item
    text = f"{address}\n{stamp.size}\n{stamp.tag}"
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=16).digest()


@contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    """The open memory, or an empty one if the file cannot be opened or is damaged."""
    database = _open(cache_folder() / _FILE)
    if database is None:
        database = sqlite3.connect(":memory:")
        database.execute(_TABLE)
    with closing(database):
        yield database


def _open(path: Path) -> sqlite3.Connection | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(path, timeout=_WAIT)
    except (OSError, sqlite3.Error):
        return None
    try:
        database.execute("PRAGMA synchronous = OFF")
        database.execute(_TABLE)
        database.execute("SELECT digest, height, width FROM contents LIMIT 1").fetchall()
    except sqlite3.DatabaseError as error:
        database.close()
        if not isinstance(error, sqlite3.OperationalError):  # neither locked nor the disk full
            path.unlink(missing_ok=True)
        return None
    return database
