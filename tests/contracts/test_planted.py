"""Every strategy finds the planted cells of its pool, which random picks of the same unit miss."""

from dataclasses import replace

import pytest

from labelgrid import plugins
from labelgrid.recipes.resolve import build_plugin
from labelgrid.recipes.schema import PluginChoice
from tests.contracts.planted import PLANTED, WITH_OPTIONS

#: The plain random picks have no answer to find: they are what the others are compared with.
RANDOM = {"cells": "random_cells", "images": "random_images"}
SEEDS = range(20)


def seeds_that_find(strategy, planted):
    """The seeds with which the strategy finds the answer."""
    views = {seed: replace(planted.view, seed=seed) for seed in SEEDS}
    picked = {seed: strategy.select(view, planted.budget).picks for seed, view in views.items()}
    return [
        seed
        for seed, picks in picked.items()
        if planted.is_answer(frozenset(pick.cell for pick in picks))
    ]


def test_every_strategy_but_the_plain_random_ones_has_a_planted_pool():
    assert sorted([*PLANTED, *RANDOM.values()]) == plugins.names("strategies")


ALL = [*((PluginChoice(name), planted) for name, planted in PLANTED.items()), *WITH_OPTIONS]


@pytest.mark.parametrize(
    ("choice", "planted"), ALL, ids=[f"{one.name} {one.options}" for one, _ in ALL]
)
def test_a_strategy_finds_what_was_planted_in_its_pool_and_random_picks_miss_it(choice, planted):
    strategy = build_plugin("strategies", choice)
    assert seeds_that_find(strategy, planted) == list(SEEDS)
    assert (
        seeds_that_find(build_plugin("strategies", PluginChoice(RANDOM[strategy.unit])), planted)
        == []
    )
