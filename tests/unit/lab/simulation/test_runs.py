"""Laws of single-task networks in a study: their arm's labels, one task each, the same recipe, and their records."""

import json
from pathlib import Path

import pytest

from labelgrid.basics.errors import RecipeError
from labelgrid.basics.progress import Silent
from labelgrid.basics.results import Result, delta_mtl
from labelgrid.lab.reports.study_data import study_report
from labelgrid.lab.reports.write_study import write_study_report
from labelgrid.lab.simulation.arms import Arm, InitialLabels
from labelgrid.lab.simulation.campaign import create_run, step
from labelgrid.lab.simulation.run_jobs import settings_of, work_of
from labelgrid.lab.simulation.run_study import SilentStudy, run_study
from labelgrid.lab.simulation.runs import Run, runs_of
from labelgrid.lab.simulation.study_plan import plan_study
from labelgrid.lab.simulation.study_recipe import Study, study_of
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.lab.simulation.study_results import Outcome
from labelgrid.lab.simulation.validate import validate_study
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.resolve import load_recipe
from tests.projects import Said
from tests.studies import make_data, make_recipe, study_request

TASKS: dict[str, dict[str, object]] = {"semseg": {"classes": ["a", "b"]}, "depth": {}}
ONE, EVERY = InitialLabels(plan="one", images=0), InitialLabels(images=0)


def study(arms: dict[str, Arm], **options: object) -> Study:
    return Study(
        data="folder",
        tasks=TASKS,
        strategies=tuple(arms),
        arms=arms,
        seeds=1,
        single=True,
        **options,
    )  # type: ignore[arg-type]


def singles(of: Study) -> list[str]:
    return [run.name for run in runs_of(of) if run.kind == "single"]


def test_arms_with_the_same_labels_share_their_single_task_networks() -> None:
    learners = {
        "sl": Arm(initial=ONE, rounds=0),
        "mtpsl": Arm(initial=ONE, rounds=0, changes={"train": {"steps": 9}}),
        "whole": Arm(rounds=0),
    }
    names = [f"{name}.{task}" for name in ("single.sl", "single") for task in ("semseg", "depth")]
    assert singles(study(learners, full=False)) == names
    assert singles(study(learners)) == [*names, "single.full.semseg", "single.full.depth"]
    of = study(learners)
    found = [run.overrides(of) for run in runs_of(of) if run.kind == "single"]
    assert found == [{"without_tasks": ["depth"]}, {"without_tasks": ["semseg"]}] * 3
    assert singles(study({"every": Arm(initial=EVERY)})) == [
        "single.full.semseg",
        "single.full.depth",
    ]
    assert singles(study({})) == [
        "single.semseg",
        "single.depth",
        "single.full.semseg",
        "single.full.depth",
    ]


def test_runs_leave_out_what_the_recipe_says_of_tasks_that_the_study_does_not_use(
    tmp_path: Path,
) -> None:
    request = study_request(tmp_path, only=["depth"])
    Path(request.recipe).write_text("[objective]\nweights = { semseg = 2.0, depth = 1.0 }\n")
    for run in runs_of(request.study):
        assert load_recipe(request.recipe, run.overrides(request.study)).objective.weights == {
            "depth": 1.0
        }


def test_arms_of_other_tasks_or_of_labels_that_lack_a_task_have_fewer_networks() -> None:
    shares = InitialLabels(plan="shares", shares={"semseg": 0.0, "depth": 1.0})
    columns = InitialLabels(plan="published", file="split.pth", columns={"semseg": 0})
    arms = {
        "alone": Arm(tasks=("depth",)),
        "shares": Arm(initial=shares),
        "columns": Arm(initial=columns),
    }
    expected = ["single.alone.depth", "single.shares.depth", "single.columns.semseg"]
    assert singles(study(arms, full=False)) == expected


def test_points_of_a_grid_and_the_overrides_of_its_kind_count_as_for_any_run() -> None:
    of = study({"sl": Arm(initial=ONE)}, grid={"train.steps": (5, 9)}, full=False)
    assert len(singles(of)) == 4
    of = study(
        {"sl": Arm(initial=ONE)},
        grid={"train.steps": (5, 9)},
        full=False,
        changes={"single": {"train": {"steps": 7}}},
    )
    assert len(singles(of)) == 2
    assert {run.key for run in runs_of(of) if run.kind == "single"} == {
        "single.sl.semseg-seed0",
        "single.sl.depth-seed0",
    }


