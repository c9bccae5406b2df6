"""What tests of jobs share: waiting for one, and the processes that it consists of."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from labelgrid.api.reader import ProjectReader
from labelgrid.executors.command_job import interrupt_command, log_tail
from labelgrid.executors.job import JobFolder
from labelgrid.web import jobs

#: Seconds to wait for a process, on a busy machine.
PATIENCE = 120


class Maker(Protocol):
    """What makes that for which a test waits."""

    def has_ended(self) -> bool:
        """Whether it makes nothing any more."""

    def last_words(self) -> str:
        """How it ended or stands, and what it printed."""


@dataclass(frozen=True)
class JobMaker:
    """A job, by its folder."""

    folder: JobFolder

    def has_ended(self) -> bool:
        """Whether it makes nothing any more."""
        return self.folder.state not in ("waiting", "running", "unknown")

    def last_words(self) -> str:
        """How it ended or stands, and what it printed."""
        return f"It is {self.folder.state}: {self.folder.end}\n{log_tail(self.folder)}"


def wait_until(
    condition: Callable[[], object], seconds: float = PATIENCE, by: Maker | None = None
) -> None:
    """Wait until something holds, and fail if it does not, or once who makes it has ended."""
    until = time.monotonic() + seconds
    while not condition():
        is_over = by is not None and by.has_ended()
        if time.monotonic() > until or (is_over and not condition()):
            said = f" {by.last_words()}" if by else ""
            raise AssertionError(f"It did not come to pass.{said}")
        time.sleep(0.05)


@contextmanager
def stopped_afterwards(folder: Path) -> Iterator[Path]:
    """A project whose jobs, if there are any, are stopped at the end."""
    yield folder
    with ProjectReader.open(folder) as project:
        for job in filter(None, (jobs.active(project), jobs.staying(project))):
            if job.is_active:
                interrupt_command(JobFolder(folder / "jobs" / f"{job.number:04d}"))
        wait_until(lambda: jobs.active(project) is None and not learns(project))


def learns(project: ProjectReader) -> bool:
    """Whether a job learns while labels are made."""
    job = jobs.staying(project)
    return job is not None and job.is_active


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(folder: JobFolder) -> int:
    """The process of a job's command, once there is one."""
    owner = folder.owner
    assert owner
    wait_until(lambda: children(owner.pid))
    return children(owner.pid)[0]
