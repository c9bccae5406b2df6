"""Laws of the arms of a study: tasks, initial labels, overrides and rounds of their own, and the starts they share."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from labelgrid.basics.errors import LabelgridError, RecipeError
from labelgrid.basics.progress import Silent
from labelgrid.lab.reports.study_content import PointResults
from labelgrid.lab.reports.study_data import study_report
from labelgrid.lab.simulation import study_results as results
from labelgrid.lab.simulation.arms import Arm, InitialLabels
from labelgrid.lab.simulation.campaign import create_run, step
from labelgrid.lab.simulation.run_jobs import settings_of, work_of
from labelgrid.lab.simulation.run_study import run_study
from labelgrid.lab.simulation.runs import Run, runs_at_point, runs_of
from labelgrid.lab.simulation.study_recipe import Study, kept_study, study_of
from labelgrid.lab.simulation.validate import validate_study
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.recipe import PluginChoice
from tests.studies import begin, make_recipe, resumable, study_request, widened

COVERS = [
    "labelgrid.lab.simulation.runs",
    "labelgrid.lab.simulation.study_request",
    "labelgrid.lab.simulation.run_study",
]
TASKS: dict[str, dict[str, object]] = {"semseg": {"classes": ["a", "b"]}, "depth": {}}
ONE = InitialLabels(plan="one", images=0)


def study(arms: dict[str, Arm], **options: object) -> Study:
    return Study(
        data="folder", tasks=TASKS, strategies=("partal", *arms), arms=arms, seeds=1, **options
    )  # type: ignore[arg-type]


def starts(of: Study) -> dict[str, str]:
    """Each arm's start."""
    return {run.name: run.start(of).key for run in runs_of(of) if run.kind == "strategy"}


@pytest.mark.parametrize(
    ("arm", "shared"),
    [
        (Arm(strategy="random_cells"), True),
        (Arm(strategy=PluginChoice("partal", {"normalise": "none"})), True),
        (Arm(strategy="random_cells", rounds=2), True),
        (Arm(strategy="random_cells", tasks=("semseg", "depth")), True),
        (Arm(strategy="random_cells", changes={"score": {"dropout": {"passes": 4}}}), True),
        (Arm(strategy="random_cells", initial=InitialLabels(images=100)), True),
        (Arm(strategy="random_cells", initial=InitialLabels(images=99)), False),
        (Arm(strategy="random_cells", initial=ONE), False),
        (Arm(strategy="random_cells", tasks=("depth",)), False),
        (Arm(strategy="random_cells", changes={"train": {"steps": 9}}), False),
    ],
)
def test_a_start_is_shared_only_where_arms_agree_in_all_that_shapes_it(
    arm: Arm, shared: bool
) -> None:
    of = study({"mine": arm, "twin": arm})
    own = "start-seed0" if shared else "start.mine-seed0"
    assert starts(of) == {"partal": "start-seed0", "mine": own, "twin": own}
    assert {run.key for run in runs_of(of) if run.kind == "start"} == {"start-seed0", own}


def test_arms_that_agree_at_one_point_of_a_grid_alone_share_no_start() -> None:
    of = study(
        {"mine": Arm(strategy="random_cells", changes={"train": {"steps": 5}})},
        grid={"train.steps": (5, 9)},
    )
    assert {run.key for run in runs_of(of) if run.kind == "start"} == {
        *("start-seed0-train.steps=5", "start-seed0-train.steps=9", "start.mine-seed0")
    }
    assert (
        len([run for run in runs_of(of) if run.name == "mine"]) == 1
    )  # it trains 5 steps at every point


def test_an_arm_added_later_changes_no_run_that_is_there() -> None:
    first, second = Arm(strategy="random_cells", initial=ONE), Arm(strategy="partal", initial=ONE)
    before = runs_of(study({"first": first}))
    after = {run.key: run for run in runs_of(study({"first": first, "second": second}))}
    assert all(after[run.key] == run for run in before)
    assert (
        after["second-seed0"].start(study({"first": first, "second": second})).key
        == "start.first-seed0"
    )


def test_rounds_of_its_own_count_even_where_the_study_has_none() -> None:
    of = study({"long": Arm(rounds=3), "none": Arm(rounds=0)}, rounds=0, full=False)
    assert [
        (run.key, run.rounds(of)) for run in runs_at_point(of, 0, {}) if run.kind == "strategy"
    ] == [*(("long-seed0", 3), ("none-seed0", 0))]
    assert json.loads(runs_of(of)[-1].done_text(of))["rounds"] == 0


def test_an_arm_overrides_the_grid_and_the_changes_of_the_study() -> None:
    of = study(
        {"mine": Arm(changes={"train": {"steps": 7}})},
        changes={"strategy": {"train": {"steps": 3, "batch": 2}}},
    )
    assert of.overrides("strategy", {"train.steps": 5}, "mine") == {
        "train": {"steps": 7, "batch": 2}
    }
    assert of.overrides("strategy", {"train.steps": 5}, "partal") == {
        "train": {"steps": 3, "batch": 2}
    }


