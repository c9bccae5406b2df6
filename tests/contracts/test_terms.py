"""Laws every term keeps: those of `labelgrid.train.terms`, and every file added there.

Each law fails a wrong term.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from labelgrid.basics.errors import PluginError, TrainingError
from labelgrid.basics.progress import Silent
from labelgrid.data.loader import train_batch
from labelgrid.pixel.target import Target
from labelgrid.train.mappings import MAPPINGS, SEGNET, segnet_encoder
from labelgrid.train.term import OwnOptimiser, Term
from tests.contracts.trained import (
    dataset,
    different,
    modules,
    resumes_exactly,
    small,
    states,
    trainer,
    with_gaps,
)

MODULES = modules("terms", ["tasks", "network", "options"])
every = pytest.mark.parametrize(
    "term",
    [
        pytest.param(
            lambda tasks, network, m=module: m.build(tasks, network, small(m.Options())), id=name
        )
        for name, module in MODULES.items()
    ],
)


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Make the SegNet of MTPSL narrow, whose width is no option: the laws hold for any width."""
    stages = [(width // 8, layers) for width, layers in SEGNET]
    monkeypatch.setitem(MAPPINGS, "segnet", partial(segnet_encoder, stages=stages))


def test_there_are_terms_to_hold_to_the_laws():
    assert MODULES


def missing_labels_have_no_effect(folder, term):
    """Label values of invalid pixels do not affect a step's results: weights, terms, optimisers."""
    made = dataset(folder)
    left = []
    for poison in (False, True):
        training = trainer(made, term, known=0.0)
        training.prepare(folder / "terms", Silent(), resumed=False)
        plan = training.plan
        batch = train_batch(
            plan.source, plan.definitions, made.names[:4], plan.data, seed=0, soft={}
        )
        targets = {
            n: t.where(torch.arange(4) != i) for i, (n, t) in enumerate(batch.targets.items())
        }
        if poison:
            targets = {n: Target(garbage(t), t.valid) for n, t in targets.items()}
        training.network.train()
        for index in range(2):
            torch.manual_seed(index)
            training.train_step(
                replace(batch, targets=targets, soft=soft_of(training, batch)), index
            )
        left.append(states(training))
    assert not different(*left)


def soft_of(training, batch):
    """A batch as from `train_batch` for a term with soft labels, if none of these images has one."""
    plan = training.plan
    if not training.terms.soft:
        return {}
    names = [name for name in plan.train if name in batch.ids]
    return train_batch(
        plan.source, plan.definitions, names, plan.data, seed=0, soft=training.terms.soft
    ).soft


def garbage(target):
    worst = float("nan") if target.value.is_floating_point() else 999
    return torch.where(target.valid, target.value, torch.as_tensor(worst, dtype=target.value.dtype))


def one_seed_one_construction(folder, term):
    """A term that is built twice from one stream is bitwise the same."""
    made = dataset(folder)
    assert not different(*(states(trainer(made, term)) for _ in range(2)))


def losses_are_a_number_an_image(folder, term):
    training = trainer(with_gaps(folder), term)
    training.prepare(folder / "terms", Silent(), resumed=False)
    found = []
    losses = training.terms.losses
    training.terms.losses = lambda steps: found.append(losses(steps)) or found[-1]
    batch = next(training._batches(0))
    training.train_step(batch, 0)
    assert all(
        loss.shape == (len(batch.ids),) and torch.isfinite(loss).all() for loss in found[0].values()
    )


def the_network_is_changed_by_the_optimiser_alone(folder, term):
    """Without a gradient, a step does not change the network's weights."""
    training = trainer(with_gaps(folder), term)
    training.prepare(folder / "terms", Silent(), resumed=False)
    training.optimiser.step = lambda: None
    before = {name: p.detach().clone() for name, p in training.network.named_parameters()}
    for index in range(2):
        training.train_step(next(training._batches(0)), index)
    assert not different(before, dict(training.network.named_parameters()))


LAWS = [
    missing_labels_have_no_effect,
    one_seed_one_construction,
    losses_are_a_number_an_image,
    the_network_is_changed_by_the_optimiser_alone,
]


@every
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_every_term_keeps_the_law(tmp_path, term, law):
    law(tmp_path, term)


@every
def test_every_term_resumes_exactly(tmp_path, term):
    resumes_exactly(tmp_path, term=term)


class Leaking(Term):
    """Reads labels at invalid pixels."""

    def loss(self, step):
        gap = step.output.final["depth"].mean((1, 2, 3)) - step.batch.targets["depth"].value.mean(
            (1, 2, 3)
        )
        return {"gap": gap.abs()}


class Whim(Term):
    """Draws its weights from outside its stream."""

    def __init__(self, tasks, network):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(np.random.default_rng().normal()))


class Scalar(Term):
    """Returns one value per batch."""

    def loss(self, step):
        return {"size": step.output.features.shared.square().mean()}


class Meddling(Term):
    """Changes the network without the optimiser."""

    def after_step(self, step):
        next(step.network.parameters()).mul_(0.9)


class Forgetful(Term):
    """Counts its steps in an attribute that no checkpoint saves."""

    def __init__(self, tasks, network):
        super().__init__()
        self.steps = 0

    def loss(self, step):
        self.steps += 1
        return {"size": 0.01 * self.steps * step.output.features.shared.square().mean((1, 2, 3))}


@pytest.mark.parametrize(
    ("law", "wrong"),
    list(
        zip(
            LAWS,
            [lambda t, n: Leaking(), Whim, lambda t, n: Scalar(), lambda t, n: Meddling()],
            strict=True,
        )
    ),
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_the_law_fails_a_term_that_breaks_it(tmp_path, law, wrong):
    with pytest.raises((AssertionError, TrainingError)):
        law(tmp_path, wrong)


def test_a_term_whose_state_is_not_kept_fails_to_resume(tmp_path):
    with pytest.raises(AssertionError):
        resumes_exactly(tmp_path, term=Forgetful)


class Keeping(Term):
    def __init__(self, tasks, network):
        super().__init__()
        self.network = network


class Stealing(Term):
    def __init__(self, tasks, network):
        super().__init__()
        self.optimiser = torch.optim.SGD(network.parameters(), lr=0.1)

    def optimisers(self):
        return {"network": OwnOptimiser(self.optimiser, lambda step: {})}


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (Keeping, "keeps the network among its modules"),
        (Stealing, "an optimiser of parameters that are not its own"),
    ],
)
def test_a_term_that_takes_the_networks_parameters_is_refused(tmp_path, wrong, fault):
    with pytest.raises(PluginError, match=rf"The term 'it' .*{fault}(.|\n)*Nothing was trained"):
        trainer(dataset(tmp_path), wrong)
