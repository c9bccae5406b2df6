"""Computes statistics of images batch by batch, shard by shard of the pool."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from labelgrid.basics.array_types import Array
from labelgrid.basics.errors import ImageError, PluginError
from labelgrid.basics.files import disk_errors
from labelgrid.basics.progress import Progress
from labelgrid.basics.streams import image_keys
from labelgrid.basics.type_names import Texts
from labelgrid.data.batch import stack_supplied
from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import ImageSource, Source, labels_of
from labelgrid.data.frame import on_input
from labelgrid.data.loader import OnFault, UnreadableImage, eval_batches
from labelgrid.data.supplied_source import MostTrusted
from labelgrid.executors.passes import Pass
from labelgrid.executors.share import ALONE
from labelgrid.executors.workplace import IN_THIS_PROCESS
from labelgrid.nets.kept_maps import kept_of
from labelgrid.nets.network import reason_to_ignore
from labelgrid.score.shards import PoolShard, PoolShards
from labelgrid.score.statistic import PoolBatch, Statistic
from labelgrid.score.table import Table
from labelgrid.score.table_files import write_table
from labelgrid.tasks.task import TaskDefs, Tasks
from labelgrid.train.trained_model import TrainedModel


@dataclass(frozen=True, kw_only=True)
class ScoringJob:
    """The description of a pass over the pool.

    The labels that `source` has of the pool's images are fed in as known (PartAL section 3.3),
    unless they would change nothing.

    Args:
        model: the trained model, in evaluation mode.
        statistics: the statistics by name; those with modules are already trained, see `score.fit`.
        stamp: identifies the model, the recipe and the pool.
        batch: the number of images in a batch.
        leaves_out: whether an image that cannot be read is left out; otherwise it is an error.
        supplier_labels: reads the labels of suppliers; None: no statistic reads any.
    """

    model: TrainedModel
    tasks: Tasks
    definitions: TaskDefs
    source: Source
    data: DataOptions
    statistics: Mapping[str, Statistic]
    stamp: Texts
    batch: int = 8
    workers: int = 0
    leaves_out: bool = False
    supplier_labels: MostTrusted | None = None

    def batches(
        self, image_ids: Sequence[str], on_fault: OnFault | None = None
    ) -> Iterator[PoolBatch]:
        """Yield the images as `pool_batches`; a job without a network reads predictions instead."""
        return pool_batches(self, image_ids, on_fault)

    @property
    def reads_labels(self) -> bool:
        """Whether labels may change a value."""
        reads_more = any(one.reads == "network" for one in self.statistics.values())
        if reads_more or self.supplier_labels is not None:
            return True
        return not reason_to_ignore(self.model.network)

    def without_idle_labels(self) -> Self:
        """The job, which reads no labels if none may change a value."""
        return self if self.reads_labels else replace(self, definitions={})

    def with_supplier_labels(self, batch: PoolBatch) -> PoolBatch:
        """The batch with the labels of suppliers, if a statistic reads them."""
        if self.supplier_labels is None:
            return batch
        labels = [self.supplier_labels.labels(image_id) for image_id in batch.batch.ids]
        frames = batch.batch.frames
        supplied = {}
        for name, task in self.definitions.items():
            placed = []
            for of_image, frame in zip(labels, frames, strict=True):
                label = of_image.get(name)
                placed.append(on_input(label, frame, task) if label else None)
            given = stack_supplied(placed, task, frames[0].input)
            supplied[name] = given.to(batch.batch.images.device)
        return replace(batch, supplier_labels=supplied)


@dataclass(frozen=True)
class Explaining:
    """Statistics that only explain the picks, computed in the same pass or of further images.

    Args:
        statistics: the statistics by name, other than the statistics of the job.
        images: the further images; their labels are not read.
        stamp: identifies the statistics, beside the stamp of the job.
    """

    statistics: Mapping[str, Statistic] = field(default_factory=dict)
    images: Collection[str] = ()
    stamp: Texts = field(default_factory=dict)


def gather(
    job: ScoringJob,
    image_ids: Sequence[str],
    folder: Path,
    progress: Progress,
    *,
    explaining: Explaining | None = None,
    size: int = ALONE,
) -> Table:
    """Compute the statistics of images, in the order of their ids; write `folder/scores.parquet`.

    The work is done shard by shard in this process, see `PoolShards`; explanations of the picks go
    into a separate file, `folder/explaining.parquet`. The batches of the pool, and so the scores,
    are the same without it, and with any `size` of shards that is a multiple of the batch.

    Raises:
        PluginError: the shape of a statistic's values does not match its axis.
    """
    extra = explaining or Explaining()
    shards = pool_shards(
        image_ids, extra, folder=folder, size=size, statistics=job.statistics, stamp=job.stamp
    )
    score_shards(job, extra, shards, progress)
    return shards.join().table


def pool_shards(
    image_ids: Collection[str],
    explaining: Explaining,
    *,
    folder: Path,
    size: int,
    statistics: Collection[str],
    stamp: Texts,
) -> PoolShards:
    """The shards of a pool, and of the further images that explain; see `PoolShards`."""
    return PoolShards(
        folder=folder,
        pool=sorted(image_ids),
        further=sorted({*explaining.images} - {*image_ids}),
        size=size,
        statistics=frozenset(statistics),
        explaining=frozenset(explaining.statistics),
        stamp=stamp,
        explaining_stamp=explaining.stamp,
    )


def score_shards(
    job: ScoringJob, explaining: Explaining, shards: PoolShards, progress: Progress
) -> None:
    """Compute the unfinished shards in turn, in this process."""
    scoring = scoring_pass(shards, job.source, score_shard, lambda shard: (job, explaining))
    scoring.run(list(shards), IN_THIS_PROCESS, progress)


def scoring_pass(
    shards: PoolShards,
    source: ImageSource,
    function: Callable[..., None],
    arguments: Callable[[PoolShard], tuple[Any, ...]],
) -> Pass[PoolShard]:
    """The pass that writes the files of shards by a function, see `Pass`."""
    return Pass(
        activity="Scoring",
        folder=shards.folder,
        function=function,
        arguments=arguments,
        is_done=partial(shards.is_done, is_readable=partial(is_readable, source)),
    )


def score_shard(
    shard: PoolShard, job: ScoringJob, explaining: Explaining, progress: Progress
) -> None:
    """Compute the statistics of a shard's images, and write its file.

    The labels of images outside the pool, and labels that change nothing, are not read.

    Raises:
        PluginError: the shape of a statistic's values does not match its axis.
        ProjectError: the disk refuses the file.
    """
    statistics = {**job.statistics, **explaining.statistics}
    job = replace(job, statistics=statistics, stamp=shard.stamp)
    if not shard.in_pool:
        job = replace(job, statistics=explaining.statistics, definitions={})
    table = _score(job.without_idle_labels(), shard.items, progress)
    with disk_errors(shard.path, "The scores of finished shards are kept."):
        write_table(table, shard.path)


def is_readable(source: ImageSource, image_id: str) -> bool:
    """Whether a source gives an image without an `ImageError`."""
    try:
        source.image(image_id)
    except ImageError:
        return False
    return True


def pool_batches(
    job: ScoringJob, image_ids: Sequence[str], on_fault: OnFault | None = None
) -> Iterator[PoolBatch]:
    """Yield the images in batches, encoded without gradients, in the given order.

    `on_fault` is called with each image that cannot be read; without it, such an image is an error.
    """
    network = job.model.network.eval()
    device = next(network.parameters()).device
    loaded = eval_batches(
        job.source,
        job.definitions,
        image_ids,
        job.data,
        batch=job.batch,
        workers=job.workers,
        known_labels=partial(labels_of, job.source, job.definitions),
        on_fault=on_fault,
        kept=kept_of(network.encoder),
    )
    for cpu_batch in loaded:
        batch = cpu_batch.to(device)
        with torch.no_grad():
            features = network.encode(batch.images)
        pool = PoolBatch(
            batch=batch,
            keys=image_keys(batch.ids),
            features=features,
            model=job.model,
            tasks=job.tasks,
            definitions=job.definitions,
        )
        yield job.with_supplier_labels(pool)


def _score(job: ScoringJob, image_ids: Sequence[str], progress: Progress) -> Table:
    chunks: dict[str, list[Array]] = {name: [] for name in job.statistics}
    scored: list[str] = []
    faults: dict[str, str] = {}

    def note(fault: UnreadableImage) -> None:
        faults[fault.image_id] = fault.reason
        progress.advance()

    for batch in job.batches(image_ids, note if job.leaves_out else None):
        for name, statistic in job.statistics.items():
            with torch.inference_mode():
                chunks[name].append(_values(name, statistic, batch))
        scored += batch.batch.ids
        progress.advance(len(batch.batch.ids))
    values = {name: np.concatenate(arrays) for name, arrays in chunks.items() if arrays}
    table = Table(
        images=scored,
        statistics=values,
        tasks=tuple(job.tasks),
        stamp=job.stamp,
        axes={name: job.statistics[name].axis for name in values},
    )
    return table.with_faults(image_ids, faults)


def _values(name: str, statistic: Statistic, batch: PoolBatch) -> Array:
    """A statistic's checked values for a batch, in the precision of the axis."""
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
