"""Keeps where the lines of labels and of images are, in few bytes. Loads no torch."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Bools, Bytes, Floats32
from labelgrid.evidence.edge_agreement import BORDER, SIDE, Edges
from labelgrid.evidence.edge_agreement import GRID as EDGES
from labelgrid.evidence.label_grids import FINE, area_means

#: The rows and columns of marks; marks that are no drawn lines are kept at half.
MARKED = FINE
HALF = (MARKED[0] // 2, MARKED[1] // 2)
#: The strengths of lines are kept as levels, which begin at these shares of an image's pixels.
#: `STRONG` levels, past nine tenths, are lines. `FOLLOWED` is a drawn line beside unknown pixels.
#: `LEVELS` itself is unknown.
BEGIN = (0.5, 0.7, 0.8, 0.85, 0.9, 0.95)
LEVELS = len(BEGIN) + 1
STRONG = 5
FOLLOWED = 4
#: How the text of drawn lines begins.
DRAWN = "lines:"
#: Unknown pixels so near to a class are of the nearest class.
THIN = 4.0
#: Where the marks of images are, beside those of tasks.
IMAGE = ""

#: By task, the marks of each image, as text; None: there are none.
Marks = Mapping[str, Sequence[str | None]]


def drawn_marks(lines: Bools, is_known: Bools) -> str:
    """The marks of drawn lines [h, w] of any size.

    Pixels beside unknown ones, at `MARKED`, are no lines of this label: others may follow them. For
    each pixel the result keeps whether there is a line, and whether the line belongs to this label
    or, if not, is unknown.
    """
    import cv2  # imported late: few commands compare labels

    small = area_means(lines, MARKED)
    inside = cv2.erode(is_known.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1)
    both = np.stack([small > 0, np.where(small > 0, inside > 0, ~is_known)])
    return DRAWN + base64.b64encode(np.packbits(both).tobytes()).decode()


def border_marks(classes: NDArray[np.integer[Any]], is_known: Bools) -> str:
    """The marks of the borders of classes [h, w] at `MARKED`.

    Otherwise an unlabelled strip along a border would hide it, and would have two borders of its
    own.
    """
    import cv2

    if not is_known.any():
        return drawn_marks(is_known, is_known)
    far, places = cv2.distanceTransformWithLabels(
        (~is_known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros(int(places.max()) + 1, np.int64)
    nearest[places[is_known]] = classes[is_known]
    filled = np.where(far <= THIN, nearest[places], -1)
    lines = np.zeros(filled.shape, np.bool_)
    lines[:, 1:] = filled[:, 1:] != filled[:, :-1]
    lines[1:] |= filled[1:] != filled[:-1]
    return drawn_marks(lines, filled >= 0)


def bent_marks(values: Floats32, is_known: Bools) -> str:
    """The marks of numbers [h, w, c] at `MARKED`: where the slope changes."""
    bent = np.zeros(MARKED, np.float32)
    across = np.abs(values[:, 2:] + values[:, :-2] - 2 * values[:, 1:-1]).max(2)
    down = np.abs(values[2:] + values[:-2] - 2 * values[1:-1]).max(2)
    bent[:, 1:-1] = np.where(is_known[:, 2:] & is_known[:, :-2] & is_known[:, 1:-1], across, 0)
    inside = np.where(is_known[2:] & is_known[:-2] & is_known[1:-1], down, 0)
    bent[1:-1] = np.maximum(bent[1:-1], inside)
    blocks = (HALF[0], 2, HALF[1], 2)
    return _ranked(bent.reshape(blocks).max((1, 3)), is_known.reshape(blocks).max((1, 3)))


def edge_marks(edges: Edges) -> str:
    """The marks of an image, by its edges.

    The border without edges has the marks beside it.
    """
    rows, columns = HALF
    border = round(BORDER / SIDE * columns)
    small = area_means(edges.reshape(EDGES), (rows - 2 * border, columns - 2 * border))
    full = np.pad(small, border, "edge")
    return _ranked(full - full.min() + 1e-3, np.ones(HALF, np.bool_))


def _ranked(strengths: Floats32, is_known: Bools) -> str:
    """Strengths at `HALF` as levels; 0 stays the lowest one."""
    order = np.argsort(strengths, axis=None, kind="stable")
    shares = np.empty(strengths.size)
    shares[order] = np.arange(strengths.size) / strengths.size
    levels = np.where(strengths.ravel() > 0, np.digitize(shares, BEGIN), 0)
    levels[~is_known.ravel()] = LEVELS
    return base64.b64encode(levels.astype(np.uint8).tobytes()).decode()


def unpack_marks(text: str | None) -> Bytes:
    """The levels at `MARKED`; all unknown without marks."""
    if text is None:
        return np.full(MARKED, LEVELS, np.uint8)
    data = np.frombuffer(base64.b64decode(text.removeprefix(DRAWN)), np.uint8)
    if not text.startswith(DRAWN):
        return data.reshape(HALF).repeat(2, axis=0).repeat(2, axis=1)
    lines, inside = np.unpackbits(data).reshape(2, *MARKED)
    levels = np.where(lines > 0, LEVELS - 1, LEVELS)
    return np.asarray(np.where(inside > 0, levels, lines * FOLLOWED), np.uint8)
