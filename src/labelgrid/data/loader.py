"""Loads batches from a source.

Their order and augmentation depend only on the seed, the epoch and the image.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from multiprocessing.queues import Queue
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from labelgrid.basics.errors import ImageError, LabelgridError, TrainingError
from labelgrid.basics.processes import end_with_parent
from labelgrid.basics.streams import seed_of, stream
from labelgrid.data.batch import Batch, Item, SoftLabel, SoftLabels, collate
from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import ImageSource, Source, camera_of, labels_of, weight_of
from labelgrid.data.frame import Frame
from labelgrid.data.transforms import Example, augment, fit_placement, place
from labelgrid.formats.codec import RESIZED, LabelArray, size_error
from labelgrid.tasks.task import TaskDefs

#: Returns the labels of an image, at original size, that the network gets as known labels.
Known = Callable[[str], Mapping[str, LabelArray]]


class UnreadableImage(NamedTuple):
    """An image that cannot be read, and why."""

    image_id: str
    reason: str


#: Is told of an image that cannot be read.
OnFault = Callable[[UnreadableImage], None]


def train_batches(
    source: Source,
    tasks: TaskDefs,
    ids: Sequence[str],
    options: DataOptions,
    *,
    batch: int,
    seed: int,
    epoch: int,
    epochs: int = 1,
    workers: int = 0,
    passes: int = 1,
    soft: Mapping[str, SoftLabels] | None = None,
    split: Callable[[list[str]], list[list[str]]] | None = None,
) -> Iterator[Batch]:
    """Yield one epoch of augmented batches, or several.

    Each has `passes` passes over all images, each in a new random order. The result depends neither
    on the number of workers nor on the order of `ids`: the sorted ids are shuffled, and each
    image's augmentation is drawn from the stream (seed, "augment", epoch, id).

    Args:
        source: the images and labels.
        tasks: the tasks whose labels are read.
        ids: the image ids.
        options: the network input and its augmentation.
        batch: the number of images in a batch; the last one of a pass may be smaller.
        seed: the training's seed.
        epoch: the number of the first epoch.
        epochs: how many there are.
        workers: the number of processes that read ahead; 0: this process reads.
        passes: the number of passes over all ids in one epoch.
        soft: the readers of soft labels, by term.
        split: splits the images of one pass, in their order, into other batches.

    Raises:
        ImageError: an image cannot be read.
        LabelError: a label cannot be read, or differs in size from its image.
    """
    chunks: list[Chunk] = []
    for number in range(epoch * passes, (epoch + epochs) * passes):
        order = stream(seed, "order", number).permutation(len(ids))
        ordered = np.array(sorted(ids), dtype=object)[order].tolist()
        reader = _TrainReader(
            source=source, tasks=tasks, options=options, seed=seed, epoch=number, soft=soft or {}
        )
        if split:
            chunks += [(reader, part) for part in split(ordered)]
        else:
            chunks += _chunks(reader, ordered, batch)
    return _load(_Parts(chunks), workers)


def train_batch(
    source: Source,
    tasks: TaskDefs,
    ids: Sequence[str],
    options: DataOptions,
    *,
    seed: int,
    soft: Mapping[str, SoftLabels],
) -> Batch:
    """Load one augmented batch of the given images in this process.

    Each augmentation depends on `seed` and image only.

    Raises:
        ImageError: an image cannot be read.
        LabelError: a label cannot be read, or differs in size from its image.
    """
    reader = _TrainReader(
        source=source, tasks=tasks, options=options, seed=seed, epoch=0, soft=soft
    )
    (batch,) = reader.batches([reader.item(image_id) for image_id in ids])
    return batch


def eval_batches(
    source: ImageSource,
    tasks: TaskDefs,
    ids: Sequence[str],
    options: DataOptions,
    *,
    batch: int,
    workers: int = 0,
    known: Known | None = None,
    on_fault: OnFault | None = None,
) -> Iterator[Batch]:
    """Yield batches of whole images in the given order, without augmentation, with their frames.

    Args:
        source: the images.
        tasks: the tasks of the targets.
        ids: the image ids.
        options: the network input.
        batch: the largest number of images in a batch. All images of a batch have one size, so a
            batch ends where the size changes (fit "crop" keeps each image's shape).
        workers: the number of processes that read ahead; 0: this process reads.
        known: returns the labels of an image, which become the targets; None: there are no targets.
        on_fault: is told of each image that cannot be read; its batch comes without it, and all
            others are as they would be. None: such an image is an error.

    Raises:
        ImageError: an image cannot be read, and `on_fault` is None.
        LabelError: a label cannot be read, or differs in size from its image.
    """
    reader = _EvalReader(
        source=source,
        tasks=tasks,
        options=options,
        known=known,
        leaves_out=on_fault is not None,
    )
    return _load(_Parts(_chunks(reader, list(ids), batch)), workers, on_fault)


@dataclass(frozen=True, kw_only=True)
class _TrainReader:
    """Reads augmented images with their labels and soft labels."""

    source: Source
    tasks: TaskDefs
    options: DataOptions
    seed: int
    epoch: int
    soft: Mapping[str, SoftLabels] = field(default_factory=dict)

    def item(self, image_id: str) -> Item:
        image = self.source.image(image_id)
        labels = labels_of(self.source, self.tasks, image_id)
        tasks = dict(self.tasks)
        confidences = {}
        soft = self._soft_labels(image_id)
        for key, soft_label in soft.items():
            labels[key] = soft_label.label
            confidences[key] = soft_label.confidence
            tasks[key] = self.tasks[key.rpartition("/")[2]]
        height, width = image.shape[:2]
        _check_sizes(image_id, (height, width), labels)
        camera = camera_of(self.source, image_id, (height, width))
        rng = stream(self.seed, "augment", self.epoch, image_id)
        view = augment(Example(image, labels, confidences, camera), tasks, self.options, rng)
        placed = {key: SoftLabel(view.labels[key], view.maps[key]) for key in soft}
        weights = [weight_of(self.source, image_id, task) for task in self.tasks]
        return Item(
            id=image_id,
            image=view.image,
            labels=view.labels,
            weights=weights,
            soft=placed,
            camera=view.camera,
        )

    def _soft_labels(self, image_id: str) -> dict[str, SoftLabel]:
        """An image's soft labels, by `term/task`."""
        labels = {}
        for term, read in self.soft.items():
            for task in self.tasks.values():
                label = read(image_id, task)
                if label is not None:
                    labels[f"{term}/{task.name}"] = label
        return labels

    def load(self, image_ids: Sequence[str]) -> list[Batch | UnreadableImage]:
        return [*self.batches([self.item(image_id) for image_id in image_ids])]

    def batches(self, items: Sequence[Item]) -> list[Batch]:
        return [collate(items, self.tasks, self.options, list(self.soft))]


@dataclass(frozen=True, kw_only=True)
class _EvalReader:
    """Reads whole images, with their known labels."""

    source: ImageSource
    tasks: TaskDefs
    options: DataOptions
    known: Known | None
    leaves_out: bool

    def load(self, image_ids: Sequence[str]) -> list[Batch | UnreadableImage]:
        items = []
        faults = []
        for image_id in image_ids:
            try:
                items.append(self.item(image_id))
            except ImageError as error:
                if not self.leaves_out:
                    raise
                faults.append(UnreadableImage(image_id, error.what))
        return [*faults, *self.batches(items)]

    def item(self, image_id: str) -> Item:
        image = self.source.image(image_id)
        labels: dict[str, LabelArray] = {}
        if self.known:
            labels.update(self.known(image_id))
        height, width = image.shape[:2]
        _check_sizes(image_id, (height, width), labels)
        placement = fit_placement((height, width), self.options)
        camera = camera_of(self.source, image_id, (height, width))
        view = place(Example(image, labels, camera=camera), placement, self.tasks, self.options)
        frame = Frame.of((height, width), placement)
        weights = [weight_of(self.source, image_id, task) for task in self.tasks]
        return Item(
            id=image_id,
            image=view.image,
            labels=view.labels,
            weights=weights,
            frame=frame,
            camera=view.camera,
        )

    def batches(self, items: Sequence[Item]) -> list[Batch]:
        tasks = self.tasks if self.known else {}
        batches = []
        for _, run in groupby(items, lambda item: item.image.shape):
            items_of_one_size = list(run)
            batches.append(collate(items_of_one_size, tasks, self.options))
        return batches


def _check_sizes(image_id: str, size: tuple[int, ...], labels: Mapping[str, LabelArray]) -> None:
    for task, label in labels.items():
        if label.size != tuple(size):
            image_size = (size[0], size[1])
            raise size_error(label.size, image_size, RESIZED, where=image_id, task=task)


#: The reader and the image ids of a batch.
Chunk = tuple[_TrainReader | _EvalReader, list[str]]


def _chunks(reader: _TrainReader | _EvalReader, image_ids: list[str], batch: int) -> list[Chunk]:
    return [(reader, image_ids[i : i + batch]) for i in range(0, len(image_ids), batch)]


class _Parts(Dataset[Any]):
    """A torch data set whose items are the batches of a chunk, or the error that occurred."""

    def __init__(self, chunks: list[Chunk]) -> None:
        self.chunks = chunks

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, index: int) -> list[Batch | UnreadableImage] | LabelgridError:
        reader, image_ids = self.chunks[index]
        try:
            return reader.load(image_ids)
        except LabelgridError as error:
            return error  # returned, because torch would wrap an exception of a worker


