"""Does a list of jobs in some place: those of its share, and again after a death."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labelgrid.executors.executor import Executor
from labelgrid.executors.job import JobEnd
from labelgrid.executors.share import Share
from labelgrid.progress import Progress

#: How many times a job is begun again whose process died, or that the machine failed (memory,
#: disk).
RETRIES = 2
#: Seconds between two looks at the jobs.
POLL = 0.3


@dataclass(frozen=True, kw_only=True)
class ListedJob:
    """A job of a list.

    Args:
        folder: of the job.
        function: as for `Executor.start`.
        arguments: before the progress.
        is_done: whether an earlier call finished it; asked before it is started, and at the end.
    """

    folder: Path
    function: Callable[..., None]
    arguments: Sequence[Any] = ()
    is_done: Callable[[], bool]


@dataclass(frozen=True, kw_only=True)
class ListedEnds:
    """What is left of a list of jobs.

    Args:
        ended: the jobs that were started here, in the order of their ends.
        faults: of them, those that did not end well.
        left: the jobs of other shares that are not done.
        share: the jobs that are started here.
    """

    ended: Sequence[Path]
    faults: dict[Path, JobEnd]
    left: Sequence[Path]
    share: Share


@dataclass
class JobList:
    """Jobs whose order is the same wherever a share of them is done.

    Args:
        jobs: all jobs, whether they are done or not.
        executor: where they are done.
        progress: advances by one for each job that is done; says each death in a line.
    """

    jobs: Sequence[ListedJob]
    executor: Executor
    progress: Progress
    _ended: list[Path] = field(init=False, default_factory=list)
    _faults: dict[Path, JobEnd] = field(init=False, default_factory=dict)

    def carry_out(self, what: str, unit: str) -> ListedEnds:
        """Do the jobs of this share that are not done.

        A job that fails does not stop the others.

        Args:
            what: the step, for the progress.
            unit: what a job is there, in the plural.
        """
        share = self.executor.share
        mine = [job for place, job in enumerate(self.jobs) if share.takes(place)]
        self.progress.start(what, len(mine), unit)
        todo = []
        for job in mine:
            if job.is_done():
                self.progress.advance()
            else:
                todo.append(job)
        try:
            self._do(todo)
        finally:
            self.executor.stop()
        others = [job for place, job in enumerate(self.jobs) if not share.takes(place)]
        left = [job.folder for job in others if not job.is_done()]
        return ListedEnds(ended=self._ended, faults=self._faults, left=left, share=share)

    def _do(self, todo: Sequence[ListedJob]) -> None:
        running = {job.folder: job for job in todo}
        tries = dict.fromkeys(running, 1)
        for job in todo:
            self._start(job)
        while running:
            for folder, end in self.executor.wait(POLL).items():
                if end.again and tries[folder] <= RETRIES:
                    tries[folder] += 1
                    self.progress.say(f"{folder.name}: {end.fault} It is begun again.")
                    self._start(running[folder])
                    continue
                del running[folder]
                self._finish(folder, end, tries[folder])

    def _start(self, job: ListedJob) -> None:
        self.executor.start(job.folder, job.function, *job.arguments)

    def _finish(self, folder: Path, end: JobEnd, tries: int) -> None:
        self._ended.append(folder)
        if end.state == "ended":
            self.progress.advance()
            return
        fault = f"{end.fault} It was tried {tries} times." if end.again else end.fault
        self._faults[folder] = JobEnd(end.state, fault, end.again)
