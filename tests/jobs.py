"""What tests of jobs share: waiting for one, and the processes that it consists of."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from labelgrid import Project
from labelgrid.executors.command_job import interrupt_command
from labelgrid.executors.job import JobFolder
from labelgrid.web import jobs

#: Seconds to wait for a process, on a busy machine.
PATIENCE = 120


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something holds, and fail if it does not."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.05)


@contextmanager
def stopped_afterwards(folder: Path) -> Iterator[Path]:
    """A project whose job, if there is one, is stopped at the end."""
    yield folder
    with Project.open(folder) as project:
        job = jobs.active(project)
        if job:
            interrupt_command(JobFolder(folder / "jobs" / f"{job.number:04d}"))
        wait_until(lambda: jobs.active(project) is None)


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(folder: JobFolder) -> int:
    """The process of a job's command, once there is one."""
    owner = folder.owner
    assert owner
    wait_until(lambda: children(owner.pid))
    return children(owner.pid)[0]
