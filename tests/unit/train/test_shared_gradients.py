"""Gradients of several losses: their rows, what a combination leaves in the parameters, and how often it passes by."""

from dataclasses import replace

import pytest
import torch

from labelgrid.basics.errors import TrainingError
from labelgrid.basics.progress import Silent
from labelgrid.train.balancer import Balancer
from labelgrid.train.shared_gradients import SharedGradients
from labelgrid.train.train_options import TrainOptions
from labelgrid.train.trainer import Trainer
from tests.balancing import PRESENT, TASKS, Toy, combined
from tests.support import make_dataset
from tests.toys import toy_plan

WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5}
places = pytest.mark.parametrize("at", ["features", "parameters"])
scales = pytest.mark.parametrize("scale", [1.0, 1024.0])


def reduce(losses, present):
    stacked = torch.where(present, torch.stack(list(losses.values()), 1), 0.0)
    return (stacked.sum(0) / present.sum(0).clamp(min=1)).sum()


def made(toy, at):
    step = toy.step()
    return SharedGradients(step, step.parts(reduce, WEIGHTS), at)


@places
@scales
def test_the_rows_are_the_gradients_of_each_loss(at, scale):
    toy = Toy(scale=scale)
    gradients = made(toy, at)
    for row, share in zip(
        gradients.rows, toy.shares(PRESENT, "task_sum", WEIGHTS).values(), strict=True
    ):
        if at == "parameters":
            found = torch.autograd.grad(share, toy.shared, retain_graph=True)
            torch.testing.assert_close(row, torch.cat([g.flatten() for g in found]))
    if (
        at == "features"
    ):  # through the last layer: its bias has the sum of the gradients over the images
        own = [
            toy.gradients(share)["1.bias"]
            for share in toy.shares(PRESENT, "task_sum", WEIGHTS).values()
        ]
        torch.testing.assert_close(gradients.rows.view(3, 4, 4).sum(1), torch.stack(own))
    assert not any(parameter.grad is not None for parameter in toy.modules.parameters())


@scales
def test_the_gradients_at_a_layer_are_those_of_its_weights(scale):
    toy = Toy(scale=scale)
    for name, layer in (("0.weight", toy.first.weight), ("1.weight", toy.second.weight)):
        found = made(toy, "features").at_layer(layer)
        shares = toy.shares(PRESENT, "task_sum", WEIGHTS).values()
        torch.testing.assert_close(
            found, torch.stack([toy.gradients(share)[name].flatten() for share in shares])
        )


@places
@scales
@pytest.mark.parametrize("heads", [{"a": 1.0, "b": 1.0, "c": 1.0}, {"a": 0.2, "b": 3.0, "c": 0.0}])
def test_weights_give_the_gradients_of_the_weighted_sum(at, scale, heads):
    toy = Toy(scale=scale)
    factors = {"a": 0.2, "b": 3.0, "c": 0.0}
    expected = combined(toy, toy.shares(PRESENT, "task_sum", WEIGHTS), factors, heads)
    gradients = made(toy, at)
    more = toy.bridge.weight.sum()
    gradients.weigh(torch.tensor(list(factors.values())), list(heads.values()), more)
    found = toy.found()
    torch.testing.assert_close(found.pop("4.weight"), torch.ones(1, 5).double())
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


@pytest.mark.parametrize("heads", [{"a": 1.0, "b": 1.0, "c": 1.0}, {"a": 0.2, "b": 3.0, "c": 0.5}])
def test_weights_are_exact_also_if_a_task_reads_more_of_the_shared_part(heads):
    toy = Toy(around=True, scale=16.0)
    factors = {"a": 0.2, "b": 3.0, "c": 0.5}
    expected = combined(toy, toy.shares(PRESENT, "task_sum", WEIGHTS), factors, heads)
    assert not made(Toy(), "features").bypassed and not made(toy, "parameters").bypassed
    gradients = made(toy, "features")
    assert gradients.bypassed
    gradients.weigh(torch.tensor(list(factors.values())).double(), list(heads.values()))
    for name, gradient in toy.found().items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def test_a_bypass_is_refused_where_the_features_must_hold_the_whole_gradient():
    with pytest.raises(TrainingError, match=r'read more of its encoder(.|\n)*at = "parameters"'):
        made(Toy(around=True), "features").refuse_bypass()
    made(Toy(around=True), "parameters").refuse_bypass()
    made(Toy(), "features").refuse_bypass()


@places
def test_a_combination_takes_the_place_of_the_tasks_gradients(at):
    toy = Toy(scale=8.0)
    gradients = made(toy, at)
    gradients.backward(torch.zeros_like(gradients.rows[0]), [0.0, 1.0, 0.0])
    expected = combined(
        toy,
        toy.shares(PRESENT, "task_sum", WEIGHTS),
        dict.fromkeys(TASKS, 0.0),
        {"a": 0.0, "b": 1.0, "c": 0.0},
    )
    for name, gradient in toy.found().items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


