"""Laws every balancer keeps: those of `labelgrid.train.balance`, and every file added there.

Each fails a wrong one.
"""

import numpy as np
import pytest
import torch
from torch import nn

from labelgrid.basics.errors import PluginError
from labelgrid.testing.balance import LAWS, BalancerCase
from labelgrid.train.balancer import Balancer
from tests.contracts.own import modules

COVERS = ["labelgrid.testing.balance", "labelgrid.testing.trainings"]


class Uncertain(Balancer):
    """An example with parameters: learnt uncertainties (Kendall et al. 2018, equation 10)."""

    learning_rate = 0.01

    def __init__(self, weights, reduce):
        super().__init__()
        self.reduce = reduce
        self.logs = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in weights})

    def backward(self, step):
        terms = [
            (-self.logs[n]).exp() * step.loss_of(n, self.reduce) + self.logs[n]
            for n in step.labelled
        ]
        total = sum(terms, step.other)
        step.backward(total)
        return total.detach()


MODULES = modules("balance", ["weights", "reduce", "options"])


def builder(module):
    """Builds with default options; skips the test if the package of an extra is absent."""

    def build(weights, reduce):
        try:
            return module.build(weights, reduce, module.Options())
        except PluginError as error:
            if "not installed" not in error.what:
                raise
            pytest.skip(str(error))

    return build


BUILDS = {name: builder(module) for name, module in MODULES.items()}
every = pytest.mark.parametrize("build", [*BUILDS.values(), Uncertain], ids=[*BUILDS, "uncertain"])


@every
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_every_balancer_keeps_the_law(build, law, tmp_path):
    law(BalancerCase(build, tmp_path))


class Wrong(Balancer):
    def __init__(self, weights, reduce):
        super().__init__()
        self.weights, self.reduce = weights, reduce


class Counting(Wrong):
    """Sums the losses of all cells, with or without a label."""

    def backward(self, step):
        total = sum(loss.mean() for loss in step.losses.values()) + step.other
        step.backward(total)
        return total.detach()


class Sharing(Wrong):
    """Weighs all tasks equally, including tasks without any label."""

    def backward(self, step):
        total = (
            sum(step.loss_of(name, self.reduce) for name in step.losses) / len(step.losses)
            + step.other
        )
        step.backward(total)
        return total.detach()


class Dropping(Wrong):
    """Ignores the terms."""

    def backward(self, step):
        total = self.reduce(step.losses, step.present) + 0 * step.other
        step.backward(total)
        return total.detach()


class Preferring(Wrong):
    """Learns the first task only."""

    def backward(self, step):
        total = step.loss_of("a", self.reduce) + step.other
        step.backward(total)
        return total


class Attached(Wrong):
    """Its factors have a graph."""

    def backward(self, step):
        total = self.reduce(step.losses, step.present) + step.other
        self.factors = {name: loss.mean() for name, loss in step.losses.items()}
        step.backward(total)
        return total.detach()


class Whimsical(Wrong):
    """Draws its weights from outside its stream."""

    def __init__(self, weights, reduce):
        super().__init__(weights, reduce)
        self.scale = nn.Parameter(torch.tensor(np.random.default_rng().normal()))


class Remembering(Wrong):
    """Weighs by its number of calls, and does not save that number in the checkpoint."""

    calls = 0

    def backward(self, step):
        self.calls += 1
        total = self.calls * self.reduce(step.losses, step.present) + step.other
        step.backward(total)
        return total.detach()


WRONG = [Counting, Sharing, Dropping, Preferring, Attached, Remembering, Whimsical]
BROKEN = list(zip(LAWS, WRONG, strict=True))


@pytest.mark.parametrize("reduction", ["image_mean", "image_sum", "task_sum"])
@pytest.mark.parametrize(("law", "wrong"), BROKEN, ids=lambda one: one.__name__)
def test_the_law_fails_a_balancer_that_breaks_it(law, wrong, reduction, tmp_path):
    with pytest.raises(AssertionError):
        law(BalancerCase(wrong, tmp_path, [reduction]))
