"""Deals numbered jobs out to processes without contact."""

from dataclasses import dataclass
from math import ceil

#: The number of images in a shard: where one process computes all, and the least and the most where
#: several do. It is a multiple of that in a batch.
ALONE = 256
LEAST = 256
MOST = 10_240
MULTIPLE = 8
#: So many shards each of several processes gets, so that all end at about the same time.
EACH = 8


@dataclass(frozen=True)
class Share:
    """The jobs of a process: part `index` of `count`, which together are all jobs.

    Args:
        index: the index of the share, from 0.
        count: the number of shares.

    Example:
        >>> [index for index in range(7) if Share(1, 3).takes(index)]
        [1, 4]
    """

    index: int = 0
    count: int = 1

    def takes(self, index: int) -> bool:
        """Whether the share holds the job at a position of the list of all jobs."""
        return index % self.count == self.index

    @property
    def is_all(self) -> bool:
        """Whether no other process has a share."""
        return self.count == 1

    def __str__(self) -> str:
        return f"share {self.index + 1} of {self.count}"


#: Of a process that does all jobs.
EVERYTHING = Share()


def shard_size(images: int, workers: int, asked: int = 0) -> int:
    """The number of images in a shard.

    Args:
        images: the number of images in the pool.
        workers: the number of processes that compute shards; 0: only this process.
        asked: what somebody asked for, which is rounded up to a multiple of `MULTIPLE`; 0: nobody.

    Example:
        >>> shard_size(1_000_000, 0), shard_size(1_000_000, 8), shard_size(20_000, 2)
        (256, 10240, 1280)
        >>> shard_size(1_000_000, 8, asked=1001)
        1008
    """
    if asked:
        return ceil(asked / MULTIPLE) * MULTIPLE
    if not workers:
        return ALONE
    wanted = ceil(images / (workers * EACH) / LEAST) * LEAST
    return min(max(wanted, LEAST), MOST)
