"""Reads and writes COCO's run lengths, which run down the columns, and fills COCO's polygons.

Masks and polygons are those of pycocotools.
"""

import numpy as np

from labelgrid.basics.array_types import Bools, Floats, Ints
from labelgrid.basics.errors import LabelError
from labelgrid.basics.type_names import Size

#: A character of compressed run lengths holds five bits, and a bit that says that more follow.
_FIRST = 48
_BITS = 5
_MORE = 32
_SIGN = 16
#: The longest outline of a polygon, in pixels: pycocotools needs 50 bytes for each.
_LONGEST = 2**22


def decode_counts(text: bytes) -> Ints:
    """The run lengths in COCO's compressed string, beginning with that of the background.

    Raises:
        LabelError: the string is cut short, or holds something else.

    Example:
        >>> decode_counts(b"52203").tolist()
        [5, 2, 2, 2, 5]
    """
    codes = np.frombuffer(text, np.uint8).astype(np.int64) - _FIRST
    if not len(codes):
        return codes
    if codes.min() < 0 or codes.max() >= 2 * _MORE or codes[-1] & _MORE:
        raise LabelError("The run lengths are no compressed string of COCO.")
    starts = np.flatnonzero(np.concatenate([[True], codes[:-1] & _MORE == 0]))
    lengths = np.diff(np.append(starts, len(codes)))
    if lengths.max() > 12:
        raise LabelError("The run lengths are no compressed string of COCO.")
    positions = np.arange(len(codes)) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((codes & (_MORE - 1)) << (_BITS * positions), starts)
    is_negative = codes[starts + lengths - 1] & _SIGN != 0
    numbers -= np.where(is_negative, 1 << (_BITS * lengths), 0)
    # From the fourth on, a number is the difference to the run length two before.
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def mask_of(counts: Ints, size: Size) -> tuple[Bools, int]:
    """The columns [h, n] that run lengths cover, and the index of the first column.

    Raises:
        LabelError: the run lengths do not fill the size, height and width.

    Example:
        >>> mask, left = mask_of(np.array([5, 2, 2, 2, 5]), (4, 4))
        >>> mask.astype(int).tolist(), left
        ([[0, 0], [1, 1], [1, 1], [0, 0]], 1)
    """
    height, width = size
    pixels = height * width
    if ((counts < 0) | (counts > pixels)).any() or counts.sum() != pixels:
        raise LabelError(
            f"The run lengths sum up to {counts.sum()}; the mask has {height}x{width} pixels."
        )
    ends = np.cumsum(counts)
    covered = counts[1::2] > 0
    if not covered.any():
        return np.zeros((height, 0), np.bool_), 0
    left = int((ends[1::2] - counts[1::2])[covered][0]) // height
    right = -(-int(ends[1::2][covered][-1]) // height)
    first = left * height
    kept = np.diff(np.append(first, np.clip(ends, first, right * height)))
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, kept)
    return flat.reshape(right - left, height).T, left


def fill_polygon(ring: Floats, size: Size) -> tuple[Bools, int]:
    """The columns [h, n] that a polygon [n, 2] of x and y covers, and the index of the first.

    Raises:
        LabelError: its outline is longer than that of any drawn region.
    """
    with np.errstate(over="ignore"):
        steps = np.abs(ring - np.roll(ring, 1, axis=0)).max(axis=1)
        if np.abs(ring).max() > _LONGEST or steps.sum() > _LONGEST:
            raise LabelError(
                f"A polygon's outline is longer than {_LONGEST:,} pixels, or is as far outside."
            )
    from pycocotools import mask  # imported late: only regions need it

    runs = mask.frPyObjects([ring.ravel().tolist()], *size)
    return mask_of(decode_counts(runs[0]["counts"]), size)


def encode_mask(mask: Bools) -> str:
    """COCO's compressed string of the run lengths of a mask [h, w].

    Example:
        >>> encode_mask(np.array([[False, False], [True, True]]))
        '1110'
    """
    from pycocotools import mask as tools  # imported late: only regions need it

    runs = tools.encode(np.asfortranarray(mask, np.uint8))
    counts: bytes = runs["counts"]
    return counts.decode("ascii")
