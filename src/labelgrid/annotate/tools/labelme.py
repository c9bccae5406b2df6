"""Reads the regions of LabelMe's JSON files, one an image.

Polygons, rectangles, circles and masks cover the pixels of LabelMe's own `shape_to_mask`; later
shapes cover earlier ones. Lines and points are refused: LabelMe would draw them with an arbitrary
width, which is no label.
"""

import base64
import math
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from labelgrid.annotate.answers import Answers
from labelgrid.annotate.coco_file import EntryError, size_of, text_of
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.image_names import ImageNames
from labelgrid.annotate.json_files import (
    Decoder,
    GroupedFaults,
    answer_files,
    holds_keys,
    read_members,
)
from labelgrid.annotate.region_answers import DrawnImage, FoundRegions, Shape
from labelgrid.basics.array_types import Floats
from labelgrid.basics.errors import LabelError
from labelgrid.basics.recognition import Recognition
from labelgrid.basics.type_names import Json, Size
from labelgrid.formats.arrays import file_errors, png_samples, shape_text
from labelgrid.formats.regions import Canvas

#: Paints a shape with a number.
_Drawn = Callable[[Canvas, int], None]
#: The keys that say which image it is.
_IMAGE = frozenset({"imagePath", "imageHeight", "imageWidth"})


class LabelMeConnector:
    """Reads answers of LabelMe.

    See `labelgrid.annotate.connector.Connector`.
    """

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        """Read the shapes of a file, or of the files below a folder."""
        regions = FoundRegions()
        names = index.image_names()
        for path, name in answer_files(answer, regions.rest.faults):
            file = _LabelMeFile(name)
            file.read(path, index.decode)
            if file.is_labelme:
                regions.images += file.drawn_image(names)
            elif not any(file.faults):
                regions.rest.stray.append(name)
            regions.rest.faults += file.faults
        return regions.answers(
            index,
            answer,
            nothing="There is no file of LabelMe.",
            next_step="Name the folder that holds its JSON files.",
        )

    def recognise(self, path: Path) -> Recognition | None:
        """Recognise a file with shapes and the size of an image."""
        if holds_keys(path, ("shapes", "imageHeight")) or holds_keys(path, ("shapes", "imagePath")):
            return Recognition("LabelMe files", 0.95)
        return None


build = LabelMeConnector


class _LabelMeFile:
    """The shapes of a file, and the facts about the image."""

    def __init__(self, name: str) -> None:
        self.faults = GroupedFaults(name)
        self.is_labelme = False
        self._is_incomplete = False
        self._name = name
        self._shapes: list[Shape] = []
        self._image: Json = {}

    def read(self, path: Path, decoder: Decoder) -> None:
        try:
            for key, number, value in read_members(path, decoder):
                if key in _IMAGE:
                    self._image[key] = value
                elif key == "shapes":
                    self._add(number, value)
        except LabelError as error:
            self._is_incomplete = True
            self.faults.add("", error.what, error.next_step)

    def _add(self, number: int | None, value: object) -> None:
        self.is_labelme = True
        if number is None and value == []:
            return
        where = f"shapes[{number or 0}]"
        try:
            if not isinstance(value, dict):
                raise EntryError("It is no JSON object.")
            self._shapes.append(_shape(value, where))
        except EntryError as error:
            self._is_incomplete |= not error.empty
            self.faults.add(where, str(error))

    def drawn_image(self, names: ImageNames) -> list[DrawnImage]:
        try:
            path = text_of(self._image, "imagePath")
            size = size_of(self._image, "imageHeight", "imageWidth")
        except EntryError as error:
            self.faults.add("", str(error), "Open and save it again in LabelMe.")
            return []
        image = posixpath.join(posixpath.dirname(self._name), path.replace("\\", "/"))
        image = posixpath.normpath(image)
        if not names.find(image):
            image = self._name  # LabelMe names its file as the image, whose folder may have moved
        drawn = DrawnImage(
            image=image,
            where=self._name,
            size=size,
            shapes=self._shapes,
            incomplete=self._is_incomplete,
        )
        return [drawn]


@dataclass(frozen=True)
class _PillowShape:
    """How a kind of shape is drawn.

    `method` is one of Pillow's `ImageDraw`; `corners` turns the points into its argument.
    """

    method: str
    corners: Callable[[Floats], Floats] = np.asarray


def _circle_box(points: Floats) -> Floats:
    """The box of a circle, given by its centre and a point on the line."""
    centre, other = points.tolist()
    radius = math.sqrt((centre[0] - other[0]) ** 2 + (centre[1] - other[1]) ** 2)
    return np.stack([points[0] - radius, points[0] + radius])


