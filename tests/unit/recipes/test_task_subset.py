"""Laws of recipes without some tasks: their entries go, a list that is left empty takes its term with it."""

from pathlib import Path
from typing import Any

import pytest

from labelgrid.basics.errors import RecipeError
from labelgrid.recipes.resolve import load_recipe, load_tables
from labelgrid.recipes.task_subset import WITHOUT, remove_tasks

OBJECTIVE = {
    "reduction": "task_sum",
    "weights": {"depth": 2.0, "semseg": 1.0},
    "losses": {"depth": "l1"},
}


def test_entries_by_task_go_and_all_others_stay() -> None:
    tables = {"train": {"steps": 9}, "objective": OBJECTIVE}
    left = {"reduction": "task_sum", "weights": {"semseg": 1.0}, "losses": {}}
    assert remove_tasks(tables, ["depth", "normals"]) == {"train": {"steps": 9}, "objective": left}
    assert (
        tables["objective"] is OBJECTIVE and len(OBJECTIVE["weights"]) == 2
    )  # what is given is left as it is


def test_relations_that_connect_a_task_go_and_others_hold_where_their_tasks_are() -> None:
    tables = {"relations": {"a": {"gives": "depth"}, "b": {"trust": 0.5}, "c": {"reads": ["x"]}}}
    found = remove_tasks(tables, ["depth", "edges"])["relations"]
    assert found == {
        "b": {"trust": 0.5, "if_possible": True},
        "c": {"reads": ["x"], "if_possible": True},
    }


def test_a_supplier_is_trusted_in_the_tasks_that_are_left() -> None:
    trusts = {"trust": 0.5, "tasks": {"depth": 0.1, "semseg": 0.2}, "folder": "given"}
    found = remove_tasks({"suppliers": {"depth": trusts, "b": {}}}, ["depth"])["suppliers"]
    left = {"trust": 0.5, "tasks": {"semseg": 0.2}, "folder": "given"}
    assert found == {"depth": left, "b": {}}


def test_images_are_mixed_for_the_tasks_that_are_left_and_not_at_all_if_none_is() -> None:
    tables = {"train": {"mix": "cut", "mix_tasks": ["semseg", "parts"], "steps": 9}}
    left = {"mix": "cut", "mix_tasks": ["parts"], "steps": 9}
    assert remove_tasks(tables, ["semseg"]) == {"train": left}
    nothing = {"mix": "none", "mix_tasks": [], "steps": 9}
    assert remove_tasks(tables, ["semseg", "parts"]) == {"train": nothing}


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (
            {"listed": [["depth", "normals"], ["semseg", "normals"]]},
            {"listed": [["semseg", "normals"]]},
        ),
        (
            {"weight": 2.0, "listed": [["depth", "normals"]]},
            None,
        ),  # an empty list would be all pairs
        ({"tasks": ["semseg", "depth"], "known": False}, {"tasks": ["semseg"], "known": False}),
        ({"tasks": ["depth"]}, None),
        (
            {"tasks": "unlabelled", "zooms": [1.0], "listed": []},
            {"tasks": "unlabelled", "zooms": [1.0], "listed": []},
        ),
        (
            {"tasks": ["semseg", "depth"], "arguments": None},
            {"tasks": ["semseg"], "arguments": None},
        ),
        (
            {"by": {"depth": 1, "semseg": {"depth": 3}}, "depth": 5},
            {"by": {"semseg": {}}, "depth": 5},
        ),
    ],
)
def test_terms_lose_pairs_and_lists_of_the_tasks_and_go_where_none_is_left(
    options: dict[str, Any], left: dict[str, Any] | None
) -> None:
    tables = {"terms": {"it": options, "other": {}}}
    expected = {"other": {}} if left is None else {"it": left, "other": {}}
    assert remove_tasks(tables, ["depth"]) == {"terms": expected}


@pytest.mark.parametrize(
    "tables",
    [
        {"network": {"name": "mine.py:build", "options": {"first": ["depth"]}}},
        {"balance": {"name": "mine.py:build", "options": {"main": "depth"}}},
        {"terms": {"mine.py:build": {"main": "depth"}}},
    ],
)
def test_what_cannot_do_without_a_task_is_refused(tables: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"names the task 'depth', .* without") as refusal:
        remove_tasks(tables, ["semseg", "depth"])
    assert "changes" in refusal.value.next_step


@pytest.mark.parametrize("value", [3, "yes", []])
def test_a_value_that_is_no_table_stays_and_is_refused(value: Any, tmp_path: Path) -> None:
    assert remove_tasks({"terms": {"crop": value}}, ["depth"]) == {"terms": {"crop": value}}
    with pytest.raises(RecipeError, match=r"terms\.crop"):
        load_recipe("small", {"terms": {"crop": value}, WITHOUT: ["depth"]})


def test_false_drops_a_term_of_the_extended_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[terms.crop]\nzoom = 2.0\n[terms.jtr]\n")
    assert load_recipe(str(path), {"terms": {"crop": False}}).terms.keys() == {"jtr"}
    assert load_recipe(str(path), {"terms": {"crop": False}, WITHOUT: ["depth"]}).terms.keys() == {
        "jtr"
    }
    assert load_recipe(str(path), {"terms": {"mtpsl": False}}).terms.keys() == {
        "crop",
        "jtr",
    }  # nothing to drop


def test_words_of_shipped_plug_ins_are_no_tasks() -> None:
    tables = {
        "terms": {"jtr": {"scale": "normal"}},
        "network": {"name": "pad_net", "options": {"gate": "source"}},
    }
    assert remove_tasks(tables, ["normal", "source"]) == tables


def test_a_recipe_is_loaded_without_the_tasks_that_its_changes_leave_out(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '[objective]\nweights = { semseg = 1.0, depth = 2.0 }\n[terms.pseudo_labels]\ntasks = ["depth"]\n'
    )
    changes = {"objective": {"weights": {"normals": 3.0}}, WITHOUT: ["depth"]}
    recipe = load_recipe(str(path), changes)
    assert recipe.objective.weights == {"semseg": 1.0, "normals": 3.0} and not recipe.terms
    assert WITHOUT in changes and WITHOUT not in load_tables(str(path), changes)
    for wrong in ("depth", [3]):
        with pytest.raises(RecipeError, match="without_tasks must be a list of names"):
            load_recipe(str(path), {WITHOUT: wrong})