@pytest.mark.parametrize(
    ("arms", "fault"),
    [
        ({"start": {}}, "arms.start: choose another name"),
        ({"start.a": {}}, "choose another name"),
        ({"a/b": {}}, "choose another name"),
        ({"a": {"tasks": ["dept"]}}, "arms.a names the task 'dept'; its tasks are"),
        (
            {"a": {"tasks": ["depth"], "initial": {"plan": "shares", "shares": {"semseg": 1}}}},
            "'semseg'.*are depth",
        ),
        ({"a": {"initial": {"plan": "ones"}}}, "plan"),
        ({"a": {"initial": {"plan": "shares"}}}, "plan 'shares' needs initial.shares"),
        (
            {"a": {"initial": {"plan": "one", "file": "cells.csv"}}},
            "plans 'cells'.*need initial.file",
        ),
        ({"a": {"initial": {"plan": "ledger"}}}, "'ledger'.*need initial.file"),
        (
            {"a": {"initial": {"plan": "one", "rows": "sorted"}}},
            "only the plan 'published' uses initial.rows",
        ),
        (
            {"a": {"initial": {"plan": "published", "file": "f", "columns": {"dept": 1}}}},
            "names the task 'dept'",
        ),
        ({"a": {"initial": {"plan": "shares", "shares": {"depth": 0.0}}}}, "one of them above 0"),
        ({"a": {"initial": {"images": -1}}}, "at least 0"),
        ({"a": {"rounds": -1}}, "rounds must be a number of at least 0"),
        ({"a": {"stratgy": "partal"}}, "stratgy"),
    ],
)
def test_an_arm_that_cannot_be_is_refused(
    tmp_path: Path, arms: dict[str, object], fault: str
) -> None:
    with pytest.raises(RecipeError, match=fault):
        study_of(str(make_recipe(tmp_path)), {"arms": arms})


def test_a_recipe_with_arms_compares_them_unless_it_names_others(tmp_path: Path) -> None:
    text = (
        make_recipe(tmp_path).read_text().replace('strategies = ["partal", "random_cells"]\n', "")
    )
    (tmp_path / "arms.toml").write_text(
        f'{text}[simulate.arms.alone]\nstrategy = "random_cells"\ntasks = ["depth"]\n'
    )
    recipe = str(tmp_path / "arms.toml")
    assert study_of(recipe).strategies == ("alone",)
    assert study_of(recipe, {"strategies": ["partal", "alone"]}).strategies == ("partal", "alone")
    with pytest.raises(RecipeError, match="names the task 'depth'"):
        study_of(recipe, {"only": ["semseg"]})


def test_what_an_arm_takes_is_of_its_own_tasks_labels_and_rounds() -> None:
    of = study(
        {
            "mine": Arm(
                strategy="random_cells", tasks=("depth",), initial=InitialLabels(images=6), rounds=3
            )
        },
        budget=4,
        initial=8,
    )
    assert (
        work_of(
            Run(kind="start", name="start.mine", seed=0, point={}, start_arm="mine"),
            of,
            "small",
            20,
        ).labels
        == 6
    )
    assert work_of(Run(kind="strategy", name="mine", seed=0), of, "small", 20).labels == 6 + 3 * 4
    assert work_of(Run(kind="strategy", name="partal", seed=0), of, "small", 20).scored == 5 * 20
    of = study({"mine": Arm(strategy="partal", initial=ONE)}, budget=4)
    assert (
        work_of(
            Run(kind="start", name="start.mine", seed=0, point={}, start_arm="mine"),
            of,
            "small",
            20,
        ).labels
        == 20
    )
    assert work_of(Run(kind="strategy", name="mine", seed=0), of, "small", 20).scored == 5 * 20


def test_cells_that_the_pool_does_not_have_are_refused_and_another_file_is_another_study(
    tmp_path: Path,
) -> None:
    mine = {"mine": {"initial": {"plan": "cells", "file": "cells.csv"}}}
    request = study_request(tmp_path, arms=mine, strategies=["mine"])
    path = request.root / "cells.csv"
    for line in (
        "nowhere.jpg,depth",
        "0000.jpg,normals",
        "0008.jpg,depth",
    ):  # the last is of the test split
        path.write_text(f"image,task\n{line}\n")
        with pytest.raises(RecipeError, match=f"has no cell .{line.replace(',', ', ')}"):
            validate_study(request)
    path.write_text("image,task\n0000.jpg,depth\n")
    begin(request)
    assert resumable(widened(request))
    path.write_text("image,task\n0001.jpg,depth\n")
    with pytest.raises(LabelgridError, match=r"with other settings: initial\.cells changed"):
        resumable(request)


