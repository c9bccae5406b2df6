"""Joint shares: each label by what all tasks gain from it for its cost, relations counted."""

from collections import Counter

import numpy as np
import pytest

from labelgrid.ledger.grid import State
from labelgrid.select.strategies import joint, random_images
from labelgrid.select.strategies.joint import LEAST, task_gains
from labelgrid.select.strategy import Budget, PoolView, TrainedRound
from labelgrid.testing.strategies import grid_of
from tests.contracts.planted import Planted

#: What `test_declared.py` compares with.
DECLARED = [
    {"unit": "cells", "whys": "completes an image|random image"},
    {"options": {"images": "separate"}, "unit": "cells", "whys": "random image of this task"},
]


TASKS = ["depth", "edges", "semseg"]


def made(n=60, taken=()):
    state = np.full((n, 3), State.MISSING)
    for column, count in taken:
        state[:count, column] = State.LABELLED
    return grid_of([f"i{k}" for k in range(n)], state)


def selected(grid, budget, *, brings=None, history=(), seed=0, given=None, read=False, **options):
    pool = PoolView(
        grid=grid,
        seed=seed,
        brings=brings or {},
        read_history=lambda: history,
        given=given,
        given_everywhere=read,
    )
    return joint.build(joint.Options(**options)).select(pool, budget)


def picks_of(grid, budget, **more):
    return selected(grid, budget, **more).picks


def counts(picks):
    return dict(Counter(pick.cell.task for pick in picks))


def planted():
    """Four of sixty images lack only the task that has the fewest labels."""
    grid = made(taken=[(0, 4), (1, 4)])
    answer = {grid.cell(row, 2) for row in range(4)}
    return Planted(PoolView(grid=grid), Budget(4), lambda picked: picked == answer)


#: What `test_planted.py` buys from.
PLANTED = [({}, planted())]


def test_without_anything_known_each_task_gets_the_same_number_or_cost():
    assert counts(picks_of(made(), Budget(36))) == {"depth": 12, "normals": 12, "semseg": 12}
    by_cost = counts(picks_of(made(), Budget(60, "cost")))  # costs 1, 2, 10
    assert by_cost == {"depth": 20, "normals": 10, "semseg": 2}


def test_a_task_that_has_labels_waits_for_the_others():
    assert counts(picks_of(made(taken=[(0, 12)]), Budget(24))) == {"normals": 12, "semseg": 12}


def test_what_follows_is_not_bought_and_what_brings_it_is_worth_more():
    brings = {"depth": {"normals": 1.0}}
    found = counts(picks_of(made(), Budget(30), brings=brings))
    assert "normals" not in found
    assert found["depth"] > found["semseg"] > 5
    part = counts(picks_of(made(), Budget(30), brings={"depth": {"normals": 0.3}}))
    assert 0 < part["normals"] < part["semseg"] <= part["depth"]


def test_a_label_that_a_supplier_gives_is_worth_what_is_left_to_gain():
    given = np.zeros((60, 3))
    given[:, 0] = 0.6
    for read in (False, True):
        found = counts(picks_of(made(), Budget(30), given=given, read=read))
        assert found.get("depth", 0) < min(found["normals"], found["semseg"])
    selection = selected(made(), Budget(9), given=given)
    assert selection.terms["left to gain"][:, 0].tolist() == [0.4] * 60
    given[:, 0] = 1
    assert "depth" not in counts(picks_of(made(), Budget(30), given=given))


def test_a_supplier_that_gives_nothing_changes_no_pick():
    for seed in range(5):
        plain = selected(made(taken=[(0, 5), (1, 2)]), Budget(30), seed=seed)
        zero = selected(
            made(taken=[(0, 5), (1, 2)]), Budget(30), seed=seed, given=np.zeros((60, 3))
        )
        assert zero.picks == plain.picks and plain.terms == {}


def test_tasks_whose_loss_falls_faster_get_more():
    history = []
    for number, labels in enumerate((10, 20, 40, 80)):
        val = {
            "depth/loss": labels**-0.6,
            "normals/loss": labels**-0.1,
            "semseg/loss": labels**-0.2,
        }
        trained = dict.fromkeys(("depth", "normals", "semseg"), labels)
        history.append(TrainedRound(round=number, labels=trained, cost=3.0 * labels, val=val))
    found = counts(picks_of(made(200), Budget(90), history=history))
    assert found["depth"] > found["semseg"] >= found["normals"] > 5
    assert counts(picks_of(made(200), Budget(90), history=history, gains="equal")) == {
        "depth": 30,
        "normals": 30,
        "semseg": 30,
    }


