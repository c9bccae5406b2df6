"""How the runs of a study are carried out: in worker processes, resumable, restarted when a process dies."""

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from labelgrid.errors import LabelgridError
from labelgrid.files import write_text
from labelgrid.processes import init_worker
from labelgrid.project.folder import ProjectFolder
from labelgrid.simulation.campaign import copy_run, create_run, step
from labelgrid.simulation.jobs import Expected, Job
from labelgrid.simulation.runs import DONE

#: A process that ended without a result (killed, out of memory) is restarted so many times.
RETRIES = 2
JobState = Literal["waiting", "running", "done", "failed"]


@dataclass
class JobStatus:
    """How a job is doing.

    Args:
        what: it does now; fault: why it failed.
        tries: processes started for it.
        work: it has in all; done: of it by now; found: done before this call.
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
        self.pipe, self.what, self.done, self.total, self.last = pipe, "", 0, 0, 0.0

    def start(self, what: str, total: int, unit: str) -> None:
        """As `Progress.start`."""
        self.what, self.done, self.total, self.last = what, 0, total, 0.0

    def advance(self, amount: int = 1, note: str = "") -> None:
        """As `Progress.advance`."""
        self.done += amount
        if time.monotonic() - self.last > 0.3:
            self.last = time.monotonic()
            self.pipe.send(("what", f"{self.what} {self.done}/{self.total} {note}"))

    def say(self, text: str) -> None:
        """As `Progress.say`: what a live command prints is of no use to a table of runs."""


def run_job(job: Job, pipe: "Connection[Any, Any]") -> None:
    """Do all that is left of a run, in a process of its own."""
    init_worker(job.threads)
    try:
        if not job.folder.exists():
            if job.start:
                copy_run(job.start, job.folder, job.settings)
            else:
                create_run(job.folder, job.settings, job.study, job.run.arm)
        with ProjectFolder.open(job.folder) as project, project.lock():
            pipe.send(("trained", trained(job)))
            while step(project, job.run, job.study, PipeProgress(pipe)):
                pipe.send(("trained", trained(job)))
        write_text(job.folder / DONE, job.run.done_text(job.study))
        pipe.send(("end", ""))
    except LabelgridError as error:
        pipe.send(("end", str(error)))
    except Exception as error:  # a worker that was killed, no memory left, a fault of ours
        trace = job.folder.with_name(f"{job.run.key}.error.txt")
        write_text(trace, traceback.format_exc())
        pipe.send(("died", f"{type(error).__name__}: {error} (see {trace})."))
        raise SystemExit(1) from error


def trained(job: Job) -> int:
    """How many of a run's own trainings are finished; it begins with a copy of the one it continues."""
    found = len(list(job.folder.glob("rounds/*/fit.json")))
    return max(found - 1, 0) if job.start else found


def work_left(job: Job) -> Expected:
    """What is left of a run."""
    return job.takes.after(len(job.takes.steps) if job.is_done else trained(job))


@dataclass
class Runner:
    """Carries out jobs, so many at a time, each after the one it continues.

    Args:
        jobs: by key; a job whose `start` is another's folder waits for it.
        at_once: processes.
        show: called a few times a second with the reports by key.
    """

    jobs: Mapping[str, Job]
    at_once: int
    show: Callable[[Mapping[str, JobStatus]], None]
    reports: dict[str, JobStatus] = field(default_factory=dict)
    _working: dict[str, tuple[BaseProcess, "Connection[Any, Any]"]] = field(default_factory=dict)

    def run(self) -> Mapping[str, JobStatus]:
        """Until every job is done or has failed; returns how each ended."""
        for key, job in self.jobs.items():
            done = JobStatus("done", work=job.work, done=job.work, found=job.work)
            self.reports[key] = done if job.is_done else JobStatus(work=job.work)
        try:
            while self._fill():
                self._hear()
                self.show(self.reports)
        finally:
            for process, _ in self._working.values():
                process.terminate()
        self.show(self.reports)
        return self.reports

    def _fill(self) -> bool:
        """Start the jobs that can start; whether any is running."""
        for key, job in self.jobs.items():
            if len(self._working) < self.at_once and self.reports[key].state == "waiting" and self._is_ready(key, job):
                self._start(key, job)
        return bool(self._working)

    def _is_ready(self, key: str, job: Job) -> bool:
        """Whether the run it continues is done; if that failed, so has this."""
        before = next((self.reports[k] for k, other in self.jobs.items() if other.folder == job.start), None)
        if before and before.state == "failed":
            self.reports[key] = JobStatus("failed", fault="The run it continues failed.")
        return before is None or before.state == "done"

    def _start(self, key: str, job: Job) -> None:
        context, report = get_context("spawn"), self.reports[key]
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=run_job, args=(job, theirs), name=key)
        process.start()
        theirs.close()
        report.state, report.tries = "running", report.tries + 1
        self._working[key] = (process, ours)

    def _hear(self) -> None:
        """Receive the processes' messages, and note which have ended."""
        ready = wait([pipe for _, pipe in self._working.values()], timeout=0.5)
        for key, (process, pipe) in list(self._working.items()):
            if pipe not in ready:
                continue
            try:
                word, said = pipe.recv()
            except EOFError:
                process.join()
                self._end(key, f"Its process ended without a result, with code {process.exitcode}.", again=True)
                continue
            if word in ("end", "died"):
                process.join()
                self._end(key, said, again=word == "died")
            elif word == "trained":
                self._note(key, said)
            else:
                self.reports[key].what = said

    def _note(self, key: str, trained: int) -> None:
        """So many of a run's own trainings are finished."""
        job, report = self.jobs[key], self.reports[key]
        report.done = report.work * trained / max(job.run.rounds(job.study), 1)
        report.found = report.done if report.found is None else report.found

    def _end(self, key: str, fault: str, again: bool = False) -> None:
        """A process ended: well (""), with an error of the user's, or in a way that may not happen again."""
        _, pipe = self._working.pop(key)
        pipe.close()
        report = self.reports[key]
        if again and report.tries <= RETRIES:
            report.state, report.what = "waiting", ""
            return
        report.fault = f"{fault} It was tried {report.tries} times." if again else fault
        report.state, report.done = ("failed", report.done) if report.fault else ("done", report.work)