def _load(parts: _Parts, workers: int, on_fault: OnFault | None = None) -> Iterator[Batch]:
    """Yield the batches of all parts, and tell `on_fault` of the images that are left out.

    Workers are forked: importing torch again in each epoch would take too long.
    """
    count = min(workers, len(parts))
    # Without a generator of its own, torch's global generator would advance.
    generator = torch.Generator().manual_seed(seed_of(0, "workers"))
    loader = DataLoader(
        parts,
        batch_size=None,
        num_workers=count,
        collate_fn=_identity,
        worker_init_fn=_init_worker,
        multiprocessing_context="fork" if count and sys.platform == "linux" else None,
        generator=generator,
    )
    for part in _read_parts(loader):
        if isinstance(part, LabelgridError):
            raise part
        for found in part:
            if isinstance(found, Batch):
                yield found
            elif on_fault:
                on_fault(found)


#: What torch says when a worker died, or could not share a batch with this process.
_DEAD_WORKER = (
    "DataLoader worker",
    "shared memory",
    "unable to write to file",
    "No space left on device",
    "ancdata",
    "Too many open files",
)


def _read_parts(loader: DataLoader[Any]) -> Iterator[Any]:
    """The loader's parts.

    Raises:
        TrainingError: a worker died, as workers do if /dev/shm is too small for the batches.
    """
    try:
        yield from _start(loader)
    except (OSError, RuntimeError) as error:
        if not loader.num_workers or not any(words in str(error) for words in _DEAD_WORKER):
            raise
        raise TrainingError(
            f"The processes that read ahead stopped: {str(error).splitlines()[0]}",
            next_step="Set `workers = 0` in [train] of the recipe, or enlarge /dev/shm "
            "(docker run --shm-size=2g).",
        ) from error


def _start(loader: DataLoader[Any]) -> Iterator[Any]:
    """The loader's iterator.

    Workers are forked while OpenCV has one thread: with more, they would deadlock.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return iter(loader)
    finally:
        cv2.setNumThreads(threads)


def _identity(part: Any) -> Any:
    return part


def _init_worker(_: int) -> None:
    """Limit a worker to one OpenCV thread, and end it with its parent process.

    It also ends if it cannot hand over a batch, such as for want of shared memory: left alive, it
    would be waited for without an end.
    """
    cv2.setNumThreads(1)
    end_with_parent()
    Queue._on_queue_feeder_error = staticmethod(_end_undelivered)  # type: ignore[attr-defined]


def _end_undelivered(error: Exception, _: object) -> None:
    """End this process, whose thread that sends batches has failed."""
    with suppress(OSError):
        os.write(2, f"A batch cannot be handed over: {error}\n".encode())
    os._exit(1)
