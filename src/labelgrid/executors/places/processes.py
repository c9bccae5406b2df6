"""Runs jobs in processes of this machine.

The processes are forks of one server process that has loaded all modules, so each starts at once.
Each process does one job after another, and ends with the process that started it; a process whose
job fails is replaced.
"""

import os
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from labelgrid.basics.processes import end_with_parent, keep_freed_memory
from labelgrid.basics.progress import Silent
from labelgrid.executors.job import END, STOPPED, JobEnd, JobFolder, end_by, record_job
from labelgrid.executors.share import EVERYTHING, Share
from labelgrid.executors.workplace import refuse_address


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A job for a worker, with the working folder and the environment of now."""

    working_folder: Path
    environment: Mapping[str, str]
    folder: Path
    function: Callable[..., None]
    arguments: tuple[Any, ...]

    def carry_out(self) -> None:
        """Do the job.

        Raises:
            SystemExit: the job did not end well, as its folder says.
        """
        os.chdir(self.working_folder)
        os.environ.clear()
        os.environ.update(self.environment)
        try:
            with record_job(self.folder, Silent()) as job:
                job.begin()
                self.function(*self.arguments, job)
        except (Exception, KeyboardInterrupt) as error:
            raise SystemExit(1) from error


class _Worker:
    """A process that is kept between jobs."""

    def __init__(self) -> None:
        context = get_context("forkserver")
        self._connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs,))
        self.process.start()
        theirs.close()

    def give(self, call: _Call) -> bool:
        """Give the process a job; return whether the process is alive to do the job."""
        try:
            self._connection.send(call)
        except OSError:
            return False
        return self.process.is_alive()

    @property
    def signs(self) -> "list[Connection | int]":
        """The objects to wait for until the job has ended."""
        return [self._connection, self.process.sentinel]

    def end_of(self, folder: Path) -> JobEnd | None:
        """The end of the worker's job; None while the job goes on."""
        end: JobEnd | None = None
        try:
            if self._connection.poll():
                end = self._connection.recv()
        except (OSError, EOFError):  # it ends
            self.process.join()
        if end:
            if end.state != "ended":
                self.process.join()  # it ends, and must not be given another job
            return JobFolder(folder).end or end  # the disk may have refused the record
        if self.process.is_alive():
            return None
        fault = f"Its process ended without a result, with code {self.process.exitcode}."
        return JobFolder(folder).end or JobEnd("died", fault, again=True)


@dataclass
class Processes:
    """An executor whose processes on this machine are kept between jobs; see `Executor`.

    The server is started with the first process, and ends with this one.

    Args:
        preload: the module that the server loads.
        workers: the number of processes at a time.
        share: the jobs that are started here.
    """

    preload: str
    workers: int
    share: Share = EVERYTHING

    def __post_init__(self) -> None:
        self._waiting: deque[_Call] = deque()
        self._running: dict[Path, _Worker] = {}
        self._free: list[_Worker] = []

    def start(self, folder: Path, function: Callable[..., None], *arguments: Any) -> None:
        """Start a job, as `Executor.start` documents."""
        JobFolder(folder).renew()
        call = _Call(
            working_folder=Path.cwd(),
            environment=dict(os.environ),
            folder=folder,
            function=function,
            arguments=arguments,
        )
        self._waiting.append(call)
        self._start_waiting()

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self.workers:
            call = self._waiting.popleft()
            self._running[call.folder] = self._worker_for(call)

    def _worker_for(self, call: _Call) -> _Worker:
        while self._free:
            worker = self._free.pop()
            if worker.give(call):
                return worker
        get_context("forkserver").set_forkserver_preload([self.preload])
        worker = _Worker()
        worker.give(call)
        return worker

    def wait(self, seconds: float) -> Mapping[Path, JobEnd]:
        """Wait for jobs to end, as `Executor.wait` documents."""
        signs: list[Connection | int] = []
        for worker in self._running.values():
            signs += worker.signs
        wait(signs, seconds)
        ends = {}
        for folder, worker in list(self._running.items()):
            end = worker.end_of(folder)
            if end:
                del self._running[folder]
                self._free.append(worker)
                ends[folder] = end
        self._start_waiting()
        return ends

    def stop(self) -> None:
        """Stop all jobs, as `Executor.stop` documents."""
        self._waiting.clear()
        workers = [*self._running.values(), *self._free]
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join()
        for path in self._running:
            folder = JobFolder(path)
            if not folder.end:
                folder.write(END, STOPPED)
        self._running.clear()
        self._free.clear()


def _work(connection: Connection) -> None:
    """Do jobs, each in its folder, until a job does not end well."""
    end_with_parent()
    keep_freed_memory()
    # Whoever gave the jobs wants no more, or Ctrl-C, which all get, came between two jobs.
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            call: _Call = connection.recv()
            try:
                call.carry_out()
            except SystemExit as end:
                connection.send(end_by(end.__cause__, call.folder))
                raise
            connection.send(JobEnd("ended"))


def build(preload: str, workers: int, address: str) -> Processes:
    """Build an executor of local processes."""
    refuse_address("processes", address)
    return Processes(preload, workers)
