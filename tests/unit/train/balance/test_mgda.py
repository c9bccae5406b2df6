"""MGDA: no task's loss rises, networks and batches that lack a part.

Its equations are in tests/reference.
"""

from dataclasses import replace
from functools import partial

import pytest
import torch

from labelgrid.basics.errors import TrainingError
from labelgrid.train.balance.mgda import Options, build
from labelgrid.train.objective import supervised_loss
from labelgrid.train.shared_gradients import SharedGradients
from tests.balancing import FULL, PRESENT, TASKS, Toy, combined

WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5}
REDUCE = partial(supervised_loss, reduction="task_sum")
places = pytest.mark.parametrize("at", ["features", "parameters"])


@pytest.mark.parametrize("seed", range(5))
def test_a_step_along_it_raises_no_tasks_loss(seed):
    toy = Toy(seed)
    build(WEIGHTS, REDUCE, Options(at="parameters")).backward(toy.step(FULL))
    moved = {name: g for name, g in toy.found().items() if toy.is_shared(name)}
    assert any(g.any() for g in moved.values())
    for share in toy.shares(FULL, "task_sum", WEIGHTS).values():
        slope = sum((moved[name] * toy.gradients(share)[name]).sum() for name in moved)
        assert slope.item() > -1e-12


@places
def test_one_labelled_task_is_learnt_as_if_alone(at):
    toy, present = Toy(), PRESENT & torch.tensor([False, True, False])
    build(WEIGHTS, REDUCE, Options(at=at)).backward(toy.step(present))
    expected = combined(toy, toy.shares(present, "task_sum", WEIGHTS), {"b": 1.0}, {"b": 1.0})
    for name, gradient in toy.found().items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def test_at_the_features_a_bypass_is_refused():
    with pytest.raises(TrainingError, match='at = "parameters"'):
        build(WEIGHTS, REDUCE, Options()).backward(Toy(around=True).step(FULL))
    build(WEIGHTS, REDUCE, Options(at="parameters")).backward(Toy(around=True).step(FULL))


@pytest.mark.parametrize("normalise", ["none", "l2", "loss", "loss+"])
def test_losses_of_nothing_give_finite_gradients(normalise):
    toy = Toy()
    step = toy.step(FULL)
    nothing = {name: 0 * loss for name, loss in step.losses.items()}
    build(WEIGHTS, REDUCE, Options(normalise=normalise)).backward(replace(step, losses=nothing))
    assert all(gradient.isfinite().all() for gradient in toy.found().values())
    step = toy.step(FULL)
    build(WEIGHTS, REDUCE, Options(normalise=normalise)).backward(
        replace(step, losses={**step.losses, "b": 0 * step.losses["b"]})
    )
    assert all(gradient.isfinite().all() for gradient in toy.found().values())
    assert not any(
        gradient.any() for name, gradient in toy.found().items() if toy.is_shared(name)
    )  # all weight is b's


def test_an_overflow_is_left_to_the_loss_scaler():
    toy = Toy(scale=1e306)
    build(WEIGHTS, REDUCE, Options()).backward(toy.step(FULL))
    assert not torch.stack([p.grad.isfinite().all() for p in toy.shared]).all()


def test_the_weights_are_new_in_each_step():
    toy = Toy()
    balancer = build(WEIGHTS, REDUCE, Options())
    assert not list(balancer.parameters()) and not balancer.state_dict()
    balancer.backward(toy.step(FULL))
    first = toy.found()
    balancer.backward(toy.step(PRESENT))
    balancer.backward(toy.step(FULL))
    for name, gradient in toy.found().items():
        assert torch.equal(gradient, first[name])
    assert list(toy.tasks) == list(TASKS)


def test_with_one_label_an_image_a_task_gets_the_inverse_square_of_its_gradients_norm():
    toy, present = Toy(), torch.eye(3, dtype=torch.bool)[[0, 1, 2, 1]]
    balancer = build(
        dict.fromkeys(TASKS, 1.0), partial(supervised_loss, reduction="task_sum"), Options()
    )
    step = toy.step(present)
    rows = SharedGradients(step, step.parts(balancer.reduce, balancer.fixed), "features").rows
    torch.testing.assert_close(
        rows @ rows.T, (rows @ rows.T).diag().diag()
    )  # no image is in two rows
    balancer.backward(toy.step(present))
    inverse = 1 / rows.square().sum(1)
    torch.testing.assert_close(torch.stack([*balancer.factors.values()]), inverse / inverse.sum())
