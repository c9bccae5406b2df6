"""Laws every term keeps: those of `labelgrid.train.terms`, and every file added there.

Each law fails a wrong term.
"""

from functools import partial

import numpy as np
import pytest
import torch

from labelgrid.basics.errors import PluginError, TrainingError
from labelgrid.testing.terms import LAWS, TermCase
from labelgrid.testing.trainings import dataset, small, trainer
from labelgrid.train.mappings import MAPPINGS, SEGNET, segnet_encoder
from labelgrid.train.term import OwnOptimiser, Term
from tests.contracts.own import modules

COVERS = ["labelgrid.testing.terms"]

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


@every
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_every_term_keeps_the_law(tmp_path, term, law):
    law(TermCase(term, tmp_path))


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
            [
                lambda t, n: Leaking(),
                Whim,
                lambda t, n: Scalar(),
                lambda t, n: Meddling(),
                Forgetful,
            ],
            strict=True,
        )
    ),
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_the_law_fails_a_term_that_breaks_it(tmp_path, law, wrong):
    with pytest.raises((AssertionError, TrainingError)):
        law(TermCase(wrong, tmp_path))


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
