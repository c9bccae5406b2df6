"""Laws every balancer keeps: those of `labelgrid.train.balance`, and every file added there.

Each fails a wrong one.
"""

from functools import partial

import pytest
import torch
from torch import nn

from labelgrid.basics.errors import PluginError
from labelgrid.train.balancer import Balancer, TaskLosses
from labelgrid.train.objective import supervised_loss
from labelgrid.train.seeding import seed_torch
from tests.contracts.trained import dataset, different, modules, resumes_exactly, states, trainer


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
reductions = pytest.mark.parametrize("reduction", ["image_mean", "image_sum", "task_sum"])
TASKS = ("a", "b", "c")


class World:
    """A shared layer, one head per task and a layer of a term; the losses of four images."""

    def __init__(self):
        with seed_torch(0, "world"):
            self.shared, self.term = nn.Linear(3, 4), nn.Linear(3, 1)
            self.heads = nn.ModuleDict({name: nn.Linear(4, 1) for name in TASKS})
            self.images = torch.randn(4, 3)
        self.total = None

    def backward(self, build, reduction, present, tasks=TASKS, garbage=0.0, number=0):
        """Gradients by name after one backward pass.

        Cells without a label have the loss `garbage`.
        """
        with seed_torch(0, "init", "balance"):
            balancer = build(
                dict.fromkeys(tasks, 2.0), partial(supervised_loss, reduction=reduction)
            )
        features = self.shared(self.images)
        columns = present[:, [TASKS.index(name) for name in tasks]]
        losses = {
            name: torch.where(
                columns[:, i],
                (self.heads[name](features)[:, 0] - 1) ** 2,
                garbage * features.sum(1),
            )
            for i, name in enumerate(tasks)
        }
        other = self.term(self.images).square().mean()
        parameters = list(self.shared.parameters())
        step = TaskLosses(
            losses=losses,
            present=columns,
            other=other,
            features=features,
            parameters=parameters,
            step=number,
            progress=0.0,
            backward=torch.Tensor.backward,
        )
        self.total, self.factors = balancer.backward(step), balancer.factors
        named = {"shared": self.shared, "term": self.term, **self.heads}
        return {
            name: None if m.weight.grad is None else m.weight.grad.clone()
            for name, m in named.items()
        }


#: Image 0 has the labels `a` and `b`, image 1 lacks `b`, no image has `c`.
PRESENT = torch.tensor(
    [[True, True, False], [True, False, False], [True, True, False], [False, True, False]]
)


def missing_labels_have_no_effect(build, reduction):
    plain = World().backward(build, reduction, PRESENT)
    assert not different(plain, World().backward(build, reduction, PRESENT, garbage=1e6))
    assert plain["c"] is None or not plain["c"].any()


def a_task_that_nobody_has_is_as_if_it_were_not_there(build, reduction):
    with_it = World().backward(build, reduction, PRESENT)
    without = World().backward(build, reduction, PRESENT, tasks=("a", "b"))
    for name in ("shared", "a", "b", "term"):
        torch.testing.assert_close(with_it[name], without[name])


def the_terms_loss_counts_in_full(build, reduction):
    world = World()
    expected = torch.autograd.grad(world.term(world.images).square().mean(), world.term.weight)[0]
    torch.testing.assert_close(world.backward(build, reduction, PRESENT)["term"], expected)
    world = World()
    nobody = world.backward(build, reduction, torch.zeros_like(PRESENT))
    torch.testing.assert_close(nobody["term"], expected)
    assert nobody["shared"] is None or not nobody["shared"].any()


def every_task_that_has_labels_is_learnt(build, reduction):
    """Within a few steps; a balancer may learn one task in each."""
    learnt = {"shared": False, "a": False, "b": False}
    for number in range(8):
        world = World()
        gradients = world.backward(build, reduction, PRESENT, number=number)
        assert (
            world.total.shape == ()
            and not world.total.requires_grad
            and torch.isfinite(world.total)
        )
        learnt = {
            name: found or (gradients[name] is not None and gradients[name].any())
            for name, found in learnt.items()
        }
    assert all(learnt.values())


def its_factors_are_finite_numbers_of_labelled_tasks(build, reduction):
    world = World()
    world.backward(build, reduction, PRESENT)
    assert world.factors.keys() in (set(), {"a", "b"})
    for factor in world.factors.values():
        assert (
            factor.shape == ()
            and not factor.requires_grad
            and torch.isfinite(factor)
            and factor >= 0
        )


LAWS = [
    missing_labels_have_no_effect,
    a_task_that_nobody_has_is_as_if_it_were_not_there,
    the_terms_loss_counts_in_full,
    every_task_that_has_labels_is_learnt,
    its_factors_are_finite_numbers_of_labelled_tasks,
]


@every
@reductions
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_every_balancer_keeps_the_law(build, reduction, law):
    law(build, reduction)


@every
def test_every_balancer_resumes_exactly(tmp_path, build):
    resumes_exactly(tmp_path, balancer=build)


@every
def test_one_seed_is_one_construction(tmp_path, build):
    made = dataset(tmp_path)
    assert not different(*(states(trainer(made, balancer=build)) for _ in range(2)))


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


WRONG = [Counting, Sharing, Dropping, Preferring, Attached]


@reductions
@pytest.mark.parametrize(("law", "wrong"), list(zip(LAWS, WRONG, strict=True)))
def test_the_law_fails_a_balancer_that_breaks_it(law, wrong, reduction):
    with pytest.raises(AssertionError):
        law(wrong, reduction)


class Remembering(Wrong):
    """Weighs by its number of calls, and does not save that number in the checkpoint."""

    calls = 0

    def backward(self, step):
        self.calls += 1
        total = self.calls * self.reduce(step.losses, step.present) + step.other
        step.backward(total)
        return total.detach()


def test_a_balancer_whose_state_is_not_kept_fails_to_resume(tmp_path):
    with pytest.raises(AssertionError):
        resumes_exactly(tmp_path, balancer=Remembering)
