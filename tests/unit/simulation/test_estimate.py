"""Laws of the estimate: which runs are timed, and how times and work are added up."""

from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.simulation import estimate
from labelgrid.simulation.jobs import Job, jobs_of, work_of
from labelgrid.simulation.runs import runs_of
from labelgrid.simulation.timed_training import StepTiming
from tests.studies import study_request


def test_each_point_of_the_grid_and_each_way_of_scoring_is_timed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = {
        "network.options.width": [16, 24],
        "score.dropout.passes": [2, 4],
        "train.steps": [5, 9],
    }
    of = study_request(tmp_path, grid=grid, strategies=["partal", "random_cells"])
    timed: list[str] = []

    def time(job: Job) -> StepTiming:
        timed.append(job.run.key)
        wide = job.settings.changes["network"]["options"]["width"] == 24
        return StepTiming(
            step=10.0 if wide else 1.0, image=0.0, images=3, memory=7 if wide else 5, score=100.0
        )

    monkeypatch.setattr(estimate, "time_training", time)
    found = estimate.estimate_study(of)
    assert len(timed) == 4 and all(key.startswith("partal") for key in timed)
    steps = {16: 0, 24: 0}
    for key, job in jobs_of(of, runs_of(of.study)).items():
        steps[job.settings.changes["network"]["options"]["width"]] += sum(found.left[key].steps)
    scored = sum(work.scored for work in found.left.values())
    assert scored and found.seconds == (steps[16] + 10 * steps[24] + 100 * scored) / found.at_once
    assert found.memory == 7 * found.at_once


def test_a_job_has_the_work_of_its_own_run(tmp_path: Path) -> None:
    of = study_request(tmp_path, strategies=["partal", "random_cells"])
    pool = len(of.study.splits(of.root)[of.study.pool])
    runs = runs_of(of.study)
    works = {job.max_work.scored for job in jobs_of(of, runs).values()}
    assert len(works) > 1
    for run in runs:
        assert jobs_of(of, runs)[run.key].max_work == work_of(
            run, of.study, recipe=of.recipe, pool=pool, root=of.root
        )


def test_the_trainings_of_statistics_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = study_request(tmp_path, strategies=["partal", "random_cells"])

    def seconds(timing: StepTiming) -> float:
        monkeypatch.setattr(estimate, "time_training", lambda job: timing)
        found = estimate.estimate_study(of)
        return found.seconds * found.at_once

    plain = StepTiming(step=1.0, image=0.0, images=3, memory=5)
    partal = jobs_of(of, runs_of(of.study))["partal-seed0"].max_work
    assert list(partal.labelled) == [8, 8] and partal.scored
    assert seconds(replace(plain, learn=10.0)) == seconds(plain) + 10 * 16
    assert seconds(replace(plain, members=2)) == seconds(plain) + 2 * sum(partal.steps)


def test_runs_with_growing_batches_are_timed_by_their_number_of_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = {
        "one": {"strategy": "random_cells", "rounds": 1},
        "two": {"strategy": "random_cells", "rounds": 2},
        "also-two": {"strategy": "random_cells", "rounds": 2},
        "whole": {"strategy": "random_images", "rounds": 1},
    }
    timed: list[str] = []
    monkeypatch.setattr(
        estimate,
        "time_training",
        lambda job: (
            timed.append(job.run.key) or StepTiming(step=1.0, image=0.0, images=3, memory=5)
        ),
    )
    of = study_request(tmp_path, grid={"train.fill": ["labels"]}, arms=arms, strategies=list(arms))
    estimate.estimate_study(of)
    assert {key.split("-seed")[0] for key in timed} == {"one", "two", "start"}
