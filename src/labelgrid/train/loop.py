"""Trains a network: runs and saves epochs, resumes exactly, and chooses the final checkpoint."""

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from labelgrid.basics.errors import TrainingError, note_unchanged
from labelgrid.basics.files import disk_errors, write_text
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Json, Values
from labelgrid.basics.words import count_text
from labelgrid.data.cache import CachedSource, cache_source
from labelgrid.data.dataset import nonempty_label
from labelgrid.nets.network import Network
from labelgrid.pixel.target import Tensors
from labelgrid.train.checkpoint import save, save_as
from labelgrid.train.division import division_remarks, refuse_undivided
from labelgrid.train.evaluation import evaluate
from labelgrid.train.group import ALONE, TrainingGroup
from labelgrid.train.mixed_images import class_tasks
from labelgrid.train.plan import Plan
from labelgrid.train.trained_model import TrainedModel
from labelgrid.train.trainer import Trainer
from labelgrid.train.waiting import early_waiting_hint, waiting_hint

#: After this share of a training, waiting for images is told: most of it can still be faster.
EARLY = 0.25
#: A cache takes at most this part of what is free on the disk.
FREE = 4
#: Bytes of the disk for images with derived labels, where the options set no cache.
DERIVED = 2**30
#: How many times the loss in its first batch a task's mean loss may be at the end.
RISE = 3.0


def fit(plan: Plan, folder: Path, progress: Progress, group: TrainingGroup = ALONE) -> Path:
    """Train a network, or resume its training.

    Writes `last.ckpt`, `log.jsonl` and, if there is a val split, `best.ckpt` into `folder`. Of
    several processes, only the first writes and evaluates.

    Args:
        plan: the plan of the training.
        folder: the folder of the training; all processes see it.
        progress: receives the progress.
        group: the processes that train together.

    Returns:
        The final checkpoint: `best.ckpt` if the val split chooses the model, else `last.ckpt`.

    Raises:
        TrainingError: there is no label, no valid pixel of a task's labels was seen, a loss is not
            finite, TensorBoard is asked for and not installed, the checkpoint in `folder` has
            another identity or number of processes, or the plan cannot be divided among several
            processes.
    """
    refuse_undivided(plan, group)
    if plan.options.tensorboard:
        _need_tensorboard()
    last = folder / "last.ckpt"
    best = folder / "best.ckpt"
    with torch.random.fork_rng(devices=[]):
        trainer = Trainer(plan, group)
        _say_unused(plan, progress)
        resumed = trainer.resume(last)
        _refuse_other_number(trainer, last)
        _write_log(trainer, folder)
        group.tell()  # the folder is there
        with _use_cache(trainer, folder, progress):
            if not _has_ended(trainer):
                for remark in division_remarks(plan, group):
                    progress.say(remark)
                if resumed:
                    progress.say(f"Resuming after epoch {trainer.epoch} of {plan.epochs}.")
                trainer.prepare(folder / "terms", progress, resumed=resumed)
                progress.start("Training", plan.images_after(trainer.step), "images")
            while not _has_ended(trainer):
                trainer.history.append(_train_epoch(trainer, progress))
                if group.is_first:
                    _save(trainer, last, best)
                _write_log(trainer, folder)
                _say_remarks(trainer, progress)
        if group.is_first:
            _refuse_unseen_labels(trainer)
        group.tell()  # the checkpoint is whole
    return best if plan.options.choose == "best" and plan.val else last


def _need_tensorboard() -> None:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    except ImportError as error:
        raise TrainingError(
            f"train.tensorboard needs a package that is not installed: {error.name} is missing.",
            next_step="Install it: pip install 'labelgrid[tensorboard]'.",
            unchanged="Nothing was trained.",
        ) from error


