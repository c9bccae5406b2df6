"""Brings labels to few pixels, so that they can be compared. Loads no torch."""

from dataclasses import dataclass

import numpy as np

from labelgrid.basics.array_types import Array, Bools, Floats32
from labelgrid.formats.codec import LabelArray

#: A square is known if this share of its pixels is valid.
SHARE = 0.3
#: Parts of labels are compared at so many rows and columns, a multiple of `part_grid.GRID`.
FINE = (96, 128)
#: Lines are compared in maps whose longer side has so many pixels.
SIDE = 160

Mask = Bools


@dataclass(frozen=True)
class FineLabel:
    """A label at `FINE`, and the size of its image."""

    label: LabelArray
    size: tuple[int, int]


def fine_label(label: LabelArray) -> FineLabel:
    """A label at `FINE`: means of numbers, and of classes the middle pixels."""
    if label.value.dtype.kind in "iu":
        rows = (np.arange(FINE[0]) + 0.5) * label.size[0] / FINE[0]
        columns = (np.arange(FINE[1]) + 0.5) * label.size[1] / FINE[1]
        here = np.ix_(rows.astype(int), columns.astype(int))
        return FineLabel(LabelArray(label.value[here], label.valid[here]), label.size)
    means, known = grid_means(label.value, label.valid, FINE)
    return FineLabel(LabelArray(np.where(known[..., None], means, 1), known), label.size)


def grid_means(value: Array, valid: Bools, size: tuple[int, int]) -> tuple[Floats32, Bools]:
    """The means over valid pixels, channel by channel, and where enough are valid."""
    import cv2  # imported late: few commands compare labels

    share = cv2.resize(valid.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    planes = []
    for channel in range(value.shape[2]):
        plane = np.where(valid, value[..., channel], 0).astype(np.float32)
        total = cv2.resize(plane, size[::-1], interpolation=cv2.INTER_AREA)
        planes.append(total / np.maximum(share, 1e-6))
    return np.stack(planes, axis=-1).astype(np.float32), share > SHARE


def drawn_lines(outline: Floats32 | None) -> Mask | None:
    """Where an outline is a line, at most `SIDE` pixels a side; None if it has other numbers.

    Args:
        outline: as by a task; None: the kind does not tell.
    """
    import cv2  # imported late: few commands compare labels

    if outline is None or not _is_drawn(outline):
        return None
    step = -(-max(outline.shape) // SIDE)
    if step > 1:
        thick = cv2.dilate(outline, np.ones((step, step), np.uint8))
        height, width = (max(1, round(side / step)) for side in outline.shape)
        outline = cv2.resize(thick, (width, height), interpolation=cv2.INTER_NEAREST)
    return outline > 0.5


def _is_drawn(outline: Floats32) -> bool:
    return bool(((outline == 0) | (outline == 1)).all())
