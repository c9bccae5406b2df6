"""Cuts a pool into shards, each scored into a file of its own, and joins these into one table.

Which shards there are changes no score: a shard is a run of the sorted ids, whose length is a
multiple of a batch's. Loads no torch.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.version import __version__
from labelgrid.score.table import EXPLAINING, FILE, Table, TableParts, read_table, table_parts

#: The end of the names of shards' files.
ENDING = ".part"
#: The number of rows that are together in the joined files, whatever the shards.
GROUP = 256


@dataclass(frozen=True, kw_only=True)
class PoolShard:
    """Images whose scores are one file.

    Args:
        place: among all shards, from 0.
        image_ids: the images, sorted.
        path: of the file.
        stamp: what the file depends on beside its images.
        in_pool: whether the images are of the pool; of others, only what explains is computed.
    """

    place: int
    image_ids: Sequence[str]
    path: Path
    stamp: Mapping[str, str]
    in_pool: bool

    def read(self) -> Table | None:
        """What the file holds; None if it is missing, damaged, stale or of other images."""
        if not self.path.exists():
            return None
        try:
            table = read_table(self.path)
        except ProjectError:
            return None
        is_own = dict(table.stamp) == dict(self.stamp)
        return table if is_own and list(table.images) == list(self.image_ids) else None


class JoinedScores(NamedTuple):
    """The scores of a pool's images, and why the other images could not be read, by id."""

    table: Table
    faults: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class PoolShards:
    """The shards of a pool, and of further images that only explain picks.

    A shard is done if its file has its stamp, the version of labelgrid, and a row for each of its
    images. Memory does not grow with the pool before the shards are joined.

    Args:
        folder: of the files.
        pool: the sorted ids of the images that are scored.
        further: the sorted ids of other images.
        size: the number of images in a shard, at most.
        statistics: the names of those that score.
        explaining: the names of those that only explain.
        stamp: of the scores.
        explaining_stamp: what is stamped beside it, if any explain.
    """

    folder: Path
    pool: Sequence[str]
    further: Sequence[str]
    size: int
    statistics: Collection[str]
    explaining: Collection[str]
    stamp: Mapping[str, str]
    explaining_stamp: Mapping[str, str]

    @property
    def image_count(self) -> int:
        """The number of images of all shards."""
        return len(self.pool) + len(self.further)

    @property
    def file_stamp(self) -> dict[str, str]:
        """The stamp of the shards' files."""
        return {**self.stamp, **self.explaining_stamp, "version": __version__}

    def __iter__(self) -> Iterator[PoolShard]:
        """The shards: those of the pool, of which there is one at least, then the others."""
        for place, (image_ids, in_pool) in enumerate(self._runs()):
            yield PoolShard(
                place=place,
                image_ids=image_ids,
                path=self.folder / f"scores-{place:05d}{ENDING}",
                stamp=self.file_stamp,
                in_pool=in_pool,
            )

    def _runs(self) -> Iterator[tuple[Sequence[str], bool]]:
        for start in range(0, max(len(self.pool), 1), self.size):
            yield self.pool[start : start + self.size], True
        for start in range(0, len(self.further), self.size):
            yield self.further[start : start + self.size], False

    def kept_size(self) -> int:
        """The size of the shards that an earlier run left here; 0 if there are none to keep."""
        for path in sorted(self.folder.glob(f"scores-*{ENDING}")):
            size = self._size_of(path)
            if size:
                return size
        return 0

    def _size_of(self, path: Path) -> int:
        """The size of a shard of the pool, by its file; 0 if it is of another stamp or the last."""
        try:
            table = read_table(path)
        except ProjectError:
            return 0
        size = len(table.images)
        if not size or dict(table.stamp) != self.file_stamp:
            return 0
        start = bisect_left(self.pool, table.images[0])
        is_run = list(table.images) == list(self.pool[start : start + size])
        is_first_or_whole = start + size < len(self.pool) or start == 0
        return size if is_run and is_first_or_whole else 0

    def is_done(self, shard: PoolShard, is_readable: Callable[[str], bool]) -> bool:
        """Whether a shard's file holds its scores.

        It does not if an image that could not be read can be now, which `is_readable` tells.
        """
        table = shard.read()
        return table is not None and not any(map(is_readable, table.faults))

    def join(self) -> JoinedScores:
        """Write the tables `scores.parquet` and `explaining.parquet`, and remove the shards' files.

        Raises:
            ProjectError: a shard is not done.
        """
        (self.folder / EXPLAINING).unlink(missing_ok=True)
        faults: dict[str, str] = {}
        with table_parts(self.folder / FILE, GROUP) as scores, self._explaining_parts() as others:
            for shard in self:
                found = shard.read()
                if found is None:
                    raise _not_done(shard)
                faults |= found.faults
                table = found.without_faults()
                if shard.in_pool:
                    scores.add(table.only(self.statistics, self.stamp))
                if others and shard.image_ids:
                    stamp = {**self.stamp, **self.explaining_stamp}
                    others.add(table.only(self.explaining, stamp))
        for path in self.folder.glob(f"scores-*{ENDING}"):
            path.unlink()
        return JoinedScores(read_table(self.folder / FILE), faults)

    def _explaining_parts(self) -> AbstractContextManager[TableParts | None]:
        """The file of what explains picks, which is written part by part; None without."""
        if self.explaining and self.image_count:
            return table_parts(self.folder / EXPLAINING, GROUP)
        return nullcontext()


def _not_done(shard: PoolShard) -> ProjectError:
    return ProjectError(
        f"The scores of {len(shard.image_ids)} images are not there, or are others than were asked "
        "for.",
        where=shard.path,
        next_step="Run the same command again: it computes what is missing.",
        unchanged="Finished shards are kept.",
    )
