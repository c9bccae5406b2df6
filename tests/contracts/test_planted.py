"""Every strategy finds the planted cells of its pool, which random picks of the same unit miss."""

from dataclasses import replace

import pytest

from labelgrid import plugins
from labelgrid.recipes.resolve import build_plugin
from labelgrid.recipes.schema import PluginChoice
from tests.contracts.planted import PLANTED

#: The plain random picks have no answer to find: they are what the others are compared with.
RANDOM = {"cells": "random_cells", "images": "random_images"}
SEEDS = range(20)


def strategy_of(name):
    return build_plugin("select", PluginChoice(name))


def seeds_that_find(strategy, planted):
    """The seeds with which the strategy finds the answer."""
    views = {seed: replace(planted.view, seed=seed) for seed in SEEDS}
    picked = {seed: strategy.select(view, planted.budget).picks for seed, view in views.items()}
    return [seed for seed, picks in picked.items() if planted.is_answer(frozenset(pick.cell for pick in picks))]


def test_every_strategy_but_the_plain_random_ones_has_a_planted_pool():
    assert sorted([*PLANTED, *RANDOM.values()]) == plugins.names("select")


@pytest.mark.parametrize("name", PLANTED)
def test_a_strategy_finds_what_was_planted_in_its_pool(name):
    assert seeds_that_find(strategy_of(name), PLANTED[name]) == list(SEEDS)


@pytest.mark.parametrize("name", PLANTED)
def test_random_picks_miss_what_was_planted(name):
    assert seeds_that_find(strategy_of(RANDOM[strategy_of(name).unit]), PLANTED[name]) == []
