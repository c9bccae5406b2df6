"""Laws of the timed training: it is short, like the run's trainings, and its files are removed."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labelgrid.errors import LabelgridError
from labelgrid.ledger.grid import State
from labelgrid.progress import Silent
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import newest_fit
from labelgrid.recipes.resolve import override
from labelgrid.rounds import fit, query
from labelgrid.rounds.round_scores import RoundScores
from labelgrid.rounds.score import PoolScorer
from labelgrid.select.strategy import Budget
from labelgrid.simulation import timed_training
from labelgrid.simulation.jobs import Job, jobs_of
from labelgrid.simulation.runs import runs_of
from labelgrid.simulation.timed_training import STEPS, WARM, TimingProgress, time_training
from tests.projects import answer, make_project
from tests.studies import study_request


def test_a_step_and_an_image_are_timed_without_the_first_steps() -> None:
    timer = TimingProgress()
    timer.moments = [[0.0], [0.0, *(9.0 + step for step in range(STEPS))], [100.0, 103.0, 106.0]]
    timer.totals = [1, STEPS * 4, 3]
    assert timer.timing() == (1.0, 2.0, 3)
    timer.moments[1] = [0.0, 5.0]  # a training of one step
    assert WARM > 1 and timer.timing()[0] == 5.0


def test_the_timed_training_runs_in_a_folder_that_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProjectFolder]:
    """A project with a trained network; the statistics with modules train for an epoch."""
    project, made = make_project(tmp_path_factory.mktemp("trained"), n=8)
    with project:
        query.query(project, Budget(6), Silent())
        answer(project, made)
        fit.fit(project, Silent())
        score = {
            "committee": {"epochs": 1, "width": 8},
            "embedding": {"epochs": 1, "width": 4, "dimensions": 6},
        }
        project.settings = replace(
            project.settings, changes={"score": {**score, "ensemble": {"members": 3}}}
        )
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
    found = timed_training._time_statistics(scorer, images)
    assert (found[0] > 0, found[1] > 0, found[2]) == (pool, labelled, members)


def test_the_time_of_scoring_is_shared_by_all_images_of_the_pass(
    trained: ProjectFolder, monkeypatch
) -> None:
    monkeypatch.setattr(timed_training, "_time_statistics", lambda scorer, pool: (0.0, 0.0, 0))
    timer, open_images = TimingProgress(), int(trained.store.grid().eligible.any(1).sum())
    seconds, _, _ = timed_training._time_scoring(trained, timer)
    assert timer.totals[-1] > min(
        open_images, timed_training.SCORED
    )  # labelled images get features, too
    assert seconds == (timer.moments[-1][-1] - timer.moments[-1][0]) / timer.totals[-1]


def test_scoring_is_timed_with_the_training(tmp_path: Path) -> None:
    of = study_request(tmp_path)
    jobs = jobs_of(of, runs_of(of.study))
    found = time_training(jobs["partal-seed0"])
    assert 0 < found.score < 60 and (found.learn, found.members) == (0, 0)


def test_the_trainings_of_statistics_are_timed_with_it_and_scored_with_it(tmp_path: Path) -> None:
    score = {
        "committee": {"epochs": 1, "width": 8},
        "embedding": {"epochs": 1, "width": 4, "dimensions": 6},
    }
    of = study_request(tmp_path, strategies=["tcd"], changes={"strategy": {"score": score}})
    found = time_training(jobs_of(of, runs_of(of.study))["tcd-seed0"])
    assert 0 < found.learn < 60 and 0 < found.score < 60 and found.members == 0


def filled_jobs(folder: Path) -> dict[str, Job]:
    """Jobs whose batches are filled by images, and by labels."""
    strategies = ["partal", "random_cells", "random_images"]
    of = study_request(folder, grid={"train.fill": ["images", "labels"]}, strategies=strategies)
    return jobs_of(of, runs_of(of.study))


def test_batches_grow_where_they_are_filled_by_labels_and_single_cells_are_bought(
    tmp_path: Path,
) -> None:
    found = {
        key for key, job in filled_jobs(tmp_path).items() if timed_training.has_growing_batches(job)
    }
    assert found == {f"{name}-seed0-train.fill=labels" for name in ("partal", "random_cells")}


def timed(
    folder: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> tuple[int, int, tuple[float, ...]]:
    """The labels of the training that is timed, the images that are left to score, and the times."""
    monkeypatch.setattr(timed_training, "init_worker", lambda threads: None)
    sent: list[tuple[float, ...]] = []
    pipe = type("", (), {"send": lambda self, value: sent.append(value)})()
    settings = replace(
        job.settings, changes=override(job.settings.changes, {"train": {"steps": 2}})
    )
    job = replace(job, folder=folder / "timed", settings=settings)
    timed_training._time_in_process(job, pipe)
    (times,) = sent
    assert not isinstance(times, str), times
    with ProjectFolder.open(job.folder) as project:
        assert not list(project.store.cells(state=State.REQUESTED))
        labels = sum(count.labelled for count in project.store.counts(("train",)).values())
        return labels, int(project.store.grid().eligible.any(1).sum()), times


@pytest.mark.parametrize(
    ("key", "labels"),
    [
        ("partal-seed0-train.fill=labels", 11),
        ("partal-seed0-train.fill=images", 6),
        ("start-seed0-train.fill=labels", 6),
    ],
)
def test_growing_batches_are_timed_with_cells_that_all_rounds_buy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, labels: int
) -> None:
    """Three images with both labels, then half of the ten cells left: two rounds of five would buy all."""
    assert timed(tmp_path, filled_jobs(tmp_path)[key], monkeypatch)[0] == labels


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ({"budget": 2}, 6 + 4),
        ({"budget": 1, "unit": "images"}, 6 + 4),
        ({"budget": 8, "unit": "images", "rounds": 1}, 6 + 5),
        (
            {
                "budget": 0.03,
                "unit": "cost",
                "tasks": {"depth": {"cost": 0.01}, "semseg": {"cost": 0.01}},
            },
            6 + 5,
        ),
        (
            {
                "budget": 10,
                "unit": "cost",
                "initial": 8,
                "tasks": {"depth": {"cost": 10}, "semseg": {"cost": 10}},
            },
            16,
        ),
        (
            {
                "budget": 10,
                "unit": "cost",
                "initial": 7,
                "tasks": {"depth": {"cost": 10}, "semseg": {"cost": 100}},
            },
            15,
        ),
        (
            {
                "budget": 90,
                "unit": "cost",
                "initial": 7,
                "tasks": {"depth": {"cost": 90}},
                "only": ["depth"],
            },
            7,
        ),
    ],
)
def test_at_most_half_of_the_pool_is_bought_in_any_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], labels: int
) -> None:
    tasks = study_request(tmp_path).study.tasks
    more = changes.pop("tasks", {})
    changes["tasks"] = {name: {**options, **more.get(name, {})} for name, options in tasks.items()}
    of = study_request(
        tmp_path,
        changes={"strategy": {"train": {"fill": "labels"}}},
        strategies=["partal"],
        **changes,
    )
    found, left, times = timed(
        tmp_path, jobs_of(of, runs_of(of.study))["partal-seed0"], monkeypatch
    )
    assert found == labels
    assert bool(times["score"]) == bool(left)  # the rest is scored
