"""Core-set picks what a brute force does, and keeps to its budget."""

import numpy as np
import pytest

from labelgrid.basics.streams import image_key
from labelgrid.ledger.grid import State
from labelgrid.select.strategies import core_set
from labelgrid.select.strategy import Budget, PoolView
from labelgrid.testing.strategies import grid_of
from tests.reference.k_centre import brute_force

STRATEGY = core_set.build(core_set.Options())


def picked(grid, features, budget, seed=0):
    return STRATEGY.select(
        PoolView(grid=grid, statistics={"features": features}, seed=seed), budget
    )


def images(selection):
    return list(dict.fromkeys(int(pick.cell.image_id[1:]) for pick in selection.picks))


@pytest.mark.parametrize("seed", range(5))
def test_picks_are_those_of_a_brute_force_in_float64(seed):
    rng = np.random.default_rng(seed)
    state = np.where(rng.random((40, 3)) < 0.1, State.LABELLED, State.MISSING)
    state[0], state[1, 2] = State.LABELLED, State.REQUESTED
    grid = grid_of([f"i{n}" for n in range(40)], state)
    features = rng.normal(size=(40, 6)).astype(np.float32)
    centres = np.flatnonzero((state != State.MISSING).any(1)).tolist()
    found = picked(grid, features, Budget(9, "images"))
    open_rows = set(np.flatnonzero(grid.eligible.any(1)).tolist())
    assert images(found) == brute_force(features, centres, open_rows, 9)
    scores = [pick.score for pick in found.picks]
    assert scores == sorted(scores, reverse=True) and scores[-1] > 0
    rows = [int(pick.cell.image_id[1:]) for pick in found.picks]
    np.testing.assert_array_equal(found.terms["distance"][rows], scores)


def planted():
    """Six images near the labelled one for each of five far ones."""
    features = np.zeros((36, 5), np.float32)
    features[1:6] = 10 * np.eye(5)
    features[6:] = np.random.default_rng(1).normal(scale=0.1, size=(30, 5))
    state = np.zeros((36, 2), np.int8)
    state[0] = State.LABELLED
    return grid_of([f"i{n}" for n in range(36)], state, ["a", "b"], (1.0, 3.0)), features


def test_equally_far_images_are_picked_by_their_keys():
    grid, features = planted()
    assert images(picked(grid, features, Budget(5, "images"))) == sorted(
        range(1, 6), key=lambda n: image_key(f"i{n}")
    )


@pytest.mark.parametrize(
    "budget, count", [(Budget(7), 3), (Budget(11.9, "cost"), 2), (Budget(4, "images"), 4)]
)
def test_whole_images_are_bought_in_any_unit(budget, count):
    grid, features = planted()
    found = picked(grid, features, budget)
    assert len(images(found)) == count and len(found.picks) == 2 * count


def test_a_dear_image_is_passed_over_for_one_that_the_rest_pays_for():
    grid, features = planted()
    state = grid.state.copy()
    state[7, 1] = (
        State.SKIPPED
    )  # image 7 has one missing cell, which a budget of one label pays for
    part = grid_of(list(grid.images), state, ["a", "b"], (1.0, 3.0))
    assert images(picked(part, features, Budget(1))) == [7]


def test_without_any_label_the_first_image_is_drawn_by_the_seed_and_the_second_is_the_farthest_from_it():
    features = np.array([[0.0], [1.0], [5.0], [7.0]], np.float32)
    grid = grid_of([f"i{n}" for n in range(4)], np.zeros((4, 1)), ["a"])
    firsts = set()
    for seed in range(30):
        found = picked(grid, features, Budget(2, "images"), seed=seed)
        first, second = images(found)
        firsts.add(first)
        assert second == (0 if first >= 2 else 3) and found.picks[0].score == 0
        assert found.picks[1].score == abs(features[first, 0] - features[second, 0])
    assert firsts == {0, 1, 2, 3}


def test_a_pool_larger_than_the_limit_is_picked_from_in_two_rounds_and_the_bound_is_said():
    features = np.random.default_rng(2).normal(size=(60, 3)).astype(np.float32)
    state = np.zeros((60, 2), np.int8)
    state[[4, 9]] = State.LABELLED
    grid = grid_of([f"i{n}" for n in range(60)], state, ["a", "b"], (1.0, 3.0))
    exact = picked(grid, features, Budget(9, "images"))
    at_limit, above = (
        core_set.build(core_set.Options(exact_up_to=limit)).select(
            PoolView(grid=grid, statistics={"features": features}), Budget(9, "images")
        )
        for limit in (58, 20)
    )
    assert images(at_limit) == images(exact) and not at_limit.notes and not exact.notes
    assert len(images(above)) == 9 and not {4, 9} & set(images(above))
    (note,) = above.notes
    assert note.startswith("Picked in two rounds, in 3 random parts of the pool: each image is")
    assert note.endswith("times as far as by the best choice of as many.")
    with pytest.raises(ValueError, match="exact_up_to is at least 1"):
        core_set.Options(exact_up_to=0)
