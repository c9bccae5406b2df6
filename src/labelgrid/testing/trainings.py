"""Makes small trainings for the laws of terms and balancers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from labelgrid.basics.progress import Silent
from labelgrid.testing.laws import expect
from labelgrid.testing.scenes import Made, make_dataset
from labelgrid.testing.toys import ENCODER, toy_network, toy_plan
from labelgrid.train.checkpoint import load, save
from labelgrid.train.objective import fixed_weights, supervised_loss
from labelgrid.train.seeding import seed_torch
from labelgrid.train.train_options import TrainOptions
from labelgrid.train.trained_model import TrainedModel
from labelgrid.train.trainer import Trainer

OPTIONS = TrainOptions(epochs=2, batch=3, learning_rate=1e-3, known=0.5)


#: The largest values of these options: the laws hold for networks of any width and preparations of
#: any length.
SMALL = {"width": 4, "steps": 3}


def small(options: Any) -> Any:
    """A plug-in's default options, with narrow networks and short preparations."""
    return replace(
        options,
        **{n: min(most, getattr(options, n)) for n, most in SMALL.items() if hasattr(options, n)},
    )


TASKS = ("semseg", "depth", "normals")


def dataset(folder: Path, tasks: Sequence[str] = TASKS) -> Made:
    return make_dataset(folder, n=6, size=(32, 64), tasks=tasks)


def with_gaps(folder: Path, tasks: Sequence[str] = TASKS) -> Made:
    """A dataset some of whose images lack a label: the first of three semseg, the second depth."""
    made = dataset(folder, tasks)
    for i, name in enumerate(made.names):
        if i % 3 < 2:
            made.label(name, ("semseg", "depth")[i % 3]).unlink()
    return made


def trainer(made: Made, term: Any = None, balancer: Any = None, **changes: Any) -> Trainer:
    """A training with a term and a balancer, given by their builders."""
    backbone = changes.pop("backbone", ENCODER)
    plan = toy_plan(made, replace(OPTIONS, **changes), backbone=backbone)
    plan = replace(
        plan, previous=lambda: TrainedModel(network=toy_network(plan.tasks, seed=1).eval())
    )
    if term:
        with seed_torch(0, "init", "term", "it"):
            plan = replace(plan, terms={"it": term(plan.tasks, plan.network)})
    if balancer:
        weights = fixed_weights(plan.tasks, plan.objective)
        with seed_torch(0, "init", "balance"):
            plan = replace(
                plan, balancer=balancer(weights, partial(supervised_loss, reduction="image_mean"))
            )
    return Trainer(plan)


def states(training: Trainer) -> dict[str, Any]:
    """The flattened content of a checkpoint, without its log."""
    kept = training.checkpoint()
    return flat(
        {
            name: getattr(kept, name)
            for name in ("network", "optimiser", "parts", "balancer", "own", "evaluated")
        }
    )


def flat(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {k: v for key, part in value.items() for k, v in flat(part, f"{name}/{key}").items()}
    if isinstance(value, list | tuple):
        return flat(dict(enumerate(value)), name)
    return {name: value.clone() if isinstance(value, torch.Tensor) else value}


def different(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """The names of values that are not bitwise equal."""
    names = first.keys() | second.keys()
    return sorted(name for name in names if not _equal(first.get(name), second.get(name)))


def _equal(a: Any, b: Any) -> bool:
    return (
        torch.equal(a, b)
        if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor)
        else bool(a == b)
    )


def resumes_exactly(folder: Path, **parts: Any) -> None:
    """A training, and a copy resumed after an epoch, end in the same state."""
    made = with_gaps(folder / "data", TASKS[:2])  # two pairs of tasks instead of six
    whole, second = (trainer(made, **parts) for _ in range(2))
    whole.prepare(folder / "terms", Silent(), resumed=False)
    whole.run_epoch(Silent())
    before = states(whole)
    save(whole.checkpoint(), folder / "last.ckpt")
    expect(not different(before, states(whole)), "To save a checkpoint must change nothing.")
    expect(
        load(folder / "last.ckpt").epoch == 1 and second.resume(folder / "last.ckpt"),
        "A training must be taken up from the checkpoint of its first epoch; it was not.",
    )
    second.prepare(folder / "terms", Silent(), resumed=True)
    for training in (whole, second):
        training.run_epoch(Silent())
    moved = different(states(whole), states(second))
    expect(
        not moved,
        "A training that is taken up after an epoch must end as one that went on; these differ: "
        f"{', '.join(moved[:5])}. Keep all changing state in parameters, buffers or "
        "`get_extra_state`, which the checkpoint holds.",
    )
