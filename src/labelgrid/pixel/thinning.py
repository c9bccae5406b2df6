"""Thins binary maps to lines of one pixel: maps of many thresholds at once, 64 in each machine word."""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]


def thin(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Thin masks [t, h, w] until nothing changes; lines stay connected, and a spot becomes a pixel.

    Only pixels beside one that was deleted since they were last examined are examined again. The
    result equals examining all pixels in each pass.

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
    pixels = _packed(masks)
    stride = width + 2
    around = np.array(
        [1, 1 - stride, -stride, -1 - stride, -1, stride - 1, stride, stride + 1]
    )  # counterclockwise
    due = np.ones((2, len(pixels)), np.bool_)  # what each of the two passes has to examine
    while due.any():
        for number in (0, 1):
            here = due[number].nonzero()[0]
            here = here[pixels[here].any(1)]
            deleted = _deletable(pixels, here, np.roll(around, 4 * number))
            changed = deleted.any(1)
            here = here[changed]
            pixels[here] &= ~deleted[changed]
            due[number] = False
            for offset in around:
                due[:, here + offset] = True
    bits = pixels.view(np.uint8).reshape(height + 2, stride, -1)[1:-1, 1:-1]
    return np.moveaxis(np.unpackbits(bits, axis=-1, count=count, bitorder="little"), -1, 0).astype(
        np.bool_
    )


def _packed(masks: NDArray[np.bool_]) -> Words:
    """Words [pixels, n] of masks [t, h, w] with an empty border: bit t % 64 of word t // 64 is mask t."""
    count, height, width = masks.shape
    padded = np.zeros((height + 2, width + 2, -(-count // 64) * 64), np.bool_)
    padded[1:-1, 1:-1, :count] = np.moveaxis(masks, 0, -1)
    words = np.packbits(padded, axis=-1, bitorder="little").view(np.uint64)
    return words.reshape((height + 2) * (width + 2), -1)


def _deletable(pixels: Words, here: NDArray[np.intp], around: NDArray[np.intp]) -> Words:
    """The bits [here, n] of pixels that one pass deletes.

    `around` are the offsets of the eight neighbours, counterclockwise, from the side towards which
    the pass works.
    """
    x = [pixels.take(here + offset, 0) for offset in around]
    # One run of neighbours: exactly one of four sides is empty with a set pixel after it.
    b = [~x[i] & (x[i + 1] | x[(i + 2) % 8]) for i in (0, 2, 4, 6)]
    one_run = (b[0] ^ b[1] ^ b[2] ^ b[3]) & ~(b[0] & b[1]) & ~(b[2] & b[3])
    first = [x[i] | x[i + 1] for i in (0, 2, 4, 6)]
    second = [x[i + 1] | x[(i + 2) % 8] for i in (0, 2, 4, 6)]
    inner = _two_of(first) & _two_of(second) & ~(_all_of(first) & _all_of(second))
    side = ~x[0] | ~(x[1] | x[2] | ~x[7])
    deletable: Words = pixels[here] & one_run & inner & side
    return deletable


def _two_of(p: list[Words]) -> Words:
    """Where at least two of four are set."""
    return np.asarray((p[0] & p[1]) | (p[2] & p[3]) | ((p[0] | p[1]) & (p[2] | p[3])))


def _all_of(p: list[Words]) -> Words:
    return p[0] & p[1] & p[2] & p[3]
