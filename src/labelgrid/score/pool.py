"""How statistics of the pool are gathered: streamed, in parts that a killed run does not repeat, stamped."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from labelgrid.data.dataset import Source, labels_of
from labelgrid.data.loader import eval_batches
from labelgrid.data.transforms import DataOptions
from labelgrid.errors import PluginError
from labelgrid.progress import Progress
from labelgrid.score.statistic import PoolBatch, Statistic
from labelgrid.score.table import FILE, Axis, Table, read_table, write_table, write_tables
from labelgrid.streams import image_key
from labelgrid.tasks.task import Task, TaskDef
from labelgrid.train.model import TrainedModel


@dataclass(frozen=True)
class ScoringJob:
    """What a pass over the pool is made of; `stamp` says of which model, recipe and pool the numbers are.

    The labels that `source` has of the pool's images are fed in as known (PartAL section 3.3).

    Args:
        model: whose network is in evaluation mode.
        statistics: by name; those with modules of their own are trained already, see `score.fit`.
        batch: images in a batch; part: images in a file of what a killed run keeps.
    """

    model: TrainedModel
    tasks: Mapping[str, Task]
    definitions: Mapping[str, TaskDef]
    source: Source
    data: DataOptions
    statistics: Mapping[str, Statistic]
    stamp: Mapping[str, str]
    batch: int = 8
    workers: int = 0
    part: int = 256


def gather(job: ScoringJob, names: Sequence[str], folder: Path, progress: Progress) -> Table:
    """The statistics of all images `names`, in the order of their ids, written to `folder/scores.parquet`.

    Each part of the pool is a file of its own until all are there; parts of this stamp are not done again.
    While the pool is scored, memory does not grow with it: a part holds its numbers only.

    Raises:
        PluginError: a statistic's numbers have another shape than its axis says.
    """
    ordered = sorted(names)
    parts = [ordered[start : start + job.part] for start in range(0, len(ordered), job.part)] or [[]]
    paths = [folder / f"scores-{index:05d}.part" for index in range(len(parts))]
    folder.mkdir(parents=True, exist_ok=True)
    progress.start("Scoring", len(ordered), "images")
    for path, images in zip(paths, parts, strict=True):
        table = read_table(path) if path.exists() else None
        if table is None or dict(table.stamp) != dict(job.stamp) or list(table.images) != images:
            write_table(_part(job, images, progress), path)
        else:
            progress.advance(len(images), "done before")
    write_tables(map(read_table, paths), folder / FILE)
    for path in paths:
        path.unlink(missing_ok=True)
    return read_table(folder / FILE)


def pool_batches(job: ScoringJob, names: Sequence[str]) -> Iterator[PoolBatch]:
    """Images batch by batch, encoded without gradients, in the order of `names`."""
    network = job.model.network.eval()
    device = next(network.parameters()).device
    known = partial(labels_of, job.source, job.definitions)
    loaded = eval_batches(
        job.source, job.definitions, names, job.data, batch=job.batch, workers=job.workers, known=known
    )
    for part in loaded:
        batch = part.to(device)
        keys = np.array([image_key(name) for name in batch.ids], np.uint64)
        with torch.no_grad():
            features = network.encode(batch.images)
        yield PoolBatch(batch, keys, features, job.model, job.tasks)


def _part(job: ScoringJob, names: Sequence[str], progress: Progress) -> Table:
    axes: dict[str, Axis] = {name: statistic.axis for name, statistic in job.statistics.items()}
    found: dict[str, list[NDArray[Any]]] = {name: [] for name in job.statistics}
    for batch in pool_batches(job, names):
        for name, statistic in job.statistics.items():
            with torch.inference_mode():
                found[name].append(_checked(name, statistic, batch))
        progress.advance(len(batch.batch.ids))
    values = {name: np.concatenate(arrays) for name, arrays in found.items() if arrays}
    return Table(names, values, tuple(job.tasks), job.stamp, {name: axes[name] for name in values})


def _checked(name: str, statistic: Statistic, batch: PoolBatch) -> NDArray[Any]:
    """A statistic's numbers of a batch, in the precision of its axis."""
    axis = statistic.axis
    values = np.asarray(statistic(batch), np.float32 if axis == "feature" else np.float64)
    b, t = len(batch.batch.ids), len(batch.tasks)
    right = values.shape == {"cell": (b, t), "image": (b,), "feature": (b, *values.shape[1:2])}[axis]
    if not right or (axis == "feature" and values.ndim != 2):
        raise PluginError(
            f"The statistic '{name}' gives numbers of shape {list(values.shape)} for {b} images and {t} tasks.",
            next_step=f"Its axis is '{axis}': [b, t] is of cells, [b] of images, [b, d] of features.",
            unchanged="Nothing was scored.",
        )
    return values
