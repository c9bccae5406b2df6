"""Trains a network: runs epochs, saves a checkpoint after each, resumes exactly, and chooses the final checkpoint."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from labelgrid.data.cache import cache_source
from labelgrid.errors import note_unchanged
from labelgrid.files import disk_errors, write_text
from labelgrid.nets.network import Network
from labelgrid.progress import Progress
from labelgrid.train.checkpoint import save
from labelgrid.train.divergence import divergence_warning
from labelgrid.train.evaluate import Evaluation, evaluate
from labelgrid.train.model import TrainedModel
from labelgrid.train.plan import Plan
from labelgrid.train.trainer import Trainer


def fit(plan: Plan, folder: Path, progress: Progress) -> Path:
    """Train a network, or resume its training.

    Writes `last.ckpt`, `log.jsonl` and, if there is a val split, `best.ckpt` into `folder`.

    Returns:
        The final checkpoint: `best.ckpt` if the val split chooses the model, else `last.ckpt`.

    Raises:
        TrainingError: there is no label, a loss is not finite, or the checkpoint in `folder` has
            another identity.
    """
    with torch.random.fork_rng(devices=[]):
        trainer = Trainer(plan)
        last = folder / "last.ckpt"
        best = folder / "best.ckpt"
        _say_unused(plan, progress)
        resumed = trainer.resume(last)
        write_log(folder, trainer.history, plan.options.tensorboard)
        with _cached(trainer, folder, progress):
            if not _ended(trainer):
                if resumed:
                    progress.say(f"Resuming after epoch {trainer.epoch} of {plan.epochs}.")
                trainer.prepare(folder / "terms", progress, resumed=resumed)
                left = max(plan.steps - trainer.step, 0) * plan.images_per_step
                progress.start("Training", round(left), "images")
            while not _ended(trainer):
                record = _epoch(trainer, progress)
                trainer.history.append(record)
                lowest = min(
                    (r["val"]["loss_mtl"] for r in trainer.history if "val" in r), default=None
                )
                if "val" in record and record["val"]["loss_mtl"] == lowest:
                    save(trainer.checkpoint(), best)
                save(trainer.checkpoint(), last)
                write_log(folder, trainer.history, plan.options.tensorboard)
                if _ended(trainer) and (
                    said := divergence_warning(trainer.history, plan.options.learning_rate)
                ):
                    progress.say(said)
    return best if plan.options.choose == "best" and plan.val else last


@contextmanager
def _cached(trainer: Trainer, folder: Path, progress: Progress) -> Iterator[None]:
    """Let the training read decoded files from a cache, if the options say so and it has not ended."""
    plan = trainer.plan
    limit = 0 if _ended(trainer) else round(plan.options.cache * 2**30)
    with cache_source(
        plan.source,
        plan.definitions,
        image_ids=[*plan.train, *plan.val],
        limit=limit,
        folder=folder,
        progress=progress,
    ) as source:
        trainer.plan = replace(plan, source=source)
        try:
            yield
        finally:
            trainer.plan = plan


def _say_unused(plan: Plan, progress: Progress) -> None:
    """Say which options have no effect for lack of val images."""
    if plan.options.choose == "best" and not plan.val:
        progress.say("There is no val image to choose the best epoch by: using the last epoch.")
    if plan.options.patience and not plan.val:
        progress.say("There is no val image to stop early by: training for the whole length.")


def _epoch(trainer: Trainer, progress: Progress) -> dict[str, Any]:
    """Train an epoch, and evaluate the val split if it is due; returns its log record."""
    plan = trainer.plan
    every = trainer.plan.options.val_every
    with note_unchanged(
        f"The checkpoint after epoch {trainer.epoch} is kept." if trainer.epoch else ""
    ):
        record = trainer.run_epoch(progress)
    if plan.val and (trainer.epoch == plan.epochs or (every and trainer.epoch % every == 0)):
        record["val"] = _validate(trainer).flat()
    return record


def _ended(trainer: Trainer) -> bool:
    """Whether the training has its full length, or val has not improved for `patience` evaluations."""
    losses = [record["val"]["loss_mtl"] for record in trainer.history if "val" in record]
    patience = trainer.plan.options.patience
    stalled = 0 < patience < len(losses) and min(losses[-patience:]) >= min(losses[:-patience])
    return trainer.epoch >= trainer.plan.epochs or stalled


def _validate(trainer: Trainer) -> Evaluation:
    """Evaluate the evaluated weights on the val split."""
    plan = trainer.plan
    with use_weights(plan.network, trainer.terms.evaluated()):
        model = TrainedModel(network=plan.network, terms=plan.terms)
        return evaluate(
            model,
            plan.tasks,
            definitions=plan.definitions,
            source=plan.source,
            image_ids=plan.val,
            data=plan.data,
            objective=plan.objective,
        )


@contextmanager
def use_weights(network: Network, weights: Mapping[str, Tensor] | None) -> Iterator[None]:
    """Load other weights into the network inside the block; None keeps its own."""
    if weights is None:
        yield
        return
    trained = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(weights)
    try:
        yield
    finally:
        network.load_state_dict(trained)


def write_log(folder: Path, history: Sequence[Mapping[str, Any]], tensorboard: bool) -> None:
    """Write the history as JSON lines and, if `tensorboard` is set, the newest record to TensorBoard."""
    with disk_errors(folder, "The last epoch's checkpoint is kept."):
        write_text(folder / "log.jsonl", "".join(json.dumps(record) + "\n" for record in history))
    if tensorboard and history:
        from torch.utils.tensorboard import SummaryWriter

        record = history[-1]
        with SummaryWriter(str(folder / "tensorboard")) as writer:
            for group in ("loss", "terms", "balance", "val"):
                for name, value in record.get(group, {}).items():
                    writer.add_scalar(f"{group}/{name}", value, record["epoch"])
            writer.add_scalar("lr", record["lr"], record["epoch"])
