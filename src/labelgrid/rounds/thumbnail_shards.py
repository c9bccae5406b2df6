"""Makes the thumbnails of a project's images in shards, in any place. Loads no torch.

A shard is some of the images. Its thumbnails are one file; a record says when that is whole, and
which images have none. Whoever makes them never opens the ledger.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from labelgrid.basics.array_types import Bytes
from labelgrid.basics.errors import ImageError
from labelgrid.basics.files import digest_of, open_regular, write_bytes
from labelgrid.basics.processes import cores
from labelgrid.basics.progress import Progress
from labelgrid.basics.version import __version__
from labelgrid.evidence.near_duplicates import Thumbnails
from labelgrid.executors.spreading import JOBS, Spreading, pieces_of_images
from labelgrid.executors.stamped_record import (
    Stamped,
    not_there_error,
    read_stamped,
    record_path,
    write_stamped,
)
from labelgrid.images.places import ImagePaths, file_versions, read_placed_image
from labelgrid.images.thumbnails import HEIGHT, LEAST, WIDTH, Thumbnail, thumbnail_of
from labelgrid.ledger.grid import ImageRow
from labelgrid.recipes.resolve import hash_of

#: The module that processes load before they make thumbnails.
PRELOADED = __name__
UNCHANGED = "Finished shards are kept."


@dataclass(frozen=True, kw_only=True)
class ThumbnailRecord(Stamped):
    """What is said of a shard's thumbnails.

    Args:
        digest: of their file.
        faults: why images could not be read, by id; their thumbnails are 0.
        small: images that are too small to be compared; theirs are 0, too.
    """

    digest: str
    faults: Mapping[str, str]
    small: Sequence[str]


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
        """Of the thumbnails: their bytes, one after the other."""
        return self.path.with_suffix(".raw")

    @property
    def image_ids(self) -> list[str]:
        """The ids of the images."""
        return [row.image_id for row in self.rows]

    def read(self) -> ThumbnailRecord | None:
        """The record; None if it is not there."""
        return read_stamped(ThumbnailRecord, self.path, self.stamp)

    def is_done(self) -> bool:
        """Whether the record is there, and the thumbnails."""
        return self._pixels() is not None

    def thumbnails(self) -> Thumbnails:
        """The thumbnails.

        Raises:
            ProjectError: they are not there.
        """
        pixels = self._pixels()
        if pixels is None:
            what = f"What was read of {len(self.rows)} images"
            raise not_there_error(what, self.file, UNCHANGED)
        return Thumbnails(self.image_ids, pixels)

    def _pixels(self) -> Bytes | None:
        """The content of the file; None if it is not the one of the record."""
        record = self.read()
        shape = (len(self.rows), HEIGHT, WIDTH)
        with suppress(OSError):
            with open_regular(self.file, int(np.prod(shape)), links=False) as file:
                data = file.read()
            if record and digest_of(data) == record.digest:
                return np.frombuffer(data, np.uint8).reshape(shape)
        return None


@dataclass(frozen=True)
class ShardedThumbnails:
    """The thumbnails of all images, in the order of names; a shard at a time is in memory."""

    shards: Sequence[ThumbnailShard]

    def __iter__(self) -> Iterator[Thumbnails]:
        """Yield the thumbnails of each shard."""
        for shard in self.shards:
            yield shard.thumbnails()

    def left_out(self) -> tuple[dict[str, str], list[str]]:
        """Why images could not be read, by id, and those that are too small to be compared."""
        faults: dict[str, str] = {}
        small: list[str] = []
        for shard in self.shards:
            record = shard.read()
            if record:
                faults |= record.faults
                small += record.small
        return faults, small


def make_thumbnails(shard: ThumbnailShard, progress: Progress) -> None:
    """Make the thumbnails of a shard: the function of its job."""
    progress.start("Reading images", len(shard.rows), "images")
    write_thumbnails(shard, progress, threads=1)


def write_thumbnails(shard: ThumbnailShard, progress: Progress, threads: int) -> None:
    """Write the file and the record of a shard.

    Args:
        shard: the shard.
        progress: counts the images.
        threads: the number of images that are read at a time.

    Raises:
        ProjectError: the disk reports an error.
    """
    pixels = np.zeros((len(shard.rows), HEIGHT, WIDTH), np.uint8)
    faults = {}
    small = []
    with ThreadPoolExecutor(threads) as pool:
        for place, found in enumerate(pool.map(_thumbnail, shard.rows)):
            name = shard.rows[place].image_id
            if isinstance(found, ImageError):
                faults[name] = found.what
            elif found is None:
                small.append(name)
            else:
                pixels[place] = found
            progress.advance()
    data = pixels.tobytes()
    write_bytes(shard.file, data, UNCHANGED, durable=True)
    record = ThumbnailRecord(stamp=shard.stamp, digest=digest_of(data), faults=faults, small=small)
    write_stamped(record, shard.path, UNCHANGED)


def _thumbnail(row: ImageRow) -> Thumbnail | ImageError | None:
    """The thumbnail of an image; None if it is small, or why it cannot be read."""
    try:
        image = read_placed_image(row.root, row.image_id, row.digest)
    except ImageError as error:
        return error
    return thumbnail_of(Image.fromarray(image)) if max(image.shape[:2]) >= LEAST else None


def sharded_thumbnails(
    rows: Sequence[ImageRow], folder: Path, progress: Progress, spreading: Spreading
) -> ShardedThumbnails | None:
    """The thumbnails of images, in the shards and the place of `spreading`.

    What is there is not made again, unless an image of its shard could not be read.

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
    for place, shard in enumerate(shards):
        record = shard.read() if spreading.share.takes(place) else None
        if record and record.faults:
            shard.path.unlink(missing_ok=True)
    if spreading.executor is None:
        _make_here(shards, progress)
        return ShardedThumbnails(shards)
    pieces = pieces_of_images(shards, make_thumbnails)
    is_whole = spreading.run("Reading images", pieces, folder / JOBS, progress)
    return ShardedThumbnails(shards) if is_whole else None


def _make_here(shards: Sequence[ThumbnailShard], progress: Progress) -> None:
    """Make the thumbnails that are missing, in this process."""
    progress.start("Reading images", sum(len(shard.rows) for shard in shards), "images")
    for shard in shards:
        if shard.is_done():
            progress.advance(len(shard.rows), "done before")
        else:
            write_thumbnails(shard, progress, threads=cores())


def _shards(rows: Sequence[ImageRow], folder: Path, size: int) -> list[ThumbnailShard]:
    """The shards of images, in their order."""
    unknown = ImagePaths({row.image_id: (row.root, "") for row in rows if not row.digest})
    versions = file_versions(unknown)
    shards = []
    for place, start in enumerate(range(0, len(rows), size)):
        own = rows[start : start + size]
        contents = []
        for row in own:
            content = row.digest or versions[row.image_id]
            contents.append((row.root, row.image_id, content))
        shard = ThumbnailShard(
            path=record_path(folder, size, place), rows=own, stamp=hash_of(__version__, contents)
        )
        shards.append(shard)
    return shards
