"""The factors that balancers report are those of the gradients."""

from functools import partial

import pytest
import torch

from labelgrid.train.balance import dwa, gradnorm, mgda, uncertainty
from labelgrid.train.objective import supervised_loss
from tests.balancing import PRESENT, Toy, combined

COVERS: list[str] = []
WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5}


@pytest.mark.parametrize(
    ("module", "options"),
    [
        (mgda, {"heads": "weighted"}),
        (gradnorm, {"heads": "weighted"}),
        (uncertainty, {}),
        (uncertainty, {"form": "kendall"}),
        (dwa, {}),
    ],
)
def test_each_task_has_the_gradient_of_its_loss_times_the_factor(module, options):
    toy = Toy()
    balancer = module.build(
        WEIGHTS, partial(supervised_loss, reduction="task_sum"), module.Options(**options)
    ).double()
    with torch.no_grad():  # what is learnt differs from task to task
        for number, parameter in enumerate(balancer.parameters(), 1):
            parameter.fill_(0.3 * number)
    if module is dwa:
        balancer.last, balancer.before = (
            torch.tensor([1.0, 2.0, 3.0]),
            torch.tensor([4.0, 3.0, 2.0]),
        )
    balancer.backward(toy.step(PRESENT, classes=["a"]))
    factors = {name: float(value) for name, value in balancer.factors.items()}
    assert len({*factors.values()}) == 3
    expected = combined(toy, toy.shares(PRESENT, "task_sum", WEIGHTS), factors, factors)
    for name, gradient in toy.found().items():
        torch.testing.assert_close(gradient, expected[name])
