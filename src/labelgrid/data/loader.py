"""How batches stream from a source: the order and every draw depend on the seed, the epoch and the image alone."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from labelgrid.data.batch import Batch, Item, SoftLabel, SoftLabels, collate
from labelgrid.data.dataset import ImageSource, Source, weight_of
from labelgrid.data.frame import Frame
from labelgrid.data.transforms import DataOptions, Example, augment, fitted, place
from labelgrid.errors import LabelError, LabelgridError
from labelgrid.labels.codec import LabelArray
from labelgrid.processes import end_with_parent
from labelgrid.streams import seed_of, stream
from labelgrid.tasks.task import TaskDef

Tasks = Mapping[str, TaskDef]
#: The labels of an image that are fed to the network as known, at original size.
Known = Callable[[str], Mapping[str, LabelArray]]


def train_batches(
    source: Source,
    tasks: Tasks,
    ids: Sequence[str],
    options: DataOptions,
    *,
    batch: int,
    seed: int,
    epoch: int,
    workers: int = 0,
    drop_last: bool = False,
    passes: int = 1,
    soft: Mapping[str, SoftLabels] | None = None,
) -> Iterator[Batch]:
    """One epoch of augmented batches: a new order of all ids, each image with draws of its own, `passes` times.

    The number of workers and the order of `ids` change nothing: the order is drawn over the sorted ids, and each
    image's augmentation from the stream (seed, "augment", epoch, id).

    Args:
        source: of images and labels.
        tasks: whose labels are read.
        ids: of the images.
        options: of the input and its augmentation.
        batch: images in a batch.
        seed: of the training.
        epoch: which is drawn anew.
        workers: processes that read ahead; 0: this one reads.
        drop_last: leave an incomplete last batch of a pass out.
        passes: over all ids in one epoch, one stream of batches.
        soft: what reads the soft labels of each term that has some.

    Raises:
        ImageError: an image cannot be read. LabelError: a label cannot be, or is not of its image's size.
    """
    chunks: list[Chunk] = []
    for number in range(epoch * passes, (epoch + 1) * passes):
        order = stream(seed, "order", number).permutation(len(ids))
        names = np.array(sorted(ids), dtype=object)[order].tolist()
        if drop_last:
            names = names[: len(names) // batch * batch]
        chunks += _chunks(_Train(source, tasks, options, seed, number, soft or {}), names, batch)
    return _stream(_Parts(chunks), workers)


def train_batch(
    source: Source, tasks: Tasks, ids: Sequence[str], options: DataOptions, *, seed: int, soft: Mapping[str, SoftLabels]
) -> Batch:
    """One batch of these images in this order, read here and now, augmented by draws of `seed` and each image alone.

    Raises:
        ImageError: an image cannot be read. LabelError: a label cannot be, or is not of its image's size.
    """
    reader = _Train(source, tasks, options, seed, 0, soft)
    (found,) = reader.batches([reader.item(name) for name in ids])
    return found


def eval_batches(
    source: ImageSource,
    tasks: Tasks,
    ids: Sequence[str],
    options: DataOptions,
    *,
    batch: int,
    workers: int = 0,
    known: Known | None = None,
) -> Iterator[Batch]:
    """Batches of whole images in the given order, not augmented, each with its frame; all of a batch have one size.

    Args:
        source: of the images.
        tasks: of the targets.
        ids: of the images.
        options: of the input.
        batch: images in a batch; fewer where sizes change (fit "crop" keeps each image's shape).
        workers: processes that read ahead; 0: this one reads.
        known: gives each image's labels that become the targets; without it there are none.

    Raises:
        ImageError: an image cannot be read. LabelError: a label cannot be, or is not of its image's size.
    """
    return _stream(_Parts(_chunks(_Whole(source, tasks, options, known), list(ids), batch)), workers)


@dataclass(frozen=True)
class _Train:
    source: Source
    tasks: Tasks
    options: DataOptions
    seed: int
    epoch: int
    soft: Mapping[str, SoftLabels] = field(default_factory=dict)

    def item(self, name: str) -> Item:
        image = self.source.image(name)
        found = {task.name: self.source.label(name, task) for task in self.tasks.values()}
        labels = {task: label for task, label in found.items() if label is not None}
        soft, tasks = self._soft(name), self.tasks
        if soft:
            labels |= {key: own.label for key, own in soft.items()}
            tasks = {**tasks, **{key: tasks[key.rpartition("/")[2]] for key in soft}}
        _check_sizes(name, image.shape[:2], labels)
        rng = stream(self.seed, "augment", self.epoch, name)
        view = augment(Example(image, labels, {k: own.confidence for k, own in soft.items()}), tasks, self.options, rng)
        placed = {key: SoftLabel(view.labels[key], view.maps[key]) for key in soft}
        weights = [weight_of(self.source, name, task) for task in self.tasks]
        return Item(name, view.image, view.labels, weights, soft=placed)

    def _soft(self, name: str) -> dict[str, SoftLabel]:
        """An image's soft labels, by `term/task`."""
        every = ((term, own, task) for term, own in self.soft.items() for task in self.tasks.values())
        read = {f"{term}/{task.name}": own(name, task) for term, own, task in every}
        return {key: label for key, label in read.items() if label is not None}

    def batches(self, items: Sequence[Item]) -> list[Batch]:
        return [collate(items, self.tasks, self.options, list(self.soft))]


@dataclass(frozen=True)
class _Whole:
    source: ImageSource
    tasks: Tasks
    options: DataOptions
    known: Known | None

    def item(self, name: str) -> Item:
        image = self.source.image(name)
        labels = dict(self.known(name)) if self.known else {}
        height, width = image.shape[:2]
        _check_sizes(name, (height, width), labels)
        placement = fitted((height, width), self.options)
        view = place(Example(image, labels), placement, self.tasks, self.options)
        frame = Frame.of((height, width), placement)
        return Item(name, view.image, view.labels, [weight_of(self.source, name, task) for task in self.tasks], frame)

    def batches(self, items: Sequence[Item]) -> list[Batch]:
        tasks = self.tasks if self.known else {}
        return [collate(list(run), tasks, self.options) for _, run in groupby(items, lambda item: item.image.shape)]


def _check_sizes(name: str, size: tuple[int, ...], labels: Mapping[str, LabelArray]) -> None:
    for task, label in labels.items():
        if label.size != tuple(size):
            found, wanted = ("x".join(map(str, shape)) for shape in (label.size, size))
            raise LabelError(
                f"The {task} label is {found}, its image {wanted}.",
                where=name,
                next_step="Export the label at its image's size and import it again.",
            )


#: The ids of a batch, and what reads them.
Chunk = tuple[_Train | _Whole, list[str]]


def _chunks(reader: _Train | _Whole, names: list[str], batch: int) -> list[Chunk]:
    return [(reader, names[i : i + batch]) for i in range(0, len(names), batch)]


class _Parts(Dataset[Any]):
    """An item is the batches of a chunk, or the error that stopped it."""

    def __init__(self, chunks: list[Chunk]) -> None:
        self.chunks = chunks

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, index: int) -> list[Batch] | LabelgridError:
        reader, names = self.chunks[index]
        try:
            return reader.batches([reader.item(name) for name in names])
        except LabelgridError as error:
            return error  # a value, because torch would wrap what a worker raises in its own words


def _stream(parts: _Parts, workers: int) -> Iterator[Batch]:
    """The batches of all parts; workers are forked: ones that import torch anew each epoch cost more than they read."""
    count = min(workers, len(parts))
    loader = DataLoader(
        parts,
        batch_size=None,
        num_workers=count,
        collate_fn=_as_it_is,
        worker_init_fn=_begin,
        multiprocessing_context="fork" if count and sys.platform == "linux" else None,
        generator=torch.Generator().manual_seed(seed_of(0, "workers")),  # else torch's global generator is moved on
    )
    for part in _started(loader):
        if isinstance(part, LabelgridError):
            raise part
        yield from part


def _started(loader: DataLoader[Any]) -> Iterator[Any]:
    """The loader's iterator, its workers begun while OpenCV has no thread here: a fork would wait for it for good."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return iter(loader)
    finally:
        cv2.setNumThreads(threads)


def _as_it_is(part: Any) -> Any:
    return part


def _begin(_: int) -> None:
    """One OpenCV thread a worker, which ends with its parent."""
    cv2.setNumThreads(1)
    end_with_parent()
