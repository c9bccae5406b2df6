"""Gains of tasks: the exponents of their curves, and nothing that noise could have made."""

import numpy as np
import pytest

from labelgrid.select.strategy import TrainedRound
from labelgrid.select.task_gains import LEAST, task_gains

TASKS = ["depth", "edges", "semseg"]


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
