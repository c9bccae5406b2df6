"""Paints regions, as labelling tools draw them, on a map of region numbers.

A region map is int32 [h, w]: the number of the name that covers a pixel, or one of two constants.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Bools, Floats
from labelgrid.basics.errors import LabelError
from labelgrid.basics.type_names import Size
from labelgrid.formats.coco_masks import fill_polygon

#: The number of a pixel that no region covers.
UNCOVERED = -1
#: The number of a pixel that a region declares as not labelled.
IGNORED = -2
#: How often all regions together may cover an image; more would take unbounded time.
MOST_COVERS = 1000

RegionMap = NDArray[np.int32]


class Canvas:
    """A region map to paint on; later regions cover earlier ones.

    Example:
        >>> canvas = Canvas((2, 4))
        >>> canvas.paint(np.array([[True, False]]), 3, top=1, left=2)
        >>> canvas.regions.tolist()
        [[-1, -1, -1, -1], [-1, -1, 3, -1]]
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        self.regions: RegionMap = np.full(size, UNCOVERED, np.int32)
        self._left = MOST_COVERS * self.regions.size

    def paint(self, mask: Bools, number: int, *, top: int = 0, left: int = 0) -> None:
        """Paint a mask [h, w] whose first pixel is at `top`, `left`.

        Raises:
            LabelError: it leads out of the map, or all masks together are far larger than it.
        """
        height, width = mask.shape
        room = self.regions[top : top + height, left : left + width]
        if min(top, left) < 0 or room.shape != mask.shape:
            rows, columns = self.regions.shape
            raise LabelError(
                f"A mask of {height}x{width} at row {top}, column {left} leads out of the image, "
                f"{rows}x{columns} (height x width)."
            )
        self._left -= mask.size
        if self._left < 0:
            raise LabelError(f"The regions cover the image more than {MOST_COVERS:,} times.")
        room[mask] = number

    def paint_polygons(self, rings: Sequence[Floats], number: int) -> None:
        """Paint polygons [n, 2] of x and y in pixels, filled as pycocotools does; one region.

        What lies outside the map is left out.

        Raises:
            LabelError: a polygon has fewer than three points or a number that is not finite.
        """
        for ring in rings:
            if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3 or not np.isfinite(ring).all():
                raise LabelError("A polygon needs at least three points of two finite numbers.")
            mask, left = fill_polygon(ring, self.size)
            self.paint(mask, number, left=left)


def rotated(points: Floats, degrees: float) -> Floats:
    """Points [n, 2] of x and y in pixels, rotated about 0, clockwise on the screen."""
    sine = np.sin(np.radians(degrees))
    cosine = np.cos(np.radians(degrees))
    return points @ np.array([[cosine, sine], [-sine, cosine]])
