"""Finds out from planes whether numbers are depths along the camera's axis. Loads no torch.

On a plane the inverse of the depth along the axis changes evenly from pixel to pixel. A disparity
itself does; and the distance along the rays is larger toward the corners. In each window of a label
the logarithm of the numbers is fitted by an even change, by the square of this change, and by the
logarithm of a ray's length. The square has the factor 1/2 for depth along the axis, and -1/2 for a
disparity; the ray, 0 and 1. Windows count by how well they fit, so that planes do most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Array, Bools, Floats
from labelgrid.tasks.checks import MANY, LabelCheck

#: Labels are averaged to at most so many rows and columns, and looked at in windows of this side.
SIDE = 160
WINDOW = 16
#: Half of the angle of view across, if the camera is unknown, in degrees: that of a usual one.
HALF_VIEW = 33.0
#: A window is a plane if the relative errors of its fit are below this; no fit is taken for better
#: than `FINEST`.
FLAT = 0.0075
FINEST = 0.002
#: Fewer planes say nothing.
PLANES = 50
#: No label counts more than so many times the median one.
SHARE = 3.0
#: Right labels of NYUv2 (8 to 20 of them, 600 draws) have factors of the square from 0.22 to 0.8,
#: and from -0.23 to -0.75 as disparities.
CURVED = -0.1
#: Their factors of the ray are at most 0.35 in 20 labels, 0.64 in 10; along rays at least 0.77 and
#: 0.65 (1 % below 0.76).
RAY = 0.6
RAY_FEW = 0.75
#: From so many labels `RAY` holds.
ENOUGH = 16

#: The sums of a label's planes: of the products of the square, the ray, and the logarithm.
Sums = NDArray[np.float64]


def plane_sums(value: Array, valid: Bools, _options: object) -> Sums | None:
    """The sums of the planes of distances [h, w, 1]; None without any plane."""
    small, complete = _averaged(value[..., 0], valid)
    if min(small.shape) < WINDOW:
        return None
    whole = _windows(complete).all(1)
    if not whole.any():
        return None
    numbers = _windows(np.log(np.where(complete, np.maximum(small, 1e-9), 1.0)))[whole]
    rays = _windows(_ray_lengths(small.shape))[whole]
    even = _even_changes()
    change = numbers @ even @ even.T
    change -= change.mean(1, keepdims=True)
    square, ray, number = (part - part @ even @ even.T for part in (change**2, rays, numbers))
    sums = np.stack([(a * b).sum(1) for a, b in ((square, square), (square, ray), (ray, ray))], 1)
    sides = np.stack([(square * number).sum(1), (ray * number).sum(1)], 1)
    square_factor, ray_factor = _solved(sums.T, sides.T)
    left = (number**2).sum(1) - square_factor * sides[:, 0] - ray_factor * sides[:, 1]
    errors = np.maximum(left, 0) / WINDOW**2
    flat = errors < FLAT**2
    if not flat.any():
        return None
    weights = 1 / (errors[flat] + FINEST**2)
    weighted = np.concatenate([sums[flat], sides[flat]], 1) * weights[:, None]
    return np.append(weighted.sum(0), np.count_nonzero(flat))


def _averaged(value: Array, valid: Bools) -> tuple[Floats, Bools]:
    """A smaller map of means, known where all pixels of a mean are."""
    step = -(-max(valid.shape) // SIDE)
    height, width = (side // step for side in valid.shape)
    inside = (slice(height * step), slice(width * step))
    rows = value[inside].reshape(height, step, -1).sum(1, dtype=np.float64)
    whole = np.asarray(valid[inside].reshape(height, step, -1).all(1))
    total = rows[:, ::step].copy()  # NumPy is slow along an axis of few
    complete = whole[:, ::step].copy()
    for column in range(1, step):
        total += rows[:, column::step]
        complete &= whole[:, column::step]
    return total / step**2, complete


def _windows(plane: Array) -> Array:
    """The windows of a map, each half over the next, as rows."""
    views = np.lib.stride_tricks.sliding_window_view(plane, (WINDOW, WINDOW))
    return views[:: WINDOW // 2, :: WINDOW // 2].reshape(-1, WINDOW**2)


@lru_cache(maxsize=8)
def _ray_lengths(size: tuple[int, ...]) -> Floats:
    """The logarithm of a ray's length over its part along the axis [h, w]."""
    height, width = size
    focal = max(size) / 2 / math.tan(math.radians(HALF_VIEW))
    down = (np.arange(height) - (height - 1) / 2) / focal
    right = (np.arange(width) - (width - 1) / 2) / focal
    return 0.5 * np.log1p(down[:, None] ** 2 + right**2)


