"""Fits a map to another map by a scale, or by a scale and a shift. Loads no torch.

Least squares, once over all pixels and once without the farthest pixels. `fitted_loss` does
the same for batches of predictions.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from labelgrid.basics.array_types import AnyFloats, Bools, Floats32

#: Maps with fewer valid pixels say nothing.
FEWEST_PIXELS = 100
#: The share of the pixels that the second fit keeps.
KEPT = 0.8
#: So many pixels are computed at a time.
BLOCK = 16_384
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
    """The scale, 0 or more, and the shift that bring numbers [n] nearest to a map's numbers [n].

    Args:
        values: float64, at the pixels that are valid in both.
        aim: float64, the numbers of the map there.
        shift: whether a shift is fitted, too; otherwise it is 0.

    Example:
        >>> aim = np.array([5.0, 7.0, 9.0, 11.0, 13.0])
        >>> line = fit(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), aim, shift=True)
        >>> round(line.scale, 6), round(line.shift, 6)
        (2.0, 3.0)
    """
    error = distance(_line(values, aim, np.ones(len(values), np.bool_), shift), values, aim)
    last = max(int(np.ceil(KEPT * len(error))), 1) - 1
    return _line(values, aim, error <= np.partition(error, last)[last], shift)


def _line(values: AnyFloats, aim: AnyFloats, kept: Bools, shift: bool) -> FittedLine:
    """The line by least squares over the pixels that are kept."""
    sums = np.zeros(4)
    for part in _blocks(len(values)):
        used = values[part] * kept[part]
        products = (used @ values[part], used @ aim[part])
        sums += (*products, used.sum(), (aim[part] * kept[part]).sum())
    square, product, of_values, of_aim = sums.tolist()
    if not shift:
        return FittedLine(max(product / max(square, np.finfo(float).tiny), 0), 0)
    count = int(np.count_nonzero(kept))
    middle = of_values / count
    level = of_aim / count
    square -= count * middle**2
    if square <= count * (FLAT * middle) ** 2:
        return FittedLine(0, level)
    scale = max((product - middle * of_aim) / square, 0)
    return FittedLine(scale, level - scale * middle)


def distance(line: FittedLine, values: AnyFloats, aim: AnyFloats) -> Floats32:
    """How far fitted numbers [n] are from those of a map [n]."""
    error = np.empty(len(values), np.float32)
    for part in _blocks(len(values)):
        fitted = line.of(values[part])
        fitted -= aim[part]
        np.abs(fitted, out=error[part])
    return error


def _blocks(count: int) -> Iterator[slice]:
    """Parts of arrays: whole large arrays take longer to allocate than to compute."""
    for start in range(0, count, BLOCK):
        yield slice(start, start + BLOCK)


def spread(values: AnyFloats) -> float:
    """The mean distance of numbers [n] from their lower median.

    Example:
        >>> spread(np.array([1.0, 2.0, 6.0]))
        1.6666666666666667
    """
    place = (len(values) - 1) // 2
    away = np.partition(values, place)
    away -= away[place]
    return float(np.abs(away, out=away).mean())


def fit_error(
    values: AnyFloats, aim: AnyFloats, *, shift: bool, weights: AnyFloats | None = None
) -> float:
    """The mean error of fitted numbers [n] as a share of the map's spread.

    `weights` of the pixels count in the mean. NaN of fewer than `FEWEST_PIXELS`, or of a map
    without spread.
    """
    if len(aim) < FEWEST_PIXELS:
        return np.nan
    width = spread(aim)
    if not width > 0:
        return np.nan
    error = distance(fit(values, aim, shift=shift), values, aim)
    return float(np.average(error, weights=weights)) / width
