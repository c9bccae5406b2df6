"""Studies on other places: the same records, whatever died, and a sentence on what is missing."""

import json
import os
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from labelgrid.executors.places import slurm
from labelgrid.lab.simulation import other_shares
from labelgrid.lab.simulation.study_results import read_outcomes
from tests.e2e.commands import Done, done, refused, typed
from tests.e2e.killing import preloaded_context
from tests.forked_servers import fork_servers
from tests.studies import make_data, make_recipe


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("places")
    make_data(folder / "data")
    make_recipe(folder)
    done(*words(folder, "local"))
    return folder


def words(folder: Path, out: str, *more: str) -> list[object]:
    places = ["--data", folder / "data", "--out", folder / out]
    return ["simulate", folder / "study.toml", *places, "--rounds", 1, "--jobs", 2, *more]


def of_task(number: int, count: int) -> Mapping[str, str]:
    return {slurm.NUMBER: str(number), slurm.COUNT: str(count)}


def run_task(command: list[object], variables: Mapping[str, str], sender: Connection) -> None:
    """Run a command as a task of an array job, whose process is this one."""
    os.environ.update(variables)
    fork_servers()
    sender.send(typed(*command))


def test_the_tasks_of_an_array_job_make_the_records_of_one_call(studies: Path) -> None:
    context = preloaded_context()
    tasks = []
    for number in range(2):
        receiver, sender = context.Pipe(duplex=False)
        command = words(studies, "array", "--on", "slurm", "--json")
        task = context.Process(target=run_task, args=(command, of_task(number, 2), sender))
        task.start()
        sender.close()
        tasks.append((task, receiver))
    for number, (task, receiver) in enumerate(tasks):
        ended: Done = receiver.recv()
        task.join()
        assert ended.code == 0, ended.err
        printed = json.loads(ended.out)
        assert printed["share"] == {"index": number, "count": 2} and len(printed["runs"]) == 4
    merged = done(*words(studies, "array"))
    assert "4 of 4 runs are done" in merged.out
    assert read_outcomes(studies / "array") == read_outcomes(studies / "local")


def test_a_task_names_what_others_have_not_done_and_a_last_call_does_it(
    studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in of_task(0, 2).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(other_shares, "PATIENCE", 0.0)
    ended = typed(*words(studies, "half", "--on", "slurm", "--strategy", "random_cells"))
    assert ended.code == 0
    assert "This was share 1 of 2. Not done yet: " in ended.err
    assert "the same command without `--on` does what is left" in ended.err
    assert "3 of 3 runs are done" in done(*words(studies, "half", "--strategy", "random_cells")).out
    local = [row for row in read_outcomes(studies / "local") if row.strategy != "partal"]
    assert read_outcomes(studies / "half") == local


def test_outside_an_array_job_slurm_is_refused(
    studies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (slurm.NUMBER, slurm.COUNT):
        monkeypatch.delenv(name, raising=False)
    command = words(studies, "none", "--on", "slurm")
    assert "no task of a SLURM array job" in refused(studies / "local", *command, code=2)
    assert not (studies / "none").exists()


def test_an_unknown_place_is_refused(studies: Path) -> None:
    said = refused(studies / "local", *words(studies, "none", "--on", "rays"))
    assert "There is no executor 'rays'" in said
    assert not (studies / "none").exists()


def test_a_study_on_ray_has_the_records_of_the_local_one(studies: Path, ray_address: str) -> None:
    ended = done(*words(studies, "ray", "--on", f"ray:{ray_address}"))
    assert "4 of 4 runs are done" in ended.out
    assert read_outcomes(studies / "ray") == read_outcomes(studies / "local")
