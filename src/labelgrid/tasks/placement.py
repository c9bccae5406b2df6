"""Describes the geometry of a view: which part of an image is placed where on a canvas, its zoom and its flip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
Labels = tuple[NDArray[Any], NDArray[np.bool_]]


@dataclass(frozen=True)
class Placement:
    """Which part of an image is placed where on the canvas, in whole pixels, so that labels follow exactly.

    A kind of task moves its label values to the canvas with `nearest` or `linear`, and transforms directions in the
    image with `turned`. A new kind of view therefore changes this class only.

    Args:
        source: the part of the image that is used: rows and columns.
        target: the part of the canvas it fills; the rest is padding.
        canvas: height and width of the result.
        zoom: how much larger objects look than after fitting to the canvas alone.
        flip: mirror left and right, after everything else.
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
        """Resample [h, w, ...] to the canvas: the source pixel whose square holds each pixel's centre; padding is 0."""
        for axis, (source, length) in enumerate(zip(self.source, self.extent, strict=True)):
            extent = source.stop - source.start
            array = array.take(source.start + ((2 * np.arange(length) + 1) * extent) // (2 * length), axis)
        return self._on_canvas(array)

    def linear(self, value: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Resample [h, w, c] to the canvas by linear interpolation; invalid pixels count as 0, and padding is 0."""
        import cv2  # imported late: commands that only need the options start faster

        part, known = value[self.source].astype(np.float32), valid[self.source]
        if not known.all():
            part[~known] = 0
        part = cv2.resize(part, self.extent[::-1], interpolation=cv2.INTER_LINEAR)
        return self._on_canvas(part.reshape(*self.extent, value.shape[2]))

    def turned(self, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Transform directions in the image (x right, y down) to the canvas; lengths do not change.

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
    """The `transform` of values that no view changes (class indices, binary labels): they move with their pixels."""
    return geometry.nearest(value), geometry.nearest(valid)
