"""Loads batches from a source.

Their order and augmentation depend only on the seed, the epoch and the image.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from multiprocessing.queues import Queue
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from labelgrid.basics.array_types import Bytes, Floats32
from labelgrid.basics.errors import ImageError, LabelgridError, TrainingError
from labelgrid.basics.kept_files import KeptFiles
from labelgrid.basics.processes import end_with_parent, keep_freed_memory
from labelgrid.basics.streams import seed_of, stream
from labelgrid.data.batch import Batch, Item, SoftLabel, SoftLabels, collate
from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import ImageSource, Source, camera_of, labels_of, weight_of
from labelgrid.data.frame import Frame
from labelgrid.data.kept_inputs import WHOLE, KeptInputs, KeptViews
from labelgrid.data.transforms import (
    Example,
    PlacedExample,
    PlacedImage,
    PlacedLabel,
    augment,
    fit_placement,
    kept_view,
    place,
)
from labelgrid.data.view_memory import ViewMemory
from labelgrid.formats.codec import RESIZED, LabelArray, size_error
from labelgrid.tasks.task import TaskDef, TaskDefs

#: Labels by task, or by term and task.
Labels = Mapping[str, LabelArray | PlacedLabel]
#: Maps of pixels by what they are of.
Maps = Mapping[str, Floats32]
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
    kept: KeptFiles | None = None,
    memory: ViewMemory | None = None,
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
        kept: the files that keep the views of images, if they stay; None: each is decoded.
        memory: remembers these views with their labels, for later epochs, too.

    Raises:
        ImageError: an image cannot be read.
        LabelError: a label cannot be read, or differs in size from its image.
    """
    chunks: list[Chunk] = []
    for number in range(epoch * passes, (epoch + epochs) * passes):
        order = stream(seed, "order", number).permutation(len(ids))
        ordered = np.array(sorted(ids), dtype=object)[order].tolist()
        reader = _TrainReader(
            source=source,
            tasks=tasks,
            options=options,
            kept=kept,
            seed=seed,
            epoch=number,
            soft=soft or {},
            memory=memory or ViewMemory(0),
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
    """Load an augmented batch of the given images in this process.

    Each augmentation depends on `seed` and image only.

    Raises:
        ImageError: an image cannot be read.
        LabelError: a label cannot be read, or differs in size from its image.
    """
    reader = _TrainReader(
        source=source, tasks=tasks, options=options, seed=seed, epoch=0, soft=soft
    )
    return collate([reader.read(image_id) for image_id in ids], tasks, options, list(soft))


def read_view(
    source: Source, tasks: TaskDefs, image_id: str, options: DataOptions, *, number: int
) -> Item:
    """Read one of the kept views of an image, with its labels, for `collate`.

    Raises:
        ImageError: the image cannot be read.
        LabelError: a label cannot be read, or differs in size from its image.
    """
    reader = _TrainReader(source=source, tasks=tasks, options=options, seed=0, epoch=0)
    labels = labels_of(source, tasks, image_id)
    example = reader.example(image_id, source.image(image_id), labels, {})
    view = kept_view(example, tasks, options, image_id=image_id, number=number)
    return reader.item(image_id, view)


def eval_batches(
    source: ImageSource,
    tasks: TaskDefs,
    ids: Sequence[str],
    options: DataOptions,
    *,
    batch: int,
    workers: int = 0,
    known_labels: Known | None = None,
    on_fault: OnFault | None = None,
    kept: KeptFiles | None = None,
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
        known_labels: a function that returns the labels of an image, which become the targets;
            None: there are no targets.
        on_fault: called with each image that cannot be read, which is left out of its batch; other
            images stay the same. None: such an image is an error.
        kept: the files that keep the network inputs of images; None: each is decoded.

    Raises:
        ImageError: an image cannot be read, and `on_fault` is None.
        LabelError: a label cannot be read, or differs in size from its image.
    """
    reader = _EvalReader(
        source=source,
        tasks=tasks,
        options=options,
        kept=kept,
        known_labels=known_labels,
        leaves_out=on_fault is not None,
    )
    return _load(_Parts(_chunks(reader, list(ids), batch)), workers, on_fault)


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Reads images and their labels as the items of batches."""

    source: ImageSource
    tasks: TaskDefs
    options: DataOptions
    kept: KeptFiles | None = None

    def example(
        self, image_id: str, image: Bytes | PlacedImage, labels: Labels, maps: Maps
    ) -> Example:
        """Join an image, labels and maps of the same size, and the camera."""
        example = Example(image, labels, maps)
        for task, label in labels.items():
            if label.size != example.size:
                raise size_error(label.size, example.size, RESIZED, where=image_id, task=task)
        return replace(example, camera=camera_of(self.source, image_id, example.size))

    def item(
        self,
        image_id: str,
        view: PlacedExample,
        frame: Frame | None = None,
        soft: Mapping[str, SoftLabel] | None = None,
    ) -> Item:
        return Item(
            id=image_id,
            image=view.image,
            labels=view.labels,
            weights=[weight_of(self.source, image_id, task) for task in self.tasks],
            frame=frame,
            soft=soft or {},
            camera=view.camera,
        )


@dataclass(frozen=True, kw_only=True)
class _TrainReader(_Reader):
    """Reads augmented images with their labels and soft labels."""

    source: Source
    seed: int
    epoch: int
    soft: Mapping[str, SoftLabels] = field(default_factory=dict)
    memory: ViewMemory = field(default_factory=ViewMemory)

    def read(self, image_id: str) -> Item:
        rng = stream(self.seed, "augment", self.epoch, image_id)
        if not self.options.kept_views:
            labels = labels_of(self.source, self.tasks, image_id)
            example, tasks = self._example(image_id, self.source.image(image_id), labels)
            return self._trained(image_id, augment(example, tasks, self.options, rng))
        number = int(rng.integers(self.options.kept_views))
        memory = ViewMemory(0) if self.soft else self.memory  # soft labels change
        item = memory.recall((image_id, number))
        if item is None:
            item = self._trained(image_id, self._kept_view(image_id, number))
            memory.remember((image_id, number), item)
        return item

    def _trained(self, image_id: str, view: PlacedExample) -> Item:
        soft = {key: SoftLabel(view.labels[key], maps) for key, maps in view.maps.items()}
        return self.item(image_id, view, soft=soft)

    def _kept_view(self, image_id: str, number: int) -> PlacedExample:
        key = self.views.key(image_id, number)
        image = self.views.open(image_id, key)
        opened = self.views.labels(image_id, number)
        example, tasks = self._example(image_id, image, opened)
        view = kept_view(example, tasks, self.options, image_id=image_id, number=number)
        self.views.keep(key, image, view.image, often=True)
        self.views.keep_labels(image_id, number, opened, view.labels)
        return view

    @cached_property
    def views(self) -> KeptViews:
        """The kept views of the images, with those of the labels."""
        return KeptViews(self.kept, self.source, self.options, self.tasks)

    def _example(
        self, image_id: str, image: Bytes | PlacedImage, given: Labels
    ) -> tuple[Example, dict[str, TaskDef]]:
        """The image with its labels and soft labels, and the task of each label."""
        labels = dict(given)
        tasks = dict(self.tasks)
        confidences = {}
        for term, read_soft in self.soft.items():
            for task in self.tasks.values():
                soft_label = read_soft(image_id, task)
                if soft_label is not None:
                    key = f"{term}/{task.name}"
                    labels[key] = soft_label.label
                    confidences[key] = soft_label.confidence
                    tasks[key] = task
        return self.example(image_id, image, labels, confidences), tasks

    def load(self, image_ids: Sequence[str]) -> list[Batch | UnreadableImage]:
        items = [self.read(image_id) for image_id in image_ids]
        return [collate(items, self.tasks, self.options, list(self.soft))]


@dataclass(frozen=True, kw_only=True)
class _EvalReader(_Reader):
    """Reads whole images, with their known labels."""

    known_labels: Known | None
    leaves_out: bool

    @cached_property
    def inputs(self) -> KeptInputs:
        """The kept views of the images."""
        return KeptInputs(self.kept, self.source, self.options)

    def load(self, image_ids: Sequence[str]) -> list[Batch | UnreadableImage]:
        items = []
        parts: list[Batch | UnreadableImage] = []
        for image_id in image_ids:
            try:
                items.append(self.read(image_id))
            except ImageError as error:
                if not self.leaves_out:
                    raise
                parts.append(UnreadableImage(image_id, error.what))
        tasks = self.tasks if self.known_labels else {}
        for _, run in groupby(items, lambda item: item.image.shape):
            parts.append(collate(list(run), tasks, self.options))
        return parts

    def read(self, image_id: str) -> Item:
        key = self.inputs.key(image_id, WHOLE)
        image = self.inputs.open(image_id, key)
        labels = self.known_labels(image_id) if self.known_labels else {}
        example = self.example(image_id, image, labels, {})
        placement = fit_placement(example.size, self.options)
        view = place(example, placement, self.tasks, self.options)
        self.inputs.keep(key, image, view.image)
        return self.item(image_id, view, frame=Frame.of(example.size, placement))


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
        for entry in part:
            if isinstance(entry, Batch):
                yield entry
            elif on_fault:
                on_fault(entry)


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
    """Read the parts; TrainingError if a worker died, for example because /dev/shm is full."""
    try:
        threads = cv2.getNumThreads()
        # Workers are forked while OpenCV has one thread: with more, they would deadlock.
        cv2.setNumThreads(1)
        try:
            iterator = iter(loader)
        finally:
            cv2.setNumThreads(threads)
        yield from iterator
    except (OSError, RuntimeError) as error:
        if not loader.num_workers or not any(words in str(error) for words in _DEAD_WORKER):
            raise
        raise TrainingError(
            f"The processes that read ahead stopped: {str(error).splitlines()[0]}",
            next_step="Set `workers = 0` in [train] of the recipe, or enlarge /dev/shm "
            "(docker run --shm-size=2g).",
        ) from error


def _identity(part: Any) -> Any:
    return part


def _init_worker(_: int) -> None:
    """Limit a worker to a single OpenCV thread, and end it with the parent process.

    A worker that cannot hand over a batch, for example without shared memory, also ends: left
    alive, it would block its parent for ever.
    """
    cv2.setNumThreads(1)
    keep_freed_memory()
    end_with_parent()
    Queue._on_queue_feeder_error = staticmethod(_end_undelivered)  # type: ignore[attr-defined]


def _end_undelivered(error: Exception, _: object) -> None:
    with suppress(OSError):
        os.write(2, f"A batch cannot be handed over: {error}\n".encode())
    os._exit(1)