@pytest.mark.parametrize("plan", ["images", "one", "random", "shares"])
def test_a_single_task_network_has_the_labels_that_its_arm_has_of_its_task(
    tmp_path: Path, plan: str
) -> None:
    initial = {"plan": plan, "images": 6} | (
        {"shares": {"semseg": 1, "depth": 2}} if plan == "shares" else {}
    )
    request = study_request(
        tmp_path, arms={"mine": {"initial": initial}}, strategies=["mine"], single=True, full=False
    )
    of, cells = request.study, {}
    for run in runs_of(of):
        if run.kind != "strategy":
            folder = tmp_path / run.key
            create_run(
                folder,
                settings_of(run, request.recipe, weights="", study=of, root=request.root),
                of,
                run.rows(of),
            )
            with ProjectFolder.open(folder) as project:
                assert step(project, run, of, Silent()) and step(project, run, of, Silent())
                assert list(project.tasks()) == ([run.task] if run.task else ["semseg", "depth"])
                cells[run.task] = {row.cell for row in project.store.cells(splits=("train",))}
            labels = work_of(run, of, recipe=request.recipe, pool=8, root=request.root).labels
            assert labels == 6 if run.task or plan != "images" else labels == 12
    assert cells["semseg"] | cells["depth"] == cells[""]
    assert {cell.task for cell in cells["depth"]} == {"depth"} and cells["semseg"]


def test_a_task_without_an_initial_label_has_no_network_and_fails_no_study(tmp_path: Path) -> None:
    arms = {"mine": {"initial": {"plan": "cells", "file": "cells.csv"}, "rounds": 0}}
    request = study_request(tmp_path, arms=arms, strategies=["mine"], single=True, full=False)
    (request.root / "cells.csv").write_text("image,task\n0000.jpg,depth\n0001.jpg,depth\n")
    assert not plan_study(request).left["single.mine.semseg-seed0"].steps
    done = run_study(request)
    assert not done.failed
    assert {o.strategy for o in done.outcomes() if o.kind == "single"} == {"single.mine.depth"}
    assert {run.state for run in study_report(request.out).runs} == {"done"}
    assert "delta_mtl" not in str(write_study_report(request.out, tmp_path / "report.html").values)


NAMING = """
[simulate.arms.mine]
initial = { plan = "one", images = 0 }
rounds = 0
[simulate.arms.alone]
tasks = ["depth"]
rounds = 0
[objective]
weights = { semseg = 1.0, depth = 2.0 }
[terms.crop]
[terms.mtpsl]
mapping = "light"
listed = [["semseg", "depth"]]
[terms.contrastive]
mapping = "light"
[terms.pseudo_labels]
tasks = ["semseg"]
"""


class Telling(Said, SilentStudy):
    """Keeps what a study says."""


def test_networks_of_fewer_tasks_have_the_recipe_without_what_it_says_of_the_others(
    tmp_path: Path,
) -> None:
    make_data(tmp_path / "data")
    recipe = str(make_recipe(tmp_path, NAMING))
    of = study_of(recipe, {"strategies": ["mine", "alone"], "single": True, "full": False})
    request = StudyRequest(
        recipe=recipe, study=of, root=tmp_path / "data", weights="", out=tmp_path / "out", jobs=1
    )
    progress = Telling()
    done = run_study(request, progress)
    assert not done.failed
    told = "The term 'contrastive' compares pairs of tasks: with one task it does nothing."
    assert sorted(line for line in progress.lines if "contrastive" in line) == [
        f"{arm}: {told}" for arm in ("alone", "single.alone", "single.mine")
    ]
    trained = {
        path.parents[2].name: json.loads(path.read_text())["recipe"]
        for path in done.out.glob("runs/*/*/*/fit.json")
    }
    for name in ("start.alone-seed0", "single.mine.depth-seed0", "single.alone.depth-seed0"):
        assert trained[name]["objective"]["weights"] == {"depth": 2.0}
        assert set(trained[name]["terms"]) == {"contrastive", "crop"}
    assert set(trained["single.mine.semseg-seed0"]["terms"]) == {
        "contrastive",
        "crop",
        "pseudo_labels",
    }
    assert len(trained["start.mine-seed0"]["terms"]) == 4


