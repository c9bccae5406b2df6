"""Denoises pictures that were rendered with few light paths.

Each pixel is averaged with similar ones on the same solid.
"""

from collections.abc import Iterator
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Bools, Ints

Reals = NDArray[np.float64]
Number = TypeVar("Number", bound=np.generic)
#: The radius of the average, in pixels.
REACH = 2
#: The scale of tone differences in [0, 1] within one surface: larger than noise, smaller than a
#: pattern.
TONE_SCALE = 0.06
#: The limit of a pixel relative to the median of its neighbourhood, plus a tenth of the picture's
#: median.
CAP = 2.0


def remove_fireflies(linear: Reals) -> Reals:
    """Remove fireflies from radiance [h, w, 3].

    These are single bright pixels where one path of many hit a light.
    """
    around = cv2.medianBlur(linear.astype(np.float32), 3).astype(np.float64)
    return np.minimum(linear, CAP * around + 0.1 * np.median(linear))


def denoise(tones: Reals, solid: Ints) -> Reals:
    """Average tones [h, w, 3] in [0, 1] over pixels of the same solid with similar surroundings."""
    guide = _average(tones, _same_neighbours(solid, 1)[..., None], 1)
    apart = np.stack([((other - guide) ** 2).sum(-1) for other in _shifts(guide, REACH)])
    weights = _same_neighbours(solid, REACH) * np.exp(-apart / (2 * TONE_SCALE**2))
    return _average(tones, weights[..., None], REACH)


def _same_neighbours(solid: Ints, reach: int) -> Bools:
    """Which neighbours of each pixel are of the same solid, bool [neighbours, h, w]."""
    return np.stack(list(_shifts(solid, reach))) == solid


def _average(tones: Reals, weights: Reals | Bools, reach: int) -> Reals:
    """The weighted mean of each pixel's neighbours, given weights [neighbours, h, w, 1]."""
    total = np.zeros_like(tones)
    for weight, other in zip(weights, _shifts(tones, reach), strict=True):
        total += weight * other
    return total / weights.sum(0)


def _shifts(values: NDArray[Number], reach: int) -> Iterator[NDArray[Number]]:
    """Yield the values shifted to each neighbour.

    Beyond the border, the border's value is repeated.
    """
    margins = [(reach, reach), (reach, reach)] + [(0, 0)] * (values.ndim - 2)
    padded = np.pad(values, margins, "edge")
    height, width = values.shape[:2]
    for down in range(2 * reach + 1):
        for along in range(2 * reach + 1):
            yield padded[down : down + height, along : along + width]
