"""Laws of what is run: what a recipe says, and which runs that makes."""

import json
import re
from pathlib import Path

import pytest

from labelgrid.basics.errors import RecipeError
from labelgrid.lab.simulation.runs import Run, describe_point, runs_at_point, runs_of
from labelgrid.lab.simulation.study_recipe import Study, study_of
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import load_recipe
from tests.studies import SIMULATE, make_recipe

TASKS = {"depth": {}}


def test_a_study_is_laid_over_the_one_it_extends_and_changes_over_both(tmp_path: Path) -> None:
    make_recipe(tmp_path)
    (tmp_path / "other.toml").write_text('extends = "study.toml"\n[simulate]\nbudget = 7.5\n')
    study = study_of(str(tmp_path / "other.toml"), {"seeds": 4})
    assert (study.budget, study.seeds, study.initial, list(study.tasks)) == (
        7.5,
        4,
        3,
        ["semseg", "depth"],
    )
    assert [row.name for row in study.rows()] == ["semseg", "depth"]
    assert (
        load_recipe(str(tmp_path / "other.toml")).train.epochs == 1
    )  # the rest is a recipe as any other


def test_a_recipe_without_a_study_a_misspelt_key_and_a_value_that_cannot_be_are_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(RecipeError, match=r"has no \[simulate\]"):
        study_of("small")
    for change, fault in (
        ({"budgt": 1}, "did you mean 'budget'"),
        ({"seeds": 0}, "seeds must be a number of at least 1"),
        ({"rounds": -1}, "rounds must be a number of at least 0"),
        ({"spend": -1.0}, "spend must be a number of at least 0"),
        ({"budget": 0.5}, "budget must be a number of at least 1"),
        ({"budget": 0.0, "unit": "cost"}, "budget must be above 0"),
        ({"until": {"depth/RMSE": 0.5}}, "until needs a val split"),
    ):
        with pytest.raises(RecipeError, match=fault):
            study_of(str(make_recipe(tmp_path)), change)


def test_some_of_the_tasks_are_a_study_too(tmp_path: Path) -> None:
    recipe = str(make_recipe(tmp_path))
    assert list(study_of(recipe, {"only": ["depth"]}).used_tasks) == ["depth"]
    assert [row.name for row in study_of(recipe, {"only": ["depth"]}).rows()] == ["depth"]
    assert list(study_of(recipe, {"only": ["depth", "semseg"]}).used_tasks) == [
        "semseg",
        "depth",
    ]  # the recipe's order
    with pytest.raises(RecipeError, match="only names the task 'dept'; tasks has semseg, depth"):
        study_of(recipe, {"only": ["dept"]})


def test_all_strategies_of_a_seed_go_on_from_one_start() -> None:
    runs = runs_of(Study(data="folder", tasks=TASKS, strategies=("a", "b"), seeds=2))
    assert [run.key for run in runs] == [
        f"{name}-seed{seed}" for seed in (0, 1) for name in ("start", "a", "b", "full")
    ]
    assert {run.start(Study(data="folder", tasks=TASKS)).key for run in runs if run.seed == 1} == {
        "start-seed1"
    }


def test_a_grid_of_recipe_keys_makes_every_combination_and_no_key_twice() -> None:
    grid = {"train.steps": (5, 9), "network.name": ("pad_net", "shared_heads")}
    runs = runs_of(
        Study(data="folder", tasks=TASKS, strategies=("a",), seeds=1, full=False, grid=grid)
    )
    assert len(runs) == 4 * 2 == len({run.key for run in runs})
    assert runs[-1].overrides(Study(data="folder", tasks=TASKS)) == {
        "train": {"steps": 9},
        "network": {"name": "shared_heads"},
    }


def test_points_share_the_runs_that_none_of_their_values_reaches() -> None:
    own = {"start": {"train": {"steps": 7}}, "full": {"train": {"steps": 9}}}
    grid = {"train.steps": (5, 0), "score.dropout.passes": (3, 4)}
    study = Study(data="folder", tasks=TASKS, strategies=("a",), seeds=2, grid=grid, changes=own)
    runs = runs_of(study)
    assert len([run for run in runs if run.kind == "strategy"]) == 2 * 4
    shared = {"start-seed0", "full-seed0", "start-seed1", "full-seed1"}
    assert {run.key for run in runs if run.kind != "strategy"} == shared
    assert all(run.start(study).key == f"start-seed{run.seed}" for run in runs)
    assert next(run for run in runs if run.kind == "full").overrides(study) == {
        "train": {"steps": 9}
    }
    assert len(list(runs_at_point(study, 1, {"train.steps": 0, "score.dropout.passes": 3}))) == 3
    wider = Study(
        data="folder",
        tasks=TASKS,
        strategies=("a",),
        seeds=1,
        grid=grid | {"train.batch": (2, 4)},
        changes=own,
    )
    starts = {describe_point(run.point) for run in runs_of(wider) if run.kind == "start"}
    assert starts == {"train.batch=2", "train.batch=4"}


