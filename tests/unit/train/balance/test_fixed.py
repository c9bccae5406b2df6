"""Fixed weights: factors change what is trained, not what is measured."""

from functools import partial

import pytest
import torch

from labelgrid.basics.errors import RecipeError
from labelgrid.train.balance.fixed import Options, build
from labelgrid.train.balancer import TaskLosses
from labelgrid.train.objective import supervised_loss

WEIGHTS = {"a": 1.0, "b": 10.0}
REDUCE = partial(supervised_loss, reduction="task_sum")


def total(options):
    leaf = torch.ones((), requires_grad=True)
    losses = {"a": leaf * torch.tensor([2.0, 0.0]), "b": leaf * torch.tensor([0.0, 3.0])}
    present = torch.eye(2, dtype=torch.bool)
    step = TaskLosses(
        losses=losses,
        present=present,
        other=0.5 * leaf,
        features=leaf,
        parameters=(),
        step=0,
        progress=0.0,
        backward=torch.Tensor.backward,
    )
    found = build(WEIGHTS, REDUCE, options).backward(step)
    assert leaf.grad == found  # all losses are linear in the leaf
    return found.item()


@pytest.mark.parametrize(
    ("factors", "expected"),
    [(None, 32.5), ({}, 32.5), ({"a": 3.0}, 36.5), ({"a": 0.0, "b": 0.1}, 3.5)],
)
def test_factors_multiply_the_weights_of_the_objective(factors, expected):
    assert total(Options(factors)) == pytest.approx(expected)


def test_factors_of_unknown_tasks_and_negative_ones_are_refused():
    with pytest.raises(
        RecipeError, match=r"balance\.options\.factors names c, which is not a task"
    ):
        build(WEIGHTS, REDUCE, Options({"c": 1.0}))
    for factor in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"factors\.a must be from 0 to 1e\+09"):
            Options({"a": factor})
