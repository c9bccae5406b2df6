"""Laws of processes: forks of one server that has loaded torch, with the environment of the moment they start."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labelgrid.basics.errors import UsageError
from labelgrid.basics.processes import started_at
from labelgrid.basics.progress import Progress
from labelgrid.executors.job import JobEnd, JobFolder
from labelgrid.executors.places.processes import Processes
from labelgrid.executors.workplace import executor_at
from tests.jobs import JobMaker, wait_until
from tools.source import ROOT


def say_who(name: str, out: Path, progress: Progress) -> None:
    here = [os.getppid(), os.environ.get(name), "torch" in sys.modules, str(Path.cwd())]
    out.write_text(json.dumps(here))


def of_process(folder: Path, name: str = "A") -> list[object]:
    processes = Processes("torch", 2)
    processes.start(folder / "job", say_who, name, folder / "out")
    assert processes.wait(60) == {folder / "job": JobEnd("ended")}
    found: list[object] = json.loads((folder / "out").read_text())
    return found


#: Starts two processes and prints what they say, and the number of this one.
TWO = """
import json, os, sys
from pathlib import Path
from tests.unit.executors.places.test_processes import of_process
if __name__ == "__main__":
    print(json.dumps([of_process(Path(sys.argv[1])), of_process(Path(sys.argv[1])), os.getpid()]))
"""


def run_alone(code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """What a script prints that is run in a process of its own, with a folder."""
    script = folder / "script.py"
    script.write_text(code)
    return subprocess.run(
        [sys.executable, script, folder],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


def test_they_are_forks_of_one_server_that_has_loaded_what_it_was_told_to(tmp_path: Path) -> None:
    # In a process of its own: a process has one server, which another test may have started.
    done = run_alone(TWO, tmp_path)
    first, second, own = json.loads(done.stdout)
    assert first[0] == second[0] != own
    assert first[2] and second[2]


def test_they_have_the_environment_and_the_folder_of_now(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = "LABELGRID_TEST_WORKER"
    monkeypatch.setenv(name, "1")
    assert of_process(tmp_path, name)[1] == "1"
    monkeypatch.setenv(name, "2")
    monkeypatch.chdir(tmp_path)
    assert of_process(tmp_path, name)[1::2] == ["2", str(tmp_path)]
    monkeypatch.delenv(name)
    assert of_process(tmp_path, name)[1] is None


def note_process(out: Path, progress: Progress) -> None:
    out.write_text(str(os.getpid()))


def of_jobs(processes: Processes, folder: Path, names: str) -> list[int]:
    """The process of each of some jobs, one after the other."""
    found = []
    for name in names:
        end = JobEnd("died", again=True)
        while end.again:  # the last threads of a killed process may take a job that it never begins
            processes.start(folder / name, note_process, folder / f"out-{name}")
            end = processes.wait(60)[folder / name]
        assert end == JobEnd("ended")
        found.append(int((folder / f"out-{name}").read_text()))
    return found


def fail(progress: Progress) -> None:
    raise ValueError("It cannot be done.")


def test_a_process_does_one_job_after_another_and_one_that_failed_or_is_gone_is_replaced(
    tmp_path: Path,
) -> None:
    processes = Processes("labelgrid.basics.errors", 1)
    first, second = of_jobs(processes, tmp_path, "ab")
    assert first == second
    processes.start(tmp_path / "failing", fail)
    assert processes.wait(60)[tmp_path / "failing"].state == "failed"
    third, fourth = of_jobs(processes, tmp_path, "cd")
    assert third == fourth != second
    os.kill(fourth, signal.SIGKILL)
    wait_until(lambda: started_at(fourth) is None)
    (fifth,) = of_jobs(processes, tmp_path, "e")
    assert fifth != fourth
    processes.stop()
    assert started_at(fifth) is None


def wait_for(gate: Path, progress: Progress) -> None:
    progress.start("Waiting", 1, "gates")
    while not gate.exists():
        time.sleep(0.01)


def test_a_job_that_waits_for_a_worker_begins_when_one_is_free_and_never_after_a_stop(
    tmp_path: Path,
) -> None:
    processes = Processes("labelgrid.basics.errors", 1)
    for name in ("a", "b", "c"):
        processes.start(tmp_path / name, wait_for, tmp_path / f"gate-{name}")
    assert processes.wait(0.2) == {}
    assert [JobFolder(tmp_path / name).state for name in "bc"] == ["waiting", "waiting"]
    (tmp_path / "gate-a").touch()
    assert processes.wait(60) == {tmp_path / "a": JobEnd("ended")}
    wait_until(
        lambda: JobFolder(tmp_path / "b").state == "running",
        by=JobMaker(JobFolder(tmp_path / "b")),
    )
    processes.stop()
    states = {name: JobFolder(tmp_path / name).state for name in "abc"}
    assert states == {"a": "ended", "b": "stopped", "c": "waiting"}
    assert processes.wait(0.2) == {}


def test_no_address_is_taken() -> None:
    with pytest.raises(UsageError, match="takes no address, and got 'there'"):
        executor_at("processes:there", 1, "labelgrid.basics.errors")


#: Does a job, and then gets Ctrl-C in a process that has nothing to do, as from a terminal.
INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from labelgrid.executors.places.processes import Processes
from labelgrid.basics.processes import started_at
from tests.jobs import JobMaker, wait_until
from tests.unit.executors.places.test_processes import note_process
if __name__ == "__main__":
    processes = Processes("os", 1)
    folder = Path(sys.argv[1])
    processes.start(folder / "job", note_process, folder / "out")
    processes.wait(60)
    number = int((folder / "out").read_text())
    os.kill(number, signal.SIGINT)
    wait_until(lambda: started_at(number) is None)
"""


def test_ctrl_c_ends_one_that_has_nothing_to_do_without_a_traceback(tmp_path: Path) -> None:
    assert run_alone(INTERRUPTED, tmp_path).stderr == ""