GRID_CASES = [
    # What the grid varies, what `changes` says, how many runs of each kind there are.
    (
        {"train.steps": (5, 9)},
        {"strategy": {"train": {"steps": 3}}},
        {"start": 2, "strategy": 2, "full": 2},
    ),
    (
        {"train.steps": (5, 9)},
        {"start": {"train": {"epochs": 3}}},
        {"start": 1, "strategy": 2, "full": 2},
    ),
    (
        {"train": ({"steps": 5, "batch": 2}, {"steps": 5, "batch": 4})},
        {"full": {"train": {"steps": 9}}},
        {"start": 2, "strategy": 2, "full": 2},
    ),
    (
        {"network.options.width": (16, 48)},
        {"full": {"network": {"name": "pad_net", "options": {"dropout": 0.0}}}},
        {"start": 2, "strategy": 2, "full": 2},
    ),
]


@pytest.mark.parametrize("grid, changes, counts", GRID_CASES)
def test_runs_are_shared_only_where_nothing_of_a_point_reaches_them(grid, changes, counts) -> None:
    study = Study(
        data="folder", tasks=TASKS, strategies=("a",), seeds=1, grid=grid, changes=changes
    )
    runs = runs_of(study)
    assert {kind: sum(run.kind == kind for run in runs) for kind in counts} == counts
    assert {run.start(study).key for run in runs} <= {run.key for run in runs}
    for kind in counts:  # the overrides differ, or the start does
        different = {
            json.dumps([r.overrides(study), r.start(study).key], sort_keys=True)
            for r in runs
            if r.kind == kind
        }
        assert len(different) == counts[kind]


def test_changes_go_over_the_grid_and_a_name_before_its_options() -> None:
    study = Study(data="folder", tasks=TASKS, changes={"full": {"train": {"epochs": 20}}})
    assert study.overrides("full", {"train.steps": 500}) == {"train": {"epochs": 20, "steps": 0}}
    point = {"network.options.width": 16, "network.name": "pad_net"}
    recipe = load_recipe(
        "small-shared-heads", Study(data="folder", tasks=TASKS).overrides("strategy", point)
    )
    assert recipe.network.name == "pad_net" and recipe.network.options == {"width": 16}


def test_the_order_of_a_grid_changes_no_run_and_a_value_twice_is_refused() -> None:
    grid = {"train.steps": (5, 9), "train.batch": (2, 4)}
    keys = [
        {run.key for run in runs_of(Study(data="folder", tasks=TASKS, grid=made))}
        for made in (grid, dict(reversed(grid.items())))
    ]
    assert keys[0] == keys[1]
    with pytest.raises(ValueError, match=r"grid\.train\.steps has a value twice"):
        Study(data="folder", tasks=TASKS, grid={"train.steps": (5, 5)})


def test_a_variant_has_no_name_of_other_runs() -> None:
    for name in ("full", "start", "start.a", "a/b", "a b"):
        with pytest.raises(ValueError, match=f"variants.{name}: choose another name"):
            Study(
                data="folder", tasks={}, variants={name: PluginChoice("partal")}, strategies=(name,)
            )


def test_two_runs_of_one_folder_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"same folder, 'a\.b-seed0'"):
        runs_of(
            Study(
                data="folder",
                tasks={},
                variants={"a.b": PluginChoice("partal")},
                strategies=("a.b", "a:b"),
            )
        )
    with pytest.raises(RecipeError, match=r"same folder, 'start-seed0-train\.note=1'"):
        runs_of(Study(data="folder", tasks={}, grid={"train.note": ("1", 1)}))


def test_a_runs_key_is_a_name_for_a_folder_and_depends_on_all_it_is_of() -> None:
    run = Run(kind="strategy", name="my.module:Thing", seed=3, point={"train.steps": 5})
    assert "/" not in run.key and ":" not in run.key
    others = [
        Run(kind="strategy", name="my.module:Thing", seed=3),
        Run(kind="strategy", name="my.module:Thing", seed=3, point={"train.steps": 6}),
    ]
    assert len({run.key, *(other.key for other in others)}) == 3
    for value in ("../up", "a b", "x" * 99, ["p", "q"], "é"):
        assert re.fullmatch(
            r"a-seed0-[0-9a-f]{16}",
            Run(kind="strategy", name="a", seed=0, point={"backbone.name": value}).key,
        )


def test_the_example_says_what_the_tests_think() -> None:
    assert "rounds = 2" in SIMULATE