@cache
def _even_changes() -> Floats:
    """An orthonormal base [pixels, 3] of the even changes across a window."""
    rows, columns = np.indices((WINDOW, WINDOW)) - (WINDOW - 1) / 2
    base, _ = np.linalg.qr(np.stack([np.ones(WINDOW**2), columns.ravel(), rows.ravel()], 1))
    return base


def _solved(sums: Floats, sides: Floats) -> Floats:
    """The factors of the square and of the ray, by least squares; 0 where the sums are singular."""
    square, both, ray = sums
    area = square * ray - both**2
    solvable = area > 1e-12 * square * ray
    area = np.where(solvable, area, 1)
    factors = np.stack([sides[0] * ray - sides[1] * both, sides[1] * square - sides[0] * both])
    return np.asarray(np.where(solvable, factors / area, 0))


def plane_factors(measurements: Sequence[Sums | None]) -> tuple[float, float] | None:
    """The factors of the square and of the ray, over all labels; None if there are few planes.

    Example:
        >>> rows, columns = np.indices((120, 160))
        >>> depth = (1 / (0.2 + columns / 400 + rows / 900))[..., None]
        >>> labels = [plane_sums(depth, np.ones((120, 160), bool), None)] * 8
        >>> [round(factor, 2) + 0.0 for factor in plane_factors(labels)]
        [0.5, 0.0]
    """
    labels = np.array([sums for sums in measurements if sums is not None])
    if len(labels) < MANY or labels[:, -1].sum() < PLANES:
        return None
    size = labels[:, 0] + labels[:, 2]
    weights = np.minimum(1, SHARE * np.median(size) / np.maximum(size, 1e-12))
    total = (labels * weights[:, None]).sum(0)
    square, ray = _solved(total[:3, None], total[3:5, None])[:, 0].tolist()
    return square, ray


def judge_planes(measurements: Sequence[Sums | None], options: Any) -> str:
    """Doubt a disparity given as depth, or depth as disparity; and distances along the rays."""
    factors = plane_factors(measurements)
    if factors is None:
        return ""
    square, ray = factors
    label_count = sum(sums is not None for sums in measurements)
    if options.disparity:
        square = -square
    if square < CURVED:
        return _inverse_text(options.disparity, label_count, square)
    if ray > (RAY if label_count >= ENOUGH else RAY_FEW) and not options.disparity:
        return (
            f"on the planes in {label_count} labels the numbers grow toward the corners like "
            f"distances along the rays of a camera, not like depths along its axis: {ray:.2f} "
            f"(axis: 0, rays: 1; a view of {2 * HALF_VIEW:.0f}° is taken). Divide them by the "
            "length of each pixel's ray, whose part along the axis is 1."
        )
    return ""


def _inverse_text(disparity: bool, labels: int, square: float) -> str:
    quantity = "disparities, which grow toward the camera"
    other = "declare `disparity = true`, or store depths: a constant divided by the numbers"
    if disparity:
        quantity = "depths, which shrink toward the camera"
        other = "declare `disparity = false`, or store their inverse"
    return (
        f"on the planes in {labels} labels the numbers change like {quantity}: {2 * square:.2f} "
        "(as declared: 1, inverted: -1; depth in a view without perspective looks so, too). If "
        f"they are, {other}."
    )


PLANES_CHECK = LabelCheck(plane_sums, judge_planes, sampled=True)