def _save(trainer: Trainer, last: Path, best: Path) -> None:
    """Save the newest epoch; also as the best, if val was evaluated with the least loss so far."""
    losses = _val_losses(trainer.history)
    if "val" in trainer.history[-1] and losses[-1] == min(losses):
        save(trainer.checkpoint(), best)
        save_as(best, last)
    else:
        save(trainer.checkpoint(), last)


def _refuse_other_number(trainer: Trainer, path: Path) -> None:
    """Refuse to go on with another number of processes.

    Their sums are added in another order, and batch norm and dropout see other images: the weights
    would depend on where the training was stopped.
    """
    size = trainer.group.size
    if trainer.begun_by == size or _has_ended(trainer):
        return
    raise TrainingError(
        f"The training was begun by {count_text(trainer.begun_by, 'process', 'processes')}, and "
        f"{size} cannot go on with it to the same weights.",
        where=path,
        next_step=f"Run `labelgrid fit` with `--devices {trainer.begun_by}` again, or remove this "
        "file to start over.",
        unchanged="Nothing was trained.",
    )


def _say_remarks(trainer: Trainer, progress: Progress) -> None:
    plan = trainer.plan
    remarks = []
    if _has_ended(trainer):
        remarks.append(divergence_warning(trainer.history, plan.options.learning_rate))
        remarks.append(waiting_hint(trainer.history))
    elif trainer.epoch == math.ceil(EARLY * plan.epochs):
        kept = plan.source.pixels if isinstance(plan.source, CachedSource) else {}
        if not kept.keys() >= {*plan.train}:
            remarks.append(early_waiting_hint(trainer.history))
    for remark in filter(None, remarks):
        progress.say(remark)


#: So many labels of a task show at least one pixel in a pass over them, unless none is left.
FEW_LABELS = 8


def _refuse_unseen_labels(trainer: Trainer) -> None:
    plan = trainer.plan
    if trainer.step < plan.steps_per_pass:
        return
    seen = {task for entry in trainer.history for task in entry["loss"]}
    for name, task in plan.definitions.items():
        if name in seen:
            continue
        labelled = [image_id for image_id in plan.train if name in plan.labels.get(image_id, ())]
        if len(labelled) < FEW_LABELS:  # by chance all lie outside of every crop
            continue
        if any(nonempty_label(plan.source, image_id, task) for image_id in labelled):
            size = f"{plan.data.size[0]}x{plan.data.size[1]}"
            raise TrainingError(
                f"The training saw no valid pixel of '{name}', which has "
                f"{count_text(len(labelled), 'label')}: at {size} pixels none is left of them.",
                next_step="Set a larger `size` in [data], or check the labels' valid pixels.",
            )


