"""Keeps decoded images and labels in a memory-mapped file while a network is trained on them.

The file has a size limit.
"""

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

import numpy as np

from labelgrid.basics.array_types import Array, Bytes
from labelgrid.basics.errors import ImageError, LabelError
from labelgrid.basics.progress import Progress
from labelgrid.basics.words import bytes_text, count_text
from labelgrid.data.dataset import Source, WrappedImages, weight_of
from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.task import TaskDef, TaskDefs

#: So many images are decoded at a time, in as many threads.
AHEAD = 4
#: Arrays start at multiples of so many bytes.
ALIGNED = 64


class StoredArray(NamedTuple):
    """The place of an array in the file."""

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def stop(self) -> int:
        """The byte after the last byte."""
        return self.start + int(np.prod(self.shape)) * self.dtype.itemsize

    def read(self, file: Bytes, dtype: np.dtype[Any] | None = None) -> Array:
        """A copy of the array, in another type if one is given."""
        return (
            file[self.start : self.stop]
            .view(self.dtype)
            .reshape(self.shape)
            .astype(dtype or self.dtype)
        )


class StoredLabel(NamedTuple):
    """The places of a label's values, perhaps in a narrower type, and of its mask."""

    value: StoredArray
    valid: StoredArray
    dtype: np.dtype[Any]


@dataclass(frozen=True, eq=False)
class CachedSource(WrappedImages):
    """A `Source` with weights, some of whose images and labels are read from a memory-mapped file.

    A process that does not inherit this process's memory reads from the source itself.

    Args:
        source: the source of all else.
        file: its bytes.
        pixels: where an image is.
        maps: where the label of an image and a task is.
    """

    source: Source
    file: Bytes = field(repr=False)
    pixels: Mapping[str, StoredArray] = field(repr=False)
    maps: Mapping[tuple[str, str], StoredLabel] = field(repr=False)

    def __reduce__(self) -> tuple[Callable[[Source], Source], tuple[Source]]:
        return _plain_source, (self.source,)

    def image(self, image_id: str) -> Bytes:
        """As `ImageSource.image`."""
        stored = self.pixels.get(image_id)
        if stored is None:
            return self.source.image(image_id)
        return stored.read(self.file)

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`."""
        stored = self.maps.get((image_id, task.name))
        if stored is None:
            return self.source.label(image_id, task)
        return LabelArray(stored.value.read(self.file, stored.dtype), stored.valid.read(self.file))

    def weight(self, image_id: str, task: str) -> float:
        """As `WeightedSource.weight`."""
        return weight_of(self.source, image_id, task)


def _plain_source(source: Source) -> Source:
    """The source of a cached source, for a process that does not inherit the memory."""
    return source


@contextmanager
def cache_source(
    source: Source,
    tasks: TaskDefs,
    image_ids: Sequence[str],
    limit: int,
    folder: Path,
    progress: Progress,
) -> Iterator[Source]:
    """Decode images and labels into a file, and read the file inside the block.

    The file has at most `limit` bytes. It has no name, so that nothing is left of it, even after a
    kill. Images and labels that do not fit, also because the disk is full, are read from their own
    files. Files that cannot be read are left to the reader that needs them. Labels with only some
    classes annotated, or of which a supplier is not sure, are not kept.

    Args:
        source: the images and labels.
        tasks: the tasks of the labels.
        image_ids: the images to decode, in this order.
        limit: 0: decode none.
        folder: the folder on whose disk the file is.
        progress: reports the decoding.
    """
    if not limit or not image_ids:
        yield source
        return
    with TemporaryFile(dir=folder, buffering=0) as file:
        writer = _Writer(file, limit)
        why = "the others cannot be read"
        try:
            for image_id, image, labels in _decode(source, tasks, image_ids, progress):
                if not writer.add(image_id, image, labels):
                    why = f"its limit is {bytes_text(limit)}"
                    break
        except OSError as error:
            why = str(error.strerror)
        cached = len(writer.pixels)
        if cached < len(image_ids):
            images = count_text(len(image_ids), "decoded image")
            progress.say(f"The cache holds {cached:,} of {images}: {why}.")
        if writer.end:
            yield CachedSource(source, np.memmap(file, np.uint8, "r"), writer.pixels, writer.maps)
        else:
            yield source


class _Writer:
    """Appends arrays to a file, up to a number of bytes."""

    def __init__(self, file: Any, limit: int) -> None:
        self.file = file
        self.limit = limit
        self.end = 0
        self.pixels: dict[str, StoredArray] = {}
        self.maps: dict[tuple[str, str], StoredLabel] = {}

    def add(self, image_id: str, image: Array, labels: Mapping[str, LabelArray]) -> bool:
        """Write an image with its labels; False, and nothing is written, if they do not fit."""
        values = {task: narrow(label.value) for task, label in labels.items()}
        size = image.nbytes + ALIGNED
        for task, label in labels.items():
            size += values[task].nbytes + label.valid.nbytes + 2 * ALIGNED
        if self.end + size > self.limit:
            return False
        stored = self._write(image)
        maps = {}
        for task, label in labels.items():
            value = self._write(values[task])
            valid = self._write(label.valid)
            maps[image_id, task] = StoredLabel(value, valid, label.value.dtype)
        self.pixels[image_id] = stored
        self.maps |= maps
        return True

    def _write(self, array: Array) -> StoredArray:
        start = -(-self.end // ALIGNED) * ALIGNED
        self.file.seek(start)
        if self.file.write(np.ascontiguousarray(array).data) < array.nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.end = start + array.nbytes
        return StoredArray(start, array.shape, array.dtype)


def narrow(value: Array) -> Array:
    """Convert whole numbers to the smallest type that holds their values; leave other values."""
    if value.dtype.kind not in "iu" or not value.size:
        return value
    smallest = np.min_scalar_type(int(value.min()))
    largest = np.min_scalar_type(int(value.max()))
    return value.astype(np.result_type(smallest, largest))


def _decode(
    source: Source, tasks: TaskDefs, image_ids: Sequence[str], progress: Progress
) -> Iterator[tuple[str, Array, dict[str, LabelArray]]]:
    progress.start("Caching decoded images", len(image_ids), "images")
    read = partial(_read, source, tasks)
    with ThreadPoolExecutor(AHEAD) as threads:
        for first in range(0, len(image_ids), AHEAD):
            chunk = image_ids[first : first + AHEAD]
            for image_id, decoded in zip(chunk, threads.map(read, chunk), strict=True):
                progress.advance()
                if decoded is not None:
                    yield image_id, *decoded


def _read(
    source: Source, tasks: TaskDefs, image_id: str
) -> tuple[Array, dict[str, LabelArray]] | None:
    labels = {}
    for task in tasks.values():
        try:
            label = source.label(image_id, task)
        except LabelError:
            continue
        if label is not None and label.annotated is None and label.unsure is None:
            labels[task.name] = label
    try:
        return source.image(image_id), labels
    except ImageError:
        return None
