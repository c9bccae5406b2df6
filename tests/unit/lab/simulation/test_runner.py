"""Laws of how runs are carried out: in order, in processes of their own, restarted when they die, never two of one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.basics.progress import Silent
from labelgrid.cli import STOPPED, study_screen
from labelgrid.executors.executor import Executor
from labelgrid.executors.job import JobFolder, JobProgress, JobReader, JobStep
from labelgrid.executors.workplace import HERE, executor_at
from labelgrid.lab.simulation import runner
from labelgrid.lab.simulation.run_jobs import jobs_of, work_left
from labelgrid.lab.simulation.runner import PRELOADED, JobStatus, Runner, run_job
from labelgrid.lab.simulation.runs import runs_of
from labelgrid.lab.simulation.study_results import outcomes_of
from tests.e2e.commands import typed
from tests.studies import make_data, make_recipe, study_request

COVERS = ["labelgrid.lab.simulation.run_study", "labelgrid.lab.simulation.study_results"]


def here(workers: int) -> Executor:
    return executor_at(HERE, workers, PRELOADED)


def jobs(folder: Path, **changes: object):
    wanted = study_request(folder, full=False, **changes)
    return jobs_of(wanted, runs_of(wanted.study))


def short_jobs(folder: Path):
    """A start and two runs that continue it and score nothing, over one round."""
    return jobs(folder, strategies=["random_images", "random_cells"], rounds=1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `short_jobs` that have been run. Nobody changes it."""
    folder = tmp_path_factory.mktemp("finished")
    quiet = Runner(jobs=short_jobs(folder), executor=here(2), show=lambda _: None).run()
    assert {report.state for report in quiet.values()} == {"done"}
    assert {report.done_before for report in quiet.values()} == {0.0}  # nothing was there before
    return folder


def test_runs_that_are_done_take_no_process(finished: Path) -> None:
    again = Runner(jobs=short_jobs(finished), executor=here(2), show=lambda _: None).run()
    assert all(report.done_before == report.done == report.work > 0 for report in again.values())
    assert {report.tries for report in again.values()} == {0}


def is_training(folder: JobFolder) -> bool:
    """Wait until a job trains, or has ended; returns whether it trains."""
    while folder.end is None:
        if folder.step and folder.step.what == runner.TRAINING:
            return True
        time.sleep(0.005)
    return False


def test_runs_that_are_killed_are_begun_again_and_end_as_if_they_had_not_been(
    finished: Path, tmp_path: Path
) -> None:
    killed: set[str] = set()

    def kill(reports: Mapping[str, JobStatus]) -> None:
        for key in runs._running:
            folder = JobFolder(runs.jobs[key].progress_folder)
            if key not in killed and is_training(folder):
                killed.add(key)
                assert folder.owner
                os.kill(folder.owner.pid, signal.SIGKILL)

    runs = Runner(jobs=short_jobs(tmp_path), executor=here(2), show=kill)
    reports = runs.run()
    assert killed
    assert {report.state for report in reports.values()} == {"done"}
    assert all(reports[key].tries == 2 for key in killed)
    quiet = short_jobs(finished)
    for key, job in runs.jobs.items():
        records = list(outcomes_of(job.run, job.folder))
        assert records and records == list(outcomes_of(job.run, quiet[key].folder))


def test_what_runs_say_is_said_once_for_each_arm(tmp_path: Path) -> None:
    said: list[str] = []
    runs = Runner(
        jobs=jobs(tmp_path, seeds=2, single=True),
        executor=here(2),
        show=lambda _: None,
        say=said.append,
    )
    for number, (key, job) in enumerate(runs.jobs.items()):
        runs._readers[key] = JobReader(JobFolder(job.progress_folder))
        progress = JobProgress(JobFolder(job.progress_folder), Silent())
        progress.begin()
        for text in (
            "It does nothing.",
            f"Resuming after epoch {number}.",
            f"{key[:6]} has a fault.",
        ):
            progress.say(text)
            runs._follow(key)
    arms = {"start": "start-", "partal": "partal", "random_cells": "random", "single": "single"}
    assert len(said) == 3 * len(arms) == sum("Resuming" in line for line in said) + 2 * len(arms)
    for arm, key in arms.items():
        assert f"{arm}: It does nothing." in said and f"{arm}: {key} has a fault." in said


