"""Laws of what a study has to report: what its folders hold, which runs are not done, and no more than is there."""

import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from labelgrid.basics.config import parse
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.files import write_text
from labelgrid.basics.results import Result
from labelgrid.executors.job import JobEnd, JobFolder, JobOwner
from labelgrid.lab.reports.study_data import study_report
from labelgrid.lab.reports.write_study import write_study_report
from labelgrid.lab.simulation import study_results as results
from labelgrid.lab.simulation.campaign import answer, create_run
from labelgrid.lab.simulation.run_jobs import settings_of
from labelgrid.lab.simulation.runs import Run, runs_of
from labelgrid.lab.simulation.study_recipe import Study
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.project.folder import ProjectFolder, is_study
from labelgrid.report.write_report import write_report
from tests.studies import make_data
from tests.support import CLASSES
from tests.unit.report.reading import Page

COVERS = ["labelgrid.lab.reports.write_study"]

TASKS = {"semseg": {"classes": list(CLASSES)}, "depth": {}}
STUDY = Study(
    data="folder", tasks=TASKS, initial=2, budget=3, rounds=1, strategies=("random_cells",), seeds=2
)


def make(folder: Path, study: Study = STUDY) -> Path:
    """A study whose runs are done, as `labelgrid simulate` leaves it but for trainings."""
    make_data(folder / "data", pool=4, test=2)
    out = folder / "out"
    for run in runs_of(study):
        place = out / "runs" / run.key
        create_run(
            place, settings_of(run, "small", weights="", study=study, root=folder / "data"), study
        )
        with ProjectFolder.open(place) as project:
            for number in range(run.rounds(study) + (run.kind == "strategy")):
                one_round(project, number)
    kept = {
        "recipe": {"network": {"name": "pad_net"}},
        "study": json.loads(json.dumps(asdict(study))),
        "root": "data",
    }
    write_text(out / "study.json", json.dumps(kept))
    results.write_outcomes(
        (o for run in runs_of(study) for o in results.outcomes_of(run, out / "runs" / run.key)), out
    )
    return out


def one_round(project: ProjectFolder, place: int) -> None:
    """Ask for two cells, get them, and leave the figures of a network."""
    grid, row = project.store.grid(), project.store.open_round()
    cells = [Cell(grid.images[place], task) for task in grid.tasks]
    project.store.close_round(
        row,
        [
            Move(cell=c, to=State.REQUESTED, round=row.number, request_id=f"{place}{c.task}")
            for c in cells
        ],
    )
    answer(project)
    metrics = {"depth": {"RMSE": asdict(Result("RMSE", 1.0 / (place + 1), "m", "lower"))}}
    figures = {
        "round": row.number,
        "model": "m",
        "labels": {"semseg": 1 + place, "depth": 1 + place},
    }
    figures |= {"spent": 11.0 * (1 + place), "heldout_labels": {"depth": 2}, "metrics": metrics}
    write_text(
        project.round_folder(row.number) / "heldout.json",
        json.dumps({**figures, "loss_mtl": 5.0 - place}),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("study"))


@pytest.fixture
def out(made: Path, tmp_path: Path) -> Path:
    """The study, for a test to change."""
    return shutil.copytree(made, tmp_path / "out")


def test_what_the_runs_measured_is_there_by_kind_strategy_and_seed(out: Path) -> None:
    (point,) = study_report(out).points
    assert [run.key for run in point.runs] == [
        f"{name}-seed{seed}" for seed in (0, 1) for name in ("start", "random_cells", "full")
    ]
    assert {run.state for run in point.runs} == {"done"}
    assert [one.loss_mtl for one in point.of("random_cells")[1].measured] == [5.0, 4.0]
    assert set(point.full) == {0, 1}
    (details,) = point.details
    assert details.requests.counts()["depth"] == {
        **{"round 1": 1, "round 2": 1, "no answer yet": 0, "skipped": 0, "not requested": 2}
    }