@pytest.mark.parametrize(
    ("lists", "fault"),
    [
        ({"normals": ["0003"]}, "has no cell .*0003.jpg, normals"),
        (
            {"depth": ["0008"]},
            "'0008' of the split file is the name of 0 images",
        ),  # it is of the test split
        ({"depth": [1]}, "something else than"),
    ],
)
def test_a_published_split_that_does_not_fit_is_refused_before_any_run(
    tmp_path: Path, lists: dict[str, list[object]], fault: str
) -> None:
    arms = {"mine": {"initial": {"plan": "published", "file": "split.npy"}}}
    request = study_request(tmp_path, arms=arms, strategies=["mine"])
    np.save(request.root / "split.npy", lists, allow_pickle=True)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match=fault):
        run_study(request)
    assert not request.out.exists()


def test_a_run_begins_with_the_cells_of_its_plan_and_the_images_of_its_seed(tmp_path: Path) -> None:
    arms = {
        "whole": {"initial": {"images": 4}},
        "one": {"initial": {"plan": "one", "images": 4}},
        "alone": {"tasks": ["depth"], "initial": {"images": 4}},
        "file": {"initial": {"plan": "cells", "file": "cells.csv"}},
        "ledger": {"initial": {"plan": "ledger", "file": str(tmp_path / "file")}},
        "published": {"initial": {"plan": "published", "file": "split.npy"}},
    }
    request = study_request(tmp_path, arms=arms, strategies=list(arms))
    (request.root / "cells.csv").write_text("image,task\n0003.jpg,depth\n0001.jpg,semseg\n")
    lists = {"depth": [np.str_("0003")], "semseg": [np.str_("0001")]}
    np.save(request.root / "split.npy", lists, allow_pickle=True)  # type: ignore[arg-type]
    cells = {}
    for name in arms:
        run = Run(kind="start", name=f"start.{name}", seed=0, point={}, start_arm=name)
        create_run(
            tmp_path / name,
            settings_of(run, request.recipe, weights="", study=request.study, root=request.root),
            request.study,
            run.rows(request.study),
        )
        with ProjectFolder.open(tmp_path / name) as project:
            assert step(project, run, request.study, Silent()) and step(
                project, run, request.study, Silent()
            )
            cells[name] = {
                row.cell for row in project.store.cells(splits=("train",)) if row.path == ""
            }
            assert project.store.current_round() is None and len(project.store.rounds()) == 1
    images = {cell.image_id for cell in cells["whole"]}
    assert len(images) == 4 and len(cells["whole"]) == 8
    assert (
        {cell.image_id for cell in cells["one"]}
        == images
        == {cell.image_id for cell in cells["alone"]}
    )
    assert len(cells["one"]) == len(cells["alone"]) == 4 and {
        cell.task for cell in cells["alone"]
    } == {"depth"}
    assert {(cell.image_id, cell.task) for cell in cells["file"]} == {
        ("0001.jpg", "semseg"),
        ("0003.jpg", "depth"),
    }
    assert cells["file"] == cells["ledger"] == cells["published"]


def test_a_study_of_arms_is_one_call_and_its_records_and_report_show_their_names(
    tmp_path: Path,
) -> None:
    arms = {
        "mtl": {"strategy": "random_cells", "rounds": 1},
        "depth-alone": {
            "tasks": ["depth"],
            "initial": {"images": 0},
            "rounds": 0,
            "changes": {"train": {"batch": 2}},
        },
        "partial": {
            "strategy": {"name": "random_cells"},
            "initial": {"plan": "one", "images": 0},
            "rounds": 1,
        },
    }
    request = study_request(tmp_path, arms=arms, strategies=list(arms), full=False)
    done = run_study(request)
    assert not done.failed and set(done.runs) == {
        *("start-seed0", "start.depth-alone-seed0", "start.partial-seed0"),
        *("mtl-seed0", "depth-alone-seed0", "partial-seed0"),
    }
    labels = {
        name: sorted({r.labels for r in done.outcomes() if r.strategy == name}) for name in arms
    }
    assert labels == {"mtl": [6, 11], "depth-alone": [8], "partial": [8, 13]}
    assert {r.task for r in done.outcomes() if r.strategy == "depth-alone"} == {"depth", "all"}
    (point,) = study_report(request.out).points
    assert isinstance(point, PointResults) and list(point.strategies) == list(arms)
    ends = {
        run.strategy: (run.state, run.measured[-1].loss_mtl)
        for run in point.runs
        if run.kind == "strategy"
    }
    assert {ending for ending, _ in ends.values()} == {"done"}
    assert [name for name, (_, loss) in ends.items() if re.match("nan", str(loss))] == [
        "depth-alone"
    ]
    again = run_study(request)
    assert {status.tries for status in again.runs.values()} == {0}
    assert again.outcomes() == done.outcomes() == results.read_outcomes(request.out)


def test_a_study_kept_before_there_were_arms_opens(tmp_path: Path) -> None:
    kept = study_request(tmp_path).to_json()
    del kept["study"]["arms"]
    assert kept_study(kept, tmp_path) == study_request(tmp_path).study
