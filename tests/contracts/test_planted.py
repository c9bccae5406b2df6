"""Every strategy finds the planted cells of its pool, which random picks of the same unit miss."""

from dataclasses import replace

import pytest

from labelgrid.basics import plugins
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from tests.contracts import own
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


#: The strategies whose own test module has their planted pools.
OTHERS = sorted({*plugins.names("strategies")} - {*PLANTED, *RANDOM.values()})


def own_pools():
    """Strategy with options, and planted pool, of each strategy that is not in `planted`."""
    for name in OTHERS:
        for options, planted in own.declared("strategies", name, "PLANTED") or ():
            yield PluginChoice(name, options), planted


@pytest.mark.parametrize("name", OTHERS)
def test_a_strategy_has_a_planted_pool(name):
    assert own.declared("strategies", name, "PLANTED"), (
        f"The strategy {name} needs a pool with a known answer. Write into "
        f"{own.place_of_test('strategies', name)}: PLANTED = [({{}}, POOL)], a list of options and "
        "pools. POOL is a tests.contracts.planted.Planted: the pool, a budget that pays for the "
        "right cells and no more, and whether picked cells are these; tests/contracts/planted.py "
        'has ready ones, such as best_of_each_task("dropout").'
    )


def test_no_planted_pool_is_of_a_strategy_that_is_gone():
    assert {*PLANTED, *RANDOM.values()} <= {*plugins.names("strategies")}


ALL = [
    *((PluginChoice(name), planted) for name, planted in PLANTED.items()),
    *WITH_OPTIONS,
    *own_pools(),
]


@pytest.mark.parametrize(
    ("choice", "planted"), ALL, ids=[f"{one.name} {one.options}" for one, _ in ALL]
)
def test_a_strategy_finds_what_was_planted_in_its_pool_and_random_picks_miss_it(choice, planted):
    strategy = build_plugin("strategies", choice)
    found = seeds_that_find(strategy, planted)
    assert found == list(SEEDS), (
        f"The strategy {choice.name} must pick the planted cells with each of {len(SEEDS)} seeds; "
        f"it does with the seeds {found}."
    )
    by_chance = seeds_that_find(
        build_plugin("strategies", PluginChoice(RANDOM[strategy.unit])), planted
    )
    assert not by_chance, (
        f"Random picks must miss what is planted for {choice.name}, or finding it says nothing; "
        f"they find it with the seeds {by_chance}: plant fewer cells in more images."
    )
