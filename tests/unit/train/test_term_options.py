"""Numbers of terms' options out of their range are refused, at each term that has one."""

from dataclasses import fields

import pytest

from labelgrid.basics import plugins
from labelgrid.basics.errors import RecipeError
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import check_options

#: Options by name: values out of the range, and those at its ends.
VALUES = {
    "weight": ((-1.0, 2e9), (0.0, 1e9)),
    "confidence": ((-0.1, 1.1), (0.0, 1.0)),
    "zoom": ((0.9, 17.0), (1.0, 16.0)),
    "zooms": (([], [0.9], [1.0, 17.0]), ([1.0], [1.0, 16.0])),
    "condition_rate": ((-1.0, 101.0), (0.0, 100.0)),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_out_of_range_are_refused_and_those_at_its_ends_are_not(name: str) -> None:
    classes = {term: plugins.options_class("terms", term) for term in plugins.names("terms")}
    terms = [
        term
        for term, options in classes.items()
        if name in {field.name for field in fields(options)}
    ]
    wrong, right = VALUES[name]
    beside = {"view": "crop"} if name == "zooms" else {}
    assert terms
    for term in terms:
        for value in right:
            check_options("terms", PluginChoice(term, {name: value, **beside}))
        for value in wrong:
            with pytest.raises(RecipeError, match=name):
                check_options("terms", PluginChoice(term, {name: value, **beside}))
