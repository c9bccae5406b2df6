"""Executors that each break one law: processes of this machine with one fault."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from labelgrid.basics.progress import Silent
from labelgrid.executors.job import JobEnd, record_job
from labelgrid.executors.places.processes import Processes


class Right(Processes):
    """The processes of this machine, built as an executor is."""

    def __init__(self, preload: str, workers: int, address: str) -> None:
        super().__init__(preload, workers)


class RunsHere(Right):
    """Runs jobs in the process that starts them."""

    ended: dict[Path, JobEnd]

    def start(self, folder: Path, function: Callable[..., None], *arguments: Any) -> None:
        with record_job(folder, Silent()) as job:
            job.begin()
            function(*arguments, job)
        self.ended = {folder: JobEnd("ended")}

    def wait(self, seconds: float) -> Mapping[Path, JobEnd]:
        ended, self.ended = self.ended, {}
        return ended


class Repeats(Right):
    """Returns the first end twice."""

    first: Mapping[Path, JobEnd] | None = None

    def wait(self, seconds: float) -> Mapping[Path, JobEnd]:
        found = super().wait(seconds)
        self.first = self.first or found
        return {**self.first, **found}


class Hurries(Right):
    """Runs one job more than it says."""

    def _start_waiting(self) -> None:
        self.workers += 1
        super()._start_waiting()
        self.workers -= 1


class Forgives(Right):
    """Says that every job ended well."""

    def wait(self, seconds: float) -> Mapping[Path, JobEnd]:
        return dict.fromkeys(super().wait(seconds), JobEnd("ended"))


class Clears(Right):
    """Removes the folder of a job that it starts again."""

    def start(self, folder: Path, function: Callable[..., None], *arguments: Any) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        super().start(folder, function, *arguments)


class StopsAll(Right):
    """Stops all jobs once one has ended."""

    def wait(self, seconds: float) -> Mapping[Path, JobEnd]:
        found = super().wait(seconds)
        if found:
            self.stop()
        return found


class LeavesWaiting(Right):
    """Does not stop what runs."""

    asked = False

    def stop(self) -> None:
        if self.asked:  # a second time, when the law ends
            super().stop()
        self.asked = True


BREAKS: dict[str, tuple[type[Processes], str]] = {
    "a_result_is_that_of_the_function_run_here": (RunsHere, "must run in a process of its own"),
    "many_jobs_end_each_with_its_own_result": (Repeats, "must return the end of a job once"),
    "no_more_jobs_run_at_a_time_than_there_are_workers": (Hurries, "At most 2 jobs may run"),
    "a_fault_is_said_and_a_killed_process_has_died": (Forgives, "must end as JobEnd"),
    "a_job_can_be_started_again_in_its_folder_which_keeps_its_log_but_not_its_end": (
        Clears,
        "must keep the messages of all three starts",
    ),
    "a_job_that_is_asked_to_stop_ends_and_the_others_work_on": (StopsAll, "must work on"),
    "after_a_stop_of_all_no_job_runs_and_each_says_so": (LeavesWaiting, "must say 'stopped'"),
}
