"""Trains statistics with modules, or loads saved weights, before the pool is scored."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from labelgrid.basics.errors import PluginError
from labelgrid.basics.files import remove_folder
from labelgrid.basics.progress import Progress
from labelgrid.basics.streams import seed_of, stream
from labelgrid.basics.type_names import Json, Values
from labelgrid.nets.hashes import weights_hash
from labelgrid.score.pool import ScoringJob, pool_batches
from labelgrid.score.statistic import FitContext, PoolBatch, TrainedStatistic
from labelgrid.score.table import weights_path, weights_stamp
from labelgrid.score.weights import read_weights, write_weights
from labelgrid.train.objective import fixed_weights
from labelgrid.train.seeding import seed_torch
from labelgrid.train.train_options import ObjectiveOptions
from labelgrid.train.trained_model import TrainedModel


@dataclass(frozen=True, kw_only=True)
class FitImages:
    """The images that statistics are trained on.

    Args:
        labelled: the ids of the train split's images with a label.
        pool: the ids of the images with a missing cell.
        seed: the model's seed.
        train_member: as `FitContext.train_member`.
        objective: the objective of the model's recipe.
    """

    labelled: Sequence[str]
    pool: Sequence[str]
    seed: int
    train_member: Callable[[str], TrainedModel]
    objective: ObjectiveOptions

    @property
    def example(self) -> Sequence[str]:
        """The image whose features determine the size of the modules."""
        return (self.pool or self.labelled)[:1]


def fit_statistics(
    job: ScoringJob, images: FitImages, folder: Path, progress: Progress
) -> ScoringJob:
    """Train the job's statistics with modules, or load the weights saved under the same stamp.

    Returns:
        The job, with a hash of the weights added to its stamp. The weights are saved in `folder`.

    Raises:
        PluginError: a statistic has changed the model.
        ModelError: saved weights are damaged.
    """
    identity = json.dumps(dict(job.stamp), sort_keys=True)
    trained = _trained_statistics(job)
    for name, statistic in trained.items():
        path = weights_path(folder, name)
        with seed_torch(images.seed, "init", "score", name):
            _set_up(statistic, job, images.example)
            saved = read_weights(path) if path.is_file() else {}
            if saved.get("identity") != identity or not isinstance(saved.get("state"), dict):
                unfinished = _training_folder(path, identity)
                context = _context(name, job, images=images, folder=unfinished, progress=progress)
                with freeze_model(name, job.model), torch.enable_grad():
                    statistic.train().fit(context)
                saved = {"identity": identity, "state": statistic.state_dict()}
                write_weights(path, saved)
                remove_folder(unfinished)
        _use(statistic, saved)
    if not trained:
        return job
    return replace(job, stamp={**job.stamp, **weights_stamp(folder, list(trained))})


def load_statistics(job: ScoringJob, folder: Path, *, seed: int, example: Sequence[str]) -> None:
    """Load the weights that `fit_statistics` has trained elsewhere for a job of the same model.

    `seed` is the model's, `example` as `FitImages.example`.

    Raises:
        ModelError: saved weights are damaged.
    """
    for name, statistic in _trained_statistics(job).items():
        with seed_torch(seed, "init", "score", name):
            _set_up(statistic, job, example)
        _use(statistic, read_weights(weights_path(folder, name)))


def _trained_statistics(job: ScoringJob) -> dict[str, TrainedStatistic]:
    statistics = job.statistics.items()
    return {name: one for name, one in statistics if isinstance(one, TrainedStatistic)}


def _set_up(statistic: TrainedStatistic, job: ScoringJob, example: Sequence[str]) -> None:
    statistic.setup(next(pool_batches(replace(job, batch=1), example)))
    statistic.to(next(job.model.network.parameters()).device)


def _use(statistic: TrainedStatistic, saved: Values) -> None:
    statistic.load_state_dict(saved["state"])
    statistic.eval().requires_grad_(False)


def _training_folder(path: Path, identity: str) -> Path:
    """Make the folder of a statistic's training, and remove folders of another identity."""
    name = hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()
    folder = path.with_suffix(f".{name}")
    for other in path.parent.glob(f"{path.stem}.*/"):
        if other != folder:
            remove_folder(other)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _context(
    name: str, job: ScoringJob, images: FitImages, folder: Path, progress: Progress
) -> FitContext:
    seed = seed_of(images.seed, "score", name)

    def shuffled(image_ids: Sequence[str], stream_name: str, epoch: int) -> Iterator[PoolBatch]:
        ordered = np.array(sorted(image_ids), object)
        order = stream(seed, stream_name, epoch).permutation(len(ordered))
        return pool_batches(job, ordered[order].tolist())

    return FitContext(
        model=job.model,
        tasks=job.tasks,
        weights=fixed_weights(job.tasks, images.objective),
        labelled=lambda epoch: shuffled(images.labelled, "labelled", epoch),
        pool=lambda epoch: shuffled(images.pool, "pool", epoch),
        seed=seed,
        folder=folder,
        progress=progress,
        train_member=images.train_member,
    )


@contextmanager
def freeze_model(name: str, model: TrainedModel) -> Iterator[None]:
    """Freeze the model's parameters inside the block, and refuse a model that changed.

    Raises:
        PluginError: the statistic `name` changed a parameter, or a buffer, also one that no
            checkpoint holds.
    """
    parts: Json = {"network": model.network, **model.terms}
    for number, member in enumerate(model.members, 1):
        parts[f"member {number}"] = member.network
    modules = {name: part for name, part in parts.items() if isinstance(part, nn.Module)}
    trainable = []
    for module in modules.values():
        trainable += [value for value in module.parameters() if value.requires_grad]
    before = {part: _digest(module) for part, module in modules.items()}
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
    changed = [part for part, module in modules.items() if _digest(module) != before[part]]
    if changed:
        raise PluginError(
            f"The statistic '{name}' changed the trained model during its own training: "
            f"{', '.join(changed)}.",
            next_step="A statistic may train its own modules only; the network must stay in "
            "evaluation mode.",
            unchanged="Nothing was scored.",
        )


def _digest(module: nn.Module) -> str:
    parts = (*module.named_parameters(), *module.named_buffers())
    return weights_hash({name: value.detach() for name, value in parts})
