"""Finds the folder for an import's pictures and lists. Imports at one time never share it."""

import fcntl
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labelgrid.basics.files import disk_errors


@contextmanager
def import_place(folder: Path) -> Iterator[Path]:
    """Yield the folder for an import's pictures and lists, locked for other imports.

    A single import uses the project's folder. Imports that begin meanwhile use `import-2` and so on
    inside the project; these folders stay unless empty. A place is free again when its import or
    process ends; the files stay until another import takes the place.

    Raises:
        ProjectError: the disk reports an error.
    """
    with disk_errors(folder, "Nothing was imported."):
        place, handle = next(filter(None, map(_lock, _places(folder))))
    try:
        yield place
    finally:
        if place != folder:
            with suppress(OSError):  # there is something in it
                place.rmdir()
        os.close(handle)


def _places(folder: Path) -> Iterator[Path]:
    """The folders for imports, in order; each exists, and is no link."""
    yield folder
    for number in itertools.count(2):
        place = folder / f"import-{number}"
        with suppress(FileExistsError):  # somebody put a file there
            place.mkdir(exist_ok=True)
            if not place.is_symlink():
                yield place


def _lock(place: Path) -> tuple[Path, int] | None:
    """A locked folder and its handle; None if another import holds it."""
    try:
        handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:  # another import has removed it since
        return None
    if _is_held(handle) or not _is_at(handle, place):
        os.close(handle)
        return None
    return place, handle


def _is_held(handle: int) -> bool:
    """Whether another import holds the lock of a folder; otherwise the lock is taken now."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a disk without locks: imports at one time share the folder
        return False
    return False


def _is_at(handle: int, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), place.stat())
    except FileNotFoundError:
        return False
