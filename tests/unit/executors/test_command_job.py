"""Laws of commands as jobs: they outlive who started them, and are stopped alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from labelgrid.basics.processes import started_at
from labelgrid.executors import command_job as module
from labelgrid.executors import job
from labelgrid.executors.command_job import (
    interrupt_command,
    is_in_group,
    log_tail,
    main,
    start_command,
)
from labelgrid.executors.job import LOG, OWNER, STOPPED, JobFolder, JobOwner
from tests.jobs import JobMaker, command_of, wait_until
from tests.pages import labelled_project


def started(path: Path, *words: str) -> JobFolder:
    path.mkdir()
    start_command(path, words)
    return JobFolder(path)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return labelled_project(tmp_path_factory.mktemp("long"))


@pytest.fixture
def long(project, tmp_path) -> Iterator[JobFolder]:
    """A job that goes on until it is stopped."""
    folder = started(tmp_path / "job", "serve", str(project), "--port", "0")
    try:
        wait_until(lambda: "shows" in log_tail(folder), by=JobMaker(folder))
        yield folder
    finally:
        interrupt_command(folder)


def test_what_a_command_prints_is_the_log_and_its_end_is_told(tmp_path):
    folder = started(tmp_path / "job", "list", "kinds")
    assert folder.state in ("running", "ended")
    wait_until(lambda: folder.end, by=JobMaker(folder))
    assert folder.state == "ended" and "semseg" in log_tail(folder)
    assert not interrupt_command(folder)


def test_the_error_of_a_command_is_the_fault_of_its_job(tmp_path):
    folder = started(tmp_path / "job", "fit", str(tmp_path / "nowhere"))
    wait_until(lambda: folder.end, by=JobMaker(folder))
    assert folder.state == "failed"
    assert folder.end.fault.startswith("There is no labelgrid project")


def test_a_job_is_stopped_as_by_ctrl_c(long):
    assert interrupt_command(long)
    wait_until(lambda: long.end, by=JobMaker(long))
    assert long.end == STOPPED and not interrupt_command(long)


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8])
def test_a_stop_is_not_lost_however_soon_it_comes(project, tmp_path, seconds):
    folder = started(tmp_path / "job", "serve", str(project), "--port", "0")
    time.sleep(seconds)
    assert interrupt_command(folder)
    wait_until(lambda: folder.state != "running", by=JobMaker(folder))
    assert folder.end == STOPPED


#: A stop that comes while Python itself begins.
EARLY = """
import os, signal, sys
if "labelgrid" in sys.orig_argv:
    os.kill(os.getppid(), signal.SIGINT)
    raise KeyboardInterrupt
"""


def test_a_stop_while_python_begins_is_no_failure(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(EARLY)
    (tmp_path / "job").mkdir()
    with (tmp_path / "job" / LOG).open("wb") as log:
        subprocess.run(
            [sys.executable, "-m", module.__name__, tmp_path / "job", "list", "kinds"],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            stdout=log,
            stderr=log,
            check=True,
        )
    folder = JobFolder(tmp_path / "job")
    assert folder.end == STOPPED, log_tail(folder)


@pytest.mark.parametrize("victim", ["command", "both", "waiting"])
def test_a_killed_job_has_ended_without_a_result_and_leaves_no_process(long, victim):
    command, owner = command_of(long), long.owner
    if victim == "both":
        os.killpg(owner.pid, signal.SIGKILL)
    else:
        os.kill(command if victim == "command" else owner.pid, signal.SIGKILL)
    wait_until(lambda: long.state == "died")
    wait_until(lambda: started_at(command) is None and started_at(owner.pid) is None)


def test_a_job_goes_on_when_who_started_it_ends(project, tmp_path):
    path = tmp_path / "job"
    path.mkdir()
    words = ["serve", str(project), "--port", "0"]
    code = f"from labelgrid.executors.command_job import start_command; from pathlib import Path; start_command(Path({str(path)!r}), {words})"
    subprocess.run([sys.executable, "-c", code], check=True)
    folder = JobFolder(path)
    try:
        wait_until(lambda: "shows" in log_tail(folder), by=JobMaker(folder))
        assert folder.state == "running"
    finally:
        assert interrupt_command(folder)
    wait_until(lambda: folder.end, by=JobMaker(folder))


def test_who_waits_for_a_command_gives_signs_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr(job, "SIGN_EVERY", 0.01)
    monkeypatch.setattr(sys, "argv", ["job", str(tmp_path), "list", "kinds"])
    handler = signal.getsignal(signal.SIGINT)
    begun = time.time()
    try:
        main()
    finally:
        signal.signal(signal.SIGINT, handler)
    ended = (tmp_path / "end.json").stat().st_mtime
    sign = (tmp_path / OWNER).stat().st_mtime
    assert sign - begun > 0.5 * (ended - begun)


def test_no_process_is_interrupted_that_is_not_the_job(tmp_path):
    with subprocess.Popen(["sleep", "600"]) as other, ExitStack() as stack:
        stack.callback(other.kill)
        start, host = started_at(other.pid), JobOwner.current().host
        for owner in (
            JobOwner(other.pid, start, host),  # of this process group
            JobOwner(other.pid, "1", host),  # a number that was used again
            JobOwner(other.pid, start, "elsewhere"),
        ):
            folder = JobFolder(tmp_path)
            folder.write(OWNER, owner)
            assert not interrupt_command(folder)
            assert not is_in_group(JobOwner.current(), folder)
        assert other.poll() is None


def test_a_command_finds_no_module_in_the_current_folder_that_its_starter_does_not(
    tmp_path, monkeypatch
):
    (tmp_path / "typer.py").write_text("raise SystemExit('this code is not labelgrid')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [name for name in sys.path if name])
    folder = started(tmp_path / "job", "list", "kinds")
    wait_until(lambda: folder.end, by=JobMaker(folder))
    assert folder.state == "ended", log_tail(folder)


def test_the_end_of_a_long_log_begins_with_a_whole_line(tmp_path):
    (tmp_path / "log.txt").write_text("first\nsecond\nthird\n")
    assert log_tail(JobFolder(tmp_path), 9) == "third\n"
    assert log_tail(JobFolder(tmp_path / "none")) == ""
