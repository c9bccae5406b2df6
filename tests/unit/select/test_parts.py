"""The parts strategies are made of."""

from dataclasses import replace

import numpy as np
import pytest

from labelgrid.basics.errors import PluginError
from labelgrid.basics.streams import image_key
from labelgrid.ledger.grid import Grid
from labelgrid.select.parts import (
    DRAWN,
    DRAWN_IMAGE,
    AsIs,
    ComposedStrategy,
    MinMax,
    ReadStatistic,
    ScorerResult,
    draw_cells,
    draw_images,
)
from labelgrid.select.strategies import partal, random_cells, random_images, rbal
from labelgrid.select.strategy import Budget, PoolView, TrainedRound

COVERS = [
    "labelgrid.select.strategies.partal",
    "labelgrid.select.strategies.random_cells",
    "labelgrid.select.strategies.random_images",
    "labelgrid.select.strategy",
]


def grid(state, cost=(1.0, 1.0)):
    n = len(state)
    return Grid(
        images=[f"i{k}" for k in range(n)],
        keys=np.arange(n, dtype=np.uint64),
        tasks=["a", "b"],
        state=np.array(state, np.int8),
        cost=cost,
    )


def test_min_max_is_partal_equation_one_over_the_pool_and_kept_from_the_first_round():
    first = grid([[0, 0], [0, 0], [0, 2]])
    u = np.array([[1.0, 5.0], [3.0, 9.0], [2.0, 99.0]])  # 99 is of a labelled cell: not in the pool
    bounds = MinMax().calibrate(u, first, {})
    assert bounds == {"a": [1.0, 3.0], "b": [5.0, 9.0]}
    np.testing.assert_allclose(MinMax().apply(u, first, bounds)[:2], [[0, 0], [1, 1]])
    later = MinMax().calibrate(u * 10, first, bounds)
    assert later == bounds
    assert MinMax().apply(u * 10, first, later)[1, 0] == pytest.approx((30 - 1) / 2)  # not clipped
    assert MinMax("each").calibrate(u * 10, first, bounds)["a"] == [10.0, 30.0]


def test_scores_whose_range_no_number_can_be_divided_by_are_zero_and_not_infinite():
    pool, first = grid([[0, 0], [0, 0]]), np.array([[0.0, 0.0], [2e-311, 2e-290]])
    strategy = partal.build(partal.Options())
    bounds = MinMax().calibrate(first, pool, {})
    assert MinMax().apply(first, pool, bounds).tolist() == [[0, 0], [0, 1]]
    found = chosen(
        strategy, pool, (4,), calibration=bounds, dropout=np.array([[5.0, 0.0], [1.0, 2e-290]])
    )
    assert {pick.score for pick in found.picks} == {0.0, 1.0} and len(found.picks) == 4


def chosen(strategy, pool, budget, seed=0, calibration=None, **statistics):
    return strategy.select(
        PoolView(grid=pool, statistics=statistics, seed=seed, calibration=calibration or {}),
        Budget(*budget),
    )


def cells(selection):
    return [(pick.cell.image_id, pick.cell.task) for pick in selection.picks]


def test_min_max_of_equal_scores_is_zero_and_of_unknown_scores_is_drawn():
    pool = grid([[0, 0], [0, 0]])
    u = np.array([[2.0, np.nan], [2.0, np.nan]])
    strategy = partal.build(partal.Options())
    found = chosen(strategy, pool, (4,), dropout=u)
    assert found.calibration == {"a": [2.0, 2.0]}
    scores = {(pick.cell.image_id, pick.cell.task): pick.score for pick in found.picks}
    assert scores["i0", "a"] == scores["i1", "a"] == 0
    assert all(0 <= scores[image, "b"] < 1 for image in ("i0", "i1"))
    later = chosen(strategy, pool, (4,), calibration=found.calibration, dropout=np.ones((2, 2)))
    assert set(later.calibration) == {"a", "b"}
    whys = {(pick.cell.task, pick.why) for pick in found.picks}
    assert whys == {("a", "most uncertain"), ("b", DRAWN)}
    assert {(pick.cell.task, pick.drawn) for pick in found.picks} == {("a", False), ("b", True)}
    images = chosen(rbal.build(rbal.Options()), pool, (1, "images"), dropout=u * np.nan)
    assert all(pick.drawn for pick in images.picks)


