"""Numbers of terms' options out of their range are refused, at each term that has one."""

import pytest

from labelgrid import plugins
from labelgrid.errors import RecipeError
from labelgrid.recipes.resolve import check_options
from labelgrid.recipes.schema import PluginChoice

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
    terms = [t for t in plugins.names("train.terms") if name in plugins.options_class("train.terms", t).__annotations__]
    wrong, right = VALUES[name]
    beside = {"view": "crop"} if name == "zooms" else {}
    for term in terms or ["mtpsl"]:
        given = {} if term == "jtr" else beside
        for value in right:
            check_options("train.terms", PluginChoice(term, {name: value, **given}))
        for value in wrong:
            with pytest.raises(RecipeError, match=name):
                check_options("train.terms", PluginChoice(term, {name: value, **given}))
