"""Reads and writes the run lengths of CVAT's masks, which run along the rows of a box.

They begin with the background's, which is 0 if the first pixel is the region's, and fill the box.
"""

import numpy as np

from labelgrid.basics.array_types import Bools
from labelgrid.basics.errors import LabelError
from labelgrid.basics.type_names import Size

#: The longest number of a run length, in characters.
_DIGITS = 12


def decode_runs(text: str, size: Size) -> Bools:
    """The mask [h, w] of run lengths, separated by commas.

    Args:
        text: the run lengths.
        size: height and width of the box; check both before, since an array of this size is made.

    Raises:
        LabelError: they are no whole numbers from 0 on, or do not fill the box.

    Example:
        >>> decode_runs("1, 2, 1, 2", (2, 3)).astype(int).tolist()
        [[0, 1, 1], [0, 1, 1]]
    """
    height, width = size
    most = height * width
    parts = text.split(",", 2 * most + 2)
    longest = max(map(len, parts))
    try:
        if longest > _DIGITS or len(parts) > 2 * most + 1:
            raise ValueError
        counts = np.fromiter(map(int, parts), np.int64, len(parts))
    except ValueError as error:
        raise LabelError("The run lengths of a mask are no list of whole numbers.") from error
    if counts.min() < 0 or counts.max() > most:
        raise LabelError(f"A run length of a mask is below 0 or above its box's {most} pixels.")
    if counts.sum() != most:
        raise LabelError(
            f"The run lengths of a mask sum up to {counts.sum()}; "
            f"its box of {height}x{width} has {most} pixels (height x width)."
        )
    is_region = np.arange(len(counts)) % 2 == 1
    return np.repeat(is_region, counts).reshape(size)


def encode_runs(mask: Bools) -> str:
    """The run lengths of a mask [h, w] of at least one pixel.

    Example:
        >>> encode_runs(np.array([[True, True], [False, True]]))
        '0, 2, 1, 1'
    """
    flat = mask.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(changes, prepend=0, append=flat.size)
    if flat[0]:
        counts = np.append(0, counts)
    return ", ".join(map(str, counts.tolist()))
