"""DWA: weights over epochs with gaps, and exact resumption.

Its equations are in tests/reference.
"""

from dataclasses import replace
from functools import partial

import pytest
import torch

from labelgrid.basics.progress import Silent
from labelgrid.testing.trainings import dataset, different, states, trainer
from labelgrid.train.balance.dwa import Options, build
from labelgrid.train.checkpoint import load, save
from labelgrid.train.objective import supervised_loss
from tests.balancing import FULL, Toy

WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5}
REDUCE = partial(supervised_loss, reduction="task_sum")


def run(balancer, losses, present=FULL):
    """One step for each epoch of given losses {task: [epochs]}; the weights of each."""
    found = []
    for epoch in range(len(losses["a"])):
        step = Toy().step(present[epoch] if isinstance(present, list) else present, epoch)
        values = {n: 0 * step.losses[n] + losses[n][epoch] for n in losses}
        balancer.backward(replace(step, losses=values))
        found.append(balancer.weights().tolist())
    return found


def test_a_task_whose_loss_falls_more_slowly_weighs_more():
    found = run(
        build(WEIGHTS, REDUCE, Options()),
        {"a": [4.0, 4.0, 4.0], "b": [4.0, 2.0, 1.0], "c": [4.0, 3.0, 3.0]},
    )
    assert found[:2] == [[1.0] * 3] * 2
    a, b, c = found[2]
    assert a > c > b and a + b + c == pytest.approx(3)


def test_the_temperature_evens_the_weights_out():
    losses = {"a": [4.0, 4.0, 1.0], "b": [4.0, 1.0, 1.0], "c": [4.0, 2.0, 1.0]}
    assert run(build(WEIGHTS, REDUCE, Options(1e6)), losses)[2] == pytest.approx(
        [1.0] * 3, abs=1e-5
    )
    assert run(build(WEIGHTS, REDUCE, Options(1e-3)), losses)[2] == pytest.approx(
        [3.0, 0.0, 0.0], abs=1e-5
    )


def test_an_epoch_without_labels_is_left_out():
    with_c, without_c = FULL, FULL & torch.tensor([True, True, False])
    losses = {
        "a": [4.0, 2.0, 2.0, 1.0, 1.0],
        "b": [4.0, 2.0, 2.0, 1.0, 1.0],
        "c": [8.0, 99.0, 2.0, 1.0, 1.0],
    }
    found = run(
        build(WEIGHTS, REDUCE, Options()), losses, [with_c, without_c, with_c, with_c, with_c]
    )
    assert found[2] == [1.0] * 3  # c has one epoch, a and b have halved
    ratios = torch.tensor([[1.0, 1.0, 0.25], [0.5, 0.5, 0.5]])
    torch.testing.assert_close(torch.tensor(found[3:]), 3 * (ratios / 2).softmax(1))


def test_a_loss_of_nothing_gives_no_ratio():
    losses = {"a": [0.0, 0.0, 0.0], "b": [4.0, 0.0, 0.0], "c": [0.0, 4.0, 0.0]}
    assert run(build(WEIGHTS, REDUCE, Options()), losses)[2] == [1.0] * 3


def balancer(weights, reduce):
    return build(weights, reduce, Options())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("data"), ("semseg", "depth"))


@pytest.fixture(scope="module")
def whole(made):
    """A training of four epochs that was not stopped."""
    training, fixed = (trainer(made, balancer=b, epochs=4, batch=6) for b in (balancer, None))
    for _ in range(4):
        training.run_epoch(Silent())
        fixed.run_epoch(Silent())
    assert different(states(training), states(fixed))
    assert training.plan.balancer.weights().tolist() != [1.0] * 2
    return states(training)


@pytest.mark.parametrize("cut", [1, 3])
def test_a_training_that_stops_after_some_epochs_resumes_exactly(tmp_path, made, whole, cut):
    first, second = (trainer(made, balancer=balancer, epochs=4, batch=6) for _ in range(2))
    for _ in range(cut):
        first.run_epoch(Silent())
    save(first.checkpoint(), tmp_path / "last.ckpt")
    assert load(tmp_path / "last.ckpt").epoch == cut and second.resume(tmp_path / "last.ckpt")
    for _ in range(4 - cut):
        second.run_epoch(Silent())
    assert not different(whole, states(second))


def test_a_temperature_of_nothing_is_refused():
    with pytest.raises(ValueError, match="temperature must be from"):
        Options(temperature=0.0)
