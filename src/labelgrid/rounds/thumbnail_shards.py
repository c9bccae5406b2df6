"""Makes the thumbnails of a project's images in shards, in any place. Loads no torch.

A shard is some of the images. A shard's thumbnails are one file; a record says that the file is
complete, and which images have no thumbnail. Making a shard never opens the ledger.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
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
from labelgrid.executors.passes import UNCHANGED, RecordPass, Shard, Stamped
from labelgrid.executors.workplace import Workplace
from labelgrid.images.places import ImagePaths, file_versions, read_placed_image
from labelgrid.images.thumbnails import HEIGHT, LEAST, WIDTH, Thumbnail, thumbnail_of
from labelgrid.ledger.grid import ImageRow
from labelgrid.recipes.resolve import hash_of

#: The module that processes load before they make thumbnails.
PRELOADED = __name__


@dataclass(frozen=True, kw_only=True)
class ThumbnailRecord(Stamped):
    """What is said of a shard's thumbnails.

    Args:
        digest: the digest of their file.
        faults: why images could not be read, by id; their thumbnails are 0.
        small: images that are too small to be compared; theirs are 0, too.
    """

    digest: str
    faults: Mapping[str, str]
    small: Sequence[str]


def _raw_file(shard: Shard[ThumbnailRecord]) -> Path:
    return shard.path.with_suffix(".raw")


def _pixels(shard: Shard[ThumbnailRecord]) -> Bytes | None:
    """The thumbnails of a shard; None if the file and the record differ."""
    record = shard.read()
    shape = (len(shard.items), HEIGHT, WIDTH)
    with suppress(OSError):
        with open_regular(_raw_file(shard), int(np.prod(shape)), links=False) as file:
            data = file.read()
        if record and digest_of(data) == record.digest:
            return np.frombuffer(data, np.uint8).reshape(shape)
    return None


def _has_pixels(shard: Shard[ThumbnailRecord]) -> bool:
    return _pixels(shard) is not None


@dataclass(frozen=True)
class ShardedThumbnails:
    """The thumbnails of all images, in the order of names; a shard at a time is in memory."""

    reading: RecordPass[ThumbnailRecord]
    shards: Sequence[Shard[ThumbnailRecord]]

    def __iter__(self) -> Iterator[Thumbnails]:
        """Yield the thumbnails of each shard.

        Raises:
            ProjectError: they are not there.
        """
        for shard in self.shards:
            pixels = _pixels(shard)
            if pixels is None:
                raise self.reading.not_there(shard)
            yield Thumbnails(shard.items, pixels)

    def left_out(self) -> tuple[dict[str, str], list[str]]:
        """The reasons why images could not be read, by id, and the images too small to compare."""
        faults: dict[str, str] = {}
        small: list[str] = []
        for record in self.reading.records(self.shards):
            faults |= record.faults
            small += record.small
        return faults, small


def make_thumbnails(
    shard: Shard[ThumbnailRecord], rows: Sequence[ImageRow], threads: int, progress: Progress
) -> ThumbnailRecord:
    """Write the thumbnails of a shard.

    Args:
        shard: the images.
        rows: where they are.
        threads: the number of images that are read at a time.
        progress: counts the images.

    Raises:
        ProjectError: the disk reports an error.
    """
    pixels = np.zeros((len(rows), HEIGHT, WIDTH), np.uint8)
    faults = {}
    small = []
    with ThreadPoolExecutor(threads) as pool:
        for place, thumbnail in enumerate(pool.map(_thumbnail, rows)):
            name = rows[place].image_id
            if isinstance(thumbnail, ImageError):
                faults[name] = thumbnail.what
            elif thumbnail is None:
                small.append(name)
            else:
                pixels[place] = thumbnail
            progress.advance()
    data = pixels.tobytes()
    write_bytes(_raw_file(shard), data, UNCHANGED, durable=True)
    return ThumbnailRecord(stamp=shard.stamp, digest=digest_of(data), faults=faults, small=small)


def _thumbnail(row: ImageRow) -> Thumbnail | ImageError | None:
    """The thumbnail of an image; None for a small image, or the error of reading."""
    try:
        image = read_placed_image(row.root, row.image_id, row.digest)
    except ImageError as error:
        return error
    if max(image.shape[:2]) >= LEAST:
        return thumbnail_of(Image.fromarray(image))
    return None


def sharded_thumbnails(
    rows: Sequence[ImageRow], folder: Path, progress: Progress, workplace: Workplace
) -> ShardedThumbnails | None:
    """The thumbnails of images, in the shards and the place of `workplace`.

    What is there is not made again, unless an image of its shard could not be read.

    Args:
        rows: the images, in the order of their names.
        folder: the folder of the files.
        progress: counts the images.
        workplace: where.

    Returns:
        The thumbnails; None if that was only a share.

    Raises:
        ProjectError: shards could not be made.
    """
    images = {row.image_id: row for row in rows}
    unknown = ImagePaths({row.image_id: (row.root, "") for row in rows if not row.digest})
    versions = file_versions(unknown)
    contents = {}
    for row in rows:
        contents[row.image_id] = (row.root, row.image_id, row.digest or versions[row.image_id])
    threads = 1 if workplace.executor else cores()
    reading = RecordPass(
        activity="Reading images",
        folder=folder,
        kind=ThumbnailRecord,
        items=list(images),
        stamp=lambda names: hash_of(__version__, [contents[image_id] for image_id in names]),
        function=make_thumbnails,
        arguments=lambda shard: ([images[image_id] for image_id in shard.items], threads),
        is_done=_has_pixels,
    )
    shards = reading.shards(workplace)
    for place, shard in enumerate(shards):
        record = shard.read() if workplace.share.takes(place) else None
        if record and record.faults:
            shard.path.unlink(missing_ok=True)
    is_whole = reading.run(shards, workplace, progress)
    if not is_whole:
        return None
    return ShardedThumbnails(reading, shards)
