"""How statistics with modules of their own are trained before the pool is scored, or taken from an earlier time."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labelgrid.errors import PluginError
from labelgrid.files import remove_folder
from labelgrid.progress import Progress
from labelgrid.score.pool import ScoringJob, pool_batches
from labelgrid.score.statistic import FitContext, PoolBatch, TrainedStatistic
from labelgrid.score.weights import read_weights, write_weights
from labelgrid.streams import seed_of, stream
from labelgrid.train.checkpoint import weights_hash
from labelgrid.train.model import TrainedModel
from labelgrid.train.seeding import keyed


@dataclass(frozen=True)
class FitImages:
    """What statistics are trained on.

    Args:
        labelled: images of the train split with a label.
        pool: images with a missing cell.
        seed: of the model.
        train_member: as `FitContext.train_member`.
    """

    labelled: Sequence[str]
    pool: Sequence[str]
    seed: int
    train_member: Callable[[str], TrainedModel]


def fit_statistics(job: ScoringJob, images: FitImages, folder: Path, progress: Progress) -> ScoringJob:
    """Train the job's statistics that have modules, or load what was kept of them under the same stamp.

    Returns:
        the job, its stamp with the hash of all such weights, which lie in `folder` from then on.

    Raises:
        PluginError: a statistic has changed the model. ModelError: kept weights are damaged.
    """
    trained = {name: one for name, one in job.statistics.items() if isinstance(one, TrainedStatistic)}
    for name, statistic in trained.items():
        _fit(name, statistic, job, images, folder, progress)
    return replace(job, stamp={**job.stamp, **weights_stamp(folder, list(trained))}) if trained else job


def weights_stamp(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """What a stamp says of the kept weights of statistics."""
    paths = [weights_path(folder, name) for name in sorted(names)]
    files = [path.read_bytes() if path.is_file() else b"" for path in paths]
    return {"weights": hashlib.blake2b(b"".join(hashlib.blake2b(f).digest() for f in files), digest_size=8).hexdigest()}


def weights_path(folder: Path, name: str) -> Path:
    """Where a statistic's weights are kept; a name may hold dots and a colon."""
    return folder / f"{name.replace(':', '-')}.weights"


def _fit(
    name: str, statistic: TrainedStatistic, job: ScoringJob, images: FitImages, folder: Path, progress: Progress
) -> None:
    """Give a statistic its trained modules: kept ones, or else newly trained ones, which are kept from then on."""
    path, identity = weights_path(folder, name), json.dumps(dict(job.stamp), sort_keys=True)
    with keyed(images.seed, "init", "score", name):
        example = (images.pool or images.labelled)[:1]
        statistic.setup(next(pool_batches(replace(job, batch=1), example)))
        statistic.to(next(job.model.network.parameters()).device)
        kept = read_weights(path) if path.is_file() else {}
        if kept.get("identity") != identity:
            unfinished = _folder(path, identity)
            context = _context(name, job, images, unfinished, progress)
            with frozen(name, job.model), torch.enable_grad():
                statistic.train().fit(context)
            kept = {"identity": identity, "state": statistic.state_dict()}
            write_weights(path, kept)
            remove_folder(unfinished)
    statistic.load_state_dict(kept["state"])
    statistic.eval().requires_grad_(False)


def _folder(path: Path, identity: str) -> Path:
    """Where a training keeps its state; what another model, pool or recipe left there is removed."""
    mine = path.with_suffix("." + hashlib.blake2b(identity.encode(), digest_size=8).hexdigest())
    for other in path.parent.glob(f"{path.stem}.*/"):
        if other != mine:
            remove_folder(other)
    mine.mkdir(parents=True, exist_ok=True)
    return mine


def _context(name: str, job: ScoringJob, images: FitImages, folder: Path, progress: Progress) -> FitContext:
    seed = seed_of(images.seed, "score", name)

    def drawn(names: Sequence[str], what: str, epoch: int) -> Iterator[PoolBatch]:
        ordered = np.array(sorted(names), object)
        return pool_batches(job, ordered[stream(seed, what, epoch).permutation(len(ordered))].tolist())

    return FitContext(
        model=job.model,
        tasks=job.tasks,
        labelled=lambda epoch: drawn(images.labelled, "labelled", epoch),
        pool=lambda epoch: drawn(images.pool, "pool", epoch),
        seed=seed,
        folder=folder,
        progress=progress,
        train_member=images.train_member,
    )


@contextmanager
def frozen(name: str, model: TrainedModel) -> Iterator[None]:
    """Keep gradients from the model's parameters, and refuse a statistic that has changed the model nevertheless.

    Raises:
        PluginError: a parameter or a buffer is another one than before.
    """
    modules = _modules(model)
    learning = [p for module in modules.values() for p in module.parameters() if p.requires_grad]
    before = {part: _digest(module) for part, module in modules.items()}
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
    changed = [part for part, module in modules.items() if _digest(module) != before[part]]
    if changed:
        raise PluginError(
            f"The statistic '{name}' changed the trained model while it was trained itself: {', '.join(changed)}.",
            next_step="It may train modules of its own alone; the network stays in evaluation mode.",
            unchanged="Nothing was scored.",
        )


def _modules(model: TrainedModel) -> Mapping[str, nn.Module]:
    found: dict[str, Any] = {"network": model.network, **model.terms}
    found |= {f"member {number}": member.network for number, member in enumerate(model.members, 1)}
    return {name: part for name, part in found.items() if isinstance(part, nn.Module)}


def _digest(module: nn.Module) -> str:
    return weights_hash({name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)})
