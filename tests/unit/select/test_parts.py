"""The parts strategies are made of."""

import numpy as np
import pytest

from labelgrid.errors import LabelgridError
from labelgrid.labels.grid import Grid
from labelgrid.select import partal, random_cells, random_images
from labelgrid.select.parts import DRAWN, MinMax, buy
from labelgrid.select.strategy import Budget, check_budget

COVERS = [
    "labelgrid.select.partal",
    "labelgrid.select.random_cells",
    "labelgrid.select.random_images",
    "labelgrid.select.strategy",
]


def grid(state, cost=(1.0, 1.0)):
    n = len(state)
    return Grid([f"i{k}" for k in range(n)], np.arange(n, dtype=np.uint64), ["a", "b"], np.array(state, np.int8), cost)


def test_min_max_is_partal_equation_one_over_the_pool_and_kept_from_the_first_round():
    first = grid([[0, 0], [0, 0], [0, 2]])
    u = np.array([[1.0, 5.0], [3.0, 9.0], [2.0, 99.0]])  # 99 is of a labelled cell: not in the pool
    bounds = MinMax().fix(u, first, {})
    assert bounds == {"a": [1.0, 3.0], "b": [5.0, 9.0]}
    np.testing.assert_allclose(MinMax().apply(u, first, bounds)[:2], [[0, 0], [1, 1]])
    later = MinMax().fix(u * 10, first, bounds)
    assert later == bounds
    assert MinMax().apply(u * 10, first, later)[1, 0] == pytest.approx((30 - 1) / 2)  # not clipped
    assert MinMax("each").fix(u * 10, first, bounds)["a"] == [10.0, 30.0]


def test_min_max_of_equal_scores_is_zero_and_of_unknown_scores_is_drawn():
    pool = grid([[0, 0], [0, 0]])
    u = np.array([[2.0, np.nan], [2.0, np.nan]])
    strategy = partal.build(partal.Options())
    bounds = strategy.fix({"dropout": u}, pool, {})
    assert bounds == {"a": [2.0, 2.0]}
    scores = strategy.score({"dropout": u}, pool, bounds, 0)
    assert (scores[:, 0] == 0).all() and ((scores[:, 1] >= 0) & (scores[:, 1] < 1)).all()
    assert set(strategy.fix({"dropout": np.ones((2, 2))}, pool, bounds)) == {"a", "b"}
    whys = {(pick.cell.task, pick.why) for pick in strategy.select(scores, {"dropout": u}, pool, Budget(4), 0)}
    assert whys == {("a", "most uncertain"), ("b", DRAWN)}


def test_partal_takes_the_best_normalised_cells_over_the_whole_grid():
    pool = grid([[0, 0], [0, 0], [0, 0]])
    u = np.array([[0.0, 100.0], [1.0, 300.0], [0.6, 290.0]])
    strategy = partal.build(partal.Options())
    scores = strategy.score({"dropout": u}, pool, strategy.fix({"dropout": u}, pool, {}), 0)
    picks = strategy.select(scores, {"dropout": u}, pool, Budget(3), 0)
    assert [(p.cell.image, p.cell.task) for p in picks] == [("i1", "a"), ("i1", "b"), ("i2", "b")]
    raw = partal.build(partal.Options(normalise="none"))
    scores = raw.score({"dropout": u}, pool, {}, 0)
    assert {p.cell.task for p in raw.select(scores, {"dropout": u}, pool, Budget(3), 0)} == {"b"}


def test_partal_by_images_buys_the_missing_cells_of_the_best_mean():
    pool = grid([[0, 0], [0, 2], [0, 0]])
    u = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]])
    strategy = partal.build(partal.Options(unit="images"))
    scores = strategy.score({"dropout": u}, pool, strategy.fix({"dropout": u}, pool, {}), 0)
    picks = strategy.select(scores, {}, pool, Budget(2, "images"), 0)
    assert [(p.cell.image, p.cell.task) for p in picks] == [("i1", "a"), ("i2", "a"), ("i2", "b")]


def test_random_images_takes_whole_images_and_random_cells_does_not():
    pool = grid([[0, 0]] * 50)
    of = {m: m.build(m.Options()) for m in (random_images, random_cells)}
    picked = {m: s.select(s.score({}, pool, {}, 4), {}, pool, Budget(20), 4) for m, s in of.items()}
    assert len({p.cell.image for p in picked[random_images]}) == 10
    assert len({p.cell.image for p in picked[random_cells]}) > 10
    other = of[random_cells].select(of[random_cells].score({}, pool, {}, 5), {}, pool, Budget(20), 5)
    assert other != picked[random_cells]


def test_random_cells_are_uniform_over_images_and_tasks():
    pool, counts = grid([[0, 0]] * 10), np.zeros((10, 2))
    strategy = random_cells.build(random_cells.Options())
    for seed in range(400):
        for pick in strategy.select(strategy.score({}, pool, {}, seed), {}, pool, Budget(5), seed):
            counts[int(pick.cell.image[1:]), "ab".index(pick.cell.task)] += 1
    assert (abs(counts - 100) < 45).all()  # 400 * 5 / 20 each, standard deviation 8.7


def test_buying_takes_the_best_first_and_skips_what_is_too_dear():
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    assert buy(scores, np.arange(4, dtype=np.uint64), np.array([3.0, 5.0, 2.0, 1.0]), 6.0) == [0, 2, 3]
    assert buy(scores, np.arange(4, dtype=np.uint64), np.array([3.0, 5.0, 2.0, 1.0]), 0.5) == []
    assert buy(np.full(4, np.nan), np.arange(4, dtype=np.uint64), np.ones(4), 2.0) == []


def test_buying_only_the_best_few_equals_buying_from_the_whole_order():
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores, keys = rng.integers(0, 6, 30) / 6, rng.permutation(30).astype(np.uint64)
        prices, amount = rng.choice([1.0, 2.5, 7.0], 30), float(rng.uniform(1, 40))
        taken, left = [], amount
        for place in sorted(range(30), key=lambda p: (-scores[p], keys[p], p)):
            if prices[place] <= left + 1e-9:
                taken.append(place)
                left -= prices[place]
        assert buy(scores, keys, prices, amount) == taken


@pytest.mark.parametrize("amount, unit", [(0, "labels"), (-1, "cost"), (5, "labels"), (3, "images"), (99, "cost")])
def test_a_budget_of_nothing_or_beyond_the_pool_is_refused(amount, unit):
    with pytest.raises(
        LabelgridError, match=r"The budget (must be above 0|of .* is larger than the pool, which holds)"
    ):
        check_budget(Budget(amount, unit), grid([[0, 0], [0, 0]]))
