"""Describes the geometry of a view: the place of an image's part on a canvas, zoom and flip."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from labelgrid.basics.array_types import Array, Bools, Floats, Floats32
from labelgrid.basics.camera import Camera
from labelgrid.basics.type_names import Size
from labelgrid.formats.codec import nearest_pixels

Labels = tuple[Array, Bools]
#: Rows and columns of pixels in one array, and of as many in another.
Pairs = tuple[tuple[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The place of an image's part on the canvas, in whole pixels, so labels follow exactly.

    A kind of task moves its label values to the canvas with `nearest` or `linear`, and transforms
    directions in the image with `turn`; `camera` moves the image's camera. A new kind of view
    therefore changes this class only.

    Args:
        source: the part of the image that is used: rows and columns.
        target: the part of the canvas it fills; the rest is padding.
        canvas: height and width of the result.
        zoom: the factor by which objects look larger than after fitting to the canvas alone.
        flip: whether left and right are mirrored, after everything else.
        angle: the clockwise rotation of the image's content around the middle of the part that is
            used, in degrees. Unless it is 0, the canvas also shows pixels that turn in from outside
            that part; the rest is padding.
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

    def nearest(self, array: Array) -> Array:
        """Resample [h, w, ...] to the canvas without interpolation; padding is 0.

        A pixel takes the value of the source pixel whose square holds its centre.
        """
        if self.angle:
            height, width = self.canvas
            across = np.arange(width)
            down = np.arange(height)[:, None]
            x, y = (
                np.rint(a * across + b * down + c).astype(np.int64) for a, b, c in self.matrix()
            )
            inside = (x >= 0) & (x < array.shape[1]) & (y >= 0) & (y < array.shape[0])
            canvas = np.zeros((*self.canvas, *array.shape[2:]), array.dtype)
            canvas[inside] = array[y[inside], x[inside]]
            return self._mirror(canvas)
        for axis, (source, length) in enumerate(zip(self.source, self.extent, strict=True)):
            extent = source.stop - source.start
            array = array.take(source.start + nearest_pixels(extent, length), axis)
        return self._pad(array)

    def nearest_valid(self, value: Array, valid: Bools) -> Labels:
        """Resample [h, w, c] to the canvas as `nearest` does, but without losing sparse values.

        If the nearest source pixel is not valid, the nearest valid source pixel whose middle lies
        inside the pixel counts; without one, the pixel is not valid.
        """
        plain = replace(self, flip=False)
        placed = plain.nearest(value)
        placed_valid = plain.nearest(valid)
        missing = plain.nearest(np.ones_like(valid)) & ~placed_valid
        if missing.any():
            here, there = plain._nearest_inside(missing, valid)
            placed[here] = value[there]
            placed_valid[here] = True
        return self._mirror(placed), self._mirror(placed_valid)

    def _nearest_inside(self, missing: Bools, valid: Bools) -> Pairs:
        """The missing pixels of the canvas that hold valid source pixels, and the nearest there.

        Both are rows and columns, for a view that is not flipped.
        """
        y, x = np.nonzero(self._near(missing, valid))
        at = self._on_canvas(x, y)
        column, row = np.floor(at + 0.5).astype(np.int64)
        inside = (row >= 0) & (row < len(missing)) & (column >= 0) & (column < missing.shape[1])
        inside[inside] = missing[row[inside], column[inside]]
        pixel = (row * missing.shape[1] + column)[inside]
        apart = (at - np.stack([column, row]))[:, inside]
        order = np.lexsort(((apart**2).sum(0), pixel))
        pixels, first = np.unique(pixel[order], return_index=True)
        nearest = np.flatnonzero(inside)[order[first]]
        return np.divmod(pixels, missing.shape[1]), (y[nearest], x[nearest])

    def _near(self, missing: Bools, valid: Bools) -> Bools:
        """The valid source pixels with a place in missing pixels: few, unless there is an angle."""
        if self.angle:
            return valid
        height, width = valid.shape
        columns = self._on_canvas(np.arange(width), np.zeros(width))[0]
        rows = self._on_canvas(np.zeros(height), np.arange(height))[1]
        row = np.floor(rows + 0.5).clip(0, len(missing) - 1).astype(np.int64)
        column = np.floor(columns + 0.5).clip(0, missing.shape[1] - 1).astype(np.int64)
        return valid & missing[np.ix_(row, column)]

    def _on_canvas(self, x: Array, y: Array) -> Floats:
        """The places x and y [2, n] of points of the image, on the canvas before the flip."""
        matrix = self.matrix()
        return np.linalg.inv(matrix[:, :2]) @ (np.stack([x, y]) - matrix[:, 2:])

    def linear(self, value: Array, valid: Bools) -> Floats32:
        """Resample [h, w, c] to the canvas by linear interpolation.

        Invalid pixels count as 0, and padding is 0.
        """
        import cv2  # imported late: commands that only need the options start faster

        if self.angle:
            safe = np.where(valid[..., None], value, 0).astype(np.float32)
            return self._mirror(self.warp(safe))
        part = value[self.source].astype(np.float32)
        valid_part = valid[self.source]
        if not valid_part.all():
            part[~valid_part] = 0
        part = cv2.resize(part, self.extent[::-1], interpolation=cv2.INTER_LINEAR)
        return self._pad(part.reshape(*self.extent, value.shape[2]))

    def turn(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Transform directions in the image (x right, y down) to the canvas; lengths do not change.

        Example:
            >>> part = (slice(0, 1), slice(0, 1))
            >>> placement = Placement(source=part, target=part, canvas=(1, 1), flip=True)
            >>> [axis.tolist() for axis in placement.turn(np.array([2.0]), np.array([3.0]))]
            [[-2.0], [3.0]]
        """
        right = x
        down = y
        if self.angle:
            cosine, sine = self._cosine_and_sine()
            right = cosine * x - sine * y
            down = sine * x + cosine * y
        return (-right if self.flip else right), down

    def camera(self, camera: Camera) -> Camera:
        """Move the camera of the image to the canvas; a zoom is a longer lens."""
        rows, columns = self.source
        target_rows, target_columns = self.target
        height, width = self.extent
        if self.angle:
            across, down = _middle(self.source).tolist()
            camera = camera.shift(across, down).turn(self.angle).shift(-across, -down)
        camera = camera.shift(columns.start, rows.start)
        camera = camera.scale(
            width / (columns.stop - columns.start), height / (rows.stop - rows.start)
        )
        camera = camera.shift(-target_columns.start, -target_rows.start)
        if self.flip:
            return camera.mirror(self.canvas[1])
        return camera

    def matrix(self) -> Floats:
        """The matrix [2, 3] from a pixel (x, y, 1) of the canvas, before the flip, to the image."""
        cosine, sine = self._cosine_and_sine()
        parts = zip(self.source, self.extent, strict=True)
        scales = [(source.stop - source.start) / length for source, length in parts]
        rotation = np.array([[cosine, sine], [-sine, cosine]])
        linear = rotation @ np.diag(scales[::-1])
        offset = _middle(self.source) - linear @ _middle(self.target)
        return np.column_stack([linear, offset])

    def warp(self, array: Array, padding: tuple[float, ...] = (0.0,)) -> Array:
        """Resample [h, w, c] to the canvas before the flip, by linear interpolation.

        Maps larger than the canvas are shrunk by area averaging first.

        Args:
            array: an array of the image's size, with at most 4 channels.
            padding: the value of the padding by channel; 0 for channels that it does not give.
        """
        import cv2

        matrix = self.matrix()
        sides = array.shape[1::-1]
        # The image's pixels along x and y for each pixel of the canvas.
        steps = np.maximum(np.hypot(matrix[:, 0], matrix[:, 1]), 1)
        small = tuple(max(1, round(side / step)) for side, step in zip(sides, steps, strict=True))
        if small != sides:
            array = cv2.resize(array, small, interpolation=cv2.INTER_AREA)
            factors = np.array(small)[:, None] / np.array(sides)[:, None]
            matrix = matrix * factors
            matrix[:, 2:] += (factors - 1) / 2  # the middle of a pixel moves
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped = cv2.warpAffine(array, matrix, self.canvas[::-1], flags=flags, borderValue=padding)
        return warped.reshape(*self.canvas, -1)

    def _cosine_and_sine(self) -> tuple[float, float]:
        radians = math.radians(self.angle)
        return math.cos(radians), math.sin(radians)

    def _pad(self, part: Array) -> Array:
        if self.extent != self.canvas:
            canvas = np.zeros((*self.canvas, *part.shape[2:]), part.dtype)
            canvas[self.target] = part
            part = canvas
        return self._mirror(part)

    def _mirror(self, part: Array) -> Array:
        return part[:, ::-1].copy() if self.flip else part


def _middle(part: tuple[slice, slice]) -> Floats:
    rows, columns = part
    return np.array([(columns.start + columns.stop - 1) / 2, (rows.start + rows.stop - 1) / 2])


def same_values(value: Array, valid: Bools, geometry: Placement, _options: object) -> Labels:
    """The `transform` of class indices and binary labels: values stay, and move with the pixels."""
    return geometry.nearest(value), geometry.nearest(valid)
