"""Divides an image into a grid of nearly square cells, whatever the image shows."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from labelgrid.basics.config import check_ranges
from labelgrid.basics.type_names import Size
from labelgrid.regions.maker import ImageToDivide
from labelgrid.regions.partition import MOST, Partition


@dataclass(frozen=True)
class Options:
    """The number of cells.

    Args:
        count: about so many cells an image.
    """

    count: int = 40

    def __post_init__(self) -> None:
        check_ranges(self, count=(1, MOST))


@dataclass(frozen=True)
class Squares:
    """Divides images into a grid."""

    options: Options
    follows_image: bool = False
    version: str = "1"

    def make(self, image: ImageToDivide) -> Partition:
        """As `PartitionMaker.make`; reads no pixel."""
        height, width = image.size
        rows, columns = grid_of(image.size, self.options.count)
        row = np.arange(height, dtype=np.int64) * rows // height
        column = np.arange(width, dtype=np.int64) * columns // width
        first = (row * columns + 1).astype(np.uint16)
        return Partition.of(first[:, None] + column.astype(np.uint16))


def grid_of(size: Size, count: int) -> tuple[int, int]:
    """The rows and columns of nearly square cells, at most `count` of them or few more.

    Example:
        >>> grid_of((480, 640), 40), grid_of((1, 500), 40), grid_of((2, 2), 40)
        ((5, 8), (1, 40), (2, 2))
    """
    height, width = size
    side = sqrt(height * width / count)
    rows = max(1, min(height, count, round(height / side)))
    columns = max(1, min(width, MOST // rows, round(count / rows)))
    return rows, columns


build = Squares
