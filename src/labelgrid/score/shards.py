"""Cuts a pool into shards, each scored into a file, and joins the files into one table.

The division into shards changes no score: a shard is a run of the sorted ids, and its length is a
multiple of the batch size. Loads no torch.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.type_names import Texts
from labelgrid.basics.version import __version__
from labelgrid.executors.passes import PassPart
from labelgrid.score.table import EXPLAINING, FILE, Table
from labelgrid.score.table_files import read_table, table_parts

#: The end of the names of shards' files.
ENDING = ".part"
#: The number of rows that are together in the joined files, whatever the shards.
GROUP = 256


@dataclass(frozen=True, kw_only=True)
class PoolShard(PassPart):
    """Sorted images whose scores are one file.

    Args:
        path: the path of the file.
        stamp: what the file depends on beside its images.
        in_pool: whether the images are of the pool; of others, only what explains is computed.
    """

    path: Path
    stamp: Texts
    in_pool: bool

    def read(self) -> Table | None:
        """Read the table of the file; None if missing, damaged, stale or of other images."""
        if not self.path.exists():
            return None
        try:
            table = read_table(self.path)
        except ProjectError:
            return None
        is_own = dict(table.stamp) == dict(self.stamp)
        if is_own and list(table.images) == list(self.items):
            return table
        return None


class JoinedScores(NamedTuple):
    """The scores of a pool's readable images, and the faults of the rest, by id."""

    table: Table
    faults: Texts


@dataclass(frozen=True, kw_only=True)
class PoolShards:
    """The shards of a pool, and of further images that only explain picks.

    A shard is done if its file has its stamp, the version of labelgrid, and a row for each of its
    images. Memory does not grow with the pool before the shards are joined.

    Args:
        folder: the folder of the files.
        pool: the sorted ids of the images that are scored.
        further: the sorted ids of other images.
        size: the number of images in a shard, at most.
        statistics: the names of the statistics that score.
        explaining: the names of the statistics that only explain.
        stamp: the stamp of the scores.
        explaining_stamp: what is stamped beside it, if a statistic explains.
    """

    folder: Path
    pool: Sequence[str]
    further: Sequence[str]
    size: int
    statistics: Collection[str]
    explaining: Collection[str]
    stamp: Texts
    explaining_stamp: Texts

    @property
    def image_count(self) -> int:
        """The number of images of all shards."""
        return len(self.pool) + len(self.further)

    @property
    def file_stamp(self) -> dict[str, str]:
        """The stamp of each file: of scores, explanations and version."""
        return {**self.stamp, **self.explaining_stamp, "version": __version__}

    def __iter__(self) -> Iterator[PoolShard]:
        """Yield the shards of the pool, which has a shard even if empty, then of further images."""
        number = 0
        for image_ids, in_pool in ((self.pool, True), (self.further, False)):
            for start in range(0, max(len(image_ids), int(in_pool)), self.size):
                yield PoolShard(
                    items=image_ids[start : start + self.size],
                    path=self.folder / f"scores-{number:05d}{ENDING}",
                    stamp=self.file_stamp,
                    in_pool=in_pool,
                )
                number += 1

    def kept_size(self) -> int:
        """The size of the shards that an earlier run left here; 0 if there are none to keep."""
        sizes = map(self._size_of, sorted(self.folder.glob(f"scores-*{ENDING}")))
        return next(filter(None, sizes), 0)

    def _size_of(self, path: Path) -> int:
        """The size of a shard of the pool, by its file; 0 if the last or of another stamp."""
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
        if is_run and is_first_or_whole:
            return size
        return 0

    def is_done(self, shard: PoolShard, is_readable: Callable[[str], bool]) -> bool:
        """Whether a shard's file holds its scores, and no image with a fault is readable now."""
        table = shard.read()
        return table is not None and not any(map(is_readable, table.faults))

    def join(self) -> JoinedScores:
        """Write the tables `scores.parquet` and `explaining.parquet`, and remove the shards' files.

        Raises:
            ProjectError: a shard is not done.
        """
        (self.folder / EXPLAINING).unlink(missing_ok=True)
        faults: dict[str, str] = {}
        with ExitStack() as files:
            scores = files.enter_context(table_parts(self.folder / FILE, GROUP))
            others = None
            if self.explaining and self.image_count:
                others = files.enter_context(table_parts(self.folder / EXPLAINING, GROUP))
            for shard in self:
                whole = shard.read()
                if whole is None:
                    raise ProjectError(
                        f"The scores of {len(shard.items)} images are not there, or are others "
                        "than were asked for.",
                        where=shard.path,
                        next_step="Run the same command again: it computes what is missing.",
                        unchanged="Finished shards are kept.",
                    )
                faults |= whole.faults
                table = whole.without_faults()
                if shard.in_pool:
                    scores.add(table.only(self.statistics, self.stamp))
                if others and shard.items:
                    stamp = {**self.stamp, **self.explaining_stamp}
                    others.add(table.only(self.explaining, stamp))
        for path in self.folder.glob(f"scores-*{ENDING}"):
            path.unlink()
        return JoinedScores(read_table(self.folder / FILE), faults)
