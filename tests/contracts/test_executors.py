"""Laws that every executor keeps."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelgrid.basics import plugins
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Progress, Silent
from labelgrid.executors.executor import Executor
from labelgrid.executors.job import JobEnd, JobFolder, JobReader
from labelgrid.executors.places import slurm
from labelgrid.executors.workplace import executor_at
from tests.jobs import wait_until

COVERS = ["labelgrid.executors.executor"]
#: The jobs at a time.
WORKERS = 2
#: How long a job may take to end, in seconds.
LIMIT = 120


def of_cluster(request: pytest.FixtureRequest) -> str:
    return f"ray:{request.getfixturevalue('ray_address')}"


def of_one_task(request: pytest.FixtureRequest) -> str:
    variables = request.getfixturevalue("monkeypatch")
    variables.setenv(slurm.NUMBER, "0")
    variables.setenv(slurm.COUNT, "1")
    return "slurm"


#: What places need that are more than a name: what `--on` says, once it is there.
PREPARED = {"ray": of_cluster, "slurm": of_one_task}


@pytest.fixture(params=plugins.names("executors"))
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    prepare = PREPARED.get(request.param, lambda _: request.param)
    built = executor_at(prepare(request), WORKERS, "labelgrid.basics.errors")
    yield built
    built.stop()


def ends(executor: Executor, count: int) -> dict[str, JobEnd]:
    """How so many jobs end, by the names of their folders."""
    found: dict[str, JobEnd] = {}
    limit = time.monotonic() + LIMIT
    while len(found) < count and time.monotonic() < limit:
        for folder, end in executor.wait(1).items():
            assert folder.name not in found, f"{folder.name}: an end is returned once"
            found[folder.name] = end
    assert len(found) == count, f"only these ended: {found}"
    return found


def write_squares(out: Path, count: int, progress: Progress) -> None:
    progress.start("Squaring", count, "numbers")
    squares = []
    for number in range(count):
        squares.append(number**2)
        progress.advance()
    progress.say(f"The last is\n{squares[-1]}, of {os.getpid()}.")
    out.write_text(str(squares))


def test_a_result_is_that_of_the_function_run_here(executor: Executor, tmp_path: Path) -> None:
    write_squares(tmp_path / "here", 100, Silent())
    executor.start(tmp_path / "job", write_squares, tmp_path / "there", 100)
    assert ends(executor, 1) == {"job": JobEnd("ended")}
    assert (tmp_path / "there").read_bytes() == (tmp_path / "here").read_bytes()
    folder = JobFolder(tmp_path / "job")
    assert folder.state == "ended"
    assert folder.step and (folder.step.what, folder.step.done) == ("Squaring", 100)
    (message,) = JobReader(folder).new_messages()
    assert message.startswith("The last is\n9801, of ")
    assert str(os.getpid()) not in message, "a job has a process of its own"


def test_many_jobs_end_each_with_its_own_result(executor: Executor, tmp_path: Path) -> None:
    for number in range(1, 21):
        executor.start(tmp_path / f"{number}", write_squares, tmp_path / f"out{number}", number)
    found = ends(executor, 20)
    assert set(found.values()) == {JobEnd("ended")}
    for number in range(1, 21):
        squares = [root**2 for root in range(number)]
        assert (tmp_path / f"out{number}").read_text() == str(squares)


def note_time(out: Path, progress: Progress) -> None:
    begin = time.time()
    time.sleep(0.2)
    out.write_text(f"{begin} {time.time()}")


def test_no_more_jobs_run_at_a_time_than_there_are_workers(
    executor: Executor, tmp_path: Path
) -> None:
    assert executor.workers == WORKERS
    for number in range(6):
        executor.start(tmp_path / f"{number}", note_time, tmp_path / f"out{number}")
    assert set(ends(executor, 6).values()) == {JobEnd("ended")}
    moments = []
    for number in range(6):
        begin, end = (tmp_path / f"out{number}").read_text().split()
        moments += [(float(begin), 1), (float(end), -1)]
    running = 0
    for _, change in sorted(moments):
        running += change
        assert running <= WORKERS


def fail(kind: str, progress: Progress) -> None:
    progress.start("Failing", 1, "faults")
    if kind == "refused":
        raise ProjectError("The input is wrong.", next_step="Right it.")
    if kind == "crash":
        raise ZeroDivisionError("nothing by nothing")
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_fault_is_said_and_a_killed_process_has_died(executor: Executor, tmp_path: Path) -> None:
    for kind in ("refused", "crash", "killed"):
        executor.start(tmp_path / kind, fail, kind)
    found = ends(executor, 3)
    assert found["refused"] == JobEnd("failed", "The input is wrong.\n  Right it.")
    assert found["crash"].state == "failed" and not found["crash"].again
    assert found["crash"].fault.startswith("ZeroDivisionError: nothing by nothing (see ")
    assert "in fail" in (tmp_path / "crash" / "log.txt").read_text()
    assert found["killed"].state == "died" and found["killed"].again and found["killed"].fault
    # A killed process closes its connections, by which its end is noticed, before it is gone.
    wait_until(lambda: JobFolder(tmp_path / "killed").state == "died")


def try_again(tries: Path, progress: Progress) -> None:
    progress.say("Trying.")
    with tries.open("a") as file:
        file.write("|")
    count = len(tries.read_text())
    if count == 1:
        raise ProjectError("Not yet.")
    if count == 2:
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_job_can_be_started_again_in_its_folder_which_keeps_its_log_but_not_its_end(
    executor: Executor, tmp_path: Path
) -> None:
    folder = JobFolder(tmp_path / "job")
    for state in ("failed", "died", "ended"):
        executor.start(folder.path, try_again, tmp_path / "tries")
        assert ends(executor, 1)["job"].state == state
        wait_until(lambda state=state: folder.state == state)  # a killed process ends in a moment
    assert JobReader(folder).new_messages() == ["Trying."] * 3


def work_on(progress: Progress) -> None:
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
    assert [folder.state for folder in folders] == ["running"] * len(folders)
    return folders


def test_a_job_that_is_asked_to_stop_ends_and_the_others_work_on(
    executor: Executor, tmp_path: Path
) -> None:
    folders = two_running(executor, tmp_path)
    (tmp_path / "a" / "stop").touch()
    assert ends(executor, 1)["a"].state == "stopped"
    assert [folder.state for folder in folders] == ["stopped", "running"]


def test_after_a_stop_of_all_no_job_runs_and_each_says_so(
    executor: Executor, tmp_path: Path
) -> None:
    folders = two_running(executor, tmp_path)
    executor.stop()
    steps = [folder.step for folder in folders]
    assert [folder.state for folder in folders] == ["stopped", "stopped"]
    assert executor.wait(0.5) == {}
    assert [folder.step for folder in folders] == steps
