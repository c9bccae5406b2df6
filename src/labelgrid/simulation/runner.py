"""Executes the runs of a study in worker processes: resumable, and restarted if a process dies."""

import re
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from labelgrid.errors import LabelgridError
from labelgrid.files import write_text
from labelgrid.processes import init_worker
from labelgrid.project.folder import ProjectFolder
from labelgrid.simulation.campaign import copy_run, create_run, step
from labelgrid.simulation.jobs import Job, RunWork
from labelgrid.simulation.runs import DONE, Run
from labelgrid.simulation.workers import start_worker

#: How many times a process that was killed, or that the machine failed (memory, disk), is
#: restarted.
RETRIES = 2
#: Parts of torch's messages about a killed data worker or full memory, which a restart may avoid;
#: torch raises a RuntimeError for all sorts of errors.
TRANSIENT = ("killed by signal", "exited unexpectedly", "out of memory", "allocate memory")
JobState = Literal["waiting", "running", "done", "failed"]


@dataclass(kw_only=True)
class JobStatus:
    """The status of a job.

    Args:
        what: the current activity.
        fault: why it failed.
        tries: the number of processes started for it.
        work: its total work, in optimiser steps.
        done: the finished part of its work.
        found: the part that was finished before this call.
    """

    state: JobState = "waiting"
    what: str = ""
    fault: str = ""
    tries: int = 0
    work: float = 1.0
    done: float = 0.0
    found: float | None = None


class PipeProgress:
    """Progress that is sent to the parent process, at most a few times a second."""

    def __init__(self, pipe: "Connection[Any, Any]") -> None:
        self.pipe = pipe
        self.what = ""
        self.done = 0
        self.total = 0
        self.last = 0.0

    def start(self, what: str, total: int, unit: str) -> None:
        """As `Progress.start`."""
        self.what = what
        self.done = 0
        self.total = total
        self.last = 0.0

    def advance(self, amount: int = 1, note: str = "") -> None:
        """As `Progress.advance`."""
        self.done += amount
        if time.monotonic() - self.last > 0.3:
            self.last = time.monotonic()
            self.pipe.send(("what", f"{self.what} {self.done}/{self.total} {note}"))

    def say(self, text: str) -> None:
        """As `Progress.say`."""
        self.pipe.send(("say", text))


def run_job(job: Job, pipe: "Connection[Any, Any]") -> None:
    """Execute the rest of a run; the target of a worker process."""
    init_worker(job.study.threads)
    try:
        if not job.folder.exists():
            if job.start:
                copy_run(job.start, job.folder, job.settings)
            else:
                create_run(job.folder, job.settings, job.study, job.run.rows(job.study))
        with ProjectFolder.open(job.folder) as project, project.lock():
            pipe.send(("trained", count_trainings(job)))
            while step(project, job.run, job.study, PipeProgress(pipe)):
                pipe.send(("trained", count_trainings(job)))
        write_text(job.folder / DONE, job.run.done_text(job.study))
        pipe.send(("end", ""))
    except LabelgridError as error:
        pipe.send(("end", str(error)))
    except Exception as error:  # a killed data worker, no memory left, a bug
        trace = job.folder.with_name(f"{job.run.key}.error.txt")
        write_text(trace, traceback.format_exc())
        message = f"{type(error).__name__}: {error} (see {trace})."
        if is_transient(error):
            pipe.send(("died", message))
        else:
            pipe.send(("end", message))
        raise SystemExit(1) from error


def is_transient(error: Exception) -> bool:
    """Whether a restart may avoid an error, since the machine failed and not the code.

    Example:
        >>> is_transient(MemoryError()), is_transient(NameError("name 'x' is not defined"))
        (True, False)
    """
    of_torch = isinstance(error, RuntimeError) and any(part in str(error) for part in TRANSIENT)
    return of_torch or isinstance(error, OSError | MemoryError)


def count_trainings(job: Job) -> int:
    """Count the finished trainings of a run, without the copied one of the run it continues."""
    fits = len(list(job.folder.glob("rounds/*/fit.json")))
    return max(fits - 1, 0) if job.start else fits


def work_left(job: Job) -> RunWork:
    """Compute the remaining work of a run."""
    trained = len(job.max_work.steps)
    if not job.is_done:
        trained = count_trainings(job)
    return job.max_work.after(trained)


