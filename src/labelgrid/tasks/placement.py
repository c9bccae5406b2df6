"""What a view does to an image: which part lies where on a canvas, how much larger, and whether mirrored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
Labels = tuple[NDArray[Any], NDArray[np.bool_]]


@dataclass(frozen=True)
class Placement:
    """Which part of an image lies where on the canvas; both parts are whole pixels, so labels follow exactly.

    A kind of task brings its label values to the canvas with `nearest` or `linear`, and turns directions in the image
    with `turned`; so a new sort of view is made here alone.

    Args:
        source: the part of the image that is used: rows and columns.
        target: the part of the canvas it fills; the rest is padding.
        canvas: height and width of the result.
        zoom: how much larger things look than the fit alone makes them.
        flip: left and right change places, after everything else.
    """

    source: tuple[slice, slice]
    target: tuple[slice, slice]
    canvas: Size
    zoom: float = 1.0
    flip: bool = False

    @property
    def extent(self) -> Size:
        """Height and width of the target."""
        rows, columns = self.target
        return rows.stop - rows.start, columns.stop - columns.start

    def nearest(self, array: NDArray[Any]) -> NDArray[Any]:
        """[h, w, ...] on the canvas: of each pixel the source pixel whose square holds its centre; padding is 0."""
        for axis, (source, length) in enumerate(zip(self.source, self.extent, strict=True)):
            extent = source.stop - source.start
            array = array.take(source.start + ((2 * np.arange(length) + 1) * extent) // (2 * length), axis)
        return self._on_canvas(array)

    def linear(self, value: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """[h, w, c] on the canvas, interpolated linearly; pixels that are not valid count as 0, and padding is 0."""
        import cv2  # not above: commands that only need the options start faster

        part, known = value[self.source].astype(np.float32), valid[self.source]
        if not known.all():
            part[~known] = 0
        part = cv2.resize(part, self.extent[::-1], interpolation=cv2.INTER_LINEAR)
        return self._on_canvas(part.reshape(*self.extent, value.shape[2]))

    def turned(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Directions in the image (x right, y down) as the canvas has them; their lengths stay.

        Example:
            >>> mirrored = Placement((slice(0, 1), slice(0, 1)), (slice(0, 1), slice(0, 1)), (1, 1), flip=True)
            >>> [part.tolist() for part in mirrored.turned(np.array([2.0]), np.array([3.0]))]
            [[-2.0], [3.0]]
        """
        return (-x if self.flip else x), y

    def _on_canvas(self, part: NDArray[Any]) -> NDArray[Any]:
        if self.extent != self.canvas:
            canvas = np.zeros((*self.canvas, *part.shape[2:]), part.dtype)
            canvas[self.target] = part
            part = canvas
        return part[:, ::-1].copy() if self.flip else part


def same_values(value: NDArray[Any], valid: NDArray[np.bool_], geometry: Placement, _options: object) -> Labels:
    """The `transform` of values that no view changes (classes, yes and no): they move with their pixels."""
    return geometry.nearest(value), geometry.nearest(valid)
