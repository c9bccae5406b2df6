"""Finds out whether labels all lie a little beside their images. Loads no torch.

One label says little of a small shift. Of many, the mean agreement of outlines and image edges has
its peak where the labels should lie, and is the same on both sides of a right one.
"""

from collections.abc import Sequence

import numpy as np

from labelgrid.basics.array_types import Array, Floats
from labelgrid.evidence.edge_agreement import GRID, Edges

#: Agreements are looked at up to so many steps of the grid away.
REACH = 6
#: They are compared as they are, and as means over so many steps, as those of lines drawn twice,
#: on both sides of a border, have two peaks.
MEANS = (1, 5)
#: Labels are shifted if the peak is farther away than this, in steps (a 77th of the width), and the
#: agreement there exceeds that on the other side by so many standard errors. Of 400 draws of 10 or
#: 16 right labels of NYUv2, rendered rooms and photographs none is farther away.
FAR = 1.9
SURE = 3.0
#: Two shifts are the same up to so many steps.
SAME = 1.0


def common_shift(pairs: Sequence[tuple[Edges, Edges]]) -> tuple[float, float] | None:
    """How far labels lie too far down and right, as shares of the sides; None if they do not.

    Args:
        pairs: the outlines of each label, and the edges of its image.
    """
    whole = [_agreements(*pair) for pair in pairs]
    for side in MEANS:
        found = _peak(np.array([_averaged(surface, side) for surface in whole]))
        if found:
            return found[0] / GRID[0], found[1] / GRID[1]
    return None


def is_same_shift(one: tuple[float, float], other: tuple[float, float] | None) -> bool:
    """Whether two shifts are equal, up to a step of the grid."""
    if other is None:
        return False
    steps = (np.array(one) - other) * GRID
    return bool(np.abs(steps).max() <= SAME)


def is_slanting(shift: tuple[float, float]) -> bool:
    """Whether a shift is along both sides, by more than a step of the grid.

    Example:
        >>> is_slanting((0.01, 0.04)), is_slanting((0.05, -0.04))
        (False, True)
    """
    return bool((np.abs(shift) * GRID > SAME).all())


def _agreements(label: Edges, image: Edges) -> Floats:
    """The correlations of a label that is moved down and right by up to `REACH` steps and more."""
    spectrum = np.fft.rfft2(image.reshape(GRID)) * np.conj(np.fft.rfft2(label.reshape(GRID)))
    surface = np.fft.irfft2(spectrum, GRID) / label.size
    reach = REACH + max(MEANS) // 2
    return np.roll(surface, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]


def _averaged(surface: Floats, side: int) -> Array:
    """The means of agreements over squares of a side, up to `REACH` steps away."""
    import cv2  # imported late: few commands compare edges

    edge = max(MEANS) // 2
    return np.asarray(cv2.blur(surface, (side, side))[edge:-edge, edge:-edge])


def _peak(surfaces: Array) -> tuple[int, int] | None:
    """How many steps labels lie too far down and right; None if that is not sure."""
    mean = surfaces.mean(0)
    row, column = np.unravel_index(int(mean.argmax()), mean.shape)
    down = REACH - int(row)
    right = REACH - int(column)
    if np.hypot(down, right) <= FAR:
        return None
    gains = surfaces[:, row, column] - surfaces[:, REACH + down, REACH + right]
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    return (down, right) if gains.mean() > SURE * error else None
