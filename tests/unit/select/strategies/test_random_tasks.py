"""Each task gets its share of random labels, in numbers, in money or by weights."""

import numpy as np
import pytest

from labelgrid.basics.errors import NothingToBuyError, PluginError, RecipeError
from labelgrid.ledger.grid import State
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.select.strategies import random_cells, random_tasks
from labelgrid.select.strategy import Budget, PoolView
from labelgrid.testing import strategies as laws
from labelgrid.testing.strategies import TASKS, grid_of


def counts(grid, budget, shares="equal", seed=0):
    found = random_tasks.build(random_tasks.Options(shares=shares)).select(
        PoolView(grid=grid, statistics={}, seed=seed), budget
    )
    return [sum(pick.cell.task == task for pick in found.picks) for task in grid.tasks], found.picks


def made(n=60, taken=()):
    state = np.full((n, 3), State.MISSING)
    for column, count in taken:
        state[:count, column] = State.LABELLED
    return grid_of([f"i{k}" for k in range(n)], state)


def test_each_task_gets_the_same_number_where_random_cells_do_not():
    grid = made(taken=[(0, 45)])  # depth: 15 missing cells of 135
    assert [counts(grid, Budget(36), seed=seed)[0] for seed in range(5)] == [[12, 12, 12]] * 5
    plain = random_cells.build(random_cells.Options())
    for seed in range(5):
        picks = plain.select(PoolView(grid=grid, statistics={}, seed=seed), Budget(36)).picks
        assert sum(pick.cell.task == "depth" for pick in picks) < 12


def test_by_cost_the_same_is_spent_on_each_task():
    numbers, _ = counts(made(), Budget(60, "cost"), "cost")  # costs 1, 2, 10
    assert numbers == [20, 10, 2]
    assert counts(made(), Budget(32), "cost")[0] == [20, 10, 2]


def test_what_a_task_lacks_goes_to_the_others_and_free_tasks_have_a_share():
    assert sorted(counts(made(taken=[(0, 57)]), Budget(21))[0]) == [3, 9, 9]
    free = grid_of(["a", "b"], np.zeros((2, 3)), TASKS, (0.0, 0.0, 0.0))
    assert counts(free, Budget(6), "cost")[0] == [2, 2, 2]


def test_the_label_left_over_goes_to_a_random_task():
    assert {tuple(counts(made(), Budget(4), seed=seed)[0]) for seed in range(40)} == {
        (2, 1, 1),
        (1, 2, 1),
        (1, 1, 2),
    }


def test_the_images_of_a_task_are_uniform_and_independent_of_those_of_other_tasks():
    seen, both = np.zeros((10, 3)), 0
    for seed in range(300):
        _, picks = counts(made(10), Budget(6), seed=seed)
        images = {task: {p.cell.image_id for p in picks if p.cell.task == task} for task in TASKS}
        both += len(images["depth"] & images["normals"])
        for pick in picks:
            seen[int(pick.cell.image_id[1:]), TASKS.index(pick.cell.task)] += 1
    assert (abs(seen - 60) < 35).all()  # 300 * 2 / 10 each, standard deviation 6.9
    assert both == pytest.approx(300 * 2 * 2 / 10, abs=50)


@pytest.mark.parametrize(
    ("shares", "numbers"),
    [
        ({"semseg": 1}, [0, 0, 24]),
        ({"semseg": 2, "depth": 1}, [8, 0, 16]),
        ({"normals": 0.25, "depth": 0.75, "semseg": 0}, [18, 6, 0]),
        ({"depth": 3, "normals": 3, "semseg": 3}, [8, 8, 8]),
    ],
)
def test_by_weight_a_task_gets_its_share_and_a_task_without_one_gets_nothing(shares, numbers):
    assert counts(made(), Budget(24), shares)[0] == numbers


def test_what_a_weighted_task_lacks_goes_to_the_others_with_a_weight_only():
    grid = made(taken=[(0, 57), (1, 50)])
    assert counts(grid, Budget(21), {"depth": 1, "normals": 2})[0] == [3, 10, 0]
    with pytest.raises(
        NothingToBuyError, match="buys labels of depth, semseg only, and no image lacks one"
    ):
        counts(made(taken=[(0, 60), (2, 60)]), Budget(21), {"depth": 1, "semseg": 2, "normals": 0})


def test_shares_of_equal_weights_are_the_equal_shares():
    _, equal = counts(made(), Budget(20), "equal")
    assert counts(made(), Budget(20), dict.fromkeys(TASKS, 0.2))[1] == equal


@pytest.mark.parametrize(
    ("shares", "fault"),
    [
        ({"depth": -1.0, "semseg": 1}, "the weight of depth must be at least 0; it is -1"),
        ({"depth": float("nan")}, "it is nan"),
        ({"depth": float("inf")}, "it is inf"),
        ({"depth": 0}, "one weight at least must be above 0"),
        ({}, "one weight at least must be above 0"),
        ("equals", "equal"),
        ({"depth": "much"}, "a number is expected"),
    ],
)
def test_wrong_weights_are_refused_with_the_settings(shares, fault):
    with pytest.raises(RecipeError, match=fault):
        build_plugin("strategies", PluginChoice("random_tasks", {"shares": shares}))


def test_an_unknown_task_is_refused():
    with pytest.raises(PluginError, match="picks by the task 'norml', which does not exist"):
        counts(made(), Budget(3), {"depth": 1, "norml": 1})


WEIGHTED = random_tasks.build(random_tasks.Options(shares={"depth": 2, "normals": 1, "semseg": 1}))


@pytest.mark.parametrize(
    "law",
    [
        laws.at_most_the_budget_is_spent_and_on_missing_cells_alone,
        laws.the_same_cells_are_picked_in_any_pool_order,
        laws.a_budget_of_the_whole_pool_buys_the_whole_pool,
        laws.what_is_kept_of_a_choice_can_be_kept,
    ],
)
def test_weighted_shares_of_all_tasks_keep_the_laws(law):
    law(WEIGHTED)