def test_a_recipe_that_cannot_do_without_a_task_is_refused_before_any_run(tmp_path: Path) -> None:
    make_data(tmp_path / "data")
    recipe = str(
        make_recipe(tmp_path, '[balance]\nname = "mine.py:build"\noptions = { main = "depth" }\n')
    )
    request = StudyRequest(
        recipe=recipe,
        study=study_of(recipe, {"single": True}),
        root=tmp_path / "data",
        weights="",
        out=tmp_path / "out",
    )
    with pytest.raises(RecipeError, match="names the task 'depth'"):
        validate_study(request)


def metrics(outcomes: list[Outcome], name: str) -> dict[str, Result]:
    """The headline metrics of the last networks of the name, or of its single-task networks."""
    heads = {("semseg", "mIoU"), ("depth", "RMSE")}
    found = [
        o
        for o in outcomes
        if (o.task, o.metric) in heads and o.strategy in (name, f"{name}.{o.task}")
    ]
    last = {o.task: o for o in sorted(found, key=lambda o: o.round)}
    return {task: Result(o.metric, o.value, o.unit, o.better) for task, o in last.items()}  # type: ignore[arg-type]


def test_a_study_measures_its_arms_against_single_task_networks(tmp_path: Path) -> None:
    arms = {"sl": {"initial": {"plan": "one", "images": 0}, "rounds": 0}, "whole": {"rounds": 0}}
    request = study_request(tmp_path, arms=arms, strategies=["sl", "whole"])
    before = run_study(request)
    request = study_request(tmp_path, arms=arms, strategies=["sl", "whole"], single=True)
    done = run_study(request)
    assert not done.failed
    assert (
        {key for key, status in done.runs.items() if status.tries}
        == done.runs.keys() - before.runs.keys()
        == {
            f"single{arm}.{task}-seed0"
            for arm in (".sl", "", ".full")
            for task in ("semseg", "depth")
        }
    )
    outcomes = done.outcomes()
    alone = [o for o in outcomes if o.kind == "single"]
    assert {(o.strategy, o.labels) for o in alone} >= {
        ("single.sl.depth", 4),
        ("single.depth", 3),
        ("single.full.depth", 8),
    }
    assert all(o.task in ("all", o.strategy.rpartition(".")[2]) for o in alone)
    (point,) = study_report(request.out).points
    assert set(point.single) == {"single.sl", "single", "single.full"}
    written = write_study_report(request.out, tmp_path / "report.html")
    measures = {m["name"]: m["strategies"] for m in written.values["points"][0]["measures"]}
    name = "delta_mtl over single-task networks"
    for measure, strategy, base in (
        (f"{name} after the last round", "sl", "single.sl"),
        (f"{name} after the last round", "whole", "single"),
        (f"{name} with every label after the last round", "sl", "single.full"),
        ("delta_mtl after the last round", "sl", "full"),
    ):
        expected = 100 * delta_mtl(metrics(outcomes, strategy), metrics(outcomes, base))
        assert measures[measure][strategy]["mean"] == pytest.approx(expected), measure
    again = run_study(study_request(tmp_path, arms=arms, strategies=["sl", "whole"]))
    assert {status.tries for status in again.runs.values()} == {0} and again.outcomes() == outcomes
    assert "single.sl: a network for each task" in (tmp_path / "report.html").read_text()


def test_a_run_is_named_after_its_arm_and_task() -> None:
    run = Run(
        kind="single",
        name="single.sl.depth",
        seed=1,
        point={"train.steps": 5},
        start_arm="sl",
        task="depth",
    )
    assert run.key == "single.sl.depth-seed1-train.steps=5" and run.arm == "sl"
    shown = {
        "sl": ("strategy", ""),
        "start": ("start", ""),
        "start.sl": ("start", "sl"),
        "full": ("full", ""),
    }
    runs = [Run(kind=kind, name=name, seed=0, start_arm=arm) for name, (kind, arm) in shown.items()]  # type: ignore[arg-type]
    assert [one.shown for one in runs] == ["sl", "start", "sl", "full"]
    assert (
        run.shown == "single.sl"
        and Run(kind="single", name="single.depth", seed=0, task="depth").shown == "single"
    )
