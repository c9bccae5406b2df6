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
from labelgrid.lab.simulation.run_jobs import Job, Jobs, count_trainings
from labelgrid.lab.simulation.runs import DONE
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
        what: what it does now.
        fault: why it failed or was stopped.
        tries: the number of processes started for it.
        work: its total work, in optimiser steps.
        done: the finished part of its work.
        done_before: the part that was finished before this call.
        arm: whose run it is; the runs of an arm have one rate.
    """

    state: State = "waiting"
    what: str = ""  # the key in `runs.json`
    fault: str = ""
    tries: int = 0
    work: float = 1.0
    done: float = 0.0
    done_before: float | None = None
    arm: str = ""


#: The status of each job by the key of the run.
Statuses = Mapping[str, JobStatus]


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
    """Executes jobs in parallel, each after the start, and follows the jobs' folders.

    Args:
        jobs: the jobs by key; a job whose `start` is another job's folder waits for it.
        show: called a few times a second with the statuses by key.
        say: called with each message of the runs, once for each arm; messages that differ in
            numbers are one.
        executor: where they are executed.
    """

    jobs: Jobs
    show: Callable[[Statuses], None]
    say: Callable[[str], None] = lambda _: None
    executor: Executor = field(default_factory=lambda: executor_at(HERE, 0, PRELOADED))
    statuses: dict[str, JobStatus] = field(init=False, default_factory=dict)
    _said: set[tuple[str, str]] = field(init=False, default_factory=set)
    _readers: dict[str, JobReader] = field(init=False, default_factory=dict)
    _running: list[str] = field(init=False, default_factory=list)
    _others: OtherShares = field(init=False)

    def run(self) -> Statuses:
        """Run until every job is done, stopped or failed; returns the final statuses.

        Jobs of other shares, and jobs that wait for such a job, stay in the state "waiting".
        """
        self._others = OtherShares(jobs=self.jobs, share=self.executor.share)
        for key, job in self.jobs.items():
            self.statuses[key] = JobStatus(work=job.work, arm=job.run.name)
            if job.is_done:
                self._note_done(key)
            elif key not in self._others:
                folder = JobFolder(job.progress_folder)
                folder.clear()
                self._readers[key] = JobReader(folder)
        said = SaidWait(self.say)
        try:
            while self._start_ready():
                is_begun = any(
                    JobFolder(self.jobs[key].progress_folder).owner for key in self._running
                )
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
                self.statuses[key].state = "running"
                self.statuses[key].tries += 1
                self._update(key)
                self._running.append(key)
                self.executor.start(job.progress_folder, run_job, job)
        return bool(self._running) or may_start

    def _waits_for_others(self, key: str, job: Job) -> bool:
        """Whether a job continues a run of another share that may still end soon."""
        if job.start is None or job.start.name not in self._others:
            return False
        if self._others.may_end(job.start.name):
            return True
        self.statuses[key].fault = self._others.not_done(job.start.name)
        return False

    def _is_ready(self, key: str, job: Job) -> bool:
        """Whether the run that a job continues is done; a failure or stop passes on to the job."""
        if job.start is None:
            return True
        start_key = job.start.name
        if start_key in self._others and self.jobs[start_key].is_done:
            self._note_done(start_key)
        start = self.statuses.get(start_key)
        if start and start.state == "failed":
            self.statuses[key] = JobStatus(state="failed", fault="The run it continues failed.")
        elif start and start.state == "stopped":
            fault = "The run it continues was stopped."
            self.statuses[key] = JobStatus(state="stopped", fault=fault)
        return start is None or start.state == "done"

    def _follow(self, key: str) -> None:
        reader = self._readers[key]
        arm = self.jobs[key].run.shown
        for text in reader.new_messages():
            message = arm, without_numbers(text)
            if message not in self._said:
                self._said.add(message)
                self.say(f"{arm}: {text}")
        now = reader.new_step()
        if now:
            self.statuses[key].what = f"{now.what} {now.done}/{now.total} {now.note}"
            self._update(key, now)

    def _update(self, key: str, now: JobStep | None = None) -> None:
        """Update the finished work: finished trainings, and the share of a running training."""
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
