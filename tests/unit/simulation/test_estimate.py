"""Laws of the estimate: a short training of the run is timed, and its files are removed."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labelgrid.errors import LabelgridError
from labelgrid.progress import Silent
from labelgrid.project.artifacts import newest_fit
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds import fit, query
from labelgrid.rounds.round_scores import RoundScores
from labelgrid.rounds.score import PoolScorer
from labelgrid.select.strategy import Budget
from labelgrid.simulation import estimate
from labelgrid.simulation.estimate import STEPS, WARM, StepTiming, TimingProgress, time_training
from labelgrid.simulation.jobs import Job, jobs_of
from labelgrid.simulation.runs import runs_of
from tests.projects import answer, make_project
from tests.studies import study_request


def test_a_step_and_an_image_are_timed_without_the_first_steps() -> None:
    timer = TimingProgress()
    timer.moments = [[0.0], [0.0, *(9.0 + step for step in range(STEPS))], [100.0, 103.0, 106.0]]
    timer.totals = [1, STEPS * 4, 3]
    assert timer.timing() == (1.0, 2.0, 3)
    timer.moments[1] = [0.0, 5.0]  # a training of one step
    assert WARM > 1 and timer.timing()[0] == 5.0


def test_the_timed_training_runs_in_a_folder_that_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    of = study_request(tmp_path)
    jobs = jobs_of(of, runs_of(of.study))
    found = time_training(jobs["start-seed0"])
    assert 0 < found.step < 60 and 0 < found.image < 60 and found.images == 3
    assert found.memory > 50e6
    assert not list((tmp_path / "temporary").iterdir()) and not of.out.exists()


def test_what_the_run_would_refuse_the_timed_training_refuses(tmp_path: Path) -> None:
    of = study_request(tmp_path)
    for path in (tmp_path / "data" / "images").iterdir():
        path.write_bytes(b"no image")
    jobs = jobs_of(of, runs_of(of.study))
    with pytest.raises(LabelgridError, match="image"):
        time_training(jobs["start-seed0"])


def test_each_point_of_the_grid_and_each_way_of_scoring_is_timed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = {"network.options.width": [16, 24], "score.dropout.passes": [2, 4], "train.steps": [5, 9]}
    of = study_request(tmp_path, grid=grid, strategies=["partal", "random_cells"])
    timed: list[str] = []

    def time(job: Job) -> StepTiming:
        timed.append(job.run.key)
        wide = job.settings.changes["network"]["options"]["width"] == 24
        return StepTiming(10.0 if wide else 1.0, 0.0, 3, 7 if wide else 5, score=100.0)

    monkeypatch.setattr(estimate, "time_training", time)
    found = estimate.estimate_study(of)
    assert len(timed) == 4 and all(key.startswith("partal") for key in timed)
    steps = {16: 0, 24: 0}
    for key, job in jobs_of(of, runs_of(of.study)).items():
        steps[job.settings.changes["network"]["options"]["width"]] += sum(found.left[key].steps)
    scored = sum(work.scored for work in found.left.values())
    assert scored and found.seconds == (steps[16] + 10 * steps[24] + 100 * scored) / found.at_once
    assert found.memory == 7 * found.at_once


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProjectFolder]:
    """A project with a trained network; the statistics with modules train for an epoch."""
    project, made = make_project(tmp_path_factory.mktemp("trained"), n=8)
    with project:
        query.query(project, Budget(6), Silent())
        answer(project, made)
        fit.fit(project, Silent())
        score = {"committee": {"epochs": 1, "width": 8}, "embedding": {"epochs": 1, "width": 4, "dimensions": 6}}
        project.settings = replace(project.settings, changes={"score": {**score, "ensemble": {"members": 3}}})
        yield project


@pytest.mark.parametrize(
    ("statistic", "pool", "labelled", "members"),
    [("embedding", True, False, 0), ("committee", False, True, 0), ("ensemble", False, False, 2)],
)
def test_a_statistic_is_timed_on_the_images_that_it_trains_on(
    trained: ProjectFolder, statistic: str, pool: bool, labelled: bool, members: int
) -> None:
    needing = type("", (), {"needs": frozenset({statistic})})()
    scorer = PoolScorer(RoundScores(trained, newest_fit(trained.folder), needing), Silent())
    grid = trained.store.grid()
    images = [grid.images[row] for row in np.flatnonzero(grid.eligible.any(1))]
    found = estimate._time_statistics(scorer, images)
    assert (found[0] > 0, found[1] > 0, found[2]) == (pool, labelled, members)


def test_the_time_of_scoring_is_shared_by_all_images_of_the_pass(trained: ProjectFolder, monkeypatch) -> None:
    monkeypatch.setattr(estimate, "_time_statistics", lambda scorer, pool: (0.0, 0.0, 0))
    timer, open_images = TimingProgress(), int(trained.store.grid().eligible.any(1).sum())
    seconds, _, _ = estimate._time_scoring(trained, timer)
    assert timer.totals[-1] > min(open_images, estimate.SCORED)  # labelled images get features, too
    assert seconds == (timer.moments[-1][-1] - timer.moments[-1][0]) / timer.totals[-1]


def test_the_trainings_of_statistics_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = study_request(tmp_path, strategies=["partal", "random_cells"])

    def seconds(timing: StepTiming) -> float:
        monkeypatch.setattr(estimate, "time_training", lambda job: timing)
        found = estimate.estimate_study(of)
        return found.seconds * found.at_once

    plain = StepTiming(1.0, 0.0, 3, 5)
    partal = jobs_of(of, runs_of(of.study))["partal-seed0"].max_work
    assert list(partal.labelled) == [8, 8] and partal.scored
    assert seconds(replace(plain, learn=10.0)) == seconds(plain) + 10 * 16
    assert seconds(replace(plain, members=2)) == seconds(plain) + 2 * sum(partal.steps)


def test_scoring_is_timed_with_the_training(tmp_path: Path) -> None:
    of = study_request(tmp_path)
    jobs = jobs_of(of, runs_of(of.study))
    found = time_training(jobs["partal-seed0"])
    assert 0 < found.score < 60 and (found.learn, found.members) == (0, 0)


def test_the_trainings_of_statistics_are_timed_with_it_and_scored_with_it(tmp_path: Path) -> None:
    score = {"committee": {"epochs": 1, "width": 8}, "embedding": {"epochs": 1, "width": 4, "dimensions": 6}}
    of = study_request(tmp_path, strategies=["tcd"], changes={"strategy": {"score": score}})
    found = time_training(jobs_of(of, runs_of(of.study))["tcd-seed0"])
    assert 0 < found.learn < 60 and 0 < found.score < 60 and found.members == 0
