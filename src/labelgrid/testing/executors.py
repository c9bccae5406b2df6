"""Defines the laws of executors, functions that raise AssertionError for a breach."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Progress, Silent
from labelgrid.executors.executor import Executor
from labelgrid.executors.job import JobEnd, JobFolder, JobReader
from labelgrid.executors.workplace import executor_at
from labelgrid.testing.laws import Subject, expect

#: The jobs at a time.
WORKERS = 2
#: How long a job may take to end, in seconds.
LIMIT = 120


@dataclass(frozen=True)
class ExecutorCase:
    """An executor, as `--on` names it, and an empty folder for jobs."""

    on: str
    place: Path

    @contextmanager
    def started(self) -> Iterator[Executor]:
        """The executor, which is stopped at the end."""
        built = executor_at(self.on, WORKERS, "labelgrid.basics.errors")
        try:
            yield built
        finally:
            built.stop()


def ends(executor: Executor, count: int) -> dict[str, JobEnd]:
    """How so many jobs end, by the names of their folders."""
    job_ends: dict[str, JobEnd] = {}
    limit = time.monotonic() + LIMIT
    while len(job_ends) < count and time.monotonic() < limit:
        for folder, end in executor.wait(1).items():
            expect(
                folder.name not in job_ends,
                f"`wait` must return the end of a job once; that of {folder} came twice.",
            )
            job_ends[folder.name] = end
    expect(
        len(job_ends) == count,
        f"`wait` must return how each of {count} jobs ended; within {LIMIT} seconds it returned "
        f"{job_ends}. Look into the jobs' log.txt.",
    )
    return job_ends


def all_end_well(executor: Executor, count: int) -> None:
    """Wait for jobs that must not fail."""
    job_ends = ends(executor, count)
    wrong = {name: end for name, end in job_ends.items() if end != JobEnd("ended")}
    expect(
        not wrong,
        f"Each of {count} jobs must end as {JobEnd('ended')}; these did not: {wrong}. `start` must "
        "run the function with its arguments and a progress, as `labelgrid.executors.job` does.",
    )


def state_becomes(folder: JobFolder, state: str) -> None:
    """Wait until a job's folder says a state: a killed process ends in a moment."""
    limit = time.monotonic() + LIMIT
    while folder.state != state and time.monotonic() < limit:
        time.sleep(0.05)
    expect(
        folder.state == state,
        f"The folder of the job '{folder.path.name}' must say '{state}'; it says '{folder.state}'.",
    )


def write_squares(out: Path, count: int, progress: Progress) -> None:
    """A job: writes the squares of the first numbers."""
    progress.start("Squaring", count, "numbers")
    squares = []
    for number in range(count):
        squares.append(number**2)
        progress.advance()
    progress.say(f"The last is\n{squares[-1]}, of {os.getpid()}.")
    out.write_text(str(squares))


def a_result_is_that_of_the_function_run_here(case: ExecutorCase) -> None:
    place = case.place
    with case.started() as executor:
        write_squares(place / "here", 100, Silent())
        executor.start(place / "job", write_squares, place / "there", 100)
        all_end_well(executor, 1)
    expect(
        (place / "there").read_bytes() == (place / "here").read_bytes(),
        "A job must write what its function writes in this process; the files differ.",
    )
    folder = JobFolder(place / "job")
    state_becomes(folder, "ended")
    step = folder.step
    expect(
        step and (step.what, step.done) == ("Squaring", 100),
        f"The folder of a job must show its last step, 'Squaring' 100; it shows {step}.",
    )
    messages = JobReader(folder).new_messages()
    expect(
        len(messages) == 1 and messages[0].startswith("The last is\n9801, of "),
        f"The folder of a job must hold the one message that it said; it holds {messages}.",
    )
    expect(
        str(os.getpid()) not in messages[0],
        "A job must run in a process of its own; it ran in the one that started it.",
    )


def many_jobs_end_each_with_its_own_result(case: ExecutorCase) -> None:
    place = case.place
    with case.started() as executor:
        for number in range(1, 21):
            executor.start(place / f"{number}", write_squares, place / f"out{number}", number)
        all_end_well(executor, 20)
    for number in range(1, 21):
        wanted = str([root**2 for root in range(number)])
        text = (place / f"out{number}").read_text()
        expect(text == wanted, f"The job {number} of 20 must write {wanted}; it wrote {text}.")


def note_time(out: Path, progress: Progress) -> None:
    """A job: writes when it began and ended."""
    begin = time.time()
    time.sleep(0.2)
    out.write_text(f"{begin} {time.time()}")


def no_more_jobs_run_at_a_time_than_there_are_workers(case: ExecutorCase) -> None:
    place = case.place
    with case.started() as executor:
        expect(
            executor.workers == WORKERS,
            f"`workers` must be the number that `build` was given, {WORKERS}; it is "
            f"{executor.workers}.",
        )
        for number in range(6):
            executor.start(place / f"{number}", note_time, place / f"out{number}")
        all_end_well(executor, 6)
    moments = []
    for number in range(6):
        begin, end = (place / f"out{number}").read_text().split()
        moments += [(float(begin), 1), (float(end), -1)]
    running = 0
    for _, change in sorted(moments):
        running += change
        expect(
            running <= WORKERS,
            f"At most {WORKERS} jobs may run at a time; {running} did. Keep the others waiting.",
        )