def _box(points: Floats) -> Floats:
    return np.stack([points.min(axis=0), points.max(axis=0)])


#: How the shapes that cover an area are drawn; masks are not.
_DRAWN = {
    "polygon": _PillowShape("polygon"),
    "rectangle": _PillowShape("rectangle", _box),
    "oriented_rectangle": _PillowShape("polygon"),
    "circle": _PillowShape("ellipse", _circle_box),
}
#: How many points they may have. A polygon of more corners would take minutes.
_COUNTS = {
    "polygon": range(3, 100_001),
    "rectangle": range(2, 3),
    "oriented_rectangle": range(4, 5),
    "circle": range(2, 3),
    "mask": range(2, 3),
}
#: How far from its first pixel a shape may lead, in times of the image's longer side.
_FURTHEST = 5


def _shape(shape: Json, where: str) -> Shape:
    if shape.get("points") == []:
        raise EntryError("It is empty: it has no points, and covers no pixels.", empty=True)
    name = text_of(shape, "label")
    kind = shape.get("shape_type")
    if kind is None:  # as older versions wrote polygons
        kind = "polygon"
    points = _points(shape.get("points"))
    if not isinstance(kind, str) or kind not in _COUNTS:
        raise EntryError(f"It is a {kind!r:.40}, which covers no area that LabelMe defines.")
    if len(points) not in _COUNTS[kind]:
        raise EntryError(f"It is a {kind} of {len(points)} points.")
    if kind in _DRAWN:
        drawn: _Drawn = partial(_paint_drawing, _DRAWN[kind], points)
    else:
        text = text_of(shape, "mask")
        try:
            data = base64.b64decode(text, validate=True)
        except ValueError as error:
            raise EntryError("Its mask is no PNG in base64.") from error
        drawn = partial(_paint_mask, data, points)
    return Shape(name, partial(_paint, drawn, where))


def _points(value: object) -> Floats:
    """Points [n, 2], x and y in pixels."""
    pairs = value if isinstance(value, list) else [None]
    flat: list[object] = []
    for pair in pairs:
        flat += pair if isinstance(pair, list) and len(pair) == 2 else [None]
    if flat and set(map(type, flat)) <= {int, float}:
        try:
            points = np.array(flat, np.float64).reshape(-1, 2)
        except OverflowError:
            points = np.full((1, 2), np.inf)
        if np.isfinite(points).all():
            return points
    raise EntryError("Its points are no list of finite numbers [x, y].")


def _paint(drawn: _Drawn, where: str, canvas: Canvas, number: int) -> None:
    """Paint a shape; errors name it."""
    try:
        drawn(canvas, number)
    except LabelError as error:
        raise LabelError(f"{where}: {error.what}", next_step=error.next_step) from error


def _refuse_far(points: Floats, size: Size) -> None:
    if np.abs(points).max() > _FURTHEST * max(size):
        raise LabelError("It leads far out of the image.")


def _paint_mask(data: bytes, points: Floats, canvas: Canvas, number: int) -> None:
    """Paint a mask into the box of its first and last pixel."""
    path = Path("mask.png")
    with file_errors(path):
        mask = png_samples(data, path)
    _refuse_far(points, canvas.size)
    (left, top), (right, bottom) = np.trunc(points).astype(np.int64).tolist()
    if mask.ndim != 2 or mask.shape != (bottom + 1 - top, right + 1 - left):
        raise LabelError(
            f"The mask is {shape_text(mask)}, and its box {bottom + 1 - top}x{right + 1 - left} "
            "(height x width)."
        )
    canvas.paint(mask > 0, number, top=top, left=left)


def _paint_drawing(drawing: _PillowShape, points: Floats, canvas: Canvas, number: int) -> None:
    """Paint what Pillow draws.

    It uses the whole part of each number, and an outline belongs to its shape. Only the rows of the
    shape are drawn: columns cannot be left out, since the rounding depends on them.
    """
    from PIL import Image, ImageDraw

    height, width = canvas.size
    _refuse_far(points, canvas.size)
    corners = np.trunc(drawing.corners(points))
    _refuse_far(corners, canvas.size)
    left, top = np.maximum(corners.min(axis=0), 0).astype(np.int64).tolist()
    right, bottom = np.minimum(corners.max(axis=0) + 1, [width, height]).astype(np.int64).tolist()
    if top >= bottom or left >= right:
        return
    mask = Image.new("L", (width, bottom - top))
    moved = (corners - [0, top]).astype(np.int64)
    fill = getattr(ImageDraw.Draw(mask), drawing.method)
    fill(list(map(tuple, moved.tolist())), outline=1, fill=1)
    canvas.paint(np.asarray(mask)[:, left:right] > 0, number, top=top, left=left)
