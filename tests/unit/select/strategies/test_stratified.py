"""Strata get equally many picks: rare predicted classes, or clusters of features."""

import numpy as np
import pytest

from labelgrid.ledger.grid import State
from labelgrid.select.strategies import stratified
from labelgrid.select.strategies.stratified import rarest_classes
from labelgrid.select.strategy import Budget, PoolView
from labelgrid.testing.strategies import grid_of

TASKS = ["depth", "semseg"]
#: Images of three kinds: 84 with class 0 alone, 12 with a little of class 1, 4 with a little of
#: class 2.
KIND = np.repeat([0, 1, 2], [84, 12, 4])


def pool(seed=0, classes=True):
    shares = np.zeros((100, 2, 3), np.float32)
    if classes:
        shares[:, 1, 0] = 1
        shares[KIND > 0, 1, 0] -= 0.05
        shares[KIND > 0, 1, KIND[KIND > 0]] += 0.05
    features = np.random.default_rng(0).normal(size=(100, 4)) + 100 * np.eye(4)[KIND]
    grid = grid_of([f"i{n}" for n in range(100)], np.zeros((100, 2)), TASKS, (1.0, 3.0))
    statistics = {"classes": shares.reshape(100, 6), "features": features.astype(np.float32)}
    return PoolView(grid=grid, statistics=statistics, seed=seed)


def kinds(strategy, view, budget):
    picks = strategy.select(view, budget).picks
    images = list(dict.fromkeys(int(pick.cell.image_id[1:]) for pick in picks))
    return np.bincount(KIND[images], minlength=3).tolist(), picks


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("options", [{}, {"by": "classes"}, {"by": "features", "clusters": 3}])
def test_rare_kinds_of_a_planted_pool_get_as_many_picks_as_frequent_ones(options, seed):
    strategy = stratified.build(stratified.Options(**options))
    assert kinds(strategy, pool(seed), Budget(9, "images"))[0] == [3, 3, 3]


def test_clusters_are_the_strata_if_no_task_predicts_classes():
    strategy = stratified.build(stratified.Options(clusters=3))
    assert strategy.needs == {"classes", "features"}
    assert kinds(strategy, pool(classes=False), Budget(9, "images"))[0] == [3, 3, 3]


def test_strata_that_are_empty_leave_the_rest_to_the_others():
    counts, picks = kinds(stratified.build(stratified.Options()), pool(), Budget(30, "images"))
    assert counts == [14, 12, 4]
    assert len(picks) == 60


def test_cells_are_drawn_from_the_strata_of_their_images():
    strategy = stratified.build(stratified.Options(unit="cells"))
    assert strategy.unit == "cells" and strategy.needs == {"classes", "features"}
    found = strategy.select(pool(), Budget(12))
    of = [KIND[int(pick.cell.image_id[1:])] for pick in found.picks]
    assert (
        np.bincount(of).tolist() == [4, 4, 4] and len({pick.cell.task for pick in found.picks}) == 2
    )


def test_a_pick_states_its_stratum_and_its_size():
    found = stratified.build(stratified.Options(by="classes")).select(pool(), Budget(3, "images"))
    rows = [int(pick.cell.image_id[1:]) for pick in found.picks]
    assert found.terms["stratum"][rows].tolist() == [
        3 + KIND[row] for row in rows
    ]  # depth has columns 0 to 2
    assert found.terms["images in it"][rows].tolist() == [[84, 12, 4][KIND[row]] for row in rows]


def test_only_images_with_a_missing_cell_make_the_strata():
    view = pool()
    state = view.grid.state.copy()
    state[KIND == 2] = State.LABELLED
    part = PoolView(grid=grid_of(list(view.grid.images), state, TASKS), statistics=view.statistics)
    assert kinds(stratified.build(stratified.Options()), part, Budget(8, "images"))[0] == [4, 4, 0]


def test_the_rarest_class_counts_images_and_leaves_small_shares_out():
    shares = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.6, 0.0, 0.4], [0.995, 0.0, 0.005]])
    assert rarest_classes(shares, 0.01).tolist() == [1, 1, 2, 0]
    assert rarest_classes(shares, 0.001).tolist() == [1, 1, 2, 2]
    wide = np.array(
        [[0.7, 0.3], [0.8, 0.2], [0.0, 0.2], [0.0, 0.2]]
    )  # a class of few images with large shares
    assert rarest_classes(np.hstack([wide, 1 - wide.sum(1, keepdims=True)]), 0.01)[:2].tolist() == [
        0,
        0,
    ]
    assert rarest_classes(np.array([[0.3, 0.4, 0.3]]), 0.9).tolist() == [1]


def cells_of(picks):
    return [(pick.cell.image_id, pick.cell.task) for pick in picks]


@pytest.mark.parametrize("unit", ["images", "cells"])
def test_the_draws_and_the_stratum_that_gets_the_rest_depend_on_the_seed(unit):
    strategy = stratified.build(stratified.Options(unit=unit))
    first = {
        seed: kinds(strategy, pool(seed), Budget(2, "labels"))[1][0].cell.image_id
        for seed in range(30)
    }
    assert {int(KIND[int(image[1:])]) for image in first.values()} == {0, 1, 2}
    frequent = {image for image in first.values() if KIND[int(image[1:])] == 0}
    assert len(frequent) > 3
    again = strategy.select(pool(4), Budget(20))
    assert cells_of(again.picks) == cells_of(strategy.select(pool(4), Budget(20)).picks)


def test_clusters_depend_on_the_seed():
    """Ten clusters of 84 alike images are cut otherwise by another seed."""
    strategy = stratified.build(stratified.Options(by="features", clusters=10))
    found = [
        strategy.select(pool(seed), Budget(6, "images")).terms["images in it"].tolist()
        for seed in range(4)
    ]
    assert len({tuple(one) for one in found}) == 4


def test_classes_alone_make_one_stratum_where_none_is_predicted():
    strategy = stratified.build(stratified.Options(by="classes"))
    found = strategy.select(pool(classes=False), Budget(6, "images"))
    assert set(found.terms["images in it"].tolist()) == {100}


def test_a_class_counts_from_its_least_share_on_and_never_at_zero():
    shares = np.array([[0.99, 0.01, 0.0], [1.0, 0.0, 0.0], [0.995, 0.005, 0.0]])
    assert rarest_classes(shares, 0.01).tolist() == [1, 0, 0]
    assert rarest_classes(shares, 0.0).tolist() == [1, 0, 1]
    assert rarest_classes(np.array([[0.3, 0.4, 0.3], [0.4, 0.3, 0.3]]), 0.5).tolist() == [
        1,
        0,
    ]  # none: the largest
