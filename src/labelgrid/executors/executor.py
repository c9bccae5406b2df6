"""Defines the executor protocol: functions run elsewhere, each in a job's folder."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from labelgrid.basics.words import duration
from labelgrid.executors.job import JobEnd
from labelgrid.executors.share import Share


class Executor(Protocol):
    """Runs functions in some place.

    A plug-in of `labelgrid.executors.places` has a `build(preload, workers, address)` that returns
    an executor, and starts nothing. `preload` is the module that the processes may load ahead;
    `address` is the text after the place's name and a colon, or "". An unsuitable address is
    refused.
    """

    @property
    def workers(self) -> int:
        """The largest number of jobs that run at a time; further jobs wait."""

    @property
    def share(self) -> Share:
        """The part of a list of jobs to start here; processes elsewhere do the rest.

        The position of a job in the list decides. The list must be the same everywhere, and hold
        all jobs, done or not.
        """

    def start(self, folder: Path, function: Callable[..., None], *arguments: Any) -> None:
        """Start `function(*arguments, progress)`, which the job's folder shows.

        Args:
            folder: the folder of the job; a log in it is kept.
            function: can be pickled, as can its arguments; it is of a module, not of the script
                that was started. Its results are files. It may be carried out again after a death
                at any of its steps.
            arguments: the arguments before the progress.
        """

    def wait(self, seconds: float) -> Mapping[Path, JobEnd]:
        """Wait at most `seconds` for jobs to end; return the ends by folder.

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

    def look(self, goes_on: bool, awaited: str) -> None:
        """Note whether something goes on; if not, what is waited for."""
        now = time.monotonic()
        if goes_on:
            self._since = now
            self._next = self.FIRST
        elif now - self._since >= self._next:
            self._next = 2 * (now - self._since)
            self._say(f"Waiting for {awaited} for {duration(now - self._since)}. Ctrl-C stops.")