def test_images_are_completed_then_taken_whole_or_drawn_for_each_task():
    grid = made(taken=[(0, 4)])
    whole = picks_of(grid, Budget(8 + 30))
    images = {pick.cell.image_id for pick in whole}
    assert {"i0", "i1", "i2", "i3"} <= images
    assert len(images) == 14
    assert len({pick.cell.image_id for pick in picks_of(grid, Budget(38), images="separate")}) > 20


def test_the_task_that_begins_is_drawn():
    first = {picks_of(made(), Budget(1), seed=seed)[0].cell.task for seed in range(20)}
    assert first == {"depth", "normals", "semseg"}


@pytest.mark.parametrize("budget", [Budget(4, "images"), Budget(12)], ids=str)
def test_where_nothing_is_known_it_picks_the_images_that_random_images_picks(budget):
    for seed in range(10):
        pool = PoolView(grid=made(), seed=seed)
        plain = random_images.build(random_images.Options()).select(pool, budget).picks
        picks = picks_of(made(), budget, seed=seed)
        assert {pick.cell for pick in picks} == {pick.cell for pick in plain}


def history(exponents, noise=0.0, rounds=6, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for number in range(rounds):
        labels = 20 * (number + 1)
        losses = {
            f"{task}/loss": labels**-exponent * np.exp(noise * rng.normal())
            for task, exponent in zip(TASKS, exponents, strict=True)
        }
        found.append(
            TrainedRound(
                round=number, labels=dict.fromkeys(TASKS, labels), cost=3.0 * labels, val=losses
            )
        )
    return found


def test_exact_curves_give_their_exponents_over_the_mean():
    found = task_gains(history((0.3, 0.1, 0.2)), TASKS)
    np.testing.assert_allclose(found, [1.5, 0.5, 1.0], rtol=1e-9)


def test_noise_alone_gives_equal_gains_more_often_than_not_and_never_extreme_ones():
    found = [task_gains(history((0.2,) * 3, 0.1, seed=seed), TASKS) for seed in range(200)]
    spread = np.ptp(np.array(found), axis=1)
    assert np.median(spread) < 0.5
    assert np.mean(spread == 0) > 0.3


def test_a_task_that_does_not_gain_keeps_a_share():
    found = task_gains(history((0.3, -0.3, 0.3)), TASKS)
    assert found[1] == LEAST


@pytest.mark.parametrize(
    "rounds",
    [
        [],
        history((0.3, 0.1, 0.2))[:2],
        [
            TrainedRound(round=n, labels=dict.fromkeys(TASKS, 5), cost=1.0, val={"depth/loss": 1.0})
            for n in range(4)
        ],
        history((-0.3, -0.2, -0.3)),
        [TrainedRound(round=n, labels=dict.fromkeys(TASKS, n), cost=1.0, val={}) for n in range(4)],
    ],
    ids=["none", "two", "equal labels", "rising", "no val"],
)
def test_where_nothing_can_be_said_gains_are_equal(rounds):
    assert task_gains(rounds, TASKS).tolist() == [1.0] * 3


def of_two(depth, edges, derived):
    """A history in which the loss of each task is a power of all its labels, derived ones included."""
    rounds = []
    for number, labels in enumerate(zip(depth, edges, derived, strict=True)):
        losses = {
            "depth/loss": labels[0] ** -0.2,
            "edges/loss": (labels[1] + 0.5 * labels[2]) ** -0.2,
        }
        counts = {"depth": labels[0], "edges": labels[1]}
        worth = {"edges": 0.5 * labels[2]}
        rounds.append(
            TrainedRound(round=number, labels=counts, cost=1.0, val=losses, derived=worth)
        )
    return rounds


def test_what_follows_counts_as_labels():
    found = task_gains(of_two((10, 20, 40, 80), (5, 5, 5, 5), (10, 20, 40, 80)), TASKS)
    np.testing.assert_allclose(found, 1, rtol=1e-9)


def test_a_label_that_was_bought_beside_what_it_follows_from_counts_once():
    found = task_gains(of_two((10, 20, 40, 80), (10, 20, 40, 80), (0, 0, 0, 0)), TASKS)
    np.testing.assert_allclose(found, 1, rtol=1e-9)
    found = task_gains(of_two((10, 20, 40, 80), (2, 16, 20, 70), (8, 4, 20, 10)), TASKS)
    np.testing.assert_allclose(found, 1, rtol=1e-9)