def test_runs_whose_folders_are_gone_are_read_from_the_table(out: Path) -> None:
    before = study_report(out).points[0]
    shutil.rmtree(out / "runs")
    after = study_report(out).points[0]
    for old, new in zip(before.runs, after.runs, strict=True):
        known = [replace(one, model="", heldout_labels={}) for one in old.measured]
        assert [replace(one, labels={}) for one in new.measured] == [
            replace(one, labels={}) for one in known
        ]
        assert new.state == "done" and [one.labels["depth"] for one in new.measured] == [
            one.labels["depth"] for one in old.measured
        ]
    assert after.details == []


def test_unfinished_failed_and_runs_not_begun_are_told_apart(out: Path) -> None:
    for key in ("random_cells-seed0", "random_cells-seed1"):
        (out / "runs" / key / "rounds" / "0002" / "heldout.json").unlink()
    shutil.rmtree(out / "runs" / "full-seed1")
    (out / "outcomes.parquet").unlink()
    write_text(
        out / "runs.json",
        json.dumps({"random_cells-seed1": {"state": "failed", "fault": "no memory"}}),
    )
    endings = {run.key: (run.state, run.fault) for run in study_report(out).points[0].runs}
    assert endings["random_cells-seed0"] == ("unfinished", "")
    assert endings["random_cells-seed1"] == ("failed", "no memory")
    assert endings["full-seed1"] == ("not started", "") and endings["full-seed0"] == ("done", "")


def test_a_running_study_is_told_by_the_jobs_of_its_runs_and_a_stopped_run_by_either(
    out: Path,
) -> None:
    for key in ("random_cells-seed0", "random_cells-seed1", "full-seed0"):
        for path in (out / "runs" / key).glob("rounds/*/heldout.json"):
            path.unlink()
        JobFolder(out / "jobs" / key).clear()
    (out / "outcomes.parquet").unlink()

    def endings() -> dict[str, tuple[str, str]]:
        return {run.key: (run.state, run.fault) for run in study_report(out).points[0].runs}

    JobFolder(out / "jobs" / "random_cells-seed0").write("pid", JobOwner.current())
    JobFolder(out / "jobs" / "random_cells-seed1").write("end.json", JobEnd("failed", "no memory"))
    JobFolder(out / "jobs" / "full-seed0").write("end.json", JobEnd("stopped", "by hand"))
    found = endings()
    assert found["random_cells-seed0"] == ("running", "")
    assert found["random_cells-seed1"] == ("failed", "no memory")
    assert found["full-seed0"] == ("stopped", "by hand")
    owner = replace(JobOwner.current(), start="long ago")
    JobFolder(out / "jobs" / "random_cells-seed0").write("pid", owner)
    assert endings()["random_cells-seed0"] == ("unfinished", "")  # its process was killed
    job = JobFolder(out / "jobs" / "random_cells-seed0")
    job.write("pid", replace(owner, host="gpu-3"))
    assert endings()["random_cells-seed0"] == ("running", "")
    os.utime(job.path / "pid", (1, 1))
    state, fault = endings()["random_cells-seed0"]
    assert state == "unfinished" and fault.startswith("No sign for ") and "on gpu-3." in fault
    ended = {"random_cells-seed0": {"state": "stopped", "fault": "The run it continues."}}
    write_text(out / "runs.json", json.dumps(ended))
    assert endings()["random_cells-seed0"] == ("stopped", "The run it continues.")


def test_a_run_that_ended_early_is_done_where_it_is_written_down(out: Path) -> None:
    kept = json.loads((out / "study.json").read_text())
    kept["study"]["rounds"] = 9
    write_text(out / "study.json", json.dumps(kept))

    def state(seed: int) -> str:
        return study_report(out).points[0].of("random_cells")[seed].state

    assert state(0) == "unfinished"
    write_text(out / "runs.json", json.dumps({"random_cells-seed0": {"state": "done"}}))
    assert (state(0), state(1)) == ("done", "unfinished")
    study = parse(Study, kept["study"], "")
    other = Run(kind="strategy", name="random_cells", seed=1)
    write_text(out / "runs" / other.key / "done.json", other.done_text(replace(study, rounds=8)))
    assert state(1) == "unfinished"  # it ended where fewer rounds were asked for
    write_text(out / "runs" / other.key / "done.json", other.done_text(study))
    assert state(1) == "done"


