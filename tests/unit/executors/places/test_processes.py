"""Laws of processes: forks of one server that has loaded torch, with the environment of the moment they start."""

import json
import os
import sys
from pathlib import Path

import pytest

from labelgrid.executors.job import JobEnd
from labelgrid.executors.places.processes import Processes
from labelgrid.progress import Progress


def say_who(name: str, out: Path, progress: Progress) -> None:
    here = [os.getppid(), os.environ.get(name), "torch" in sys.modules, str(Path.cwd())]
    out.write_text(json.dumps(here))


def of_process(folder: Path, name: str = "A") -> list[object]:
    processes = Processes("torch")
    processes.start(folder / "job", say_who, name, folder / "out")
    assert processes.wait(60) == {folder / "job": JobEnd("ended")}
    found: list[object] = json.loads((folder / "out").read_text())
    return found


def test_they_are_forks_of_one_server_that_has_loaded_what_it_was_told_to(tmp_path: Path) -> None:
    first = of_process(tmp_path)
    second = of_process(tmp_path)
    assert first[0] == second[0] != os.getpid()
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
