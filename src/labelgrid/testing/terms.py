"""Defines the laws of terms, functions that raise AssertionError for a breach."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from labelgrid.basics import plugins
from labelgrid.basics.progress import Silent
from labelgrid.data.batch import Batch
from labelgrid.data.loader import train_batch
from labelgrid.pixel.target import Target
from labelgrid.testing.laws import Subject, expect
from labelgrid.testing.trainings import (
    dataset,
    different,
    resumes_exactly,
    small,
    states,
    trainer,
    with_gaps,
)
from labelgrid.train.trainer import Trainer


@dataclass(frozen=True)
class TermCase:
    """A term, and an empty folder.

    Args:
        build: builds it from the tasks and the network.
        place: the folder.
    """

    build: Callable[[Any, Any], Any]
    place: Path


def missing_labels_have_no_effect(case: TermCase) -> None:
    """Label values of invalid pixels do not affect a step's results: weights, terms, optimisers."""
    made = dataset(case.place)
    left = []
    for poison in (False, True):
        training = trainer(made, case.build, known=0.0)
        training.prepare(case.place / "terms", Silent(), resumed=False)
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
    moved = different(*left)
    expect(
        not moved,
        "Values of labels that are not valid must change nothing; they changed "
        f"{', '.join(moved[:5])}: read `target.safe()`, or multiply by `target.valid`.",
    )


def soft_of(training: Trainer, batch: Batch) -> Any:
    """The soft labels of a batch's training images; empty for a term without soft labels."""
    plan = training.plan
    if not training.terms.soft:
        return {}
    names = [name for name in plan.train if name in batch.ids]
    return train_batch(
        plan.source, plan.definitions, names, plan.data, seed=0, soft=training.terms.soft
    ).soft


def garbage(target: Target) -> Tensor:
    worst = float("nan") if target.value.is_floating_point() else 999
    return torch.where(target.valid, target.value, torch.as_tensor(worst, dtype=target.value.dtype))


def one_seed_one_construction(case: TermCase) -> None:
    """A term built twice from the same stream is bitwise the same."""
    made = dataset(case.place)
    moved = different(*(states(trainer(made, case.build)) for _ in range(2)))
    expect(
        not moved,
        "Built twice with one seed, a term must be the same; these differ: "
        f"{', '.join(moved[:5])}. Draw with torch's generator, which is seeded, alone.",
    )


def losses_are_a_number_an_image(case: TermCase) -> None:
    training = trainer(with_gaps(case.place), case.build)
    training.prepare(case.place / "terms", Silent(), resumed=False)
    noted_losses: list[Mapping[str, Tensor]] = []
    losses = training.terms.losses

    def noted(steps: Any) -> Any:
        noted_losses.append(losses(steps))
        return noted_losses[-1]

    training.terms.losses = noted  # type: ignore[method-assign]
    batch = next(training._batches(0))
    training.train_step(batch, 0)
    for name, loss in noted_losses[0].items():
        expect(
            loss.shape == (len(batch.ids),) and torch.isfinite(loss).all(),
            f"`loss` must return one finite value for each of {len(batch.ids)} images; {name!r} "
            f"is {loss.detach()}: take the mean over the axes behind the first.",
        )


def the_network_is_changed_by_the_optimiser_alone(case: TermCase) -> None:
    """Without a gradient, a step does not change the network's weights."""
    training = trainer(with_gaps(case.place), case.build)
    training.prepare(case.place / "terms", Silent(), resumed=False)
    training.optimiser.step = lambda: None
    before = {name: p.detach().clone() for name, p in training.network.named_parameters()}
    for index in range(2):
        training.train_step(next(training._batches(0)), index)
    moved = different(before, dict(training.network.named_parameters()))
    expect(
        not moved,
        "The optimiser alone may change the network's weights; without its step these changed: "
        f"{', '.join(moved[:5])}. Work on a copy of the network.",
    )


def a_training_goes_on_exactly_from_its_checkpoint(case: TermCase) -> None:
    resumes_exactly(case.place, term=case.build)


def case_of(subject: Subject, place: Path) -> TermCase:
    """A term with narrow networks, and the author's `OPTIONS`."""
    build = plugins.resolve("terms", subject.name)
    options = plugins.options_class("terms", subject.name)(**subject.says("OPTIONS", {}))
    return TermCase(lambda tasks, network: build(tasks, network, small(options)), place)


LAWS: tuple[Callable[[TermCase], None], ...] = (
    missing_labels_have_no_effect,
    one_seed_one_construction,
    losses_are_a_number_an_image,
    the_network_is_changed_by_the_optimiser_alone,
    a_training_goes_on_exactly_from_its_checkpoint,
)
