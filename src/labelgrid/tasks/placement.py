"""Describes the geometry of a view: which part of an image is placed where on a canvas, its zoom and its flip."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
Labels = tuple[NDArray[Any], NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Which part of an image is placed where on the canvas, in whole pixels, so that labels follow exactly.

    A kind of task moves its label values to the canvas with `nearest` or `linear`, and transforms
    directions in the image with `turned`. A new kind of view therefore changes this class only.

    Args:
        source: the part of the image that is used: rows and columns.
        target: the part of the canvas it fills; the rest is padding.
        canvas: height and width of the result.
        zoom: how much larger objects look than after fitting to the canvas alone.
        flip: mirror left and right, after everything else.
        angle: rotates the image's content clockwise around the middle of the part that is used, in
            degrees. Then the canvas also shows what turns into it from outside that part; the rest
            is padding.
    """

    source: tuple[slice, slice]
    target: tuple[slice, slice]
    canvas: Size
    zoom: float = 1.0
    flip: bool = False
    angle: float = 0.0

    @property
    def extent(self) -> Size:
        """Height and width of the target."""
        rows, columns = self.target
        return rows.stop - rows.start, columns.stop - columns.start

    def nearest(self, array: NDArray[Any]) -> NDArray[Any]:
        """Resample [h, w, ...] to the canvas: the source pixel whose square holds each pixel's centre; padding is 0."""
        if self.angle:
            return self._mirrored(self._rotated_nearest(array))
        for axis, (source, length) in enumerate(zip(self.source, self.extent, strict=True)):
            extent = source.stop - source.start
            array = array.take(
                source.start + ((2 * np.arange(length) + 1) * extent) // (2 * length), axis
            )
        return self._on_canvas(array)

    def linear(self, value: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Resample [h, w, c] to the canvas by linear interpolation.

        Invalid pixels count as 0, and padding is 0.
        """
        import cv2  # imported late: commands that only need the options start faster

        if self.angle:
            return self._mirrored(
                self.warped(np.where(valid[..., None], value, 0).astype(np.float32))
            )
        part = value[self.source].astype(np.float32)
        known = valid[self.source]
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
        if self.angle:
            cosine, sine = self._turn
            x, y = cosine * x - sine * y, sine * x + cosine * y
        return (-x if self.flip else x), y

    def matrix(self) -> NDArray[np.float64]:
        """[2, 3]: maps a pixel (x, y, 1) of the canvas before the flip to a point of the image."""
        cosine, sine = self._turn
        scales = [
            (s.stop - s.start) / length for s, length in zip(self.source, self.extent, strict=True)
        ]
        turn = np.array([[cosine, sine], [-sine, cosine]]) @ np.diag(scales[::-1])
        middles = (
            [(part.start + part.stop - 1) / 2 for part in parts[::-1]]
            for parts in (self.source, self.target)
        )
        there, here = map(np.array, middles)
        return np.column_stack([turn, there - turn @ here])

    def warped(self, array: NDArray[Any], padding: tuple[float, ...] = (0.0,)) -> NDArray[Any]:
        """Resample [h, w, c] of at most 4 channels to the canvas before the flip, by linear interpolation.

        What is larger than the canvas is shrunk by area averaging first.

        Args:
            array: of the image's size.
            padding: the value of the rest by channel; 0 where it has fewer.
        """
        import cv2

        matrix = self.matrix()
        sides = array.shape[1::-1]
        steps = np.maximum(
            np.hypot(matrix[:, 0], matrix[:, 1]), 1
        )  # the image's pixels along x and y to the canvas' one
        small = tuple(max(1, round(side / step)) for side, step in zip(sides, steps, strict=True))
        if small != sides:
            array = cv2.resize(array, small, interpolation=cv2.INTER_AREA)
            factors = np.array(small)[:, None] / np.array(sides)[:, None]
            matrix = matrix * factors
            matrix[:, 2:] += (factors - 1) / 2  # the middle of a pixel moves
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(array, matrix, self.canvas[::-1], flags=flags, borderValue=padding)
        return warped.reshape(*self.canvas, -1)

    @property
    def _turn(self) -> tuple[float, float]:
        """The cosine and the sine of the angle."""
        return math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))

    def _rotated_nearest(self, array: NDArray[Any]) -> NDArray[Any]:
        matrix = self.matrix()
        across, down = (np.arange(length) for length in self.canvas[::-1])
        x, y = (np.rint(a * across + b * down[:, None] + c).astype(np.int64) for a, b, c in matrix)
        inside = (x >= 0) & (x < array.shape[1]) & (y >= 0) & (y < array.shape[0])
        canvas = np.zeros((*self.canvas, *array.shape[2:]), array.dtype)
        canvas[inside] = array[y[inside], x[inside]]
        return canvas

    def _on_canvas(self, part: NDArray[Any]) -> NDArray[Any]:
        if self.extent != self.canvas:
            canvas = np.zeros((*self.canvas, *part.shape[2:]), part.dtype)
            canvas[self.target] = part
            part = canvas
        return self._mirrored(part)

    def _mirrored(self, part: NDArray[Any]) -> NDArray[Any]:
        return part[:, ::-1].copy() if self.flip else part


def same_values(
    value: NDArray[Any], valid: NDArray[np.bool_], geometry: Placement, _options: object
) -> Labels:
    """The `transform` of values that no view changes (class indices, binary labels): they move with their pixels."""
    return geometry.nearest(value), geometry.nearest(valid)
