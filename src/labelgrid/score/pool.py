"""Computes statistics of the pool batch by batch, in parts that a killed run does not repeat."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True)
class Explaining:
    """Statistics that only explain the picks: of the pool in the same pass, and of further images alone.

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
    """Compute the statistics of the given images, in the order of their ids, and write `folder/scores.parquet`.

    Each part of the pool is a separate file until all parts are finished. A part with the same
    stamp is not computed again. Memory does not grow with the pool while it is scored. What
    explains the picks is written to a file of its own, `folder/explaining.parquet`; the batches of
    the pool, and so the scores, are the same without it.

    Raises:
        PluginError: the shape of a statistic's values does not match its axis.
    """
    more = explaining or Explaining()
    both = replace(
        job, statistics={**job.statistics, **more.statistics}, stamp={**job.stamp, **more.stamp}
    )
    pool = _parts(image_ids, job.part) or [[]]
    further = _parts({*more.images} - {*image_ids}, job.part)
    unlabelled = replace(
        both, statistics=more.statistics, definitions={}
    )  # their labels are not read
    jobs = [(both, part) for part in pool] + [(unlabelled, part) for part in further]
    paths = [folder / f"scores-{index:05d}.part" for index in range(len(jobs))]
    folder.mkdir(parents=True, exist_ok=True)
    progress.start("Scoring", sum(len(part) for _, part in jobs), "images")
    for path, (of_part, part) in zip(paths, jobs, strict=True):
        table = read_table(path) if path.exists() else None
        if table is None or dict(table.stamp) != dict(both.stamp) or list(table.images) != part:
            write_table(_score_part(of_part, part, progress), path)
        else:
            progress.advance(len(part), "done before")
    (folder / EXPLAINING).unlink(missing_ok=True)
    if more.statistics:
        filled = [path for path, (_, part) in zip(paths, jobs, strict=True) if part]
        write_tables(
            (read_table(path).only(more.statistics, both.stamp) for path in filled),
            folder / EXPLAINING,
        )
    write_tables(
        (read_table(path).only(job.statistics, job.stamp) for path in paths[: len(pool)]),
        folder / FILE,
    )
    for path in paths:
        path.unlink(missing_ok=True)
    return read_table(folder / FILE)


def _parts(image_ids: Collection[str], size: int) -> list[list[str]]:
    ordered = sorted(image_ids)
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


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
        yield PoolBatch(
            batch=batch,
            keys=keys,
            features=features,
            model=job.model,
            tasks=job.tasks,
            definitions=job.definitions,
        )


def _score_part(job: ScoringJob, image_ids: Sequence[str], progress: Progress) -> Table:
    axes: dict[str, Axis] = {name: statistic.axis for name, statistic in job.statistics.items()}
    chunks: dict[str, list[NDArray[Any]]] = {name: [] for name in job.statistics}
    for batch in pool_batches(job, image_ids):
        for name, statistic in job.statistics.items():
            with torch.inference_mode():
                chunks[name].append(_checked(name, statistic, batch))
        progress.advance(len(batch.batch.ids))
    values = {name: np.concatenate(arrays) for name, arrays in chunks.items() if arrays}
    return Table(
        images=image_ids,
        statistics=values,
        tasks=tuple(job.tasks),
        stamp=job.stamp,
        axes={name: axes[name] for name in values},
    )


def _checked(name: str, statistic: Statistic, batch: PoolBatch) -> NDArray[Any]:
    """A statistic's values for a batch, in the precision of its axis, with their shape checked."""
    axis = statistic.axis
    values = np.asarray(statistic(batch), np.float32 if axis == "feature" else np.float64)
    b = len(batch.batch.ids)
    t = len(batch.tasks)
    matches = (
        values.shape == {"cell": (b, t), "image": (b,), "feature": (b, *values.shape[1:2])}[axis]
    )
    if not matches or (axis == "feature" and values.ndim != 2):
        raise PluginError(
            f"The statistic '{name}' returns values of shape {list(values.shape)} for {b} images and {t} tasks.",
            next_step=f"Its axis is '{axis}': return [b, t] for 'cell', [b] for 'image', [b, d] for 'feature'.",
            unchanged="Nothing was scored.",
        )
    return values