def test_a_failed_run_stays_failed_when_its_folder_is_gone(out: Path) -> None:
    kept = json.loads((out / "study.json").read_text())
    kept["study"]["rounds"] = 9
    write_text(out / "study.json", json.dumps(kept))
    write_text(
        out / "runs.json",
        json.dumps({"random_cells-seed0": {"state": "failed", "fault": "no memory"}}),
    )
    shutil.rmtree(out / "runs")
    endings = {run.key: run.state for run in study_report(out).points[0].runs}
    assert (endings["random_cells-seed0"], endings["random_cells-seed1"]) == (
        "failed",
        "unfinished",
    )


def test_points_of_a_grid_are_trials_of_their_own(tmp_path: Path) -> None:
    out = make(tmp_path, replace(STUDY, seeds=1, grid={"train.steps": (5, 9)}))
    assert [point.point for point in study_report(out).points] == ["train.steps=5", "train.steps=9"]
    assert all(len(point.runs) == 3 for point in study_report(out).points)


def test_the_best_of_arms_is_shown_where_the_study_has_all_of_them(tmp_path: Path) -> None:
    best_of = {"Any": ("random_cells", "random_images"), "More": ("random_cells", "partal")}
    study = replace(STUDY, seeds=1, strategies=("random_cells", "random_images"), best_of=best_of)
    assert study_report(make(tmp_path, study)).points[0].best_of == {
        "Any": ("random_cells", "random_images")
    }


@pytest.mark.parametrize(
    ("strategies", "reference"),
    [
        (("random_images", "random_cells"), "random_cells"),
        (("core_set", "random_images"), "random_images"),
        (("core_set",), "random_cells"),
    ],
)
def test_the_reference_is_random_cells_or_else_random_images(
    tmp_path: Path, strategies: tuple[str, ...], reference: str
) -> None:
    kept = {
        "study": json.loads(json.dumps(asdict(replace(STUDY, strategies=strategies)))),
        "recipe": {},
    }
    write_text(tmp_path / "study.json", json.dumps(kept))
    assert study_report(tmp_path).reference == reference


def test_a_study_tells_the_digest_of_the_pictures_it_began_with(tmp_path: Path) -> None:
    out = make(tmp_path, replace(STUDY, seeds=1))
    kept = json.loads((out / "study.json").read_text())
    (out / "study.json").write_text(json.dumps(kept | {"pictures": "c0ffee"}))
    assert study_report(out).about["Data hash"] == "c0ffee (ids, splits and pixels of all images)"


def test_a_study_s_folder_makes_a_page_and_a_project_s_still_does(
    out: Path, tmp_path: Path
) -> None:
    assert is_study(out) and not is_study(out / "runs" / "full-seed0")
    shown = Page(write_study_report(out, tmp_path / "a.html").page.read_text())
    assert "There is only one strategy, so there is nothing to compare." in shown.words
    assert len(shown.section("runs").tables[0]) == 1 + 6
    assert "contents are not known" in shown.section("settings").words
    run = write_report(
        out / "runs" / Run(kind="full", name="full", seed=0).key,
        tmp_path / "b.html",
        tmp_path / "plots",
    )
    assert run.drawings == len(list((tmp_path / "plots").iterdir())) > 0
    assert Page(run.page.read_text()).section("status")


def test_a_damaged_study_is_refused_and_nothing_is_written(out: Path, tmp_path: Path) -> None:
    (out / "study.json").write_text("{")
    with pytest.raises(ProjectError, match=r"A file of the study is damaged"):
        write_study_report(out, tmp_path / "a.html")
    assert not (tmp_path / "a.html").exists()


@pytest.mark.parametrize(
    ("file", "text"), [("study.json", "[]"), ("runs.json", "[]"), ("outcomes.parquet", "junk")]
)
def test_damaged_files_of_a_study_are_named(out: Path, file: str, text: str) -> None:
    (out / file).write_text(text)
    with pytest.raises(ProjectError, match=file):
        study_report(out)


def test_an_ending_that_is_no_table_says_nothing(out: Path) -> None:
    (out / "runs.json").write_text('{"random_cells-seed0": 3}')
    assert {run.state for run in study_report(out).points[0].runs} == {"done"}
