"""Reads and writes regions of Label Studio: brushes, polygons, rectangles and ellipses.

Coordinates are percent of the image's width and height; angles are degrees, clockwise.
"""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from labelgrid.annotate.region_answers import Shape
from labelgrid.basics.array_types import Bools, Floats
from labelgrid.basics.errors import LabelError
from labelgrid.basics.type_names import Json, Size, Values
from labelgrid.formats import label_studio_runs
from labelgrid.formats.regions import Canvas, rotated

#: The name of the image in a configuration, and the key of its address in a task's data.
IMAGE = "image"
#: The name of the text field that says why a task is skipped.
REASON = "reason"
_BRUSH = "brushlabels"
#: The most regions of an image, and the farthest that a coordinate may lead.
_MOST = 10_000
_FARTHEST = 1000
#: The corners of an ellipse, and the most pixels of a side.
_CORNERS = 360
_LONGEST = 1_000_000

Paint = Callable[[Canvas, int], None]


def brush_region(mask: Bools, name: str, control: str) -> Json:
    """A region that covers a mask [h, w]."""
    height, width = mask.shape
    runs = list(label_studio_runs.encode(mask))
    return {
        "id": f"{control}-{name}",
        "type": _BRUSH,
        "from_name": control,
        "to_name": IMAGE,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": runs, _BRUSH: [name]},
    }


def shapes_of(results: object) -> tuple[Size | None, list[Shape]]:
    """The height and width of an annotation's image, None without a region, and its shapes.

    Raises:
        LabelError: a region is of a type that is not read, or is damaged.
    """
    regions = [result for result in _mappings(results) if not _is_reason(result)]
    if len(regions) > _MOST:
        raise LabelError(f"It has {len(regions):,} regions; at most {_MOST:,} are read.")
    sizes = {_size(region) for region in regions}
    if len(sizes) > 1:
        raise LabelError("Its regions are of images of different sizes.")
    shapes = [_shape(region) for region in regions]
    return (sizes.pop() if sizes else None), shapes


def reason_of(results: object) -> str:
    """The reason why a task was skipped, as written into the field; empty without."""
    lines = []
    for result in filter(_is_reason, _mappings(results)):
        texts = _value(result).get("text")
        if not isinstance(texts, list):
            texts = [texts]
        lines += [" ".join(text.split()) for text in texts if isinstance(text, str)]
    return " ".join(lines)


def _mappings(results: object) -> list[Values]:
    if not isinstance(results, list) or not all(isinstance(result, Mapping) for result in results):
        raise LabelError("Its `result` is no list of regions.")
    return results


def _is_reason(result: Values) -> bool:
    return result.get("type") == "textarea" and result.get("from_name") == REASON


def _value(result: Values) -> Values:
    value = result.get("value")
    if not isinstance(value, Mapping):
        raise LabelError("A region has no `value`.")
    return value


def _size(region: Values) -> Size:
    size = (region.get("original_height"), region.get("original_width"))
    if not all(type(side) is int and 0 < side <= _LONGEST for side in size):
        raise LabelError(f"A region's `original_height` and `original_width` are {size!r:.60}.")
    if region.get("image_rotation", 0) != 0:
        raise LabelError(
            f"The image was rotated by {region['image_rotation']!r:.20} degrees in Label Studio.",
            next_step="Rotate it back there; or rotate the image itself, and label it again.",
        )
    return size  # type: ignore[return-value]


def _shape(region: Values) -> Shape:
    kind = region.get("type")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise LabelError(
            f"A region is of the type {kind!r:.40}, which is no area with a class.",
            next_step=f"Remove it, or draw it again. Such types are: {', '.join(_KINDS)}.",
        )
    value = _value(region)
    names = value.get(kind)
    if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str):
        raise LabelError(
            f"A region of the type {kind} has the classes {names!r:.60}; it must have one.",
            next_step="Give it one in Label Studio.",
        )
    return Shape(names[0], _KINDS[kind](value, _size(region)))


def _brush(value: Values, size: Size) -> Paint:
    runs = value.get("rle")
    try:
        if not isinstance(runs, list):
            raise ValueError
        stream = bytes(runs)
    except (TypeError, ValueError) as error:
        raise LabelError("A brush's `rle` is no list of numbers from 0 to 255.") from error

    def paint(canvas: Canvas, number: int) -> None:
        canvas.paint(label_studio_runs.decode(stream, size), number)

    return paint


def _polygon(value: Values, size: Size) -> Paint:
    return partial(_paint_ring, _points(value.get("points"), size))


def _rectangle(value: Values, size: Size) -> Paint:
    """A rectangle, rotated about its first corner."""
    corner, sides = _points(
        [[value.get("x"), value.get("y")], [value.get("width"), value.get("height")]], size
    )
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    return partial(_paint_ring, corner + rotated(unit * sides, _angle(value)))


def _ellipse(value: Values, size: Size) -> Paint:
    """An ellipse, rotated about its centre, as a polygon."""
    centre, radii = _points(
        [[value.get("x"), value.get("y")], [value.get("radiusX"), value.get("radiusY")]], size
    )
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    unit = np.stack([np.cos(angles), np.sin(angles)], 1)
    return partial(_paint_ring, centre + rotated(unit * radii, _angle(value)))


_KINDS: Mapping[str, Callable[[Values, Size], Paint]] = {
    _BRUSH: _brush,
    "polygonlabels": _polygon,
    "rectanglelabels": _rectangle,
    "ellipselabels": _ellipse,
}


def _points(percents: object, size: Size) -> Floats:
    """Points [n, 2] of x and y in pixels."""
    try:
        points = np.array(percents, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise LabelError("A region's coordinates are no numbers.") from error
    if points.ndim != 2 or points.shape[1] != 2 or not (np.abs(points) <= _FARTHEST).all():
        raise LabelError(
            "A region's coordinates are no pairs of percent, or lead far out of the image."
        )
    height, width = size
    return points * [width / 100, height / 100]


def _angle(value: Values) -> float:
    angle = value.get("rotation", 0)
    if isinstance(angle, bool) or not isinstance(angle, int | float) or not abs(angle) <= 360:
        raise LabelError(f"A region's rotation is {angle!r:.40}; it must be at most 360 degrees.")
    return angle


def _paint_ring(ring: Floats, canvas: Canvas, number: int) -> None:
    canvas.paint_polygons([ring], number)