def test_partal_takes_the_best_normalised_cells_over_the_whole_grid():
    pool = grid([[0, 0], [0, 0], [0, 0]])
    u = np.array([[0.0, 100.0], [1.0, 300.0], [0.6, 290.0]])
    found = chosen(partal.build(partal.Options()), pool, (3,), dropout=u)
    assert cells(found) == [("i1", "a"), ("i1", "b"), ("i2", "b")]
    raw = chosen(partal.build(partal.Options(normalise="none")), pool, (3,), dropout=u)
    assert {task for _, task in cells(raw)} == {"b"}


def test_partal_takes_any_statistic_of_cells_and_refuses_one_of_images():
    strategy, pool = (
        partal.build(partal.Options(statistic="ensemble")),
        grid([[0, 0], [0, 0], [0, 0]]),
    )
    assert strategy.needs == frozenset({"ensemble"})
    u = np.array([[0.0, 0.0], [0.2, 1.0], [1.0, 0.5]])
    assert cells(chosen(strategy, pool, (2,), ensemble=u)) == [("i1", "b"), ("i2", "a")]
    with pytest.raises(
        PluginError, match=r"'ensemble', which has no value for each cell.*are \[3\]"
    ):
        chosen(strategy, pool, (2,), ensemble=u[:, 0])


def test_partal_by_images_buys_the_missing_cells_of_the_best_mean():
    pool = grid([[0, 0], [0, 2], [0, 0]])
    u = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]])
    found = chosen(partal.build(partal.Options(unit="images")), pool, (2, "images"), dropout=u)
    assert cells(found) == [("i1", "a"), ("i2", "a"), ("i2", "b")]


def test_the_scorer_runs_once_and_its_terms_are_given_on():
    calls, pool = [], grid([[0, 0], [0, 2]])

    def scorer(view):
        calls.append(view)
        return ScorerResult(
            np.arange(4.0).reshape(2, 2), {"unsure": np.ones((2, 2)), "far": np.zeros(2)}
        )

    found = chosen(
        ComposedStrategy(
            needs=frozenset(), scorer=scorer, normaliser=MinMax("each"), unit="cells", why="why"
        ),
        pool,
        (2,),
    )
    assert len(calls) == 1 and set(found.terms) == {"unsure", "far"}


def test_history_is_read_when_it_is_asked_for_and_once():
    reads = []

    def read():
        reads.append(1)
        return [TrainedRound(round=1, labels={"a": 3}, cost=3.0, val={"a/RMSE": 0.5})]

    view = PoolView(grid=grid([[0, 0]]), read_history=read)
    assert (
        not reads
        and view.history[0].labels == {"a": 3}
        and view.history is view.history
        and len(reads) == 1
    )


def test_a_pool_brings_nothing_along_unless_it_is_said():
    assert PoolView(grid=grid([[0, 0]])).brings == {}
    brings = {"a": {"b": 0.9}, "b": {}}
    assert PoolView(grid=grid([[0, 0]]), brings=brings).brings == brings


@pytest.mark.parametrize(
    ("brings", "fault"),
    [
        ({"c": {"a": 0.5}}, "'c', which is not a task"),
        ({"a": {"c": 0.5}}, "'c', which is not a task"),
        ({"a": {"a": 0.5}}, "'a' bring itself"),
        ({"a": {"b": -0.1}}, "is -0.1, not from 0 to 1"),
        ({"a": {"b": 1.1}}, "is 1.1, not from 0 to 1"),
        ({"a": {"b": float("nan")}}, "is nan, not from 0 to 1"),
    ],
)
def test_what_a_label_brings_along_is_a_share_of_another_task_s_label(brings, fault):
    with pytest.raises(ValueError, match=fault):
        PoolView(grid=grid([[0, 0]]), brings=brings)


