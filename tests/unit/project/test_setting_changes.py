"""Laws of changed settings: what shapes a training is told with its old and new value, and nothing else."""

from dataclasses import replace

from labelgrid.project.records import Fit
from labelgrid.project.setting_changes import changes_by_round, setting_changes

RECIPE = {
    "train": {"steps": 100, "workers": 0, "device": "auto"},
    "score": {"dropout": {"passes": 4}},
    "network": {"name": "pad_net", "options": {"width": 16}},
}
FIRST = Fit(
    round=1,
    checkpoint="last.ckpt",
    model="m",
    recipe=RECIPE,
    seed=0,
    trained=["depth"],
    images=3,
    labels={"depth": 3},
    spent=3.0,
    tasks={"depth": {"kind": "depth"}},
)


def with_recipe(**tables: object) -> Fit:
    return replace(FIRST, round=2, recipe={**RECIPE, **tables})


def test_a_changed_key_is_told_with_both_values() -> None:
    assert setting_changes(FIRST, replace(FIRST, round=2, labels={"depth": 9})) == []
    after = with_recipe(train={"steps": 200, "workers": 0, "device": "auto"})
    assert setting_changes(FIRST, after) == ["train.steps 100 → 200"]
    after = with_recipe(network={"name": "pad_net", "options": {}})
    assert setting_changes(FIRST, after) == ["network.options.width 16 → none"]


def test_what_shapes_no_training_is_left_out() -> None:
    train = {"steps": 100, "workers": 2, "device": "cuda"}
    assert setting_changes(FIRST, with_recipe(train=train, score={})) == []


def test_a_task_that_is_declared_anew_the_seed_and_another_network_are_told() -> None:
    declared = {"depth": {"kind": "depth", "scale": 0.01}, "edges": {"kind": "edges"}}
    after = replace(FIRST, round=2, tasks=declared, seed=1, predictions="/a/folder")
    assert setting_changes(FIRST, after) == [
        "network outside the program false → true",
        "seed 0 → 1",
        "task.depth.scale none → 0.01",
        "task.edges.kind none → edges",
    ]


def test_a_training_before_declarations_were_kept_tells_nothing_of_tasks() -> None:
    old = replace(FIRST, tasks={})
    assert setting_changes(old, replace(FIRST, round=2)) == []
    assert setting_changes(FIRST, replace(old, round=2)) == []


def test_long_values_are_left_out() -> None:
    names = [f"class{number}" for number in range(99)]
    after = replace(FIRST, round=2, tasks={"depth": {"kind": "depth", "classes": names}})
    assert setting_changes(FIRST, after) == ["task.depth.classes"]


def test_each_training_is_compared_with_the_one_before() -> None:
    fits = [FIRST, replace(FIRST, round=2, seed=1), replace(FIRST, round=5)]
    assert changes_by_round(fits) == {2: ["seed 0 → 1"], 5: ["seed 1 → 0"]}
    assert changes_by_round(fits[:1]) == changes_by_round([]) == {}


def test_what_older_records_lack_is_no_change_before_it_is_set() -> None:
    before = with_recipe(backbone={"name": "resnet18"}, data={"size": [48, 64]})
    kept = {"name": "resnet18", "train": "full", "rate": 1.0, "kept": 20.0}
    data = {"size": [48, 64], "kept_views": 0}
    assert setting_changes(before, with_recipe(backbone=kept, data=data)) == []
    frozen = {**kept, "train": "frozen", "kept": 1.0}
    (change,) = setting_changes(before, with_recipe(backbone=frozen, data=data))
    assert "backbone.train" in change
