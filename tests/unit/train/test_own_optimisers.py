"""Own optimisers: stepped by the loop under its loss scaling, and gradients kept apart both ways by the loop itself."""

from dataclasses import replace

import pytest
import torch
from lightning_fabric.plugins import MixedPrecision
from torch import nn

from labelgrid.basics.errors import TrainingError
from labelgrid.train.checkpoint import load, save
from labelgrid.train.options import TrainOptions
from labelgrid.train.term import OwnOptimiser, Term
from labelgrid.train.trainer import Trainer
from tests.support import make_dataset
from tests.toys import toy_plan


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("data"), n=4, size=(32, 64), tasks=("depth",))


class Adversary(Term):
    """Whose losses, both of them, depend on the network and on its own layer.

    It detaches nothing.
    """

    def __init__(self, weight=1.0, loss=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.judge, self.weight, self.own = nn.Linear(1, 1), weight, loss
        self.plain = nn.Parameter(torch.ones(()))
        self.optimiser = torch.optim.Adam(self.judge.parameters(), lr=1e-2)

    def verdict(self, step):
        return self.judge(step.output.final["depth"].mean((2, 3)))[:, 0]

    def loss(self, step):
        return {"fool": self.weight * self.plain * self.verdict(step)}

    def optimisers(self):
        return {
            "judge": OwnOptimiser(
                self.optimiser, lambda step: {"judge": self.own * -self.verdict(step)}
            )
        }


def gradients(module):
    return {n: None if p.grad is None else p.grad.clone() for n, p in module.named_parameters()}


def stepped(data, term, **options):
    """One step.

    The gradients of the network and of the term after each optimiser's backward pass.
    """
    training = Trainer(
        toy_plan(data, TrainOptions(batch=4, known=0.0, **options), terms={"it": term})
    )
    seen = {}
    for name, optimiser in {"main": training.optimiser, **training.terms.own.optimisers}.items():
        optimiser.step = lambda name=name, real=optimiser.step: (
            seen.__setitem__(name, (gradients(training.network), gradients(term))),
            real(),
        )
    training.network.train()
    torch.manual_seed(0)
    training.train_step(next(training._batches(0)), 0)
    return training, seen


def test_the_main_step_gives_the_own_parameters_no_gradient_but_goes_through_them(data):
    _, seen = stepped(data, Adversary())
    network, term = seen["main"]
    assert term["judge.weight"] is None and term["judge.bias"] is None and term["plain"] is not None
    without, _ = stepped(data, Adversary(weight=0.0))[1]["main"]
    assert any(not torch.equal(network[n], without[n]) for n in network if network[n] is not None)


def test_the_own_step_gives_nothing_else_a_gradient(data):
    _, seen = stepped(data, Adversary())
    (network, term), (later, own) = seen["main"], seen["it/judge"]
    assert all(
        torch.equal(later[n], g) if g is not None else later[n] is None for n, g in network.items()
    )
    assert own["judge.weight"] is not None and torch.equal(own["plain"], term["plain"])


def test_own_parameters_are_moved_by_their_own_optimiser_alone(data):
    before = Adversary().judge.state_dict()
    training, _ = stepped(data, Adversary(loss=0.0), weight_decay=0.5)
    assert all(
        torch.equal(before[n], v) for n, v in training.plan.terms["it"].judge.state_dict().items()
    )
    main = {id(p) for group in training.optimiser.param_groups for p in group["params"]}
    assert not main & {id(p) for p in training.plan.terms["it"].judge.parameters()}
    training, _ = stepped(data, Adversary(), learning_rate=1e-9)
    moved = training.plan.terms["it"].judge.state_dict()
    torch.testing.assert_close(
        (moved["weight"] - before["weight"]).abs(), torch.full((1, 1), 1e-2), rtol=1e-3, atol=0
    )


def half(data, term):
    """Fabric makes a loss scaler on GPUs alone; PyTorch has one for the CPU, too."""
    training = Trainer(toy_plan(data, TrainOptions(batch=4, known=0.0), terms={"it": term}))
    training.fabric.strategy.precision = MixedPrecision("16-mixed", "cpu")
    return training


def test_own_steps_are_under_the_loss_scale_which_is_resumed(data, tmp_path):
    first, second = half(data, Adversary()), half(data, Adversary())
    scaled = []
    real = first.fabric.strategy.precision.scaler.scale
    first.fabric.strategy.precision.scaler.scale = lambda loss: (
        scaled.append(real(loss)) or scaled[-1]
    )
    first.network.train()
    batches = [next(first._batches(epoch)) for epoch in range(2)]
    first.train_step(batches[0], 0)
    assert len(scaled) == 2
    scaler = first.checkpoint().scaler
    assert scaler["_growth_tracker"] == 2
    save(first.checkpoint(), tmp_path / "last.ckpt")
    assert second.resume(tmp_path / "last.ckpt") and second.checkpoint().scaler == scaler
    assert load(tmp_path / "last.ckpt").own["it/judge"]["state"][0]["step"] == 1
    second.network.train()
    for training in (first, second):
        torch.manual_seed(1)
        training.train_step(batches[1], 0)
    one, two = (training.plan.terms["it"].judge.weight for training in (first, second))
    assert torch.equal(one, two)


def test_an_own_loss_that_is_no_number_stops_the_training_and_is_named(data):
    with pytest.raises(TrainingError, match=r"The loss of 'it.judge.judge' is nan in epoch 1"):
        stepped(data, Adversary(loss=float("nan")))


def test_a_step_may_have_no_own_loss(data):
    term = Adversary()
    term.optimisers = lambda: {"judge": OwnOptimiser(term.optimiser, lambda step: {})}
    before = {n: v.clone() for n, v in term.judge.state_dict().items()}
    stepped(data, term)
    assert all(torch.equal(before[n], v) for n, v in term.judge.state_dict().items())


def test_averaged_weights_of_two_terms_are_refused(data):
    from labelgrid.basics.errors import PluginError

    class Averaging(Term):
        def evaluated(self):
            return {}

    plan = toy_plan(data, TrainOptions())
    with pytest.raises(
        PluginError, match=r"The terms a and b both choose the weights to evaluate(.|\n)*\[terms\]"
    ):
        Trainer(replace(plan, terms={"a": Averaging(), "b": Averaging()}))
