"""GradNorm: the sum of the weights, first losses, tasks without labels.

Its equations are in tests/reference.
"""

from dataclasses import replace
from functools import partial

import pytest
import torch

from labelgrid.basics.errors import TrainingError
from labelgrid.train.balance.gradnorm import LEAST, Options, build
from labelgrid.train.objective import supervised_loss
from tests.balancing import FULL, PRESENT, Toy, combined

WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5}
REDUCE = partial(supervised_loss, reduction="task_sum")
WITHOUT_C = PRESENT & torch.tensor([True, True, False])


def made(**options):
    return build(WEIGHTS, REDUCE, Options(**options)).double()


def test_the_norms_become_equal_if_alpha_is_0():
    toy, balancer = Toy(), made(alpha=0.0, at="features")
    optimiser = torch.optim.Adam(balancer.parameters(), lr=0.025)
    for i in range(400):
        optimiser.param_groups[0]["lr"] = 0.025 * (1 - i / 400)
        optimiser.zero_grad()
        balancer.backward(toy.step(FULL))
        assert sum(weight.item() for weight in balancer.weights.values()) == pytest.approx(3)
        optimiser.step()
    step = toy.step(FULL)
    parts = step.parts(REDUCE, WEIGHTS)
    norms = {
        n: torch.autograd.grad(part, step.features, retain_graph=True)[0].norm()
        for n, part in parts.items()
    }
    weighted = [balancer.weights[name].item() * float(norm) for name, norm in norms.items()]
    assert max(weighted) / min(weighted) < 1.01 < max(norms.values()) / min(norms.values())


def test_a_task_that_learns_more_slowly_gets_a_larger_target():
    balancer = made()
    balancer.backward(Toy().step(FULL))
    balancer.weights["c"].grad = None
    step = Toy().step(FULL)
    balancer.backward(
        replace(
            step, losses={**step.losses, "a": step.losses["a"] / 10, "b": step.losses["b"] / 10}
        )
    )
    assert balancer.weights["c"].grad < 0  # it is to grow


def test_a_first_loss_is_that_of_the_first_batch_with_a_label():
    balancer, toy = made(), Toy()
    balancer.backward(toy.step(WITHOUT_C))
    assert balancer.initial[2] == 0
    first = balancer.initial.clone()
    toy.goals = toy.goals + 1
    balancer.backward(toy.step(FULL))
    assert balancer.initial[:2].tolist() == first[:2].tolist()
    assert balancer.initial[2].item() == pytest.approx(toy.losses()[1]["c"].mean().item())


def test_the_weight_of_a_task_without_a_label_gets_no_gradient():
    balancer = made()
    balancer.backward(Toy().step(WITHOUT_C))
    assert [weight.grad is None for weight in balancer.weights.values()] == [False, False, True]
    balancer = made()
    balancer.backward(Toy().step(torch.zeros_like(FULL)))
    assert all(weight.grad is None for weight in balancer.weights.values())


def test_no_weight_falls_below_the_least():
    balancer = made()
    balancer.weights["a"].data.fill_(-5.0)
    balancer.backward(Toy().step(FULL))
    found = [weight.item() for weight in balancer.weights.values()]
    assert sum(found) == pytest.approx(3) and found[0] == pytest.approx(3 * LEAST / (2 + LEAST))


def test_a_network_whose_heads_read_more_of_the_shared_part_gets_the_exact_gradient():
    toy, balancer = Toy(around=True), made(at="layer")
    balancer.weights["a"].data.fill_(2.0)
    balancer.backward(toy.step(FULL))
    weights = {name: weight.item() for name, weight in balancer.weights.items()}
    expected = combined(toy, toy.shares(FULL, "task_sum", WEIGHTS), weights, weights)
    for name, gradient in toy.found().items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def test_at_the_features_such_a_network_is_refused():
    with pytest.raises(TrainingError, match='Set at = "layer" in the options'):
        made(at="features").backward(Toy(around=True).step(FULL))


def test_a_shared_part_of_vectors_alone_is_measured_at_the_last():
    def gradient(*names):
        toy, balancer = Toy(), made()
        named = dict(toy.modules.named_parameters())
        balancer.backward(replace(toy.step(FULL), parameters=[named[name] for name in names]))
        return balancer.weights["a"].grad.item()

    assert gradient("0.bias", "1.bias") == gradient("1.bias") != gradient("0.bias")
    assert gradient("0.weight", "1.bias") == gradient("0.weight")


@pytest.mark.parametrize("wrong", [{"alpha": -1.0}, {"learning_rate": 11.0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Options(**wrong)
