"""Renders maps as RGB pictures: classes, distances, vectors and uncertainties. Loads no torch.

The colours suit every kind of colour vision: distances and heat maps use a scale of rising
lightness, and invalid pixels are hatched grey.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

from labelgrid.basics.array_types import Array, Bools
from labelgrid.basics.type_names import Size
from labelgrid.formats.codec import LabelArray, finite_pixels
from labelgrid.tasks.overview import Range
from labelgrid.tasks.task import TaskDef

RGB = NDArray[np.uint8]

# Five evenly spaced stops of Matplotlib's viridis and inferno (CC0), dark to bright.
VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
INFERNO = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
#: The maximum width of a JPEG picture, in pixels.
WIDTH = 320
#: The quality of a JPEG picture, as OpenCV takes it: 1 is its key.
QUALITY = (1, 88)
#: Of a scale, so many colours are computed; each stop is one of them.
COLOURS = 4097
HATCH = np.array([[72, 72, 72], [104, 104, 104]], np.uint8)


def colour_map(
    task: TaskDef, value: Array, valid: ArrayLike = True, limits: Range | None = None
) -> RGB:
    """Render a label, or a prediction in label form, as a picture [h, w, 3].

    Invalid and non-finite pixels are hatched.

    Args:
        task: the task, whose kind renders the values (`Spec.render`).
        value: [h, w, c].
        valid: bool [h, w], or one value for all pixels.
        limits: the values at the ends of the scale (low and high; for distances, near and far), so
            that pictures can be compared. By default distances use the range of the map, and other
            values 0 to 1.

    Example:
        >>> from labelgrid.ledger.grid import TaskRow
        >>> depth = TaskDef.of(TaskRow("depth", "depth", 1.0))
        >>> colour_map(depth, np.array([[[1.0], [9.0]]]))[0].tolist()  # near is bright, far is dark
        [[253, 231, 37], [68, 1, 84]]
    """
    shown = finite_pixels(value) & np.asarray(valid)
    safe = np.where(shown[..., None], value, 0)
    return _hatch(task.render(safe, shown, limits), shown)


def thumbnail(
    task: TaskDef,
    label: LabelArray,
    size: Size,
    limits: Range | None = None,
    *,
    lines: bool = False,
) -> RGB:
    """Render a label at another size (height, width), as [h, w, 3].

    A pixel has the mean colour of the valid pixels that it stands for. It is hatched where valid
    pixels are less than half as dense as in the whole label, so sparse measurements stay visible.
    With `lines`, it has the largest value, so lines of a pixel stay visible.
    """
    import cv2  # imported late: task kinds import this module for their plain data

    # Two pixels each way are enough for a mean.
    step = max(1, min(label.size[0] // (2 * size[0]), label.size[1] // (2 * size[1])))
    if label.valid.mean() < 0.5:  # a step could miss all measured pixels of a grid
        step = 1
    value = thicken_lines(label, size) if lines else label.value
    value = value[::step, ::step]
    shown = finite_pixels(value) & label.valid[::step, ::step]
    picture = task.render(np.where(shown[..., None], value, 0), shown, limits)
    width_first = (size[1], size[0])
    weight = shown.astype(np.float32)
    density = cv2.resize(weight, width_first, interpolation=cv2.INTER_AREA)
    total = cv2.resize(picture * weight[..., None], width_first, interpolation=cv2.INTER_AREA)
    mean = np.rint(total / np.maximum(density, 1e-6)[..., None]).astype(np.uint8)
    return _hatch(mean, (density > 1e-6) & (density >= shown.mean() / 2))


def thicken_lines(label: LabelArray, size: Size) -> Array:
    """The values of a label with lines wide enough for another size (height, width).

    Each pixel gets the largest value in the square around it that a pixel of that size covers.
    """
    import cv2  # imported late: task kinds import this module for their plain data

    width = -(-max(label.size) // max(size))
    square = np.ones((width, width), np.uint8)
    return np.asarray(cv2.dilate(label.value, square)).reshape(label.value.shape)


def distance_scale() -> RGB:
    """The colours [h, w, 3] of distances from near (left) to far."""
    values = np.broadcast_to(np.linspace(0, 1, 260), (18, 260))
    return _interpolate(VIRIDIS, values, (1.0, 0.0))


def heat_map(value: Array, limits: Range | None = None) -> RGB:
    """Render a map [h, w] of uncertainties or errors as a picture [h, w, 3], dark to bright.

    Pixels that are not finite are hatched.
    """
    shown = np.isfinite(value)
    safe = np.where(shown, value, 0)
    return _hatch(_interpolate(INFERNO, safe, limits or _percentiles(safe, shown)), shown)


def jpeg(picture: np.ndarray, most: int = WIDTH) -> bytes:
    """Encode a picture [h, w, 3] as JPEG, shrunk to a width of `most` pixels."""
    import cv2  # imported late: task kinds import this module for their plain data

    height, width = picture.shape[:2]
    scale = min(1.0, most / width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return picture_file(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), ".jpg")


def picture_file(picture: RGB, extension: str) -> bytes:
    """The content of an image file of a picture [h, w, 3 or 4], in the format of an extension.

    A fourth channel says how opaque a pixel is.

    Example:
        >>> picture_file(np.zeros((2, 3, 3), np.uint8), ".png")[1:4]
        b'PNG'
    """
    import cv2  # imported late: task kinds import this module for their plain data

    blue_first = (2, 1, 0, 3)[: picture.shape[2]]
    options = QUALITY if extension == ".jpg" else ()
    _, encoded = cv2.imencode(extension, picture[..., blue_first], options)
    return bytes(encoded.tobytes())


def _hatch(picture: RGB, shown: Bools) -> RGB:
    height, width = shown.shape
    diagonals = HATCH[np.arange(height + width) // 4 % 2]
    # At a row and a column, the diagonal of their sum.
    stripes = sliding_window_view(diagonals, width, 0)[:height].swapaxes(1, 2)
    hatched = picture.copy()
    np.copyto(hatched, stripes, where=~shown[..., None])
    return hatched


def _percentiles(value: Array, shown: Bools) -> Range:
    if not shown.any():
        return 0.0, 0.0
    low, high = np.percentile(value[shown], (1, 99))
    return float(low), float(high)


def _interpolate(stops: tuple[tuple[int, int, int], ...], value: Array, limits: Range) -> RGB:
    """Interpolate each value's colour between the stops; the limits may be descending."""
    low, high = limits
    fraction = (value.astype(np.float64) - low) / (high - low or 1.0)
    index = np.rint(np.nan_to_num(fraction.clip(0, 1)) * (COLOURS - 1)).astype(np.int64)
    positions = np.linspace(0, 1, len(stops))
    samples = np.linspace(0, 1, COLOURS)
    channels = [np.interp(samples, positions, channel) for channel in np.array(stops, float).T]
    colours = np.stack(channels, -1).round().astype(np.uint8)
    return colours[index]


def render_grey(value: Array, _valid: Bools, limits: Range | None, _options: object) -> RGB:
    """The `render` of values from 0 to 1 [h, w, 1]: 0 is black, 1 is white."""
    black_to_white = ((0, 0, 0), (255, 255, 255))
    return _interpolate(black_to_white, value[..., 0], limits or (0.0, 1.0))


def render_vectors(value: Array, _valid: Bools, _limits: Range | None, _options: object) -> RGB:
    """The `render` of unit vectors [h, w, 3]: each direction as red, green and blue."""
    return np.clip((value + 1) * 127.5, 0, 255).round().astype(np.uint8)


def render_distances(
    value: Array, valid: Bools, limits: Range | None, larger_is_nearer: bool
) -> RGB:
    """Render distances or disparities [h, w]: near is bright.

    `limits` are the values of near and far.
    """
    if limits:
        near, far = limits
    elif larger_is_nearer:
        far, near = _percentiles(value, valid)
    else:
        near, far = _percentiles(value, valid)
    return _interpolate(VIRIDIS, value, (far, near))