def test_random_images_takes_whole_images_and_random_cells_does_not():
    pool = grid([[0, 0]] * 50)
    of = {m: m.build(m.Options()) for m in (random_images, random_cells)}
    picked = {m: chosen(s, pool, (20,), seed=4).picks for m, s in of.items()}
    assert len({p.cell.image_id for p in picked[random_images]}) == 10
    assert len({p.cell.image_id for p in picked[random_cells]}) > 10
    assert chosen(of[random_cells], pool, (20,), seed=5).picks != picked[random_cells]


def test_random_cells_are_uniform_over_images_and_tasks():
    pool, counts = grid([[0, 0]] * 10), np.zeros((10, 2))
    strategy = random_cells.build(random_cells.Options())
    for seed in range(400):
        for image, task in cells(chosen(strategy, pool, (5,), seed=seed)):
            counts[int(image[1:]), "ab".index(task)] += 1
    assert (abs(counts - 100) < 45).all()  # 400 * 5 / 20 each, standard deviation 8.7


def test_the_draws_of_a_seed_are_the_same_in_every_release():
    names = ["a.jpg", "b.jpg"]
    keys = np.array([image_key(name) for name in names], np.uint64)
    pool = Grid(
        images=names,
        keys=keys,
        tasks=["depth", "normals"],
        state=np.zeros((2, 2), np.int8),
        cost=np.ones(2),
    )
    np.testing.assert_allclose(
        draw_cells(pool, 3), [[0.15772299, 0.1280119], [0.0664925, 0.62847831]], rtol=1e-6
    )
    np.testing.assert_allclose(
        draw_images(pool, 3), [[0.12548388, 0.12548388], [0.718113, 0.718113]], rtol=1e-6
    )


def test_unknown_scores_are_drawn_with_the_rounds_seed():
    pool, unknown = grid([[0, 0]] * 4), np.full((4, 2), np.nan)
    for seed in (0, 7):
        found = chosen(partal.build(partal.Options()), pool, (8,), seed=seed, dropout=unknown)
        scores = {(pick.cell.image_id, pick.cell.task): pick.score for pick in found.picks}
        drawn = draw_cells(pool, seed)
        assert scores == {
            (f"i{row}", task): drawn[row, column]
            for row in range(4)
            for column, task in enumerate("ab")
        }


def test_statistics_are_read_in_float64():
    found = ReadStatistic("half")(
        PoolView(grid=grid([[0, 0]]), statistics={"half": np.array([[0.1, 0.2]], np.float16)})
    ).values
    assert (
        found.dtype == np.float64
        and found.tolist() == np.float16([[0.1, 0.2]]).astype(float).tolist()
    )


def test_a_pick_by_images_has_the_mean_score_of_the_missing_cells():
    pool, u = grid([[0, 2], [0, 0], [2, 2]]), np.array([[0.5, 100.0], [0.25, 1.0], [50.0, 60.0]])
    strategy = partal.build(partal.Options(normalise="none", unit="images"))
    found = chosen(strategy, pool, (3, "labels"), dropout=u)
    assert [(*cell, pick.score) for cell, pick in zip(cells(found), found.picks, strict=True)] == [
        ("i1", "a", 0.625),
        ("i1", "b", 0.625),
        ("i0", "a", 0.5),
    ]


@pytest.mark.parametrize(
    "module, unit, why",
    [(random_cells, "cells", "random cell"), (random_images, "images", "random image")],
)
def test_random_strategies_say_so_and_read_nothing(module, unit, why):
    strategy = module.build(module.Options())
    assert strategy.unit == unit and not strategy.needs
    found = chosen(strategy, grid([[0, 0]] * 3), (6,), seed=2)
    assert {pick.why for pick in found.picks} == {why}
    assert len({pick.score for pick in found.picks}) == {"cells": 6, "images": 3}[unit]


