"""What tests of terms of pairs share: a training of three tasks with the term, and its step for labels with gaps."""

from dataclasses import replace

import torch

from labelgrid.data.loader import train_batch
from labelgrid.pixel.target import Target
from labelgrid.testing.trainings import OPTIONS, dataset, trainer
from labelgrid.train.objective import task_losses
from labelgrid.train.seeding import seed_torch
from labelgrid.train.term import Preparation
from tests.support import make_dataset
from tests.toys import toy_plan

#: Which labels of semseg, depth and normals the six images have: one each.
ONE = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]).bool()


class Said:
    """Keeps what a progress is told to say."""

    def __init__(self):
        self.lines = []

    def start(self, what, total, unit):
        self.total = total

    def advance(self, amount=1, note=""):
        pass

    def say(self, text):
        self.lines.append(text)


def training_of(folder, module, options, **changes):
    made = changes.pop("made", None) or dataset(folder)
    return trainer(
        made,
        lambda tasks, network: module.build(tasks, network, options),
        **{"batch": 6, **changes},
    )


def step_of(training, labelled=ONE, change=lambda targets: targets):
    """The term's step for a batch whose images have these labels.

    `change` may spoil the targets.
    """
    plan = training.plan
    batch = train_batch(plan.source, plan.definitions, list(plan.train), plan.data, seed=0, soft={})
    targets = change({n: t.where(labelled[:, i]) for i, (n, t) in enumerate(batch.targets.items())})
    batch = replace(batch, targets=targets)
    with seed_torch(0, "forward"):
        output = plan.network.train()(batch.images)
    losses = task_losses(plan.tasks, output, targets, 1.0)
    return training.terms.steps(batch, output, losses, 0)["it"]


def with_gradients(step, term):
    """By task, which images' predictions get a gradient from the term."""
    finals = list(step.output.final.values())
    loss = sum(loss.sum() for loss in term.loss(step).values())
    if not loss.requires_grad:
        return torch.zeros(6, len(finals), dtype=torch.bool)
    gradients = torch.autograd.grad(loss, finals, retain_graph=True, allow_unused=True)
    return torch.stack(
        [torch.zeros(6).bool() if g is None else g.flatten(1).any(1) for g in gradients], 1
    )


def garbage(targets):
    """Values behind invalid pixels that would spoil a loss."""
    return {
        name: Target(
            torch.where(t.valid, t.value, float("nan") if t.value.is_floating_point() else 999),
            t.valid,
        )
        for name, t in targets.items()
    }


def without_depth(targets):
    """Depth maps of NaN without a valid pixel."""
    depth = targets["depth"]
    return targets | {"depth": Target(depth.value * float("nan"), depth.valid & False)}


def prepared(plan, said, **changes):
    """What a term is prepared with, as far as it needs it to say whether it can have an effect."""
    known = {
        "progress": said,
        "tasks": plan.tasks,
        "batch": 2,
        "label_sets": frozenset({frozenset({"depth"})}),
    }
    return Preparation(**dict.fromkeys(Preparation.__annotations__) | known | changes)


def alone(folder, module, options):
    """The term of a training of one task, and its step.

    Checks that it says that it does nothing, and does nothing.
    """
    made = make_dataset(folder, n=6, size=(32, 64), tasks=("depth",))
    plan = toy_plan(made, OPTIONS)
    term, said = module.build(plan.tasks, plan.network, options), Said()
    training = trainer(made, lambda tasks, network: term, batch=6)
    term.prepare(prepared(plan, said))
    name = module.__name__.rpartition(".")[2]
    assert said.lines == [
        f"The term '{name}' compares pairs of tasks: with one task it does nothing."
    ]
    step = step_of(training, torch.ones(6, 1, dtype=torch.bool))
    assert not any(loss.any() for loss in term.loss(step).values())
    training.train_step(step.batch, 0)
