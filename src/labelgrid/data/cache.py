"""Keeps decoded images in a memory-mapped file while a network is trained on them, up to a size limit."""

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray

from labelgrid.data.dataset import Source, weight_of
from labelgrid.errors import ImageError
from labelgrid.labels.codec import LabelArray
from labelgrid.progress import Progress
from labelgrid.tasks.task import TaskDef
from labelgrid.words import counted

#: So many images are decoded at a time.
AHEAD = 32
Pixels = NDArray[np.uint8]
#: The first byte of an image in the file, its height and its width.
Place = tuple[int, int, int]


class CachedImages:
    """A `Source` with weights, some of whose images are read from a memory-mapped file.

    In a process that does not inherit the memory of this one, it is the source itself.

    Args:
        source: the source of all labels and of the other images.
        pixels: the bytes of the file.
        places: where an image is in it.
    """

    def __init__(self, source: Source, pixels: NDArray[np.uint8], places: Mapping[str, Place]) -> None:
        self.source, self.pixels, self.places = source, pixels, places

    def __reduce__(self) -> tuple[Callable[[Source], Source], tuple[Source]]:
        return _itself, (self.source,)

    def images(self) -> Sequence[str]:
        """The image ids."""
        return self.source.images()

    def image(self, image_id: str) -> Pixels:
        """As `ImageSource.image`; an image of the file cannot be written to."""
        place = self.places.get(image_id)
        if place is None:
            return self.source.image(image_id)
        start, height, width = place
        return self.pixels[start : start + 3 * height * width].reshape(height, width, 3)

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`."""
        return self.source.label(image_id, task)

    def weight(self, image_id: str, task: str) -> float:
        """As `Weighted.weight`."""
        return weight_of(self.source, image_id, task)


def _itself(source: Source) -> Source:
    return source


@contextmanager
def cached_images(
    source: Source, image_ids: Sequence[str], limit: int, folder: Path, progress: Progress
) -> Iterator[Source]:
    """Decode images into a file of at most `limit` bytes, and read them from there inside the block.

    The file has no name, so that nothing is left of it, even after a kill. Images that do not fit are read from their
    own files; if the disk is full, so are those that are left. An image that cannot be read is left to whoever needs
    it.

    Args:
        source: the images, and their labels.
        image_ids: those to decode, in this order.
        limit: 0: decode none.
        folder: on whose disk the file is.
        progress: reports the decoding.
    """
    if not limit or not image_ids:
        yield source
        return
    with TemporaryFile(dir=folder, buffering=0) as file:
        places: dict[str, Place] = {}
        why = f"its limit is {limit / 2**30:.3g} GiB"
        try:
            for image_id, image in _decoded(source, image_ids, progress):
                start = file.tell()
                if start + image.size > limit:
                    break
                if file.write(np.ascontiguousarray(image).data) < image.size:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                places[image_id] = (start, *image.shape[:2])
        except OSError as error:
            why = str(error.strerror)
        if len(places) < len(image_ids):
            progress.say(f"The cache holds {len(places):,} of {counted(len(image_ids), 'decoded image')}: {why}.")
        yield CachedImages(source, np.memmap(file, np.uint8, "r"), places) if places else source


def _decoded(source: Source, image_ids: Sequence[str], progress: Progress) -> Iterator[tuple[str, Pixels]]:
    """The images that can be read, in order; a few are decoded ahead."""
    progress.start("Caching decoded images", len(image_ids), "images")
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for first in range(0, len(image_ids), AHEAD):
            chunk = image_ids[first : first + AHEAD]
            for image_id, image in zip(chunk, threads.map(partial(_readable, source), chunk), strict=True):
                progress.advance()
                if image is not None:
                    yield image_id, image


def _readable(source: Source, image_id: str) -> Pixels | None:
    try:
        return source.image(image_id)
    except ImageError:
        return None