def test_a_task_that_was_constant_in_its_first_round_is_zero_then_and_gets_bounds_when_its_scores_differ():
    pool, first = grid([[0, 0], [0, 0], [0, 0]]), np.array([[2.0, 1.0], [2.0, 3.0], [2.0, 2.0]])
    bounds = MinMax().calibrate(first, pool, {})
    assert bounds == {"a": [2.0, 2.0], "b": [1.0, 3.0]}
    np.testing.assert_array_equal(MinMax().apply(first, pool, bounds), [[0, 0], [0, 1], [0, 0.5]])
    later = np.array([[1.0, 2.0], [9.0, 4.0], [5.0, 3.0]])
    found = chosen(partal.build(partal.Options()), pool, (6,), calibration=bounds, dropout=later)
    assert found.calibration == {"a": [1.0, 9.0], "b": [1.0, 3.0]}
    assert [pick.score for pick in found.picks if pick.cell.task == "a"] == [1.0, 0.5, 0.0]


def test_a_task_of_which_one_cell_was_missing_in_its_first_round_is_picked_from_when_images_are_added():
    strategy = partal.build(partal.Options())
    first = chosen(strategy, grid([[2, 2], [0, 2]]), (1,), dropout=np.full((2, 2), 0.6))
    values = np.array([[0.1, 0.0], [0.9, 0.0]])
    more = chosen(
        strategy, grid([[0, 2], [0, 2]]), (1,), calibration=first.calibration, dropout=values
    )
    assert cells(more) == [("i1", "a")] and more.picks[0].score == 1.0


def test_scores_that_differ_by_rounding_only_are_zero_and_give_no_bounds():
    almost = np.array([[0.6, 0.0], [np.nextafter(np.float32(0.6), np.float32(1)), 1.0]])
    strategy, pool = partal.build(partal.Options()), grid([[0, 0], [0, 0]])
    first = chosen(strategy, pool, (4,), dropout=almost)
    assert [pick.score for pick in first.picks] == [1.0, 0.0, 0.0, 0.0]
    later = np.array([[0.6, 0.0], [0.7, 1.0]])
    found = chosen(strategy, pool, (4,), calibration=first.calibration, dropout=later)
    assert {pick.score for pick in found.picks} == {0.0, 1.0} and found.calibration["a"] == [
        0.6,
        0.7,
    ]


@pytest.mark.parametrize(
    "strategy", [partal.build(partal.Options(unit="images")), rbal.build(rbal.Options())]
)
def test_an_image_whose_scores_are_all_drawn_says_so(strategy):
    u = np.array([[np.nan, np.nan], [0.3, np.nan], [0.5, 0.1]])
    found = chosen(strategy, grid([[0, 0], [0, 0], [0, 0]]), (6,), dropout=u)
    assert {pick.cell.image_id for pick in found.picks if pick.why == DRAWN_IMAGE} == {"i0"}


@pytest.mark.parametrize(
    "change", [lambda u: u, lambda u: u - 1.5, lambda u: u + 0.8, lambda u: 1e6 * u, np.exp]
)
@pytest.mark.parametrize("normaliser", [MinMax(), AsIs()])
def test_a_task_without_scores_gets_its_share_of_the_picks_whatever_the_range_of_the_others(
    change, normaliser
):
    n = 2000
    pool = Grid(
        images=[f"i{k}" for k in range(n)],
        keys=np.arange(n, dtype=np.uint64),
        tasks=["a", "b"],
        state=np.zeros((n, 2), np.int8),
        cost=[1, 1],
    )
    known, bounds = np.random.default_rng(0).random(n), {"a": [0.0, 1.0]}
    strategy = ComposedStrategy(
        needs=frozenset(),
        scorer=lambda view: ScorerResult(view.statistics["u"]),
        normaliser=normaliser,
        unit="cells",
        why="why",
    )
    picks = {}
    for name, values in (("plain", known), ("changed", change(known))):
        u = np.stack([values, np.full(n, np.nan)], 1)
        picks[name] = cells(chosen(strategy, pool, (200,), calibration=bounds, u=u))
    assert picks["changed"] == picks["plain"]
    share = sum(task == "b" for _, task in picks["plain"]) / 200
    assert abs(share - 0.5) < 0.13  # 200 picks at 50 %: a standard deviation of 3.5 %


