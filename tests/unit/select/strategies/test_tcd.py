"""TCD's strategy on planted pools, and at the edges of its definitions."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from labelgrid.basics.streams import image_key
from labelgrid.ledger.grid import Grid
from labelgrid.select.centres import squared_distances
from labelgrid.select.parts import DRAWN, DRAWN_IMAGE
from labelgrid.select.strategies.tcd import WHY, Options, build, unit_rows
from labelgrid.select.strategy import Budget, PoolView


def pool_of(state, raw, features, seed=0):
    state = np.asarray(state, np.int8)
    names = [f"i{k}" for k in range(len(state))]
    keys = np.arange(len(state), dtype=np.uint64)
    grid = Grid(
        images=names,
        keys=keys,
        tasks=["a", "b"][: state.shape[1]],
        state=state,
        cost=np.ones(state.shape[1]),
    )
    statistics = {
        "committee": np.asarray(raw, float),
        "embedding": np.asarray(features, np.float32),
    }
    return PoolView(grid=grid, statistics=statistics, seed=seed)


def picked(pool, *budget, **options):
    found = build(Options(**options)).select(pool, Budget(*budget))
    return [f"{pick.cell.image_id}{pick.cell.task}" for pick in found.picks], found


@pytest.fixture
def planted():
    """One labelled image.

    Ten near-duplicates of it that are most inconsistent; ten sure images in far places.

    And three groups of five inconsistent near-duplicates in places of their own: each holds one
    answer.
    """
    rng = np.random.default_rng(0)
    places = np.eye(14) * 50
    rows = (
        [(0, 9)] * 11
        + [(4 + k, 0.1) for k in range(10)]
        + [(1 + k % 3, 7 + 0.1 * (k // 3)) for k in range(15)]
    )
    features = np.stack([places[place] for place, _ in rows]) + rng.normal(0, 0.1, (36, 14))
    state = np.zeros((36, 2), int)
    state[0] = 2
    return pool_of(state, [[score, score / 2] for _, score in rows], features)


def test_in_a_planted_pool_it_takes_the_most_inconsistent_image_of_each_far_group(planted):
    answer = {"i33", "i34", "i35"}  # the most inconsistent of each group
    for options in ({}, {"tasks": "mean"}, {"distance": "cosine"}, {"normalise": "none"}):
        found = build(Options(**options)).select(planted, Budget(3, "images"))
        assert {pick.cell.image_id for pick in found.picks} == answer
        assert {pick.why for pick in found.picks} == {WHY["product"]}


def test_either_score_alone_misses_the_answer(planted):
    inconsistent, _ = picked(planted, 3, "images", score="inconsistency")
    assert {name[:-1] for name in inconsistent} == {
        "i1",
        "i2",
        "i3",
    }  # duplicates of what is labelled; ties by key
    far, _ = picked(planted, 13, "images", score="diversity")
    groups = [int(name[1:-1]) for name in far if name.endswith("a")]
    assert {group if group < 21 else group % 3 for group in groups} == {
        *range(11, 21),
        0,
        1,
        2,
    }  # every place once


@pytest.mark.parametrize(
    ("score", "needs"),
    [
        ("product", {"committee", "embedding"}),
        ("inconsistency", {"committee"}),
        ("diversity", {"embedding"}),
    ],
)
def test_only_what_the_score_is_made_of_is_computed(score, needs, planted):
    strategy = build(Options(score=score, weigh="pool"))
    assert strategy.needs == needs
    view = PoolView(
        grid=planted.grid, statistics={name: planted.statistics[name] for name in needs}
    )
    found = strategy.select(view, Budget(4, "labels"))
    terms = {"committee": "inconsistency", "embedding": "diversity"}
    assert found.terms.keys() == {terms[name] for name in needs}
    assert ({pick.weight for pick in found.picks} == {1.0}) == (score == "diversity")


def test_an_image_with_any_label_is_near_and_a_cell_only_with_a_label_of_its_task():
    state, raw = [[2, 0], [0, 0], [0, 0]], [[1, 5], [2, 3], [1, 4]]
    features = [[0, 0], [3, 4], [0, 1]]
    names, found = picked(pool_of(state, raw, features), 3, "images", normalise="none")
    assert names == ["i1a", "i1b", "i2a", "i2b", "i0b"]
    assert found.terms["diversity"].tolist() == [0, 5, 1]
    cells, found = picked(pool_of(state, raw, features), 5, unit="cells", normalise="none")
    # Nothing of b is labelled: its cells count as far as the farthest, 5, until its first pick,
    # i0b.
    assert cells == ["i0b", "i1b", "i1a", "i2b", "i2a"]
    assert [pick.score for pick in found.picks] == [25, 15, 10, 4, 1]
    assert found.terms["diversity"].T.tolist() == [[0, 5, 1], [5, 5, 1]]


def test_requested_cells_are_centres_and_skipped_ones_are_not():
    raw, features = [[1], [1], [1], [1]], [[0], [10], [11], [1]]
    assert picked(pool_of([[1], [3], [0], [0]], raw, features), 1, normalise="none")[0] == ["i2a"]
    assert picked(pool_of([[3], [1], [0], [0]], raw, features), 1, normalise="none")[0] == ["i3a"]


def test_a_labelled_image_without_features_is_left_out():
    pool = pool_of([[2], [2], [0], [0]], [[1]] * 4, [[np.nan] * 2, [1, 0], [1, 1], [-1, 0]])
    for distance, far in (("euclidean", [2, 1]), ("cosine", [2, 1 - 0.5**0.5])):
        names, found = picked(pool, 2, normalise="none", distance=distance)
        assert names == ["i3a", "i2a"]
        assert [pick.score for pick in found.picks] == pytest.approx(far)


def test_an_empty_pool_one_image_and_seven_tasks():
    for options in ({}, {"score": "diversity"}, {"score": "inconsistency"}, {"unit": "cells"}):
        empty = pool_of(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros((0, 3)))
        assert picked(empty, 3, **options)[0] == []
        assert picked(pool_of([[2, 2]], [[1, 1]], [[1, 2]]), 3, **options)[0] == []
        assert picked(pool_of([[2, 2], [0, 2]], [[1, 1]] * 2, [[1, 2]] * 2), 9, **options)[0] == [
            "i1a"
        ]
        grid = Grid(
            images=["i"],
            keys=np.array([1], np.uint64),
            tasks=list("abcdefg"),
            state=np.zeros((1, 7), np.int8),
            cost=np.ones(7),
        )
        statistics = {"committee": np.ones((1, 7)), "embedding": np.ones((1, 2), np.float32)}
        found = build(Options(**options)).select(
            PoolView(grid=grid, statistics=statistics), Budget(100, "labels")
        )
        assert len(found.picks) == 7


def test_without_any_label_the_first_pick_is_the_most_inconsistent_and_the_others_are_far_from_it():
    pool = pool_of([[0]] * 4, [[3], [9], [8.5], [4]], [[0], [1], [1.5], [9]])
    names, found = picked(pool, 4)
    assert names[:2] == ["i1a", "i3a"]
    assert found.picks[0].score == 1
    assert picked(pool, 2, score="diversity")[0] == [
        "i0a",
        "i3a",
    ]  # the least key, then the farthest


def test_a_task_without_scores_is_drawn_among_cells_and_not_read_in_images():
    raw = np.full((40, 2), np.nan)
    raw[:, 0] = np.arange(40)
    features = np.random.default_rng(0).normal(size=(40, 3))
    pool = pool_of([[2, 2]] + [[0, 0]] * 38 + [[2, 0]], raw, features)
    names, found = picked(pool, 20, unit="cells", score="inconsistency")
    assert {pick.why for pick in found.picks if pick.cell.task == "b"} == {DRAWN}
    assert 5 < sum(name.endswith("b") for name in names) < 15
    assert {pick.weight for pick in found.picks if pick.cell.task == "b"} == {1.0}
    images, found = picked(pool, 3, "images", score="inconsistency")
    assert images[0][:-1] == images[1][:-1] == "i38"
    whole, found = picked(pool, 39, "images")
    assert "i39b" in whole and {
        pick.cell.image_id for pick in found.picks if pick.why == DRAWN_IMAGE
    } == {"i39"}
    assert {pick.why for pick in found.picks} == {WHY["product"], DRAWN_IMAGE}


def test_a_picked_label_weighs_by_its_inconsistency_over_the_mean():
    raw = [[0.0, 0], [1, 8], [3, 8], [100, 8], [96, 8], [9, 9]]
    pool = pool_of([[0, 0]] * 5 + [[2, 2]], raw, np.eye(6))
    weights = {}
    for weigh in ("picks", "pool", "none"):
        _, found = picked(pool, 2, "images", weigh=weigh, score="inconsistency", tasks="mean")
        weights[weigh] = [pick.weight for pick in found.picks if pick.cell.task == "a"]
    assert weights["picks"] == pytest.approx([100 / 98, 96 / 98])
    assert weights["pool"] == [2, 2] and weights["none"] == [1, 1]  # the pool's mean is 40
    _, every = picked(pool, 5, "images", weigh="pool")
    found = {(pick.cell.image_id, pick.cell.task): pick.weight for pick in every.picks}
    assert found["i1", "a"] == 0.5 and found["i1", "b"] == 8 / 6.4


def test_a_later_pick_is_never_farther_from_the_earlier_ones():
    rng = np.random.default_rng(1)
    state = np.zeros((200, 1), int)
    state[:5] = 2
    _, found = picked(
        pool_of(state, np.ones((200, 1)), rng.normal(size=(200, 16)) + 1e3), 50, score="diversity"
    )
    scores = [pick.score for pick in found.picks]
    assert all(a >= b for a, b in pairwise(scores)) and scores[0] > scores[-1]


def test_ties_are_broken_by_key_then_by_task():
    pool = pool_of([[0, 0]] * 3, np.ones((3, 2)), np.zeros((3, 2)))
    assert picked(pool, 6, unit="cells")[0] == ["i0a", "i0b", "i1a", "i1b", "i2a", "i2b"]
    keys = np.array([image_key(name) for name in pool.grid.images], np.uint64)
    grid = Grid(
        images=pool.grid.images,
        keys=keys,
        tasks=pool.grid.tasks,
        state=pool.grid.state,
        cost=pool.grid.cost,
    )
    names, _ = picked(PoolView(grid=grid, statistics=pool.statistics), 3, "images")
    assert [name[:-1] for name in names[::2]] == [pool.grid.images[row] for row in np.argsort(keys)]


def test_half_the_squared_distance_of_unit_rows_is_one_minus_the_cosine():
    features = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    wide = features.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1)
    cosine = wide @ wide[3] / (lengths * lengths[3])
    np.testing.assert_allclose(
        squared_distances(unit_rows(features), unit_rows(features)[3]) / 2, 1 - cosine, atol=1e-6
    )
    assert unit_rows(np.zeros((1, 2), np.float32)).tolist() == [[0, 0]]


@pytest.mark.parametrize("score", ["product", "inconsistency", "diversity"])
def test_a_budget_of_costs_is_spent_by_score_per_cost(score):
    far = [[0.0, 0], [0, 1], [0, 4], [4, 0]]
    pool = pool_of([[2, 2], [0, 2], [2, 0], [0, 2]], [[0, 0], [1, 0], [0, 1.5], [1, 0]], far)
    costs = replace(pool, grid=replace(pool.grid, cost=np.array([1.0, 5.0])))
    names, _ = picked(costs, 5.0, "cost", unit="cells", score=score, normalise="none")
    assert set(names) == {"i1a", "i3a"}  # the one label for 5 is worth less than both for 2


@pytest.mark.parametrize("score", ["product", "inconsistency", "diversity"])
def test_one_dear_label_is_bought_if_it_alone_is_worth_more_than_what_is_cheap(score):
    far = [[0.0, 0], [0, 2], [0, 15]]
    pool = pool_of([[2, 2], [0, 2], [2, 0]], [[0, 0], [2, 0], [0, 15]], far)
    costs = replace(pool, grid=replace(pool.grid, cost=np.array([1.0, 10.0])))
    names, _ = picked(costs, 10.0, "cost", unit="cells", score=score, normalise="none")
    assert names == ["i2b"]
    names, _ = picked(costs, 11.0, "cost", unit="cells", score=score, normalise="none")
    assert set(names) == {"i1a", "i2b"}


def test_the_reason_of_an_image_says_if_all_its_scores_were_drawn():
    pool = pool_of(
        [[0, 0], [0, 0], [0, 0]],
        [[np.nan, np.nan], [1, np.nan], [2, 1]],
        [[0.0, 0], [0, 1], [0, 2]],
    )
    _, found = picked(pool, 3, "images")
    assert {pick.cell.image_id for pick in found.picks if pick.why == DRAWN_IMAGE} == {"i0"}
    assert {pick.cell.image_id for pick in found.picks if pick.drawn} == {"i0"}


@pytest.mark.parametrize("unit", ["images", "cells"])
def test_scores_that_are_drawn_depend_on_the_seed(unit):
    raw = np.full((30, 2), np.nan)
    pool = pool_of([[0, 0]] * 30, raw, np.random.default_rng(0).normal(size=(30, 2)))
    firsts = {
        picked(replace(pool, seed=seed), 1, unit, unit=unit, score="inconsistency")[0][0]
        for seed in range(12)
    }
    assert len(firsts) > 3


def test_a_pick_without_features_leaves_the_distances_as_they_are():
    far = [[0.0, 0], [np.nan, 0], [1, 0], [5, 0], [5.1, 0]]
    pool = pool_of([[2, 2]] + [[0, 0]] * 4, np.ones((5, 2)), far)
    names, _ = picked(pool, 3, "images", score="diversity")
    assert names[::2] == ["i1a", "i4a", "i2a"]
