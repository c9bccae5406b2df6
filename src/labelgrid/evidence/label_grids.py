"""Shrinks labels to few pixels for comparisons. Loads no torch."""

from dataclasses import dataclass

import numpy as np

from labelgrid.basics.array_types import Array, Bools, Floats32
from labelgrid.basics.camera import USUAL_VIEW, Camera
from labelgrid.basics.type_names import Size
from labelgrid.data.dataset import ImageSource, camera_of
from labelgrid.formats.codec import LabelArray

#: The least share of valid pixels of a square that is known.
SHARE = 0.3
#: The rows and columns at which parts of labels are compared, a multiple of `part_grid.GRID`.
FINE = (96, 128)
#: The longer side of maps in which lines are compared.
SIDE = 160


@dataclass(frozen=True)
class FineLabel:
    """A label at `FINE`, and the size of its image."""

    label: LabelArray
    size: Size


def fine_label(label: LabelArray, size: Size) -> FineLabel:
    """A label at `FINE`, with its image's size: means of numbers, and middle pixels of classes."""
    if label.value.dtype.kind in "iu":
        rows = (np.arange(FINE[0]) + 0.5) * label.size[0] / FINE[0]
        columns = (np.arange(FINE[1]) + 0.5) * label.size[1] / FINE[1]
        here = np.ix_(rows.astype(int), columns.astype(int))
        return FineLabel(LabelArray(label.value[here], label.valid[here]), size)
    means, is_known = grid_means(label.value, label.valid, FINE)
    return FineLabel(LabelArray(np.where(is_known[..., None], means, 1), is_known), size)


def grid_means(value: Array, valid: Bools, size: Size) -> tuple[Floats32, Bools]:
    """The means over valid pixels, channel by channel, and where enough are valid."""
    share = area_means(valid, size)
    planes = []
    for channel in range(value.shape[2]):
        total = area_means(np.where(valid, value[..., channel], 0), size)
        planes.append(total / np.maximum(share, 1e-6))
    return np.stack(planes, axis=-1).astype(np.float32), share > SHARE


def area_means(plane: Array, size: Size) -> Floats32:
    """The means of a map [h, w] over the areas of fewer rows and columns."""
    import cv2  # imported late: few commands compare labels

    return cv2.resize(plane.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)


def thinned(array: Array, side: int) -> Array:
    """The values of a map [h, w, ...] at each n-th pixel, so that no side is longer than `side`."""
    here = steps_over(array, side)
    return array[here, here]


def steps_over(array: Array, side: int) -> slice:
    """The rows, or columns, of a map [h, w, ...] that keep the longer side at most `side`."""
    step = -(-max(array.shape[:2]) // side)
    return slice(step // 2, None, step)


def camera_at(source: ImageSource, image_id: str, size: Size, small: Size) -> Camera:
    """The camera of an image that is shrunk to a smaller size; a usual camera if unknown."""
    camera = camera_of(source, image_id, size)
    if camera is None:
        return Camera.of_view(USUAL_VIEW, small)
    return camera.scale(small[1] / size[1], small[0] / size[0])


def drawn_lines(outline: Floats32 | None) -> Bools | None:
    """The mask of an outline's lines, at most `SIDE` pixels a side; None unless all are lines."""
    import cv2  # imported late: few commands compare labels

    if outline is None or not ((outline == 0) | (outline == 1)).all():
        return None
    step = -(-max(outline.shape) // SIDE)
    if step > 1:
        thick = cv2.dilate(outline, np.ones((step, step), np.uint8))
        height, width = (max(1, round(side / step)) for side in outline.shape)
        outline = cv2.resize(thick, (width, height), interpolation=cv2.INTER_NEAREST)
    return outline > 0.5
