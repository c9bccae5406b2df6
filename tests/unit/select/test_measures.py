"""BALD, least confidence and margin are PartAL's picks by another measure, which they bring with them."""

import numpy as np
import pytest

from labelgrid.basics.errors import LabelgridError, RecipeError
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.rounds.round_scores import check_expected_options, score_tables
from labelgrid.select.strategy import Budget, PoolView
from labelgrid.testing.strategies import grid_of

COVERS = [
    "labelgrid.select.strategies.bald",
    "labelgrid.select.strategies.least_confidence",
    "labelgrid.select.strategies.margin",
    "labelgrid.select.uncertainty_options",
]
MEASURES = {"bald": "information", "least_confidence": "least_confidence", "margin": "margin"}
MEASURED = [(name, statistic) for name in MEASURES for statistic in ("dropout", "ensemble")]


@pytest.mark.parametrize(
    "options", [{}, {"normalise": "each", "unit": "images"}, {"statistic": "ensemble"}]
)
@pytest.mark.parametrize("name", MEASURES)
def test_they_pick_as_partal_does_by_the_same_values(name, options):
    values = np.random.default_rng(0).normal(size=(30, 3)) * [1, 10, 100]
    view = PoolView(
        grid=grid_of([f"i{row}" for row in range(30)], np.zeros((30, 3))),
        statistics=dict.fromkeys(("dropout", "ensemble"), values),
    )
    own, partal = (
        build_plugin("strategies", PluginChoice(one, options)).select(view, Budget(12))
        for one in (name, "partal")
    )
    assert [pick.cell for pick in own.picks] == [pick.cell for pick in partal.picks]


@pytest.mark.parametrize(
    ("name", "statistic"), [*MEASURED, ("least_confidence", "confidence"), ("margin", "confidence")]
)
def test_a_recipe_may_name_their_measure_but_no_other(name, statistic):
    strategy = build_plugin("strategies", PluginChoice(name, {"statistic": statistic}))
    assert strategy.expects == {"statistics": {statistic: {"measure": MEASURES[name]}}}
    for table in ({}, {"at": "head"}, {"measure": MEASURES[name]}):
        check_expected_options("Mine", strategy, {"statistics": {statistic: table}, "terms": {}})
    with pytest.raises(
        RecipeError, match=rf"needs measure = \"{MEASURES[name]}\" in \[score.{statistic}\]"
    ):
        check_expected_options(
            "Mine", strategy, {"statistics": {statistic: {"measure": "entropy"}}, "terms": {}}
        )


@pytest.mark.parametrize(("name", "statistic"), [("bald", "confidence"), ("margin", "flips")])
def test_a_statistic_without_their_measure_is_refused_before_anything_is_trained(name, statistic):
    strategy = build_plugin("strategies", PluginChoice(name, {"statistic": statistic}))
    with pytest.raises(LabelgridError, match=r"Mine relies on .*measure"):
        check_expected_options("Mine", strategy, {"statistics": {}, "terms": {}})


def test_options_that_a_strategy_relies_on_are_added_beside_those_of_the_recipe():
    strategy = build_plugin("strategies", PluginChoice("bald"))
    assert score_tables(
        strategy, {"flips": {"at": "head"}, "dropout": {"name": "x", "passes": 3}}
    ) == {
        "flips": {"at": "head"},
        "dropout": {"measure": "information", "name": "x", "passes": 3},
    }
    assert score_tables(build_plugin("strategies", PluginChoice("partal")), {}) == {}
