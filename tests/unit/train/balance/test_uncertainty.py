"""Uncertainty: what is learnt of tasks with and without labels.

Its equations are in tests/reference.
"""

from functools import partial

import pytest
import torch

from labelgrid.train.balance.uncertainty import Options, build
from labelgrid.train.objective import supervised_loss
from tests.balancing import FULL, PRESENT, Toy

WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5}
REDUCE = partial(supervised_loss, reduction="image_mean")


def test_a_task_without_a_label_keeps_its_variance():
    balancer = build(WEIGHTS, REDUCE, Options(start=0.5, learning_rate=0.1))
    assert balancer.learning_rate == 0.1 and all(
        log.item() == 0.5 for log in balancer.logs.values()
    )
    optimiser = torch.optim.Adam(balancer.parameters(), lr=0.1)
    balancer.backward(Toy().step(FULL))  # the optimiser has moments of each
    optimiser.step()
    before = {name: log.item() for name, log in balancer.logs.items()}
    optimiser.zero_grad()
    balancer.backward(Toy().step(PRESENT & torch.tensor([True, True, False])))
    optimiser.step()
    assert [name for name, log in balancer.logs.items() if log.item() == before[name]] == ["c"]
    optimiser.zero_grad()
    balancer.backward(Toy().step(torch.zeros_like(FULL)))
    assert all(log.grad is None for log in balancer.logs.values())


@pytest.mark.parametrize("reduction", ["image_mean", "task_sum"])
@pytest.mark.parametrize("present", [FULL, PRESENT], ids=["full", "partial"])
def test_a_variance_becomes_the_tasks_mean_loss(reduction, present):
    """Where each image has as many labels as the others, or tasks are summed: the minimum of L / (2 exp s) + s / 2."""
    reduce, toy = partial(supervised_loss, reduction=reduction), Toy()
    balancer = build(WEIGHTS, reduce, Options()).double()
    optimiser = torch.optim.Adam(balancer.parameters(), lr=0.1)
    for _ in range(250):
        step = toy.step(present)
        optimiser.zero_grad()
        balancer.backward(step)
        optimiser.step()
    for i, (name, losses) in enumerate(toy.losses()[1].items()):
        counts = (
            present.sum(1)[present[:, i]]
            if reduction == "image_mean"
            else torch.ones(int(present[:, i].sum()))
        )
        mean = (losses[present[:, i]] / counts).sum() / (1 / counts).sum()
        assert balancer.logs[name].exp().item() == pytest.approx(
            WEIGHTS[name] * mean.item(), rel=1e-3
        )


@pytest.mark.parametrize("wrong", [{"start": 21.0}, {"learning_rate": -1.0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Options(**wrong)
