"""Relations of a recipe between the tasks of a project."""

from dataclasses import replace
from typing import Any

import pytest

from labelgrid.basics.config import parse
from labelgrid.basics.errors import PluginError, RecipeError
from labelgrid.ledger.grid import TaskRow
from labelgrid.relations.bound import bind, bind_relations
from labelgrid.relations.choice import RelationChoice
from labelgrid.tasks.task import TaskDef, definitions

COVERS = ["labelgrid.relations.choice"]
TASKS = definitions(
    [
        TaskRow("depth", "depth", 1.0),
        TaskRow("normals", "normals", 1.0),
        TaskRow("edges", "edges", 1.0),
    ]
)
TWICE = "tests.contracts.wrong_relations:right"
STEREO = definitions([*(TaskRow(name, "depth", 1.0) for name in ("left", "right"))])


def bound(choice: dict[str, Any], tasks: dict[str, TaskDef] = TASKS) -> Any:
    return bind("depth_normals", parse(RelationChoice, choice, "relations"), tasks)


def test_the_only_tasks_of_the_kinds_are_meant() -> None:
    relation = bound({})
    assert (relation.reads, relation.gives, relation.needs_camera) == (("depth",), "normals", True)


def test_a_label_follows_where_it_is_missing_and_all_that_is_read_is_there() -> None:
    relation = bound({})
    assert relation.follows({"depth"}) and relation.follows({"depth", "edges"})
    assert not relation.follows({"edges"}) and not relation.follows({"depth", "normals"})


@pytest.mark.parametrize(
    ("choice", "fault"),
    [
        ({"trust": 1.1}, "trust lies between 0 and 1; it is 1.1"),
        ({"exact": True}, "an exact relation needs a trust"),
        ({"options": {"radius": 0}}, "radius is a whole number from 1 to 15"),
        ({"options": {"rdius": 3}}, "did you mean 'radius'"),
        ({"reads": ["dept"]}, "There is no task 'dept'"),
        ({"gives": "edges"}, "'edges' is of kind edges; the relation needs kind normals"),
        ({"reads": ["depth", "edges"]}, "reads has 2 tasks; 'depth_normals' reads one of each"),
        ({"plugin": TWICE, "gives": "depth"}, "derives 'depth' from itself"),
    ],
)
def test_a_wrong_relation_is_refused(choice: dict[str, Any], fault: str) -> None:
    with pytest.raises(RecipeError, match=fault):
        bound(choice)


def test_a_task_that_is_missing_or_one_of_several_must_be_named() -> None:
    with pytest.raises(RecipeError, match="No task is of kind depth"):
        bound({}, {"normals": TASKS["normals"]})
    with pytest.raises(RecipeError, match=r"Several tasks are of kind depth: left, right") as e:
        bound({}, {**STEREO, "normals": TASKS["normals"]})
    assert "`reads = ...`" in str(e.value)
    assert bound({"reads": ["right"]}, {**STEREO, "normals": TASKS["normals"]}).reads == ("right",)


def test_the_task_that_is_not_read_is_given() -> None:
    rooms = {"classes": ["wall", "person"]}
    parts = {"classes": ["none", "head"]}
    two = definitions(
        [TaskRow("rooms", "semseg", 1.0, rooms), TaskRow("parts", "semseg", 1.0, parts)]
    )
    options = {"background": "none"}
    choice = RelationChoice(plugin="semseg_parts", reads=("rooms",), options=options)
    relation = bind("bare", choice, two)
    assert (relation.reads, relation.gives) == (("rooms",), "parts")
    with pytest.raises(RecipeError, match=r"of kind semseg: rooms, parts \(relations\.bare\.reads"):
        bind("bare", replace(choice, reads=()), two)
    with pytest.raises(RecipeError, match=r"'rooms' from itself \(relations\.bare\)"):
        bind("bare", choice, {"rooms": two["rooms"]})


def test_what_a_relation_refuses_is_said_with_its_table() -> None:
    choice = RelationChoice(plugin="disparity_depth", reads=("left",), options={"baseline": 0.2})
    with pytest.raises(RecipeError, match=r"'left' has depths \(relations\.near\)"):
        bind("near", choice, STEREO)


def test_a_disparity_is_no_depth() -> None:
    row = TaskRow("depth", "depth", 1.0, {"disparity": True})
    with pytest.raises(RecipeError, match="'depth' has disparities"):
        bound({}, {"depth": TaskDef.of(row), "normals": TASKS["normals"]})


def test_an_unknown_relation_is_refused() -> None:
    with pytest.raises(PluginError, match="depth_normals"):
        bind_relations({"depth_normal": RelationChoice(trust=0.5)}, TASKS)


def test_relations_without_trust_are_off_and_the_most_trusted_is_first() -> None:
    def both(left: float, right: float) -> list[str]:
        choices = {
            "up": RelationChoice(plugin=TWICE, reads=("left",), gives="right", trust=left),
            "down": RelationChoice(plugin=TWICE, reads=("right",), gives="left", trust=right),
        }
        return [relation.name for relation in bind_relations(choices, STEREO)]

    assert both(0.5, 0.9) == ["down", "up"]
    assert both(0.5, 0) == ["up"]
    assert both(0, 0) == []


def test_exact_relations_in_a_circle_are_refused() -> None:
    choices = {
        "up": RelationChoice(plugin=TWICE, reads=("left",), gives="right", trust=1.0, exact=True),
        "down": RelationChoice(plugin=TWICE, reads=("right",), gives="left", trust=1.0, exact=True),
    }
    with pytest.raises(RecipeError, match="derive left, right from one another"):
        bind_relations(choices, STEREO)


def test_a_relation_that_may_lack_a_task_is_left_out_where_it_does() -> None:
    choices = {"depth_normals": RelationChoice(trust=0.5, if_possible=True)}
    assert bind_relations(choices, {"depth": TASKS["depth"]}) == []
    assert [relation.gives for relation in bind_relations(choices, TASKS)] == ["normals"]
