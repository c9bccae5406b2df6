"""Finds the part of a map in which something is odd: a rectangle of a coarse grid.

Loads no torch.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from labelgrid.basics.array_types import Array, Bools, Bytes, Floats, Floats32, Places

#: The rows and columns of the grid on which parts are looked for.
GRID = (12, 16)
CELLS = GRID[0] * GRID[1]
#: A part has so large a share of the grid.
SHARES = (0.05, 0.6)
#: Parts are compared with the largest ones of other labels of about their size: shares that divide
#: small from large ones.
SIZES = (0.1, 0.16, 0.25, 0.36)
#: The strongest parts are looked for in so many maps at a time.
MAPS = 256

#: What is not bad counts against the box around a part by so much: it is no larger than the part.
CLEAN = 0.25


class PartBox(NamedTuple):
    """A part of an image, in percent of its width and height."""

    left: int
    top: int
    right: int
    bottom: int

    def __str__(self) -> str:
        across = f"{self.left}–{self.right} % from the left"
        return f"{across}, {self.top}–{self.bottom} % from the top"


@dataclass(frozen=True, kw_only=True)
class Rectangles:
    """Rectangles of the grid as arrays: first and last row and column, share, and size group."""

    top: Places
    bottom: Places
    left: Places
    right: Places
    share: Floats32
    size: Places

    def box(self, index: int) -> PartBox:
        """The place in percent of width and height."""
        rows, columns = (100 / side for side in GRID)
        return PartBox(
            left=round(self.left[index] * columns),
            top=round(self.top[index] * rows),
            right=round(self.right[index] * columns),
            bottom=round(self.bottom[index] * rows),
        )

    def mask(self, index: int, *, grown: bool = False) -> Bools:
        """The cells of a rectangle, and its neighbours if `grown`."""
        mask = np.zeros(GRID, np.bool_)
        more = int(grown)
        rows = slice(max(self.top[index] - more, 0), self.bottom[index] + more)
        mask[rows, max(self.left[index] - more, 0) : self.right[index] + more] = True
        return mask

    def sums(self, maps: Array) -> Floats32:
        """The sums of maps [n, rows, columns] over each rectangle [n, rectangles]."""
        total = np.zeros((len(maps), GRID[0] + 1, GRID[1] + 1), np.float32)
        total[:, 1:, 1:] = maps.cumsum(1).cumsum(2)
        below = total[:, self.bottom, self.right] - total[:, self.bottom, self.left]
        above = total[:, self.top, self.right] - total[:, self.top, self.left]
        return np.asarray(below - above, np.float32)


@cache
def rectangles() -> Rectangles:
    """The rectangles of every size that a part may have."""
    spans = [(*rows, *columns) for rows in _spans(GRID[0]) for columns in _spans(GRID[1])]
    top, bottom, left, right = np.array(spans).T
    share = ((bottom - top) * (right - left) / CELLS).astype(np.float32)
    kept = (share >= SHARES[0]) & (share <= SHARES[1])
    return Rectangles(
        top=top[kept],
        bottom=bottom[kept],
        left=left[kept],
        right=right[kept],
        share=share[kept],
        size=np.digitize(share[kept], SIZES),
    )


def _spans(length: int) -> Iterator[tuple[int, int]]:
    for first in range(length):
        for last in range(first + 1, length + 1):
            yield first, last


def strongest(values: Floats32) -> tuple[Floats32, Places]:
    """The largest value and its rectangle [n, sizes], for each size of rectangles."""
    sizes = rectangles().size
    best = []
    which = []
    for size in range(len(SIZES) + 1):
        of_size = np.flatnonzero(sizes == size)
        place = values[:, of_size].argmax(1)
        which.append(of_size[place])
        best.append(values[np.arange(len(values)), which[-1]])
    return np.stack(best, axis=1), np.stack(which, axis=1)


def odd_parts(best: Floats32, which: Places, spread: float) -> tuple[Floats, Places]:
    """The oddness and the rectangle of the part of each map that differs most from all maps.

    Given are the results of `strongest`. Oddness is in standard deviations of the maps' strongest
    parts of its size, robustly; none is taken for smaller than `spread`.
    """
    middle = np.median(best, axis=0)
    deviation = 1.4826 * np.median(np.abs(best - middle), axis=0)
    distance = (best - middle) / np.maximum(deviation, spread)
    size = distance.argmax(1)
    rows = np.arange(len(best))
    return distance[rows, size].astype(np.float64), which[rows, size]


def excess(amount: Floats32, bad: Floats32, usual: float, clean: float = 0.0) -> Floats32:
    """The excess of bad cells in each rectangle over the rest of its map, and over the usual.

    Args:
        amount: what could be bad, in each cell of maps [n, rows, columns].
        bad: what is.
        usual: the share of it that is in most maps.
        clean: the least share that is expected.

    Returns:
        For each rectangle, [n, rectangles], in standard deviations of a count.
    """
    grid = rectangles()
    inside = grid.sums(amount)
    bad_inside = grid.sums(bad)
    outside = amount.sum((1, 2))[:, None] - inside
    bad_outside = bad.sum((1, 2))[:, None] - bad_inside
    prior = 30.0  # pixels of the usual share that are added to what is known of a map
    share = (bad_outside + prior * usual) / (outside + prior)
    share = np.maximum(share, usual)
    deviation = np.sqrt(4 * share * (1 - share) * inside + 25)  # neighbours are alike
    expected = np.maximum(share, clean) * inside
    return np.asarray((bad_inside - expected) / deviation, np.float32)


def pack(array: Array) -> str:
    """An array as text, for records of plain values."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def unpack(text: str, kind: str) -> Array:
    """The array [rows, columns, c] of `pack`, of the type `kind`."""
    array = np.frombuffer(base64.b64decode(text), np.dtype(kind))
    return array.reshape(*GRID, -1)


def unpack_bytes(texts: Sequence[str]) -> Bytes:
    """The maps uint8 [n, rows, columns] of several texts."""
    return np.stack([unpack(text, "uint8")[..., 0] for text in texts])
