"""Keeps the folder of predictions that a process makes while labels are drawn.

The model's process owns the folder: what lies there counts only while the process lives. Loads no
torch.
"""

import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from labelgrid.basics.config import parse
from labelgrid.basics.errors import LabelgridError, StateError
from labelgrid.basics.files import (
    atomic_folder,
    digest_of,
    disk_errors,
    inside,
    open_regular,
    remove_folder,
    write_bytes,
)
from labelgrid.executors.job import OWNER, JobFolder, JobOwner
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder

FOLDER = "live"
STATE = "state.json"
WISHES = "wishes"
#: Bytes of a record, at most.
LARGEST = 1 << 14
#: Seconds after which a wish that no page repeats is forgotten, and the most wishes that count.
FORGOTTEN = 15.0
MOST = 8
#: The publications that stay, as a page may still read the last one.
KEPT = 2
_PUBLICATION = re.compile(r"\d{1,18}-\d{1,18}")
#: What may lie in the folder.
_OWN = re.compile(rf"{OWNER}|{re.escape(STATE)}|{WISHES}|{_PUBLICATION.pattern}|\..*\.part")


@dataclass(frozen=True, kw_only=True)
class LiveState:
    """What the model has learnt, as `state.json`.

    Args:
        event: the ledger's last event that was read.
        labels: the number of labels that were learnt.
        folder: the name of the publication, EVENT-NUMBER.
    """

    event: int
    labels: int
    folder: str

    def __post_init__(self) -> None:
        if not _PUBLICATION.fullmatch(self.folder):
            raise ValueError(f"{self.folder:.80} names no publication")


@dataclass(frozen=True)
class LiveFolder:
    """The folder of a project's live predictions.

    Args:
        path: the folder.
    """

    path: Path

    @classmethod
    def of(cls, project: ProjectFolder) -> "LiveFolder":
        """The folder of a project.

        Raises:
            ProjectError: it is a link that leads out of the project.
        """
        return cls(project.inside(FOLDER))

    @property
    def job(self) -> JobFolder:
        """Says whose process owns the folder."""
        return JobFolder(self.path)

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Own the folder inside the block, at whose end nothing stays of it.

        Raises:
            StateError: another process does.
            ProjectError: the disk reports an error.
        """
        with disk_errors(self.path):
            self.path.mkdir(exist_ok=True)
            handle = os.open(self.path, os.O_RDONLY)
        try:
            self._lock(handle)
            with disk_errors(self.path):
                self._clear()
                (self.path / WISHES).mkdir()
            self.job.write(OWNER, JobOwner.current())
            try:
                yield
            finally:
                self._remove_own()
                with suppress(OSError):
                    self.path.rmdir()
        finally:
            os.close(handle)

    def _lock(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError(
                "A model already learns while labels of this project are made.",
                where=str(self.path),
                next_step="Stop its job to start another.",
                unchanged="Nothing was started.",
            ) from error

    def _clear(self) -> None:
        """Remove what a killed process has left, and nothing of anybody else."""
        for entry in self.path.iterdir():
            if not _OWN.fullmatch(entry.name):
                raise StateError(
                    f"The folder holds '{entry.name:.80}', which labelgrid did not put there.",
                    where=str(self.path),
                    next_step="Move it elsewhere; predictions made while labelling lie there.",
                    unchanged="Nothing was started.",
                )
        self._remove_own()

    def _remove_own(self) -> None:
        for entry in self.path.iterdir():
            if not _OWN.fullmatch(entry.name):
                continue
            if entry.is_dir() and not entry.is_symlink():
                remove_folder(entry)
            else:
                entry.unlink()

    @property
    def state(self) -> LiveState | None:
        """What was published last; None without a living process."""
        if self.job.state != "running":
            return None
        with (
            suppress(OSError, LabelgridError, ValueError, RecursionError),
            open_regular(self.path / STATE, LARGEST, links=False) as file,
        ):
            return parse(LiveState, json.loads(file.read(LARGEST)), STATE)
        return None

    def prediction(self, cell: Cell, extension: str) -> Path | None:
        """The file with the newest prediction of a cell; None if there is none."""
        state = self.state
        if state is None:
            return None
        with suppress(LabelgridError):
            path = inside(self.path, f"{state.folder}/{self.name_of(cell, extension)}")
            if path.is_file():
                return path
        return None

    @staticmethod
    def name_of(cell: Cell, extension: str) -> str:
        """The name of a cell's file: a hash, as images may have any names."""
        return digest_of(os.fsencode(f"{cell.task}:{cell.image_id}")) + extension

    @contextmanager
    def publishing(self, state: LiveState) -> Iterator[Path]:
        """Yield a folder for predictions, which count together once the block succeeds.

        Raises:
            ProjectError: the disk reports an error; the last publication still counts.
        """
        with disk_errors(self.path):
            with atomic_folder(self.path / state.folder) as building:
                yield building
            write_bytes(self.path / STATE, json.dumps(asdict(state)).encode())
            publications = [p for p in self.path.iterdir() if _PUBLICATION.fullmatch(p.name)]
            for path in sorted(publications, key=lambda path: path.stat().st_mtime_ns)[:-KEPT]:
                remove_folder(path)

    def withdraw(self) -> None:
        """Let the last publication count no longer.

        Raises:
            ProjectError: the disk reports an error.
        """
        with disk_errors(self.path):
            (self.path / STATE).unlink(missing_ok=True)

    def wish(self, cell: Cell) -> None:
        """Ask the living process, if any, for the prediction of a cell."""
        if self.job.state == "running":
            content = json.dumps([cell.image_id, cell.task]).encode()
            with suppress(OSError, LabelgridError):
                write_bytes(self.path / WISHES / self.name_of(cell, ""), content)

    def wishes(self) -> list[Cell]:
        """The cells that pages asked for last, the newest first; older wishes are removed."""
        asked = {}
        wished: list[Cell] = []
        with disk_errors(self.path):
            for path in (self.path / WISHES).iterdir():
                with suppress(OSError):
                    asked[path] = path.stat().st_mtime
            for path in sorted(asked, key=asked.__getitem__, reverse=True):
                if len(wished) == MOST or time.time() - asked[path] > FORGOTTEN:
                    path.unlink(missing_ok=True)
                elif cell := _wished(path):
                    wished.append(cell)
        return wished


def _wished(path: Path) -> Cell | None:
    with suppress(OSError, ValueError, RecursionError):
        with open_regular(path, LARGEST, links=False) as file:
            image_id, task = json.loads(file.read(LARGEST))
        if isinstance(image_id, str) and isinstance(task, str):
            return Cell(image_id, task)
    return None
