"""Computes where a label changes, for a comparison with the image's edges. Loads no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labelgrid.basics.array_types import Array, Bools, Floats32

if TYPE_CHECKING:
    from collections.abc import Callable

    #: Values [h, w, c], valid [h, w], the label files' options -> float32 [h, w], from 0 up.
    Outline = Callable[[Array, Bools, Any], Floats32 | None]

#: Measured values are thinned to at most so many rows and columns: their noise is no outline.
SIDE = 320
#: A relative change of distance by 1/8 a pixel, or a turn by 1/40 of a unit vector's 8 bits, is
#: about as strong as the border of an object.
DISTANCE = 8.0
TURN = 3.2


def no_outline(_value: Array, _valid: Bools, _options: object) -> Floats32 | None:
    """The `outline` of kinds without outlines."""
    return None


def border_outline(value: Array, valid: Bools, _options: object) -> Floats32:
    """The `outline` of indices or yes and no [h, w, 1]: 1 beside another value.

    What is not valid is a value, too: people leave the borders of objects out.
    """
    plain = np.where(valid, value[..., 0], -1)
    changes = np.zeros(valid.shape, np.bool_)
    changes[:, 1:] = plain[:, 1:] != plain[:, :-1]
    changes[1:] |= plain[1:] != plain[:-1]
    return changes.astype(np.float32)


def line_outline(value: Array, valid: Bools, _options: object) -> Floats32:
    """The `outline` of a map of lines [h, w, 1]: the lines."""
    return np.where(valid, value[..., 0], 0).astype(np.float32)


def distance_outline(value: Array, valid: Bools, _options: object) -> Floats32:
    """The `outline` of distances or disparities [h, w, 1]: the relative change."""
    small, small_valid = _thinned(value, valid)
    plane = np.log(np.where(small_valid, np.maximum(small[..., 0], 1e-6), 1.0)) * DISTANCE
    return _log_slope([plane], small_valid)


def direction_outline(value: Array, valid: Bools, _options: object) -> Floats32:
    """The `outline` of unit vectors [h, w, 3]: the speed of their turn."""
    small, small_valid = _thinned(value, valid)
    filled = np.where(small_valid[..., None], small, 0) * TURN
    return _log_slope([filled[..., channel] for channel in range(3)], small_valid)


def _thinned(value: Array, valid: Bools) -> tuple[Array, Bools]:
    step = -(-max(valid.shape) // SIDE)
    middles = (slice(step // 2, None, step),) * 2
    return value[middles], valid[middles]


def _log_slope(planes: list[Array], valid: Bools) -> Floats32:
    """The logarithm of 1 and the planes' slopes [h, w]; 0 beside what is not valid."""
    import cv2  # imported late: commands that only need a kind's options start faster

    total = np.zeros(valid.shape, np.float32)
    for plane in planes:
        smooth = cv2.GaussianBlur(plane.astype(np.float32), (0, 0), 1)
        right = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
        down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
        total += np.sqrt(right * right + down * down)
    inside = cv2.erode(valid.astype(np.uint8), np.ones((7, 7), np.uint8))
    return np.where(inside == 1, np.log1p(total), 0).astype(np.float32)
