"""Reads and writes records of shards: JSON files with a stamp, which says what they depend on."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from labelgrid.basics.config import parse
from labelgrid.basics.errors import LabelgridError, ProjectError
from labelgrid.basics.files import read_text, write_text


@dataclass(frozen=True, kw_only=True)
class Stamped:
    """The base of records of plain values.

    Args:
        stamp: of all that the record depends on.
    """

    stamp: str


T = TypeVar("T", bound=Stamped)


def read_stamped(kind: type[T], path: Path, stamp: str) -> T | None:
    """A record; None if it is missing, damaged, or has another stamp."""
    with suppress(OSError, ValueError, LabelgridError):
        record = parse(kind, json.loads(read_text(path)), path.name, finite=False)
        return record if record.stamp == stamp else None
    return None


def write_stamped(record: Stamped, path: Path, unchanged: str) -> None:
    """Write a record atomically.

    Args:
        record: plain values.
        path: of its file, whose folder is made.
        unchanged: what is left as it was if the disk refuses it.

    Raises:
        ProjectError: the disk does.
    """
    write_text(path, json.dumps(asdict(record)), unchanged)


def not_there_error(what: str, path: Path, unchanged: str) -> ProjectError:
    """The error of a result that whoever made it has not left; the same command makes it."""
    return ProjectError(
        f"{what} is not there.",
        where=str(path),
        next_step="Run the same command again: it does what is missing.",
        unchanged=unchanged,
    )


class Shard(Protocol):
    """Images that have one record."""

    @property
    def path(self) -> Path:
        """Of the record, see `record_path`."""

    def read(self) -> Stamped | None:
        """The record; None if it is not there."""


S = TypeVar("S", bound=Shard)


def record_path(folder: Path, size: int, place: int) -> Path:
    """The file of a shard's record.

    Args:
        folder: of the records.
        size: the number of images in a shard.
        place: of this one among all.
    """
    return folder / f"{size}-{place:05d}.json"


def kept_shards(folder: Path, build: Callable[[int], Sequence[S]], size: int) -> Sequence[S]:
    """The shards of which an earlier run left records, whatever their size; else new ones.

    Args:
        folder: of the records.
        build: makes all shards of a size.
        size: of new ones.
    """
    sizes = Counter(path.name.partition("-")[0] for path in folder.glob("*-*.json"))
    for name, _ in sizes.most_common():
        shards = build(int(name)) if name.isdecimal() and int(name) else ()
        if any(shard.path.exists() and shard.read() for shard in shards):
            return shards
    return build(size)
