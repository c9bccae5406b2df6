"""Defines the executor protocol: functions run elsewhere, each in a job's folder."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from labelgrid.basics.progress import Silent
from labelgrid.basics.words import duration
from labelgrid.executors.job import JobEnd, record_job
from labelgrid.executors.share import Share


class Executor(Protocol):
    """Runs functions in some place.

    A plug-in of `labelgrid.executors.places` has a `build(preload, workers, address)` that returns
    one, and starts nothing: `preload` is the module that its processes may load before they are
    asked for anything, `address` what follows the place's name and a colon, or "". It refuses an
    address that it does not take.
    """

    @property
    def workers(self) -> int:
        """The number of jobs that run at a time, at most; more that are started wait."""

    @property
    def share(self) -> Share:
        """The jobs that whoever has a list of them may start here; processes elsewhere do others'.

        The place of a job in the list decides, which must be the same everywhere: that of all jobs,
        whether they are done or not.
        """

    def start(self, folder: Path, function: Callable[..., None], *arguments: Any) -> None:
        """Start `function(*arguments, progress)`, which the job's folder shows.

        Args:
            folder: of the job; a log in it is kept.
            function: can be pickled, as can its arguments; it is of a module, not of the script
                that was started. Its results are files. It may be carried out again after a death
                at any of its steps.
            arguments: before the progress.
        """

    def wait(self, seconds: float) -> Mapping[Path, JobEnd]:
        """Wait so long at most for jobs to end; return those that have, by folder.

        Each is returned once. A job whose process ended without saying how has `died`; whoever
        started it may do so again.
        """

    def stop(self) -> None:
        """Stop all jobs that are left; returns when none runs any more."""


class SaidWait:
    """Says how long nothing has gone on, after half a minute and then at twice the time.

    Args:
        say: tells the user.
    """

    FIRST = 30.0

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._since = time.monotonic()
        self._next = self.FIRST

    def look(self, goes_on: bool, what: str) -> None:
        """Note whether something goes on; if not, what is waited for."""
        now = time.monotonic()
        if goes_on:
            self._since = now
            self._next = self.FIRST
        elif now - self._since >= self._next:
            self._next = 2 * (now - self._since)
            self._say(f"Waiting for {what} for {duration(now - self._since)}. Ctrl-C stops.")


def carry_out(folder: Path, function: Callable[..., None], *arguments: Any) -> None:
    """Run a job in this process, which ends with it: what an executor of processes starts.

    Raises:
        SystemExit: it did not end well, which its folder says.
    """
    try:
        with record_job(folder, Silent()) as job:
            job.begin()
            function(*arguments, job)
    except (Exception, KeyboardInterrupt) as error:
        raise SystemExit(1) from error
