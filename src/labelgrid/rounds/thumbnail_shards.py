"""Makes the thumbnails of a project's images in shards, in any place. Loads no torch.

A shard is some of the images; its thumbnails are one file, and a record says when that is whole.
Whoever makes them never opens the ledger.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labelgrid import __version__
from labelgrid.errors import ImageError, ProjectError
from labelgrid.executors.spread import Piece, given
from labelgrid.files import atomic_write, disk_errors
from labelgrid.images.places import read_placed_image
from labelgrid.images.thumbnails import HEIGHT, LEAST, WIDTH, Thumbnail, thumbnail_of
from labelgrid.ledger.grid import ImageRow
from labelgrid.progress import Progress
from labelgrid.project.near_duplicates import Thumbnails
from labelgrid.recipes.resolve import hash_of
from labelgrid.rounds.spreading import JOBS, Spreading
from labelgrid.rounds.stamped_record import Stamped, read_stamped, record_path, write_stamped

#: The module that processes load before they make thumbnails.
PRELOADED = __name__
UNCHANGED = "Finished shards are kept."


@dataclass(frozen=True, kw_only=True)
class ReadShard(Stamped):
    """What a shard's record says.

    Args:
        faults: why images could not be read, by id.
    """

    faults: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ThumbnailShard:
    """Images whose thumbnails are in one file.

    Args:
        path: of the record.
        rows: the images.
        stamp: of the record.
    """

    path: Path
    rows: Sequence[ImageRow]
    stamp: str

    @property
    def file(self) -> Path:
        """Of the thumbnails."""
        return self.path.with_suffix(".npy")

    @property
    def names(self) -> list[str]:
        """The ids of the images."""
        return [row.image_id for row in self.rows]

    def read(self) -> ReadShard | None:
        """The record; None if it is not there."""
        return read_stamped(ReadShard, self.path, self.stamp)

    def is_done(self) -> bool:
        """Whether the record is there, and the thumbnails."""
        return self.read() is not None and self._pixels() is not None

    def thumbnails(self) -> Thumbnails:
        """The thumbnails.

        Raises:
            ProjectError: they are not there.
        """
        pixels = self._pixels()
        if pixels is None:
            raise ProjectError(
                f"The thumbnails of {len(self.rows)} images are not there.",
                where=str(self.file),
                next_step="Run the same command again: it does what is missing.",
                unchanged=UNCHANGED,
            )
        return Thumbnails(self.names, pixels)

    def _pixels(self) -> NDArray[np.uint8] | None:
        """The content of the file; None if it is missing or damaged."""
        with suppress(OSError, ValueError, EOFError):
            pixels = np.load(self.file, mmap_mode="r", allow_pickle=False)
            if pixels.dtype == np.uint8 and pixels.shape == (len(self.rows), HEIGHT, WIDTH):
                return pixels
        return None


@dataclass(frozen=True)
class ShardedThumbnails:
    """The thumbnails of all images, in the order of names; a shard at a time is in memory."""

    shards: Sequence[ThumbnailShard]

    def __iter__(self) -> Iterator[Thumbnails]:
        """Yield the thumbnails of each shard."""
        for shard in self.shards:
            yield shard.thumbnails()

    def faults(self) -> dict[str, str]:
        """Why images could not be read, by id."""
        faults: dict[str, str] = {}
        for shard in self.shards:
            record = shard.read()
            faults.update(record.faults if record else {})
        return faults


def make_thumbnails(shard: ThumbnailShard, progress: Progress) -> None:
    """Make the thumbnails of a shard: the function of its job."""
    progress.start("Reading images", len(shard.rows), "images")
    pixels = np.zeros((len(shard.rows), HEIGHT, WIDTH), np.uint8)
    faults: dict[str, str] = {}
    for row, place in zip(shard.rows, pixels, strict=True):
        try:
            place[:] = _thumbnail(row)
        except ImageError as error:
            faults[row.image_id] = error.what
        progress.advance()
    _write(shard.file, pixels)
    write_stamped(ReadShard(stamp=shard.stamp, faults=faults), shard.path, UNCHANGED)


def _write(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write the file of a shard's thumbnails.

    Raises:
        ProjectError: the disk reports an error.
    """
    data = io.BytesIO()
    np.save(data, pixels)
    with disk_errors(path, UNCHANGED), atomic_write(path, durable=True) as temporary:
        temporary.write_bytes(data.getbuffer())


def _thumbnail(row: ImageRow) -> Thumbnail | int:
    """The thumbnail of an image; 0 if it is small.

    Raises:
        ImageError: it cannot be read.
    """
    image = read_placed_image(row.root, row.image_id, row.digest)
    if max(image.shape[:2]) < LEAST:
        return 0
    return thumbnail_of(Image.fromarray(image))


def thumbnails_elsewhere(
    rows: Sequence[ImageRow], folder: Path, progress: Progress, spreading: Spreading
) -> ShardedThumbnails | None:
    """The thumbnails of images, made in the shards and the place of `spreading`.

    Args:
        rows: the images, in the order of their names.
        folder: of the files.
        progress: counts the images.
        spreading: where.

    Returns:
        The thumbnails; None if that was only a share.

    Raises:
        ProjectError: shards could not be made.
    """
    shards = spreading.shards(folder, partial(_shards, rows, folder), len(rows))
    pieces = []
    for place, shard in enumerate(shards):
        piece = Piece(
            name=f"Shard {place + 1}",
            amount=len(shard.rows),
            function=make_thumbnails,
            arguments=given(shard),
            is_done=shard.is_done,
        )
        pieces.append(piece)
    is_whole = spreading.run("Reading images", pieces, folder / JOBS, progress)
    return ShardedThumbnails(shards) if is_whole else None


def _shards(rows: Sequence[ImageRow], folder: Path, size: int) -> list[ThumbnailShard]:
    """The shards of images, in their order."""
    shards = []
    for place, start in enumerate(range(0, len(rows), size)):
        own = rows[start : start + size]
        files = [(row.root, row.image_id, row.digest) for row in own]
        shard = ThumbnailShard(
            path=record_path(folder, size, place), rows=own, stamp=hash_of(__version__, files)
        )
        shards.append(shard)
    return shards
