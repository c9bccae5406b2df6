"""Finds the numbers of a label file that has more channels than its label."""

from pathlib import Path

import numpy as np

from labelgrid.errors import LabelError
from labelgrid.formats.arrays import Array


def without_alpha(array: Array, path: Path, what: str) -> Array:
    """Return numbers [h, w] or [h, w, c] without an alpha channel, of which all pixels are opaque.

    Grey with alpha has 2 channels, colour with alpha 4.

    Raises:
        LabelError: pixels are transparent, so that what they show is unknown.

    Example:
        >>> grey_and_alpha = np.array([[[3, 255], [1, 255]]], np.uint8)
        >>> without_alpha(grey_and_alpha, Path("a.png"), "A class map")[..., 0].tolist()
        [[3, 1]]
    """
    if array.ndim != 3 or array.shape[-1] not in (2, 4) or array.dtype.kind != "u":
        return array
    transparent = np.count_nonzero(array[..., -1] != np.iinfo(array.dtype).max)
    if transparent:
        raise LabelError(
            f"{what} has no transparency; {transparent / array[..., -1].size:.1%} of the pixels of "
            "this one are transparent.",
            where=str(path),
            next_step="Save it without an alpha channel.",
        )
    return array[..., :-1]


def equal_channels(array: Array) -> Array | None:
    """Return numbers [h, w] or [h, w, c] as [h, w]; None if channels differ.

    Example:
        >>> equal_channels(np.array([[[3, 3, 3], [1, 1, 1]]])).tolist()
        [[3, 1]]
        >>> equal_channels(np.array([[[3, 3, 4]]]))
    """
    if array.ndim == 2:
        return array
    if array.ndim != 3 or array.shape[-1] not in (1, 3) or (array != array[..., :1]).any():
        return None
    return array[..., 0]