def fail(kind: str, progress: Progress) -> None:
    """A job that fails as `kind` says: refused, crashed or killed."""
    progress.start("Failing", 1, "faults")
    if kind == "refused":
        raise ProjectError("The input is wrong.", next_step="Right it.")
    if kind == "crash":
        raise ZeroDivisionError("nothing by nothing")
    os.kill(os.getpid(), signal.SIGKILL)


def a_fault_is_said_and_a_killed_process_has_died(case: ExecutorCase) -> None:
    place = case.place
    with case.started() as executor:
        for kind in ("refused", "crash", "killed"):
            executor.start(place / kind, fail, kind)
        job_ends = ends(executor, 3)
        wanted = JobEnd("failed", "The input is wrong.\n  Right it.")
        expect(
            job_ends["refused"] == wanted,
            f"A job that raises an error of labelgrid must end as {wanted}; it ended as "
            f"{job_ends['refused']}.",
        )
        crash = job_ends["crash"]
        expect(
            crash.state == "failed"
            and not crash.again
            and crash.fault.startswith("ZeroDivisionError: nothing by nothing (see "),
            "A job that raises another error must end as failed, not to be run again, with the "
            f"error and where its log is; it ended as {crash}.",
        )
        log = (place / "crash" / "log.txt").read_text()
        expect(
            "in fail" in log, f"log.txt must hold the traceback of a job; it ends {log[-200:]!r}."
        )
        killed = job_ends["killed"]
        expect(
            killed.state == "died" and killed.again and killed.fault,
            "A job whose process is killed must end as died, to be run again, with a reason; it "
            f"ended as {killed}.",
        )
        state_becomes(JobFolder(place / "killed"), "died")


def try_again(tries: Path, progress: Progress) -> None:
    """A job: fails the first time, is killed the second, and ends the third."""
    progress.say("Trying.")
    with tries.open("a") as file:
        file.write("|")
    count = len(tries.read_text())
    if count == 1:
        raise ProjectError("Not yet.")
    if count == 2:
        os.kill(os.getpid(), signal.SIGKILL)


def a_job_can_be_started_again_in_its_folder_which_keeps_its_log_but_not_its_end(
    case: ExecutorCase,
) -> None:
    folder = JobFolder(case.place / "job")
    with case.started() as executor:
        for state in ("failed", "died", "ended"):
            executor.start(folder.path, try_again, case.place / "tries")
            end = ends(executor, 1)["job"]
            expect(
                end.state == state,
                f"Started again in its folder, the job must end as '{state}'; it ended as {end}: an "
                "end of before must be forgotten.",
            )
            state_becomes(folder, state)
    messages = JobReader(folder).new_messages()
    expect(
        messages == ["Trying."] * 3,
        f"A job's log must keep the messages of all three starts; it has {messages}.",
    )


def work_on(progress: Progress) -> None:
    """A job without an end."""
    progress.start("Working", 10**9, "steps")
    while True:
        time.sleep(0.01)
        progress.advance()


def two_running(executor: Executor, place: Path) -> list[JobFolder]:
    """Start two jobs without an end, `a` and `b`, and wait until both work."""
    folders = [JobFolder(place / name) for name in ("a", "b")]
    for folder in folders:
        executor.start(folder.path, work_on)
    limit = time.monotonic() + LIMIT
    while any(folder.step is None for folder in folders) and time.monotonic() < limit:
        time.sleep(0.05)
    states = [folder.state for folder in folders]
    expect(
        states == ["running"] * 2,
        f"With {WORKERS} workers two jobs must run at once; their folders say {states}.",
    )
    return folders


def a_job_that_is_asked_to_stop_ends_and_the_others_work_on(case: ExecutorCase) -> None:
    with case.started() as executor:
        folders = two_running(executor, case.place)
        (case.place / "a" / "stop").touch()
        end = ends(executor, 1)
        states = [folder.state for folder in folders]
        expect(
            end.get("a", JobEnd("failed")).state == "stopped" and states == ["stopped", "running"],
            "A job whose folder has a file `stop` must end as stopped, and the other one must work "
            f"on; `wait` returned {end}, and the folders say {states}.",
        )


def after_a_stop_of_all_no_job_runs_and_each_says_so(case: ExecutorCase) -> None:
    with case.started() as executor:
        folders = two_running(executor, case.place)
        executor.stop()
        steps = [folder.step for folder in folders]
        states = [folder.state for folder in folders]
        expect(
            states == ["stopped", "stopped"],
            f"After `stop` the folders of all jobs must say 'stopped'; they say {states}.",
        )
        late = executor.wait(0.5)
        expect(late == {}, f"After `stop` no job may end; `wait` returned {late}.")
        moved = [folder.step for folder in folders] != steps
        expect(not moved, "After `stop` no job may work on; the steps in their folders move.")


def case_of(subject: Subject, place: Path) -> ExecutorCase:
    """An executor with the author's `ADDRESS`, such as a cluster's."""
    address = subject.says("ADDRESS", "")
    return ExecutorCase(f"{subject.name}:{address}" if address else subject.name, place)


LAWS: tuple[Callable[[ExecutorCase], None], ...] = (
    a_result_is_that_of_the_function_run_here,
    many_jobs_end_each_with_its_own_result,
    no_more_jobs_run_at_a_time_than_there_are_workers,
    a_fault_is_said_and_a_killed_process_has_died,
    a_job_can_be_started_again_in_its_folder_which_keeps_its_log_but_not_its_end,
    a_job_that_is_asked_to_stop_ends_and_the_others_work_on,
    after_a_stop_of_all_no_job_runs_and_each_says_so,
)
