"""Locks a study's folder: for one call, or for the shares of one array job, which work beside."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

from labelgrid.basics import files
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.files import remove_folder
from labelgrid.executors.share import Share
from labelgrid.lab.simulation.study import LOCK, SHARES_LOCK


@dataclass(frozen=True)
class StudyLock:
    """The lock of a study's folder, which this process holds.

    Args:
        shares: the open file by which the shares wait for each other; None if there are no others.
    """

    shares: TextIOWrapper | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other share write what is of the whole study meanwhile."""
        if self.shares is None:
            yield
            return
        fcntl.flock(self.shares, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self.shares, fcntl.LOCK_UN)


@contextmanager
def locked_study(out: Path, share: Share) -> Iterator[StudyLock]:
    """Hold the lock of a study's folder; one that is made for it goes if nothing was written.

    Args:
        out: the study's folder.
        share: of the runs; other shares may hold the lock, too, but no call that does all runs.

    Raises:
        ProjectError: another process holds it, or the disk refuses the folder.
    """
    is_new = not out.exists()
    kind = fcntl.LOCK_EX if share.is_all else fcntl.LOCK_SH
    with files.disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        file = (out / LOCK).open("w")
    with file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ProjectError(
                "Another process is working on these runs.",
                where=out,
                next_step="Wait for it, or stop it.",
                unchanged="Nothing was run.",
            ) from error
        files.remove_abandoned(out)
        try:
            with _shares_file(out, share) as lock:
                yield lock
        finally:
            is_empty = share.is_all and [path.name for path in out.iterdir()] == [LOCK]
            if is_new and is_empty:
                remove_folder(out)


@contextmanager
def _shares_file(out: Path, share: Share) -> Iterator[StudyLock]:
    if share.is_all:
        yield StudyLock()
        return
    with files.disk_errors(out):
        file = (out / SHARES_LOCK).open("w")
    with file:
        yield StudyLock(file)
