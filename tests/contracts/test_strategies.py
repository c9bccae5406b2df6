"""Laws every strategy of `labelgrid.select` keeps, and every file added there must keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelgrid import plugins
from labelgrid.labels.grid import Grid, State
from labelgrid.select.strategy import Budget
from labelgrid.streams import image_key

TASKS = ["depth", "normals", "semseg"]
every = pytest.mark.parametrize("name", plugins.names("select"))


def make(name):
    module = plugins.module("select", name)
    return module.build(module.Options())


def grid_of(images, state, cost=(1.0, 2.0, 10.0)):
    keys = np.array([image_key(i) for i in images], np.uint64)
    return Grid(images, keys, TASKS, np.asarray(state, np.int8), np.array(cost))


@st.composite
def pools(draw):
    n = draw(st.integers(1, 12))
    images = [f"image-{i}" for i in draw(st.permutations(range(n)))]
    state = draw(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=n, max_size=n))
    seen = st.one_of(st.floats(-5, 5), st.just(float("nan")), st.just(1.0))
    values = draw(st.lists(st.lists(seen, min_size=3, max_size=3), min_size=n, max_size=n))
    return grid_of(images, state), {"dropout": np.array(values)}


def picks_of(name, grid, statistics, budget, seed=0):
    strategy = make(name)
    fixed = strategy.fix(statistics, grid, {})
    scores = strategy.score(statistics, grid, fixed, seed)
    return strategy.select(scores, statistics, grid, budget, seed)


def spent(picks, grid, unit):
    if unit == "labels":
        return len(picks)
    if unit == "images":
        return len({pick.cell.image for pick in picks})
    return sum(grid.cost[grid.tasks.index(pick.cell.task)] for pick in picks)


@every
@settings(max_examples=40)
@given(pool=pools(), amount=st.floats(0.5, 40), unit=st.sampled_from(["labels", "cost"]))
def test_selection_never_spends_more_than_the_budget_and_picks_only_missing_cells(name, pool, amount, unit):
    grid, statistics = pool
    picks = picks_of(name, grid, statistics, Budget(amount, unit))
    assert spent(picks, grid, unit) <= amount + 1e-6
    missing = {(i, t) for r, i in enumerate(grid.images) for c, t in enumerate(TASKS) if grid.state[r, c] == 0}
    cells = [(p.cell.image, p.cell.task) for p in picks]
    assert set(cells) <= missing and len(set(cells)) == len(cells)


@every
@settings(max_examples=40)
@given(pool=pools(), seed=st.integers(0, 3), order=st.randoms(use_true_random=False))
def test_the_same_cells_are_picked_in_any_pool_order(name, pool, seed, order):
    grid, statistics = pool
    rows = list(range(len(grid.images)))
    order.shuffle(rows)
    shuffled = Grid([grid.images[r] for r in rows], grid.keys[rows], TASKS, grid.state[rows], grid.cost)
    other = {name: values[rows] for name, values in statistics.items()}
    budget = Budget(5, "labels")
    assert picks_of(name, grid, statistics, budget, seed) == picks_of(name, shuffled, other, budget, seed)


@every
def test_a_budget_of_the_whole_pool_buys_the_whole_pool(name):
    grid = grid_of([f"i{n}" for n in range(4)], [[0, 2, 0], [0, 0, 0], [1, 1, 3], [0, 2, 2]])
    statistics = {"dropout": np.arange(12.0).reshape(4, 3)}
    assert len(picks_of(name, grid, statistics, Budget(6, "labels"))) == 6
    assert len(picks_of(name, grid, statistics, Budget(3, "images"))) == 6
    assert len(picks_of(name, grid, statistics, Budget(float((grid.eligible * grid.cost).sum()), "cost"))) == 6


@every
def test_a_task_nobody_knows_about_and_a_pool_of_one_task_are_picked_from(name):
    grid = grid_of(["a", "b"], [[0, 2, 2], [0, 2, 2]])
    assert len(picks_of(name, grid, {"dropout": np.full((2, 3), np.nan)}, Budget(2))) == 2
    one = Grid(["a"], np.array([1], np.uint64), ["depth"], np.zeros((1, 1), np.int8), np.ones(1))
    assert len(picks_of(name, one, {"dropout": np.ones((1, 1))}, Budget(1))) == 1


def test_states_have_the_numbers_the_grid_is_kept_in():
    assert [int(state) for state in State] == [0, 1, 2, 3]
