"""Laws of workers: forks of one server that has loaded torch, with the environment of the moment they start."""

import os
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from labelgrid.simulation.workers import start_worker


def send_what_is(pipe: "Connection[object, object]", name: str) -> None:
    pipe.send((os.getppid(), os.environ.get(name), "torch" in sys.modules, str(Path.cwd())))


def of_worker(name: str) -> tuple[int, str | None, bool, str]:
    ours, theirs = Pipe(duplex=False)
    process = start_worker(send_what_is, theirs, name)
    theirs.close()
    found: tuple[int, str | None, bool, str] = ours.recv()
    process.join()
    assert process.exitcode == 0
    return found


def test_workers_are_forks_of_one_server_that_has_loaded_torch() -> None:
    first, second = of_worker("A"), of_worker("A")
    assert first[0] == second[0] != os.getpid()
    assert first[2] and second[2]


def test_a_worker_has_the_environment_and_the_folder_of_now(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LABELGRID_TEST_WORKER", "1")
    assert of_worker("LABELGRID_TEST_WORKER")[1] == "1"
    monkeypatch.setenv("LABELGRID_TEST_WORKER", "2")
    monkeypatch.chdir(tmp_path)
    assert of_worker("LABELGRID_TEST_WORKER")[1::2] == ("2", str(tmp_path))
    monkeypatch.delenv("LABELGRID_TEST_WORKER")
    assert of_worker("LABELGRID_TEST_WORKER")[1] is None
