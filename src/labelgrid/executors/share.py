"""Deals numbered jobs out to processes that know nothing of each other."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """The jobs that are this process's part: one of `count`, of which all together do all jobs.

    Args:
        index: from 0.
        count: the number of shares.

    Example:
        >>> [place for place in range(7) if Share(1, 3).takes(place)]
        [1, 4]
    """

    index: int = 0
    count: int = 1

    def takes(self, place: int) -> bool:
        """Whether the job at a place of the list of all jobs is of this share."""
        return place % self.count == self.index

    @property
    def is_all(self) -> bool:
        """Whether no other process has a share."""
        return self.count == 1

    def __str__(self) -> str:
        return f"share {self.index + 1} of {self.count}"


#: Of a process that does all jobs.
EVERYTHING = Share()
