"""Overrides of recipe keys as they are typed: dotted keys, values as JSON or text, and no null."""

import pytest

from labelgrid.basics.errors import LabelgridError
from labelgrid.project.overrides import parse_overrides


def test_keys_are_nested_and_values_json_or_text():
    words = ["train.steps=2000", "train.choose=best", "data.size=[64, 96]", "terms.rbf=false"]
    assert parse_overrides(words) == {
        "train": {"steps": 2000, "choose": "best"},
        "data": {"size": [64, 96]},
        "terms": {"rbf": False},
    }
    assert parse_overrides([]) == {}


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
        parse_overrides([word])