def test_three_tasks_of_which_one_has_no_score_share_the_picks_in_three():
    n = 1500
    names = [f"i{k}" for k in range(n)]
    pool = Grid(
        images=names,
        keys=np.arange(n, dtype=np.uint64),
        tasks=["a", "b", "c"],
        state=np.zeros((n, 3), np.int8),
        cost=np.ones(3),
    )
    u = np.random.default_rng(1).normal(size=(n, 3))
    u[:, 2] = np.nan
    found = cells(chosen(partal.build(partal.Options()), pool, (300,), dropout=u))
    assert abs(sum(task == "c" for _, task in found) - 100) < 33  # four standard deviations


def test_a_budget_of_costs_buys_value_for_money_and_random_strategies_do_not_weigh_costs():
    pool = grid([[0, 0]] * 3, cost=np.array([1.0, 4.0]))
    u = np.array([[0.5, 1.0], [0.4, 0.9], [0.3, 0.8]])
    plain = partal.build(partal.Options(normalise="none"))
    assert cells(chosen(plain, pool, (4, "cost"), dropout=u)) == [
        ("i0", "a"),
        ("i1", "a"),
        ("i2", "a"),
    ]
    images = partal.build(partal.Options(normalise="none", unit="images"))
    started = grid([[0, 0], [0, 2], [0, 0]], cost=np.array([1.0, 4.0]))
    assert cells(chosen(images, started, (5, "cost"), dropout=u)) == [("i0", "a"), ("i0", "b")]
    drawn = [
        pick.score
        for pick in chosen(random_cells.build(random_cells.Options()), pool, (15, "cost")).picks
    ]
    assert len(drawn) == 6 and drawn == sorted(drawn, reverse=True)


@pytest.mark.parametrize("shift", [0.0, 1.0, -5.0])
def test_scores_below_zero_do_not_turn_the_value_of_images_round(shift):
    state = np.array([[0, 0, 0], [0, 2, 2]], np.int8)
    pool = Grid(
        images=["r", "s"],
        keys=np.arange(2, dtype=np.uint64),
        tasks=["a", "b", "c"],
        state=state,
        cost=np.ones(3),
    )
    u = np.array([[-0.3, -0.3, -0.3], [-0.8, 0.0, 0.0]]) + shift
    images = partal.build(partal.Options(normalise="none", unit="images"))
    assert {image for image, _ in cells(chosen(images, pool, (3, "cost"), dropout=u))} == {"r"}


def test_a_budget_of_costs_buys_the_images_whose_scores_sum_to_the_most():
    """Two images with one missing label each cost as much as one with two.

    All scores are below 0.
    """
    state, costs = [[0, 0], [0, 2], [0, 2], [0, 0]], np.array([1.0, 1.0])
    pool = replace(grid(state), cost=costs)
    u = np.array([[-9.0, -9.0], [-4.0, np.nan], [-5.0, np.nan], [-3.0, -3.0]])
    strategy = partal.build(partal.Options(normalise="none", unit="images"))
    assert {image for image, _ in cells(chosen(strategy, pool, (2, "cost"), dropout=u))} == {"i3"}
    u = np.array([[-9.0, -9.0], [-1.0, np.nan], [-2.0, np.nan], [-6.0, -6.0]])
    assert {image for image, _ in cells(chosen(strategy, pool, (2, "cost"), dropout=u))} == {
        "i1",
        "i2",
    }
    assert cells(chosen(strategy, pool, (2, "labels"), dropout=u)) == [("i1", "a"), ("i2", "a")]
