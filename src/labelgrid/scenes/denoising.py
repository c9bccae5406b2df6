"""Denoises pictures rendered with few light paths: averages each pixel with similar ones on the same solid."""

from collections.abc import Iterator
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

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
    """Radiance [h, w, 3] without fireflies: single bright pixels where one path of many hit a light."""
    around = cv2.medianBlur(linear.astype(np.float32), 3).astype(np.float64)
    return np.minimum(linear, CAP * around + 0.1 * np.median(linear))


def denoise(tones: Reals, solid: NDArray[np.int64]) -> Reals:
    """Tones [h, w, 3] in [0, 1], averaged over pixels of the same solid with similar surroundings."""
    guide = _average(tones, np.stack(list(_shifts(solid, 1)))[..., None] == solid[..., None], 1)
    apart = np.stack([((other - guide) ** 2).sum(-1) for other in _shifts(guide, REACH)])
    same = np.stack(list(_shifts(solid, REACH))) == solid
    return _average(tones, (same * np.exp(-apart / (2 * TONE_SCALE**2)))[..., None], REACH)


def _average(tones: Reals, weights: Reals | NDArray[np.bool_], reach: int) -> Reals:
    total = sum(
        (weight * other for weight, other in zip(weights, _shifts(tones, reach), strict=True)),
        start=0.0,
    )
    average: Reals = total / weights.sum(0)
    return average


def _shifts(values: NDArray[Number], reach: int) -> Iterator[NDArray[Number]]:
    """Yield the values shifted to each neighbour.

    Beyond the border, the border's value is repeated.
    """
    padded = np.pad(values, [(reach, reach), (reach, reach)] + [(0, 0)] * (values.ndim - 2), "edge")
    height, width = values.shape[:2]
    for down in range(2 * reach + 1):
        for along in range(2 * reach + 1):
            yield padded[down : down + height, along : along + width]
