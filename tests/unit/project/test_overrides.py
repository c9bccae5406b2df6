"""Overrides of recipe keys: dotted keys are nested, and there is no null."""

import pytest

from labelgrid.basics.errors import LabelgridError
from labelgrid.project.overrides import override_tables
from labelgrid.project.task_spec import assignments


def test_keys_are_nested_and_values_json_or_text():
    words = ["train.steps=2000", "train.choose=best", "data.size=[64, 96]", "terms.rbf=false"]
    assert override_tables(assignments(words, "--set")) == {
        "train": {"steps": 2000, "choose": "best"},
        "data": {"size": [64, 96]},
        "terms": {"rbf": False},
    }
    assert override_tables({}) == {}


def test_tables_stay_as_they_are():
    tables = {"train": {"steps": 3, "terms": {"a.b:build": False}}, "backbone": {"name": "x"}}
    assert override_tables(tables) == tables


@pytest.mark.parametrize(
    ("word", "fault"),
    [
        ("train.steps", "--set needs KEY=VALUE. Found 'train.steps'"),
        ("train.steps=null", "train.steps: a recipe has no null"),
        ('terms={"rbf": {"weight": null}}', "terms.rbf.weight: a recipe has no null"),
    ],
)
def test_what_is_no_value_of_a_recipe_is_refused(word, fault):
    with pytest.raises(LabelgridError, match=fault):
        override_tables(assignments([word], "--set"))
