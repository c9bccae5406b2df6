"""Laws of the estimate: a short training of the run is timed, and its files are removed."""

import tempfile
from pathlib import Path

import pytest

from labelgrid.errors import LabelgridError
from labelgrid.simulation import estimate
from labelgrid.simulation.estimate import STEPS, WARM, StepTiming, TimingProgress, time_training
from labelgrid.simulation.jobs import Job, jobs_of
from labelgrid.simulation.runs import runs_of
from tests.studies import study_request


def test_a_step_and_an_image_are_timed_without_the_first_steps() -> None:
    timer = TimingProgress()
    timer.moments = [[0.0], [0.0, *(9.0 + step for step in range(STEPS))], [100.0, 103.0, 106.0]]
    timer.totals = [1, STEPS * 4, 3]
    assert timer.timing(7) == (1.0, 2.0, 3, 7)
    timer.moments[1] = [0.0, 5.0]  # a training of one step
    assert WARM > 1 and timer.timing(7)[0] == 5.0


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


def test_scoring_is_timed_with_the_training(tmp_path: Path) -> None:
    of = study_request(tmp_path)
    jobs = jobs_of(of, runs_of(of.study))
    assert 0 < time_training(jobs["partal-seed0"]).score < 60
