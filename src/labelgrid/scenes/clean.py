"""How the noise of few light paths leaves a picture: each pixel is averaged with its like on the same solid."""

from collections.abc import Iterator
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Number = TypeVar("Number", bound=np.generic)
#: Pixels to each side that are averaged.
REACH = 2
#: How far tones in [0, 1] may lie apart and still count as one surface's: more than noise, less than a pattern.
LIKE = 0.06
#: How much brighter than the median of its neighbourhood a pixel may be, besides a tenth of the picture's median.
CAP = 2.0


def capped(linear: Reals) -> Reals:
    """Radiance [h, w, 3] without single bright pixels, where one path in many met a light."""
    around = cv2.medianBlur(linear.astype(np.float32), 3).astype(np.float64)
    return np.minimum(linear, CAP * around + 0.1 * np.median(linear))


def cleaned(tones: Reals, solid: NDArray[np.int64]) -> Reals:
    """Tones [h, w, 3] in [0, 1], averaged where the solid is one and the surroundings' tones are like."""
    guide = _average(tones, np.stack(list(_shifts(solid, 1)))[..., None] == solid[..., None], 1)
    apart = np.stack([((other - guide) ** 2).sum(-1) for other in _shifts(guide, REACH)])
    same = np.stack(list(_shifts(solid, REACH))) == solid
    return _average(tones, (same * np.exp(-apart / (2 * LIKE**2)))[..., None], REACH)


def _average(tones: Reals, weights: Reals | NDArray[np.bool_], reach: int) -> Reals:
    total = sum((weight * other for weight, other in zip(weights, _shifts(tones, reach), strict=True)), start=0.0)
    found: Reals = total / weights.sum(0)
    return found


def _shifts(values: NDArray[Number], reach: int) -> Iterator[NDArray[Number]]:
    """The values as each neighbour of each pixel has them; beyond the border, the border's."""
    padded = np.pad(values, [(reach, reach), (reach, reach)] + [(0, 0)] * (values.ndim - 2), "edge")
    height, width = values.shape[:2]
    for down in range(2 * reach + 1):
        for along in range(2 * reach + 1):
            yield padded[down : down + height, along : along + width]