@pytest.mark.parametrize(("at", "passes"), [("features", 1), ("parameters", 3)])
def test_at_the_features_the_encoder_is_passed_once(at, passes):
    toy, seen = Toy(), []
    toy.first.register_full_backward_hook(lambda *_, **__: seen.append(1))
    toy.images.requires_grad_()  # a module's hook is called if its input has a gradient
    toy.term.requires_grad_(False)
    step = toy.step()
    step = type(step)(**{**vars(step), "other": torch.zeros(())})
    gradients = SharedGradients(step, step.parts(reduce, WEIGHTS), at)
    gradients.weigh(torch.ones(3), [1.0] * 3)
    assert len(seen) == passes


def test_half_precision_features_give_rows_in_single_precision():
    toy = Toy()
    toy.modules.float()
    toy.images, toy.goals = toy.images.float(), toy.goals.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        step = toy.step()
    gradients = SharedGradients(step, step.parts(reduce, WEIGHTS), "features")
    assert step.features.dtype == torch.bfloat16 and gradients.rows.dtype == torch.float32
    gradients.weigh(torch.ones(3), [1.0] * 3)
    expected = combined(
        toy, toy.shares(PRESENT, "task_sum", WEIGHTS), *[dict.fromkeys(TASKS, 1.0)] * 2
    )
    for name, gradient in toy.found().items():
        torch.testing.assert_close(gradient, expected[name], msg=name, rtol=0.1, atol=0.05)


class Equal(Balancer):
    """Gives all tasks the weight 1, by their gradients."""

    def __init__(self, weights, at):
        super().__init__()
        self.weights, self.at = weights, at

    def backward(self, step):
        gradients = SharedGradients(step, step.parts(reduce, self.weights), self.at)
        gradients.refuse_bypass()
        gradients.weigh(torch.ones(len(gradients.losses)), [1.0] * len(gradients.losses))
        return step.other.detach()


@places
@pytest.mark.parametrize("net", ["pad_net", "shared_heads"])
def test_on_a_network_equal_weights_leave_the_gradients_of_the_plain_loss(tmp_path, at, net):
    made = make_dataset(tmp_path, n=3, size=(32, 64), tasks=("semseg", "depth", "normals"))
    made.label(made.names[0], "depth").unlink()
    options = TrainOptions(epochs=1, batch=3, known=0.5, optimiser="adamw")
    found = []
    for equal in (False, True):
        plan = toy_plan(made, options, net=net)
        plan = replace(plan, balancer=Equal(plan.balancer.fixed, at) if equal else plan.balancer)
        plan.balancer.reduce = reduce
        training = Trainer(plan)
        training.run_epoch(Silent())
        found.append({name: p.grad for name, p in plan.network.named_parameters()})
    plain, mine = found
    largest = max(float(gradient.abs().max()) for gradient in plain.values())
    for name, gradient in plain.items():
        torch.testing.assert_close(mine[name], gradient, msg=name, rtol=1e-3, atol=1e-5 * largest)


@pytest.mark.parametrize(
    ("net", "wanted"), [("segnet", "second_up.0.0.0.weight"), ("mtan", "second_up.0.0.0.weight")]
)
def test_the_last_shared_layer_is_the_one_before_the_features(tmp_path, net, wanted):
    made = make_dataset(tmp_path, n=2, size=(32, 64), tasks=("semseg", "depth"))
    training = Trainer(toy_plan(made, TrainOptions(epochs=1, batch=2, device="cpu"), net=net))
    kept = []
    training.plan.balancer.backward = kept.append
    training.train_step(next(training._batches(0)), 0)
    losses = kept[0].parts(training.plan.balancer.reduce, training.plan.balancer.fixed)
    gradients = SharedGradients(kept[0], losses, "features")
    layer = gradients.last_layer()
    assert [name for name, p in training.network.encoder.named_parameters() if p is layer] == [
        wanted
    ]
    assert gradients.bypassed == (net == "mtan")
    found = gradients.at_layer(layer)
    direct = [
        torch.autograd.grad(loss, [layer], retain_graph=True)[0].flatten()
        for loss in losses.values()
    ]
    torch.testing.assert_close(found, torch.stack(direct), rtol=1e-4, atol=1e-6)
    assert found.norm(dim=1).min() > 0


@places
def test_gradients_have_the_layout_of_their_parameters(at):
    shared, head = (
        torch.nn.Conv2d(3, 3, 3, padding=1).to(memory_format=torch.channels_last) for _ in range(2)
    )
    features = shared(torch.rand(2, 3, 8, 8))
    losses = {"a": features.square().mean(), "b": head(features).mean()}
    step = replace(
        Toy().step(), features=features, parameters=[*shared.parameters()], other=features.mean()
    )
    gradients = SharedGradients(step, losses, at)
    gradients.backward(gradients.rows.mean(0), [1.0, 1.0])
    for weight in (shared.weight, head.weight):
        assert weight.grad.stride() == weight.stride() == (27, 1, 9, 3)