def test_a_run_has_the_study_s_threads_whatever_runs_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = study_request(tmp_path, full=False, rounds=0, threads=3)
    given: list[int] = []
    monkeypatch.setattr(runner, "set_threads", given.append)
    monkeypatch.setattr(runner, "step", lambda *_, **__: False)
    for at_once in (1, 2, 8):
        (job,) = jobs_of(replace(wanted, jobs=at_once), runs_of(wanted.study)).values()
        run_job(replace(job, folder=tmp_path / f"run{at_once}"), Silent())
    assert given == [3, 3, 3]


def test_a_run_that_is_asked_to_stop_ends_alone_and_the_next_call_goes_on_with_it(
    tmp_path: Path,
) -> None:
    made = jobs(tmp_path)
    key = "partal-seed0"  # it scores, and so is not done before it is stopped

    def stop(reports: Mapping[str, JobStatus]) -> None:
        if reports[key].state == "running":
            (made[key].progress_folder / "stop").touch()

    reports = Runner(jobs=made, executor=here(2), show=stop).run()
    stopped = reports.pop(key)
    assert (stopped.state, stopped.tries) == ("stopped", 1)
    assert stopped.fault == "It was stopped before its end; the same command resumes it."
    assert JobFolder(made[key].progress_folder).state == "stopped"
    assert {report.state for report in reports.values()} == {"done"}
    again = Runner(jobs=jobs(tmp_path), executor=here(2), show=lambda _: None).run()
    assert again[key].state == "done"
    assert JobFolder(made[key].progress_folder).state == "ended"


def test_runs_that_continue_a_stopped_one_are_stopped_and_the_command_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: study_screen.StudyBar, statuses: Mapping[str, JobStatus]) -> None:
        if statuses["start-seed0"].what.startswith("Training "):
            (tmp_path / "out" / "jobs" / "start-seed0" / "stop").touch()

    monkeypatch.setattr(study_screen.StudyBar, "show", stop)
    recipe = make_recipe(tmp_path)
    text = recipe.read_text().replace("rounds = 2", "rounds = 2\nfull = false")
    recipe.write_text(text.replace("epochs = 1", "epochs = 1000"))  # not done before it is stopped
    make_data(tmp_path / "data")
    places = ["--data", tmp_path / "data", "--out", tmp_path / "out"]
    ended = typed("simulate", recipe, *places, "--strategy", "random_cells")
    assert ended.code == STOPPED and "0 of 2 runs are done" in ended.out
    assert "Not finished: start-seed0, random_cells-seed0." in ended.err
    assert "Run the same command to resume." in ended.err
    kept = json.loads((tmp_path / "out" / "runs.json").read_text())
    assert {row["state"] for row in kept.values()} == {"stopped"}
    assert kept["random_cells-seed0"]["fault"] == "The run it continues was stopped."


def test_a_stopped_call_leaves_no_process_and_says_so_of_each_of_its_jobs(tmp_path: Path) -> None:
    long = {"start": {"train": {"epochs": 1000}}}  # it is not done before it is stopped
    made = jobs(tmp_path, changes=long)

    def interrupt(reports: Mapping[str, JobStatus]) -> None:
        if reports["start-seed0"].what:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Runner(jobs=made, executor=here(2), show=interrupt).run()
    states = {key: JobFolder(job.progress_folder).state for key, job in made.items()}
    assert states.pop("start-seed0") == "stopped"
    assert set(states.values()) == {"waiting"}


