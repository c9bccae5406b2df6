"""One task a step: which task is drawn, what gets a gradient, and what a batch without labels leaves."""

from collections import Counter
from functools import partial

import pytest
import torch
from torch import nn

from labelgrid.train.balance.one_task import Options, build
from labelgrid.train.balancer import TaskLosses
from labelgrid.train.objective import supervised_loss
from labelgrid.train.seeding import seed_torch

WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5}
#: No image has `c`.
PRESENT = torch.tensor([[True, True, False], [True, False, False], [False, True, False]])


def balancer_of(order="random", seed=0, reduction="image_mean"):
    with seed_torch(seed, "init", "balance"):
        return build(WEIGHTS, partial(supervised_loss, reduction=reduction), Options(order))


class Heads(nn.Module):
    """A layer that all tasks share, a head for each, and a layer of a term."""

    def __init__(self):
        super().__init__()
        with seed_torch(0, "heads"):
            self.shared, self.term = nn.Linear(2, 4), nn.Linear(2, 1)
            self.heads = nn.ModuleDict({name: nn.Linear(4, 1) for name in WEIGHTS})
            self.images = torch.randn(3, 2)

    def step(self, number, present=PRESENT):
        features = self.shared(self.images)
        losses = {
            n: head(features)[:, 0].square() * present[:, i]
            for i, (n, head) in enumerate(self.heads.items())
        }
        other = self.term(self.images).square().mean()
        return TaskLosses(
            losses=losses,
            present=present,
            other=other,
            features=features,
            parameters=(),
            step=number,
            progress=0.0,
            backward=torch.Tensor.backward,
        )


@pytest.mark.parametrize("reduction", ["image_mean", "task_sum"])
@pytest.mark.parametrize("number", range(6))
def test_a_step_has_the_gradients_of_its_task_and_of_the_terms(reduction, number):
    balancer, model, other = balancer_of(reduction=reduction), Heads(), Heads()
    step = model.step(number)
    task = balancer.task(step)
    total = balancer.backward(step)
    column, same = list(WEIGHTS).index(task), other.step(number)
    mean = same.losses[task].sum() / (3 if reduction == "image_mean" else PRESENT[:, column].sum())
    wanted = WEIGHTS[task] * mean + same.other
    wanted.backward()
    torch.testing.assert_close(total, wanted.detach())
    for (name, found), (_, expected) in zip(
        model.named_parameters(), other.named_parameters(), strict=True
    ):
        assert (found.grad is None) == (expected.grad is None), name
        if expected.grad is not None:
            torch.testing.assert_close(found.grad, expected.grad)
    assert [n for n, head in model.heads.items() if head.weight.grad is not None] == [task]


def test_labelled_tasks_are_drawn_alike_by_seed_and_step():
    model, balancer = Heads(), balancer_of()
    steps = [model.step(number) for number in range(400)]
    drawn = [balancer.task(step) for step in steps]
    assert set(drawn) == {"a", "b"} and 160 < Counter(drawn)["a"] < 240
    again = balancer_of(seed=1)
    assert [again.task(step) for step in steps] != drawn
    again.load_state_dict(balancer.state_dict())
    assert [again.task(step) for step in reversed(steps)] == drawn[::-1]


def learnt(balancer, *present):
    """The tasks that are learnt in steps with these labels."""
    model, found = Heads(), []
    for number, labels in enumerate(present):
        step = model.step(number, labels)
        found.append(balancer.task(step))
        balancer.backward(step)
    return "".join(found)


def test_turns_take_the_labelled_tasks_in_their_order():
    full = torch.ones_like(PRESENT)
    assert learnt(balancer_of("turns"), *[full] * 4) == "abca"
    assert learnt(balancer_of("turns"), *[PRESENT] * 4) == "abab"


def test_no_task_starves_where_labels_alternate():
    first, second = (
        torch.tensor([labels] * 3) for labels in ([True, True, False], [True, False, True])
    )
    assert learnt(balancer_of("turns"), *[first, second] * 4) == "acbabcac"
    rare = [torch.tensor([[True, True, number % 5 == 3]] * 3) for number in range(10)]
    assert learnt(balancer_of("turns"), *rare) == "abacbabacb"


def test_turns_go_on_where_they_were():
    full, balancer, again = torch.ones_like(PRESENT), balancer_of("turns"), balancer_of("turns")
    learnt(balancer, full, full)
    again.load_state_dict(balancer.state_dict())
    assert again.task(Heads().step(2, full)) == "c"


def test_without_a_label_the_terms_alone_count():
    model, balancer = Heads(), balancer_of()
    step = model.step(0, torch.zeros_like(PRESENT))
    assert balancer.task(step) is None
    torch.testing.assert_close(balancer.backward(step), step.other.detach())
    assert model.term.weight.grad.any() and not model.shared.weight.grad.any()
