"""Runs jobs in processes of this machine.

They are forks of one server process that has loaded what they need, so each of them starts at once.
They end with the process that started them.
"""

import os
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from labelgrid.executors.executor import carry_out
from labelgrid.executors.job import END, STOPPED, JobEnd, JobFolder
from labelgrid.executors.placement import refuse_address
from labelgrid.executors.share import EVERYTHING, Share
from labelgrid.processes import end_with_parent


@dataclass
class Processes:
    """An executor that starts a process for each job; see `Executor`.

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
        self._waiting: deque[tuple[Path, BaseProcess]] = deque()
        self._running: dict[Path, BaseProcess] = {}

    def start(self, folder: Path, function: Callable[..., None], *arguments: Any) -> None:
        """As `Executor.start`."""
        JobFolder(folder).renew()
        context = get_context("forkserver")
        context.set_forkserver_preload([self.preload])
        work = (dict(os.environ), folder, function, *arguments)
        self._waiting.append((folder, context.Process(target=_work, args=work)))
        self._start_waiting()

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self.workers:
            folder, process = self._waiting.popleft()
            process.start()
            self._running[folder] = process

    def wait(self, seconds: float) -> Mapping[Path, JobEnd]:
        """As `Executor.wait`."""
        wait([process.sentinel for process in self._running.values()], seconds)
        ends = {}
        for folder, process in list(self._running.items()):
            if not process.is_alive():
                del self._running[folder]
                ends[folder] = _end(folder, process)
        self._start_waiting()
        return ends

    def stop(self) -> None:
        """As `Executor.stop`."""
        self._waiting.clear()
        for process in self._running.values():
            process.terminate()
        for path, process in self._running.items():
            process.join()
            folder = JobFolder(path)
            if not folder.end:
                folder.write(END, STOPPED)
        self._running.clear()


def _work(
    environment: Mapping[str, str], folder: Path, function: Callable[..., None], *arguments: Any
) -> None:
    """Carry out a job in its process, with the environment variables of when it was started."""
    os.environ.clear()  # the server has those of when the first process was started
    os.environ.update(environment)
    end_with_parent()
    carry_out(folder, function, *arguments)


def _end(folder: Path, process: BaseProcess) -> JobEnd:
    """How the job of an ended process ended."""
    end = JobFolder(folder).end
    if end:
        return end
    if process.exitcode == 0:  # the disk refused the record
        return JobEnd("ended")
    fault = f"Its process ended without a result, with code {process.exitcode}."
    return JobEnd("died", fault, again=True)


def build(preload: str, workers: int, address: str) -> Processes:
    """Build the executor."""
    refuse_address("processes", address)
    return Processes(preload, workers)
