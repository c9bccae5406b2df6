"""Fits one map to another that is true up to a scale, or a scale and a shift. Loads no torch.

Least squares, once over all pixels and once without those that are farthest off. `fitted_loss` does
the same for batches of predictions.
"""

from typing import NamedTuple

import numpy as np

from labelgrid.basics.array_types import AnyFloats

#: Maps with fewer valid pixels say nothing.
FEWEST_PIXELS = 100
#: The share of the pixels that the second fit keeps.
KEPT = 0.8
#: A map that varies by less, relative to its mean, is constant.
FLAT = 1e-4


class FittedLine(NamedTuple):
    """A line from one map to another: scale × number + shift."""

    scale: float
    shift: float

    def of(self, values: AnyFloats) -> AnyFloats:
        """The fitted numbers."""
        return self.scale * values + self.shift


def fit(values: AnyFloats, aim: AnyFloats, *, shift: bool) -> FittedLine:
    """The scale, 0 or more, and the shift that bring numbers [n] nearest to those of a map [n].

    Args:
        values: float64, at the pixels that are valid in both.
        aim: float64, the numbers of the map there.
        shift: whether a shift is fitted, too; otherwise it is 0.

    Example:
        >>> aim = np.array([5.0, 7.0, 9.0, 11.0, 13.0])
        >>> fit(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), aim, shift=True)
        FittedLine(scale=2.0, shift=3.0)
    """
    error = np.abs(_line(values, aim, shift).of(values) - aim)
    last = max(int(np.ceil(KEPT * len(error))), 1) - 1
    kept = error <= np.partition(error, last)[last]
    return _line(values[kept], aim[kept], shift)


def _line(values: AnyFloats, aim: AnyFloats, shift: bool) -> FittedLine:
    if not shift:
        return FittedLine(
            max(float(values @ aim) / max(float(values @ values), np.finfo(float).tiny), 0), 0
        )
    middle = float(values.mean())
    level = float(aim.mean())
    centred = values - middle
    square = float(centred @ centred)
    if square <= len(values) * (FLAT * middle) ** 2:
        return FittedLine(0, level)
    scale = max(float(centred @ (aim - level)) / square, 0)
    return FittedLine(scale, level - scale * middle)


def spread(values: AnyFloats) -> float:
    """The mean distance of numbers [n] from their lower median.

    Example:
        >>> spread(np.array([1.0, 2.0, 6.0]))
        1.6666666666666667
    """
    place = (len(values) - 1) // 2
    return float(np.abs(values - np.partition(values, place)[place]).mean())


def fit_error(values: AnyFloats, aim: AnyFloats, *, shift: bool) -> float:
    """The mean error of fitted numbers [n] as a share of the map's spread.

    NaN of fewer than `FEWEST_PIXELS`, or of a map without spread.
    """
    if len(aim) < FEWEST_PIXELS:
        return np.nan
    width = spread(aim)
    if not width > 0:
        return np.nan
    fitted = fit(values, aim, shift=shift).of(values)
    return float(np.abs(fitted - aim).mean()) / width