@contextmanager
def _use_cache(trainer: Trainer, folder: Path, progress: Progress) -> Iterator[None]:
    """Let a training that has not ended read decoded files from a cache, unless the options forbid.

    Without the option, images with derived labels alone have a cache: each label is derived once.
    Files that are read only once are not cached, such as those of a last epoch.
    """
    plan = trainer.plan
    image_ids = [image_id for image_id in plan.train if plan.derived.get(image_id)]
    if plan.options.cache:
        image_ids = [*plan.train, *plan.val]
    wanted = round(plan.options.cache * 2**30) or DERIVED
    limit = min(wanted, shutil.disk_usage(folder).free // FREE) // trainer.group.size
    if trainer.epoch + 1 >= plan.epochs or _has_ended(trainer):
        limit = 0
    with cache_source(
        plan.source,
        plan.definitions,
        image_ids=image_ids,
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
    if plan.options.mix == "class" and not class_tasks(plan.options, plan.tasks):
        progress.say('mix = "class" does nothing: none of its tasks has class maps.')
    if plan.options.choose == "best" and not plan.val:
        progress.say("There is no val image to choose the best epoch by: using the last epoch.")
    if plan.options.patience and not plan.val:
        progress.say("There is no val image to stop early by: training for the whole length.")


def _train_epoch(trainer: Trainer, progress: Progress) -> Json:
    plan = trainer.plan
    every = plan.options.val_every
    unchanged = ""
    if trainer.epoch:
        unchanged = f"The checkpoint after epoch {trainer.epoch} is kept."
    with note_unchanged(unchanged):
        entry = trainer.run_epoch(progress)
    is_due = trainer.epoch == plan.epochs or (every and trainer.epoch % every == 0)
    if plan.val and is_due and trainer.group.is_first:
        with use_weights(plan.network, trainer.terms.evaluated()):
            entry["val"] = evaluate(
                TrainedModel(network=plan.network, terms=plan.terms),
                plan.tasks,
                definitions=plan.definitions,
                source=plan.source,
                image_ids=plan.val,
                data=plan.data,
                objective=plan.objective,
            ).flat()
    return trainer.group.tell(entry)


def _val_losses(history: Sequence[Values]) -> list[float]:
    return [entry["val"]["loss_mtl"] for entry in history if "val" in entry]


def _has_ended(trainer: Trainer) -> bool:
    """Whether the training has its full length, or val stopped improving for `patience` times."""
    losses = _val_losses(trainer.history)
    patience = trainer.plan.options.patience
    stalled = 0 < patience < len(losses) and min(losses[-patience:]) >= min(losses[:-patience])
    return trainer.epoch >= trainer.plan.epochs or stalled


@contextmanager
def use_weights(network: Network, weights: Tensors | None) -> Iterator[None]:
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


def _write_log(trainer: Trainer, folder: Path) -> None:
    """Write the history as JSON lines; if the options say so, TensorBoard's last record, too."""
    if not trainer.group.is_first:
        return
    history = trainer.history
    lines = [json.dumps(entry) + "\n" for entry in history]
    with disk_errors(folder, "The last epoch's checkpoint is kept."):
        write_text(folder / "log.jsonl", "".join(lines))
    if trainer.plan.options.tensorboard and history:
        from torch.utils.tensorboard import SummaryWriter

        entry = history[-1]
        with SummaryWriter(str(folder / "tensorboard")) as writer:
            for group in ("loss", "terms", "balance", "val"):
                for name, value in entry.get(group, {}).items():
                    writer.add_scalar(f"{group}/{name}", value, entry["epoch"])
            writer.add_scalar("lr", entry["lr"], entry["epoch"])


def diverged_losses(history: Sequence[Values]) -> dict[str, tuple[float, float]]:
    """Return the tasks with too high losses at the end, with the first and the last losses.

    Args:
        history: the log records of a training's epochs. The first one holds the mean loss of each
            task in its first batch with a label (`start`), if the network began from its initial
            weights.

    Example:
        >>> first = {"loss": {"depth": 9e8, "edges": 0.4}, "start": {"depth": 3.0, "edges": 0.6}}
        >>> diverged_losses([first, {"loss": {"depth": 8e8, "edges": 0.3}}])
        {'depth': (3.0, 800000000.0)}
    """
    start = history[0].get("start", {})
    last = history[-1]["loss"]
    diverged = {}
    for task, loss in last.items():
        if task in start and loss > RISE * start[task]:
            diverged[task] = (start[task], loss)
    return diverged


def divergence_warning(history: Sequence[Values], learning_rate: float) -> str:
    """Write a warning about a training that diverged; else "".

    Args:
        history: the log records of its epochs.
        learning_rate: the learning rate of the training.

    Example:
        >>> divergence_warning([{"loss": {"depth": 2.0}, "start": {"depth": 3.0}}], 0.1)
        ''
    """
    values = []
    for task, (first, last) in diverged_losses(history).items():
        values.append(f"'{task}' {last:.3g}, at first {first:.3g}")
    if not values:
        return ""
    return (
        f"Warning: the training diverged. Mean losses of the last epoch: {'; '.join(values)}. "
        f"Lower `learning_rate` in [train] (it is {learning_rate:g}), or set `clip`."
    )
