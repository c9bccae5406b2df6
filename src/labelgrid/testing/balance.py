"""Defines the laws of balancers, functions that raise AssertionError for a breach."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.testing.laws import Subject, expect
from labelgrid.testing.trainings import dataset, different, resumes_exactly, states, trainer
from labelgrid.train.balancer import Balancer, TaskLosses
from labelgrid.train.objective import supervised_loss
from labelgrid.train.seeding import seed_torch

BuildBalancer = Callable[[Mapping[str, float], Any], Balancer]
TASKS = ("a", "b", "c")
#: Image 0 has the labels `a` and `b`, image 1 lacks `b`, no image has `c`.
PRESENT = torch.tensor(
    [[True, True, False], [True, False, False], [True, True, False], [False, True, False]]
)


class BalancedWorld:
    """A shared layer, one head per task and a layer of a term; the losses of four images."""

    def __init__(self) -> None:
        with seed_torch(0, "world"):
            self.shared = nn.Linear(3, 4)
            self.term = nn.Linear(3, 1)
            self.heads = {name: nn.Linear(4, 1) for name in TASKS}
            self.images = torch.randn(4, 3)
        self.total = torch.zeros(())
        self.factors: Mapping[str, Tensor] = {}

    def backward(
        self,
        build: BuildBalancer,
        reduction: str,
        present: Tensor = PRESENT,
        *,
        tasks: Sequence[str] = TASKS,
        garbage: float = 0.0,
        number: int = 0,
    ) -> dict[str, Tensor | None]:
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
        self.total = balancer.backward(step)
        self.factors = balancer.factors
        named = {"shared": self.shared, "term": self.term, **self.heads}
        return {
            name: None if m.weight.grad is None else m.weight.grad.clone()
            for name, m in named.items()
        }


@dataclass(frozen=True)
class BalancerCase:
    """A balancer, and reductions of losses to build it with.

    Args:
        build: builds it from weights and a reduction.
        place: an empty folder.
        reductions: their names.
    """

    build: BuildBalancer
    place: Path
    reductions: Sequence[str] = ("image_mean", "image_sum", "task_sum")

    def backward(self, **changes: Any) -> Iterator[tuple[BalancedWorld, dict[str, Tensor | None]]]:
        """One backward pass for each reduction, as `BalancedWorld.backward`."""
        for reduction in self.reductions:
            world = BalancedWorld()
            yield world, world.backward(self.build, reduction, **changes)


def missing_labels_have_no_effect(case: BalancerCase) -> None:
    for (_, plain), (_, spoilt) in zip(case.backward(), case.backward(garbage=1e6), strict=True):
        moved = different(plain, spoilt)
        expect(
            not moved,
            "The losses of images without a label must change no gradient; those of "
            f"{', '.join(moved)} changed: `step.loss_of(name, reduce)` reads the labelled ones.",
        )
        gradient = plain["c"]
        expect(
            gradient is None or not gradient.any(),
            "The head of a task without any label must get no gradient; it got one.",
        )


def a_task_that_nobody_has_is_as_if_it_were_not_there(case: BalancerCase) -> None:
    pairs = zip(case.backward(), case.backward(tasks=("a", "b")), strict=True)
    for (_, with_it), (_, without) in pairs:
        for name in ("shared", "a", "b", "term"):
            expect(
                _close(with_it[name], without[name]),
                f"A task without any label in the batch must not change the gradient of {name!r}; "
                "it did: balance the tasks of `step.labelled` alone.",
            )


def the_terms_loss_counts_in_full(case: BalancerCase) -> None:
    world = BalancedWorld()
    wanted = torch.autograd.grad(world.term(world.images).square().mean(), world.term.weight)[0]
    for present in (PRESENT, torch.zeros_like(PRESENT)):
        for _, gradients in case.backward(present=present):
            expect(
                _close(gradients["term"], wanted),
                "The loss of the terms, `step.other`, must be added with the weight 1, also where "
                f"no image has a label; its gradient is {gradients['term']}, not {wanted}.",
            )
            shared = gradients["shared"]
            expect(
                present.any() or shared is None or not shared.any(),
                "Without any label the shared layer must get no gradient of a task; it got one.",
            )


def every_task_that_has_labels_is_learnt(case: BalancerCase) -> None:
    """Within a few steps; a balancer may learn one task in each."""
    learnt = {reduction: set[str]() for reduction in case.reductions}
    for number in range(8):
        for reduction, (world, gradients) in zip(learnt, case.backward(number=number), strict=True):
            total = world.total
            expect(
                total.shape == () and not total.requires_grad and torch.isfinite(total),
                "`backward` must return the total loss as one finite number without a graph; it "
                f"returned {total}: `return total.detach()`.",
            )
            for name in ("shared", "a", "b"):
                gradient = gradients[name]
                if gradient is not None and gradient.any():
                    learnt[reduction].add(name)
    for reduction, names in learnt.items():
        expect(
            len(names) == 3,
            "Within 8 steps the shared layer and both tasks with labels, 'a' and 'b', must get a "
            f"gradient; with the reduction {reduction} only {sorted(names)} did.",
        )


def its_factors_are_finite_numbers_of_labelled_tasks(case: BalancerCase) -> None:
    for world, _ in case.backward():
        expect(
            world.factors.keys() in (set(), {"a", "b"}),
            "`factors` must have a number for each task with a label, ['a', 'b'], or none at all; "
            f"it has {sorted(world.factors)}.",
        )
        for name, factor in world.factors.items():
            expect(
                factor.shape == ()
                and not factor.requires_grad
                and torch.isfinite(factor)
                and factor >= 0,
                f"`factors` must be finite numbers from 0 up without a graph; that of {name!r} is "
                f"{factor}: detach it.",
            )


def a_training_goes_on_exactly_from_its_checkpoint(case: BalancerCase) -> None:
    resumes_exactly(case.place, balancer=case.build)


def one_seed_is_one_construction(case: BalancerCase) -> None:
    made = dataset(case.place)
    moved = different(*(states(trainer(made, balancer=case.build)) for _ in range(2)))
    expect(
        not moved,
        "Built twice with one seed, a balancer must be the same; these differ: "
        f"{', '.join(moved[:5])}. Draw with torch's generator, which is seeded, alone.",
    )


def _close(first: Tensor | None, second: Tensor | None) -> bool:
    if first is None or second is None:
        return first is second
    return torch.allclose(first, second, rtol=1.3e-6, atol=1e-5)


def case_of(subject: Subject, place: Path) -> BalancerCase:
    """A balancer with the author's `OPTIONS`, or with the defaults."""
    choice = PluginChoice(subject.name, subject.says("OPTIONS", {}))
    return BalancerCase(partial(build_plugin_of, choice), place)


def build_plugin_of(choice: PluginChoice, weights: Any, reduce: Any) -> Balancer:
    """Build a balancer as a training does."""
    balancer: Balancer = build_plugin("balance", choice, weights, reduce)
    return balancer


LAWS: tuple[Callable[[BalancerCase], None], ...] = (
    missing_labels_have_no_effect,
    a_task_that_nobody_has_is_as_if_it_were_not_there,
    the_terms_loss_counts_in_full,
    every_task_that_has_labels_is_learnt,
    its_factors_are_finite_numbers_of_labelled_tasks,
    a_training_goes_on_exactly_from_its_checkpoint,
    one_seed_is_one_construction,
)
