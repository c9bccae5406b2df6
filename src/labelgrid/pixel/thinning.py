"""Thins binary maps to lines of one pixel, 64 maps at once in each machine word."""

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Bools, Places

Words = NDArray[np.uint64]


def thin(masks: Bools) -> Bools:
    """Thin masks [t, h, w] until nothing changes; lines stay connected, and a spot becomes a pixel.

    A pixel is examined again only if one beside it was deleted since. The result is the same as
    that of examining all pixels in each pass.

    Source: Lam, Lee and Suen 1992, as Matlab's `bwmorph(..., "thin", inf)`: two passes in turns,
    which delete from opposite sides.

    Example:
        >>> bar = np.zeros((1, 5, 7), bool)
        >>> bar[0, 1:4, 1:6] = True
        >>> print(thin(bar)[0].astype(int))
        [[0 0 0 0 0 0 0]
         [0 0 0 0 0 0 0]
         [0 0 1 1 1 0 0]
         [0 0 0 0 0 0 0]
         [0 0 0 0 0 0 0]]
    """
    count, height, width = masks.shape
    stride = width + 2
    # Bit t % 64 of word t // 64 is mask t; the border is empty.
    padded = np.zeros((height + 2, stride, -(-count // 64) * 64), np.bool_)
    padded[1:-1, 1:-1, :count] = np.moveaxis(masks, 0, -1)
    words = np.packbits(padded, axis=-1, bitorder="little").view(np.uint64)
    pixels = words.reshape((height + 2) * stride, -1)
    # Counterclockwise.
    around = np.array([1, 1 - stride, -stride, -1 - stride, -1, stride - 1, stride, stride + 1])
    due = np.ones((2, len(pixels)), np.bool_)  # what each of the two passes has to examine
    while due.any():
        for number in (0, 1):
            here = due[number].nonzero()[0]
            here = here[pixels[here].any(1)]
            deleted = _deletable_bits(pixels, here, np.roll(around, 4 * number))
            changed = deleted.any(1)
            here = here[changed]
            pixels[here] &= ~deleted[changed]
            due[number] = False
            for offset in around:
                due[:, here + offset] = True
    packed = pixels.view(np.uint8).reshape(height + 2, stride, -1)[1:-1, 1:-1]
    bits = np.unpackbits(packed, axis=-1, count=count, bitorder="little")
    return np.moveaxis(bits, -1, 0).astype(np.bool_)


def _deletable_bits(pixels: Words, here: Places, around: Places) -> Words:
    """The bits [m, n] that a pass deletes.

    Args:
        pixels: the words of all pixels [pixels, n].
        here: the indices of the examined pixels [m].
        around: the offsets of the eight neighbours, counterclockwise, from the side towards which
            the pass works.
    """
    x = [pixels.take(here + offset, 0) for offset in around]
    # One run of neighbours: exactly one of four sides is empty with a set pixel after it.
    b = [~x[i] & (x[i + 1] | x[(i + 2) % 8]) for i in (0, 2, 4, 6)]
    one_run = (b[0] ^ b[1] ^ b[2] ^ b[3]) & ~(b[0] & b[1]) & ~(b[2] & b[3])
    first = [x[i] | x[i + 1] for i in (0, 2, 4, 6)]
    second = [x[i + 1] | x[(i + 2) % 8] for i in (0, 2, 4, 6)]
    inner = (
        _are_two_set(first) & _are_two_set(second) & ~(_are_all_set(first) & _are_all_set(second))
    )
    side = ~x[0] | ~(x[1] | x[2] | ~x[7])
    return pixels[here] & one_run & inner & side


def _are_two_set(p: list[Words]) -> Words:
    return np.asarray((p[0] & p[1]) | (p[2] & p[3]) | ((p[0] | p[1]) & (p[2] | p[3])))


def _are_all_set(p: list[Words]) -> Words:
    return p[0] & p[1] & p[2] & p[3]
