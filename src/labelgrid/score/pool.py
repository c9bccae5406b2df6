"""Computes statistics of the pool batch by batch, in parts that a killed run does not repeat."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from labelgrid.data.batch import stack_labels
from labelgrid.data.dataset import Source, labels_of
from labelgrid.data.frame import on_input
from labelgrid.data.loader import eval_batches
from labelgrid.data.options import DataOptions
from labelgrid.data.supplied import MostTrusted
from labelgrid.errors import PluginError
from labelgrid.progress import Progress
from labelgrid.score.statistic import PoolBatch, Statistic
from labelgrid.score.table import (
    EXPLAINING,
    FILE,
    Axis,
    Table,
    read_table,
    write_table,
    write_tables,
)
from labelgrid.streams import image_keys
from labelgrid.tasks.task import Task, TaskDef
from labelgrid.train.model import TrainedModel


@dataclass(frozen=True, kw_only=True)
class ScoringJob:
    """The description of a pass over the pool.

    The labels that `source` has of the pool's images are fed in as known (PartAL section 3.3).

    Args:
        model: the trained model, in evaluation mode.
        statistics: by name; those with modules are already trained, see `score.fit`.
        stamp: identifies the model, the recipe and the pool.
        batch: the number of images in a batch.
        part: the number of images in a partial file, the unit that a killed run does not repeat.
        supplier_labels: reads the labels of suppliers; None: no statistic reads any.
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
    supplier_labels: MostTrusted | None = None

    def batches(self, image_ids: Sequence[str]) -> Iterator[PoolBatch]:
        """The batches of images that statistics get, in the given order."""
        return pool_batches(self, image_ids)

    def with_supplier_labels(self, batch: PoolBatch) -> PoolBatch:
        """The batch with the labels of suppliers, if a statistic reads them."""
        if self.supplier_labels is None:
            return batch
        labels = [self.supplier_labels.labels(image_id) for image_id in batch.batch.ids]
        frames = batch.batch.frames
        targets = {}
        for name, task in self.definitions.items():
            placed = []
            for found, frame in zip(labels, frames, strict=True):
                label = found.get(name)
                placed.append(on_input(label, frame, task) if label else None)
            target = stack_labels(placed, task, frames[0].input)
            targets[name] = target.to(batch.batch.images.device)
        return replace(batch, supplier_labels=targets)


@dataclass(frozen=True)
class Explaining:
    """Statistics that only explain the picks.

    Those of the pool are computed in the same pass, those of further images alone.

    Args:
        statistics: by name, none of those of the job.
        images: the further images; their labels are not read.
        stamp: identifies them, beside the stamp of the job.
    """

    statistics: Mapping[str, Statistic] = field(default_factory=dict)
    images: Collection[str] = ()
    stamp: Mapping[str, str] = field(default_factory=dict)


def gather(
    job: ScoringJob,
    image_ids: Sequence[str],
    folder: Path,
    progress: Progress,
    explaining: Explaining | None = None,
) -> Table:
    """Compute the statistics of images, in the order of their ids; write `folder/scores.parquet`.

    Each part of the pool is a separate file until all parts are finished. A part with the same
    stamp is not computed again. Memory does not grow with the pool while it is scored. What
    explains the picks is written to a file of its own, `folder/explaining.parquet`; the batches of
    the pool, and so the scores, are the same without it.

    Raises:
        PluginError: the shape of a statistic's values does not match its axis.
    """
    extra = explaining or Explaining()
    both = replace(
        job, statistics={**job.statistics, **extra.statistics}, stamp={**job.stamp, **extra.stamp}
    )
    pool = _parts(image_ids, job.part) or [[]]
    further = _parts({*extra.images} - {*image_ids}, job.part)
    # The labels of further images are not read.
    unlabelled = replace(both, statistics=extra.statistics, definitions={})
    folder.mkdir(parents=True, exist_ok=True)
    progress.start("Scoring", sum(map(len, [*pool, *further])), "images")
    paths = []
    for index, image_ids_of_part in enumerate([*pool, *further]):
        path = folder / f"scores-{index:05d}.part"
        paths.append(path)
        if _is_scored(path, both.stamp, image_ids_of_part):
            progress.advance(len(image_ids_of_part), "done before")
        elif index < len(pool):
            write_table(_score_part(both, image_ids_of_part, progress), path)
        else:
            write_table(_score_part(unlabelled, image_ids_of_part, progress), path)
    (folder / EXPLAINING).unlink(missing_ok=True)
    if extra.statistics:
        with_images = paths if pool[0] else paths[1:]
        tables = _read_parts(with_images, extra.statistics, both.stamp)
        write_tables(tables, folder / EXPLAINING)
    tables = _read_parts(paths[: len(pool)], job.statistics, job.stamp)
    write_tables(tables, folder / FILE)
    for path in paths:
        path.unlink(missing_ok=True)
    return read_table(folder / FILE)


