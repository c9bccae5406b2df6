"""Each task gets its share of random labels, in numbers or in money."""

import numpy as np
import pytest

from labelgrid.labels.grid import State
from labelgrid.select import random_cells, random_tasks
from labelgrid.select.strategy import Budget, PoolView
from tests.contracts.strategy_laws import TASKS, grid_of


def counts(grid, budget, shares="equal", seed=0):
    found = random_tasks.build(random_tasks.Options(shares=shares)).select(PoolView(grid, {}, seed), budget)
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
        picks = plain.select(PoolView(grid, {}, seed), Budget(36)).picks
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
    assert {tuple(counts(made(), Budget(4), seed=seed)[0]) for seed in range(40)} == {(2, 1, 1), (1, 2, 1), (1, 1, 2)}


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