def test_what_is_left_of_a_run_is_without_the_trainings_that_are_done(
    finished: Path, tmp_path: Path
) -> None:
    made = jobs(tmp_path, strategies=["random_cells"], rounds=2)
    start, run = made["start-seed0"], made["random_cells-seed0"]
    assert (len(work_left(start).steps), len(work_left(run).steps)) == (1, 2)
    shutil.copytree(finished / "out", tmp_path / "out")
    assert not work_left(start).steps and len(work_left(run).steps) == 1
    run = short_jobs(tmp_path)["random_cells-seed0"]
    assert not work_left(run).steps
    (run.folder / "done.json").unlink()
    max(run.folder.glob("rounds/*/fit.json")).unlink()
    assert len(work_left(run).steps) == 1


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_run_that_cannot_be_fails_alone_and_takes_those_with_it_that_go_on_from_it(
    tmp_path: Path, split: str
) -> None:
    made = jobs(tmp_path)
    for name in (tmp_path / "data" / "splits" / f"{split}.txt").read_text().split():
        (tmp_path / "data" / "images" / name).write_bytes(b"no image")
    reports = Runner(jobs=made, executor=here(1), show=lambda _: None).run()
    assert reports["start-seed0"].state == "failed" and "image" in reports["start-seed0"].fault
    assert reports["start-seed0"].tries == 1  # it would fail again
    assert reports["partal-seed0"].fault == "The run it continues failed."


@pytest.mark.parametrize(
    ("deaths", "kind", "state", "tries"),
    [(1, "OSError", "done", 2), (9, "MemoryError", "failed", 3), (9, "NameError", "failed", 1)],
)
def test_a_run_that_the_machine_fails_is_begun_again_twice_at_most_and_an_error_of_code_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: int, kind: str, state: str, tries: int
) -> None:
    counter = tmp_path / "deaths"
    counter.write_text(f"{deaths} {kind}")
    monkeypatch.setenv("LABELGRID_TEST_DEATHS", str(counter))
    dying = {"start": {"network": {"name": "tests.unit.lab.simulation.dying:build"}}}
    (report,) = (
        Runner(jobs=jobs(tmp_path, rounds=0, changes=dying), executor=here(1), show=lambda _: None)
        .run()
        .values()
    )
    assert (report.state, report.tries) == (state, tries)
    trace = tmp_path / "out" / "jobs" / "start-seed0" / "log.txt"
    assert "dying.py" in trace.read_text()
    if state == "failed":
        again = " It was tried 3 times." if tries == 3 else ""
        assert report.fault == f"{kind}: out of luck (see {trace}).{again}"
    else:
        assert report.fault == ""


def test_a_share_of_a_training_is_work_done_and_one_of_anything_else_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runner(jobs=jobs(tmp_path), executor=here(1), show=lambda _: None)
    runs.statuses = {key: JobStatus(work=job.work) for key, job in runs.jobs.items()}
    partal = runs.statuses["partal-seed0"]
    shares = []
    for trained, what, done in (
        (1, "Scoring", 2),
        (1, runner.TRAINING, 2),
        (1, runner.TRAINING, 0),  # members are trained between two rounds
        (2, runner.TRAINING, 8),  # its record is written already
    ):
        monkeypatch.setattr(runner, "count_trainings", lambda job, trained=trained: trained)
        runs._update("partal-seed0", JobStep(what=what, done=done, total=8, unit="images"))
        shares.append(partal.done / partal.work)
    assert shares == [0.5, 1.25 / 2, 1.25 / 2, 1.0]
    assert partal.done_before == partal.work / 2


def test_scoring_loads_nothing_of_trainings_and_what_runs_are_forked_from_loads_it() -> None:
    code = (
        "import sys, labelgrid.rounds.score, labelgrid.rounds.predict\n"
        "print('lightning_fabric' in sys.modules)\n"
        f"import {runner.PRELOADED}\n"
        "print('lightning_fabric' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