def _parts(image_ids: Collection[str], size: int) -> list[list[str]]:
    ordered = sorted(image_ids)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def _is_scored(path: Path, stamp: Mapping[str, str], image_ids: Sequence[str]) -> bool:
    """Whether a file holds the statistics of these images under this stamp."""
    if not path.exists():
        return False
    table = read_table(path)
    return dict(table.stamp) == dict(stamp) and list(table.images) == list(image_ids)


def _read_parts(
    paths: Sequence[Path], names: Collection[str], stamp: Mapping[str, str]
) -> Iterator[Table]:
    """Read some statistics of each part, one part at a time, under a stamp."""
    for path in paths:
        yield read_table(path).only(names, stamp)


def pool_batches(job: ScoringJob, image_ids: Sequence[str]) -> Iterator[PoolBatch]:
    """Yield the images in batches, encoded without gradients, in the given order."""
    network = job.model.network.eval()
    device = next(network.parameters()).device
    known = partial(labels_of, job.source, job.definitions)
    loaded = eval_batches(
        job.source,
        job.definitions,
        image_ids,
        job.data,
        batch=job.batch,
        workers=job.workers,
        known=known,
    )
    for cpu_batch in loaded:
        batch = cpu_batch.to(device)
        keys = image_keys(batch.ids)
        with torch.no_grad():
            features = network.encode(batch.images)
        pool = PoolBatch(
            batch=batch,
            keys=keys,
            features=features,
            model=job.model,
            tasks=job.tasks,
            definitions=job.definitions,
        )
        yield job.with_supplier_labels(pool)


def _score_part(job: ScoringJob, image_ids: Sequence[str], progress: Progress) -> Table:
    """Compute the statistics of some images."""
    chunks: dict[str, list[NDArray[Any]]] = {name: [] for name in job.statistics}
    for batch in job.batches(image_ids):
        for name, statistic in job.statistics.items():
            with torch.inference_mode():
                chunks[name].append(_values(name, statistic, batch))
        progress.advance(len(batch.batch.ids))
    values: dict[str, NDArray[Any]] = {}
    axes: dict[str, Axis] = {}
    for name, arrays in chunks.items():
        if arrays:
            values[name] = np.concatenate(arrays)
            axes[name] = job.statistics[name].axis
    return Table(
        images=image_ids, statistics=values, tasks=tuple(job.tasks), stamp=job.stamp, axes=axes
    )


def _values(name: str, statistic: Statistic, batch: PoolBatch) -> NDArray[Any]:
    """A statistic's values for a batch, in the precision of its axis, with their shape checked."""
    axis = statistic.axis
    values = np.asarray(statistic(batch), np.float32 if axis == "feature" else np.float64)
    b = len(batch.batch.ids)
    t = len(batch.tasks)
    shapes = {"cell": (b, t), "image": (b,), "feature": (b, *values.shape[1:2])}
    if values.shape != shapes[axis] or (axis == "feature" and values.ndim != 2):
        raise PluginError(
            f"The statistic '{name}' returns values of shape {list(values.shape)} for {b} images "
            f"and {t} tasks.",
            next_step=f"Its axis is '{axis}': return [b, t] for 'cell', [b] for 'image', [b, d] "
            "for 'feature'.",
            unchanged="Nothing was scored.",
        )
    return values
