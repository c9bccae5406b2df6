"""Executes the runs of a study as jobs: resumable, and tried again if a process dies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from labelgrid.basics.files import write_text
from labelgrid.basics.processes import set_threads
from labelgrid.basics.progress import Progress
from labelgrid.executors.executor import Executor, SaidWait
from labelgrid.executors.job import JobEnd, JobFolder, JobReader, JobStep, without_numbers
from labelgrid.executors.workplace import HERE, executor_at
from labelgrid.lab.simulation.campaign import copy_run, create_run, step
from labelgrid.lab.simulation.other_shares import OtherShares
from labelgrid.lab.simulation.run_jobs import Job, count_trainings
from labelgrid.lab.simulation.runs import DONE, Run
from labelgrid.lab.simulation.study_suppliers import take_labels
from labelgrid.project.folder import ProjectFolder

#: What is loaded where the runs are executed: all that trains, scores and evaluates.
PRELOADED = "labelgrid.lab.simulation.campaign"
#: Seconds between two looks at the jobs.
POLL = 0.3
#: What is waited for where no run goes on here, by whether some were given to workers.
WAITING = {False: "runs of another share", True: "a worker that begins"}
#: How many times a process that was killed, or that the machine failed (memory, disk), is
#: restarted.
RETRIES = 2
#: What a training says that it does: see `labelgrid.train.loop`.
TRAINING = "Training"
State = Literal["waiting", "running", "done", "stopped", "failed"]
#: The state of a run, by how its job ended.
ENDED: Mapping[str, State] = {
    "ended": "done",
    "stopped": "stopped",
    "failed": "failed",
    "died": "failed",
}


@dataclass(kw_only=True)
class JobStatus:
    """The status of a job.

    Args:
        what: the current activity.
        fault: why it failed or was stopped.
        tries: the number of processes started for it.
        work: its total work, in optimiser steps.
        done: the finished part of its work.
        done_before: the part that was finished before this call.
        arm: whose run it is; the runs of an arm have one rate.
    """

    state: State = "waiting"
    what: str = ""
    fault: str = ""
    tries: int = 0
    work: float = 1.0
    done: float = 0.0
    done_before: float | None = None
    arm: str = ""


def run_job(job: Job, progress: Progress) -> None:
    """Execute the rest of a run; the function of its job."""
    set_threads(job.study.threads)
    if not job.folder.exists():
        if job.start:
            copy_run(job.start, job.folder, job.settings)
        else:
            create_run(job.folder, job.settings, job.study, job.run.rows(job.study))
    with ProjectFolder.open(job.folder) as project, project.lock():
        take_labels(project, progress)
        while step(project, job.run, job.study, progress):
            pass
    write_text(job.folder / DONE, job.run.done_text(job.study))


@dataclass(kw_only=True)
class Runner:
    """Executes jobs in parallel, each after the job it continues, and follows their folders.

    Args:
        jobs: by key; a job whose `start` is another job's folder waits for it.
        show: called a few times a second with the statuses by key.
        say: called with each message of the runs, once for each arm; messages that differ in
            numbers are one.
        executor: where they are executed.
    """

    jobs: Mapping[str, Job]
    show: Callable[[Mapping[str, JobStatus]], None]
    say: Callable[[str], None] = lambda _: None
    executor: Executor = field(default_factory=lambda: executor_at(HERE, 0, PRELOADED))
    statuses: dict[str, JobStatus] = field(init=False, default_factory=dict)
    _said: set[tuple[str, str]] = field(init=False, default_factory=set)
    _readers: dict[str, JobReader] = field(init=False, default_factory=dict)
    _running: list[str] = field(init=False, default_factory=list)
    _others: OtherShares = field(init=False)

    def run(self) -> Mapping[str, JobStatus]:
        """Run until every job is done, stopped or failed; returns the final statuses.

        Jobs of other shares, and those that continue them in vain, stay as they are: waiting.
        """
        self._others = OtherShares(jobs=self.jobs, share=self.executor.share)
        for key, job in self.jobs.items():
            self.statuses[key] = JobStatus(work=job.work, arm=job.run.name)
            if job.is_done:
                self._note_done(key)
            elif key not in self._others:
                folder = JobFolder(job.record)
                folder.clear()
                self._readers[key] = JobReader(folder)
        said = SaidWait(self.say)
        try:
            while self._start_ready():
                is_begun = any(JobFolder(self.jobs[key].record).owner for key in self._running)
                said.look(is_begun, WAITING[bool(self._running)])
                ends = self.executor.wait(POLL)
                for key in self._running:
                    self._follow(key)
                for path, end in ends.items():
                    self._finish(path.name, end)
                self.show(self.statuses)
        finally:
            self.executor.stop()
        self.show(self.statuses)
        return self.statuses

    def _note_done(self, key: str) -> None:
        """Note that a run was done before this call, or elsewhere."""
        status = self.statuses[key]
        status.state = "done"
        status.done = status.done_before = status.work

    def _start_ready(self) -> bool:
        """Start the jobs that can start; returns whether any is running, or may start later."""
        may_start = False
        for key, job in self.jobs.items():
            if self.statuses[key].state != "waiting" or key in self._others:
                continue
            if not self._is_ready(key, job):
                may_start |= self._waits_for_others(key, job)
            elif len(self._running) < self.executor.workers:
                self._start(key, job)
        return bool(self._running) or may_start

    def _waits_for_others(self, key: str, job: Job) -> bool:
        """Whether a job continues one of another share that may still end soon."""
        if job.start is None or job.start.name not in self._others:
            return False
        if self._others.may_end(job.start.name):
            return True
        self.statuses[key].fault = self._others.not_done(job.start.name)
        return False

    def _is_ready(self, key: str, job: Job) -> bool:
        """Whether the run it continues is done; if that failed or was stopped, so does this job."""
        start = self._start_status(job)
        if start and start.state == "failed":
            self.statuses[key] = JobStatus(state="failed", fault="The run it continues failed.")
        elif start and start.state == "stopped":
            fault = "The run it continues was stopped."
            self.statuses[key] = JobStatus(state="stopped", fault=fault)
        return start is None or start.state == "done"

    def _start_status(self, job: Job) -> JobStatus | None:
        """The status of the run it continues; None if that is not among the jobs."""
        if job.start is None:
            return None
        key = job.start.name
        if key in self._others and self.jobs[key].is_done:
            self._note_done(key)
        return self.statuses.get(key)

    def _start(self, key: str, job: Job) -> None:
        """Start a job."""
        status = self.statuses[key]
        status.state = "running"
        status.tries = status.tries + 1
        self._update(key)
        self._running.append(key)
        self.executor.start(job.record, run_job, job)

    def _follow(self, key: str) -> None:
        """Read what a job has said and done since the last look."""
        reader = self._readers[key]
        for message in reader.new_messages():
            self._say(self.jobs[key].run, message)
        now = reader.new_step()
        if now:
            self.statuses[key].what = f"{now.what} {now.done}/{now.total} {now.note}"
            self._update(key, now)

    def _say(self, run: Run, text: str) -> None:
        """Pass a run's message on, unless another run of its arm has said it."""
        message = run.shown, without_numbers(text)
        if message not in self._said:
            self._said.add(message)
            self.say(f"{run.shown}: {text}")

    def _update(self, key: str, now: JobStep | None = None) -> None:
        """Update the finished work: that of finished trainings, and the share of one that runs."""
        job = self.jobs[key]
        status = self.statuses[key]
        trained = float(count_trainings(job))
        if now and now.what == TRAINING and now.done < now.total:
            trained += now.done / now.total
        done = status.work * trained / max(job.run.rounds(job.study), 1)
        status.done = max(status.done, min(done, status.work))
        if status.done_before is None:
            status.done_before = status.done

    def _finish(self, key: str, end: JobEnd) -> None:
        """Handle a job that has ended."""
        self._running.remove(key)
        status = self.statuses[key]
        if end.again and status.tries <= RETRIES:
            self.say(f"{key}: {end.fault} It is tried again.")
            status.state = "waiting"
            status.what = ""
            return
        status.fault = end.fault
        if end.again:
            status.fault = f"{end.fault} It was tried {status.tries} times."
        status.state = ENDED[end.state]
        if status.state == "done":
            status.done = status.work
