"""Reads and writes records of shards: JSON files with a stamp, which says what they depend on."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from labelgrid.config import parse
from labelgrid.errors import LabelgridError
from labelgrid.files import read_text, write_text


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
