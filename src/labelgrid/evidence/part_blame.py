"""Says which of two contradicting labels is wrong in a part of an image.

A part that was mirrored or inverted agrees again once it is turned back: the label that must be
turned is wrong. A part that was exchanged begins with a jump that the other label does not have.
Loads no torch.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from labelgrid.basics.array_types import Array, Bools, Floats32
from labelgrid.evidence.part_grid import GRID, rectangles

#: Distances past this are equally far: a few cells decide nothing.
MOST = 1.0
#: A rectangle is mirrored about its middle, or so many half cells beside it.
BESIDE = 1
#: Cures of less than this share of a contradiction are found by chance.
CHANCE = 0.1


def cure_blame(
    given: Floats32, derived: Floats32, apart: Floats32, turns: Mapping[str, Sequence[float]]
) -> float:
    """The excess of contradiction that turning the given label's part removes, over the read's.

    Args:
        given: the given label's means in each cell [rows, columns, c].
        derived: the maps of the label derived from the read label.
        apart: where both contradict each other [rows, columns], above 0.
        turns: see `labelgrid.relations.relation.Relation`.

    Returns:
        The difference of the shares of the contradiction that are removed, from -1 to 1; 0 if it
        may be chance.
    """
    before = _lengths(given - derived)
    whole = float(np.nansum(np.where(apart > 0, before, 0))) + 1e-6
    read = {fault: np.asarray(factors, np.float32) for fault, factors in turns.items()}
    given_factors = {"mirrored": np.float32(1), "inverted": np.float32(-1)}
    shares = []
    for factors in (given_factors, read):
        mirrored = before - _lengths(_mirrored(given) * factors["mirrored"] - derived)
        inverted = before - _lengths(given[None] * factors["inverted"] - derived)
        best = np.where(_beside_axes(), rectangles().sums(np.nan_to_num(mirrored)), 0).max()
        best = max(float(best), float(rectangles().sums(np.nan_to_num(inverted)).max()))
        shares.append(best / whole)
    difference = shares[0] - shares[1]
    return float(np.sign(difference)) * max(abs(difference) - CHANCE, 0.0)


def _lengths(differences: Array) -> Floats32:
    """The lengths of vectors [..., c], none above `MOST`."""
    return np.asarray(np.minimum(np.linalg.norm(differences, axis=-1), MOST), np.float32)


def _mirrored(values: Floats32) -> Floats32:
    """The values mirrored about each column, and between each two; NaN where nothing is.

    An array [axes, rows, columns, c].
    """
    columns = np.arange(GRID[1])
    places = np.arange(2 * GRID[1] - 1)[:, None] - columns
    inside = (places >= 0) & (places < GRID[1])
    turned = values[:, np.clip(places, 0, GRID[1] - 1)].transpose(1, 0, 2, 3)
    return np.where(inside[:, None, :, None], turned, np.nan).astype(np.float32)


@cache
def _beside_axes() -> Bools:
    """The rectangles that each axis of `_mirrored` is in the middle of [axes, rectangles]."""
    grid = rectangles()
    axes = np.arange(2 * GRID[1] - 1)[:, None]
    return np.asarray(np.abs(grid.left + grid.right - 1 - axes) <= BESIDE)


def jump_blame(given: Floats32, derived: Floats32, inside: Bools) -> float:
    """The excess of the given label's jump at the border of a part over the derived label's.

    `inside` [rows, columns] are the cells of the part. Cells side by side are compared.
    """
    jumps = []
    for axis in (0, 1):
        across = np.diff(inside.astype(np.int8), axis=axis) != 0
        more = _lengths(np.diff(given, axis=axis)) - _lengths(np.diff(derived, axis=axis))
        jumps.append(more[across])
    differences = np.concatenate(jumps)
    differences = differences[np.isfinite(differences)]
    return float(differences.mean()) if len(differences) else 0.0