@dataclass(kw_only=True)
class Runner:
    """Executes jobs in parallel processes, each after the job it continues.

    Args:
        jobs: by key; a job whose `start` is another job's folder waits for it.
        at_once: the number of parallel processes.
        show: called a few times a second with the statuses by key.
        say: called with each message of the runs, once for each arm; messages that differ in
            numbers are one.
    """

    jobs: Mapping[str, Job]
    at_once: int
    show: Callable[[Mapping[str, JobStatus]], None]
    say: Callable[[str], None] = lambda _: None
    statuses: dict[str, JobStatus] = field(init=False, default_factory=dict)
    _said: set[tuple[str, str]] = field(init=False, default_factory=set)
    _running: dict[str, tuple[BaseProcess, "Connection[Any, Any]"]] = field(
        init=False, default_factory=dict
    )

    def run(self) -> Mapping[str, JobStatus]:
        """Run until every job is done or failed; returns the final statuses."""
        for key, job in self.jobs.items():
            status = JobStatus(work=job.work)
            if job.is_done:
                status = JobStatus(state="done", work=job.work, done=job.work, found=job.work)
            self.statuses[key] = status
        try:
            while self._start_ready():
                self._receive()
                self.show(self.statuses)
        finally:
            for process, _ in self._running.values():
                process.terminate()
        self.show(self.statuses)
        return self.statuses

    def _start_ready(self) -> bool:
        """Start the jobs that can start; returns whether any is running."""
        for key, job in self.jobs.items():
            if (
                len(self._running) < self.at_once
                and self.statuses[key].state == "waiting"
                and self._is_ready(key, job)
            ):
                self._start(key, job)
        return bool(self._running)

    def _is_ready(self, key: str, job: Job) -> bool:
        """Whether the run it continues is done; if that failed, this job fails too."""
        start = self._start_status(job)
        if start and start.state == "failed":
            self.statuses[key] = JobStatus(state="failed", fault="The run it continues failed.")
        return start is None or start.state == "done"

    def _start_status(self, job: Job) -> JobStatus | None:
        """The status of the run it continues; None if that is not among the jobs."""
        for key, other in self.jobs.items():
            if other.folder == job.start:
                return self.statuses[key]
        return None

    def _start(self, key: str, job: Job) -> None:
        """Start the process of a job."""
        status = self.statuses[key]
        ours, theirs = Pipe(duplex=False)
        process = start_worker(run_job, job, theirs, name=key)
        theirs.close()
        status.state = "running"
        status.tries = status.tries + 1
        self._running[key] = (process, ours)

    def _receive(self) -> None:
        """Receive the processes' messages, and handle ended processes."""
        ready = wait([pipe for _, pipe in self._running.values()], timeout=0.5)
        for key, (process, pipe) in list(self._running.items()):
            if pipe not in ready:
                continue
            try:
                kind, message = pipe.recv()
            except EOFError:
                process.join()
                self._finish(
                    key,
                    f"Its process ended without a result, with code {process.exitcode}.",
                    again=True,
                )
                continue
            if kind in ("end", "died"):
                process.join()
                self._finish(key, message, again=kind == "died")
            elif kind == "trained":
                self._update(key, message)
            elif kind == "say":
                self._say(self.jobs[key].run, message)
            else:
                self.statuses[key].what = message

    def _say(self, run: Run, text: str) -> None:
        """Pass a run's message on, unless another run of its arm has said it."""
        message = run.shown, re.sub(r"\d+", "", text)
        if message not in self._said:
            self._said.add(message)
            self.say(f"{run.shown}: {text}")

    def _update(self, key: str, trained: int) -> None:
        """Update the finished work from the number of finished trainings."""
        job = self.jobs[key]
        status = self.statuses[key]
        status.done = status.work * trained / max(job.run.rounds(job.study), 1)
        if status.found is None:
            status.found = status.done

    def _finish(self, key: str, fault: str, again: bool = False) -> None:
        """Handle an ended process.

        Args:
            key: of the job.
            fault: why it failed; "" if it did not.
            again: whether a restart may avoid the fault.
        """
        _, pipe = self._running.pop(key)
        pipe.close()
        status = self.statuses[key]
        if again and status.tries <= RETRIES:
            status.state = "waiting"
            status.what = ""
            return
        status.fault = fault
        if again:
            status.fault = f"{fault} It was tried {status.tries} times."
        if status.fault:
            status.state = "failed"
        else:
            status.state = "done"
            status.done = status.work
