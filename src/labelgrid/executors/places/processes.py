"""Runs jobs in processes of this machine.

They are forks of one server process that has loaded what they need, so each of them starts at once.
Each does one job after another, and ends with the process that started it; one whose job did not
end well is replaced.
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

from labelgrid.basics.processes import end_with_parent
from labelgrid.executors.executor import carry_out
from labelgrid.executors.job import END, STOPPED, JobEnd, JobFolder, end_by
from labelgrid.executors.placement import refuse_address
from labelgrid.executors.share import EVERYTHING, Share


@dataclass(frozen=True, kw_only=True)
class _Call:
    """A job as it is sent to a worker, with the working folder and the environment of now."""

    place: Path
    environment: Mapping[str, str]
    folder: Path
    function: Callable[..., None]
    arguments: tuple[Any, ...]

    def carry_out(self) -> None:
        """Do the job; as `carry_out`."""
        os.chdir(self.place)
        os.environ.clear()
        os.environ.update(self.environment)
        carry_out(self.folder, self.function, *self.arguments)


class _Worker:
    """A process that does one job after another."""

    def __init__(self) -> None:
        context = get_context("forkserver")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs,))
        self._process.start()
        theirs.close()

    def give(self, call: _Call) -> bool:
        """Give it a job; returns whether it is there to take one."""
        try:
            self._connection.send(call)
        except OSError:
            return False
        return self._process.is_alive()

    @property
    def signs(self) -> "list[Connection | int]":
        """What can be read when its job has ended."""
        return [self._connection, self._process.sentinel]

    def end_of(self, folder: Path) -> JobEnd | None:
        """How its job ended; None if it goes on."""
        end = self._reply()
        if end:
            if end.state != "ended":
                self._process.join()  # it ends, and must not be given another job
            return JobFolder(folder).end or end  # the disk may have refused the record
        if self._process.is_alive():
            return None
        fault = f"Its process ended without a result, with code {self._process.exitcode}."
        return JobFolder(folder).end or JobEnd("died", fault, again=True)

    def _reply(self) -> JobEnd | None:
        """How it says that its job ended; None if it has said nothing."""
        try:
            if self._connection.poll():
                end: JobEnd = self._connection.recv()
                return end
        except (OSError, EOFError):  # it ends
            self._process.join()
        return None

    def ask_to_end(self) -> None:
        """End it at once, whatever it does."""
        self._process.terminate()

    def join(self) -> None:
        """Wait until it has ended."""
        self._process.join()


@dataclass
class Processes:
    """An executor that gives jobs to processes that are kept; see `Executor`.

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
        """As `Executor.start`."""
        JobFolder(folder).renew()
        call = _Call(
            place=Path.cwd(),
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
        """The worker that was given a job: a free one that is still there, or a new one."""
        while self._free:
            worker = self._free.pop()
            if worker.give(call):
                return worker
        get_context("forkserver").set_forkserver_preload([self.preload])
        worker = _Worker()
        worker.give(call)
        return worker

    def wait(self, seconds: float) -> Mapping[Path, JobEnd]:
        """As `Executor.wait`."""
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
        """As `Executor.stop`."""
        self._waiting.clear()
        workers = [*self._running.values(), *self._free]
        for worker in workers:
            worker.ask_to_end()
        for worker in workers:
            worker.join()
        for path in self._running:
            folder = JobFolder(path)
            if not folder.end:
                folder.write(END, STOPPED)
        self._running.clear()
        self._free.clear()


def _work(connection: Connection) -> None:
    """Do one job after another, each in its folder, until one does not end well."""
    end_with_parent()
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
    """Build the executor."""
    refuse_address("processes", address)
    return Processes(preload, workers)
