"""How statistics of the pool are gathered: streamed, in parts that a killed run does not repeat, stamped."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from labelgrid.data.batch import Batch
from labelgrid.data.dataset import Source, labels_of
from labelgrid.data.loader import eval_batches
from labelgrid.data.transforms import DataOptions
from labelgrid.nets.network import Features, Network
from labelgrid.progress import Progress
from labelgrid.score.table import FILE, Table, read_table, write_table
from labelgrid.streams import image_key
from labelgrid.tasks.task import Task, TaskDef


@dataclass(frozen=True)
class PoolBatch:
    """One batch of the pool as statistics see it: the network in evaluation mode, the encoder already run.

    Args:
        batch: images, with known labels as targets, and frames.
        keys: uint64 [b] of the images.
        features: the encoder's.
        network: in evaluation mode.
        tasks: by name.
    """

    batch: Batch
    keys: NDArray[np.uint64]
    features: Features
    network: Network
    tasks: Mapping[str, Task]


class Statistic(Protocol):
    """Reads something off the network for each image of the pool."""

    def __call__(self, look: PoolBatch) -> NDArray[np.float64]:
        """An array with leading axis b; [b, t] where it is a number a task."""


@dataclass(frozen=True)
class ScoringJob:
    """What a pool pass is made of; `stamp` says of which model, recipe and pool the numbers are.

    The labels that `source` has of the pool's images are fed in as known (PartAL section 3.3).
    """

    network: Network
    tasks: Mapping[str, Task]
    definitions: Mapping[str, TaskDef]
    source: Source
    data: DataOptions
    statistics: Mapping[str, Statistic]
    stamp: Mapping[str, str]
    batch: int = 8
    workers: int = 0
    part: int = 256


def gather(work: ScoringJob, names: Sequence[str], folder: Path, progress: Progress) -> Table:
    """The statistics of all images `names`, in the order of their ids, written to `folder/scores.parquet`.

    Each part of the pool is a file of its own until all are there; parts of this stamp are not done again.
    Memory does not grow with the pool: a part holds its numbers only.
    """
    ordered = sorted(names)
    parts = [ordered[start : start + work.part] for start in range(0, len(ordered), work.part)]
    folder.mkdir(parents=True, exist_ok=True)
    progress.start("Scoring", len(ordered), "images")
    tables = []
    for index, images in enumerate(parts):
        path = folder / f"scores-{index:05d}.part"
        table = read_table(path) if path.exists() else None
        if table is None or dict(table.stamp) != dict(work.stamp) or list(table.images) != images:
            table = Table(images, _pass(work, images, progress), tuple(work.tasks), work.stamp)
            write_table(table, path)
        else:
            progress.advance(len(images), "done before")
        tables.append(table)
    whole = Table.concatenate(tables, tuple(work.tasks), work.stamp)
    write_table(whole, folder / FILE)
    for index in range(len(parts)):
        (folder / f"scores-{index:05d}.part").unlink(missing_ok=True)
    return whole


def pool_batches(work: ScoringJob, names: Sequence[str]) -> Iterator[PoolBatch]:
    """The pool's images batch by batch, encoded, in the order of `names`."""
    device = next(work.network.parameters()).device
    work.network.eval()
    known = partial(labels_of, work.source, work.definitions)
    loaded = eval_batches(
        work.source, work.definitions, names, work.data, batch=work.batch, workers=work.workers, known=known
    )
    with torch.inference_mode():
        for part in loaded:
            batch = part.to(device)
            keys = np.array([image_key(name) for name in batch.ids], np.uint64)
            yield PoolBatch(batch, keys, work.network.encode(batch.images), work.network, work.tasks)


def _pass(work: ScoringJob, names: Sequence[str], progress: Progress) -> dict[str, NDArray[np.float64]]:
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in work.statistics}
    for look in pool_batches(work, names):
        for name, statistic in work.statistics.items():
            found[name].append(statistic(look))
        progress.advance(len(look.batch.ids))
    return {name: np.concatenate(arrays) for name, arrays in found.items()}
