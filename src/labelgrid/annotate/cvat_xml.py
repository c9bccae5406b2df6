"""Reads CVAT's format "CVAT for images 1.1": the regions and tags of each image."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from labelgrid.annotate.answers import Fault
from labelgrid.annotate.json_files import Decoder, plain_text
from labelgrid.annotate.region_answers import Shape
from labelgrid.annotate.safe_xml import Handler, read_xml
from labelgrid.basics.errors import LabelError
from labelgrid.basics.type_names import Size
from labelgrid.basics.words import count_text, join_names
from labelgrid.formats.cvat_runs import decode_runs
from labelgrid.formats.regions import Canvas, rotated

#: The source of a region that a program made, which CVAT changes when somebody edits the region.
AUTO = "auto"
#: The most regions of an image.
MOST_REGIONS = 100_000
#: The corners of the polygon that stands for an ellipse, as in datumaro.
_ELLIPSE = 720


@dataclass(kw_only=True)
class CvatImage:
    """The entry of one image in a file.

    Args:
        name: as CVAT names it.
        where: the file and the image, for messages.
        size: height and width.
        regions: the z-order and the shape of each, in the order of the file.
        tags: the attributes of each tag.
        sources: how many regions each source has.
        others: how many of each kind of element there are that cover no pixels.
        fault: what is wrong with the image; empty if nothing is.
    """

    name: str
    where: str
    size: Size
    regions: list[tuple[int, Shape]] = field(default_factory=list, repr=False)
    tags: list[dict[str, str]] = field(default_factory=list)
    sources: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    fault: str = ""

    @property
    def shapes(self) -> list[Shape]:
        """The shapes in the order of painting."""
        return [shape for _, shape in sorted(self.regions, key=lambda region: region[0])]

    def as_fault(self) -> Fault | None:
        """The fault of the image, if anything is wrong with it."""
        if self.fault:
            return Fault(self.where, self.fault, "Export it again.")
        if not self.others:
            return None
        kinds = [count_text(count, f"'{kind}'", f"'{kind}'") for kind, count in self.others.items()]
        return Fault(
            self.where,
            f"It holds elements that cover no pixels: {join_names(kinds, 5)}.",
            "Draw them as masks, polygons, boxes or ellipses, or remove them; to leave out all of "
            "a label, use --map 'LABEL=ignore'.",
        )


def read_images(
    path: Path, where: str, ignored: frozenset[str] = frozenset(), decoder: Decoder = plain_text
) -> list[CvatImage]:
    """Read all images of a file.

    Elements of `ignored` labels may cover no pixels.

    Raises:
        LabelError: it is no XML of CVAT, or holds a video.
    """
    reader = _Reader(where, ignored)
    read_xml(path, reader, decoder)
    return reader.images


class _Reader(Handler):
    """Collects the images of a file."""

    def __init__(self, where: str, ignored: frozenset[str]) -> None:
        self.images: list[CvatImage] = []
        self._where = where
        self._ignored = ignored
        self._path: list[str] = []
        self._attribute = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._path and name != "annotations":
            raise LabelError(f"The file begins with <{name:.40}>, not with <annotations>.")
        self._path.append(name)
        if name == "track":
            raise LabelError(
                "The file holds tracks of a video.",
                where=self._where,
                next_step='Export it as "CVAT for images 1.1".',
            )
        if name == "attribute":
            self._attribute = attributes.get("name", "")
        elif len(self._path) == 2 and name == "image":
            self.images.append(self._image(attributes))
        elif len(self._path) == 3 and self._path[1] == "image":
            self._add(name, attributes)

    def end(self, name: str, text: str) -> None:
        self._path.pop()
        if name == "attribute" and self._path[1:] == ["image", "tag"]:
            self.images[-1].tags[-1][self._attribute] = text.strip()

    def _image(self, attributes: Mapping[str, str]) -> CvatImage:
        name = attributes.get("name", "")
        image = CvatImage(name=name, where=f"{self._where}, image {name!r:.200}", size=(0, 0))
        try:
            image.size = _whole(attributes, "height"), _whole(attributes, "width")
        except LabelError as error:
            image.fault = error.what
        if not name:
            image.fault = "The image has no name."
        elif not image.fault and min(image.size) < 1:
            image.fault = "The image has no pixels."
        return image

    def _add(self, kind: str, attributes: Mapping[str, str]) -> None:
        image = self.images[-1]
        label = attributes.get("label", "")
        if kind == "tag":
            image.tags.append({})
        elif kind not in _PAINTERS:
            if label not in self._ignored:
                image.others[f"{kind:.40} {label:.80}".strip()] += 1
        elif len(image.regions) == MOST_REGIONS:
            image.fault = f"The image has more than {MOST_REGIONS:,} regions."
        else:
            image.sources[attributes.get("source", "")] += 1
            try:
                z_order = _whole({"z_order": "0", **attributes}, "z_order")
            except LabelError as error:
                image.fault = error.what
                return
            image.regions.append((z_order, Shape(label, partial(_PAINTERS[kind], attributes))))


def _paint_mask(attributes: Mapping[str, str], canvas: Canvas, number: int) -> None:
    left = _whole(attributes, "left")
    top = _whole(attributes, "top")
    height = _whole(attributes, "height")
    width = _whole(attributes, "width")
    rows, columns = canvas.size
    is_inside = top >= 0 and left >= 0 and top + height <= rows and left + width <= columns
    if height < 1 or width < 1 or not is_inside:
        raise LabelError(
            f"A mask's box, {height}x{width} at row {top}, column {left}, is empty or leads out of "
            f"the image, {rows}x{columns} (height x width)."
        )
    mask = decode_runs(_text(attributes, "rle"), (height, width))
    canvas.paint(mask, number, top=top, left=left)


def _paint_polygon(attributes: Mapping[str, str], canvas: Canvas, number: int) -> None:
    numbers = _text(attributes, "points").replace(";", ",").split(",")
    try:
        points = np.fromiter(map(float, numbers), np.float64, len(numbers)).reshape(-1, 2)
    except ValueError as error:
        raise LabelError("The points of a polygon are no list of x,y;x,y.") from error
    canvas.paint_polygons([points], number)


def _paint_box(attributes: Mapping[str, str], canvas: Canvas, number: int) -> None:
    left = _number(attributes, "xtl")
    right = _number(attributes, "xbr")
    top = _number(attributes, "ytl")
    bottom = _number(attributes, "ybr")
    if left > right or top > bottom:
        raise LabelError(
            f"A box ends before it begins: x {left:g} to {right:g}, y {top:g} to {bottom:g}."
        )
    centre = np.array([left + right, top + bottom]) / 2
    half = np.array([right - left, bottom - top]) / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    canvas.paint_polygons([rotated(corners, _rotation(attributes)) + centre], number)


def _paint_ellipse(attributes: Mapping[str, str], canvas: Canvas, number: int) -> None:
    centre = np.array([_number(attributes, "cx"), _number(attributes, "cy")])
    radii = np.array([_number(attributes, "rx"), _number(attributes, "ry")])
    if radii.min() < 0:
        raise LabelError(f"An ellipse has the radii {radii[0]:g} and {radii[1]:g}.")
    angles = np.linspace(0, 2 * np.pi, _ELLIPSE)
    outline = np.stack([np.cos(angles), np.sin(angles)], 1) * radii
    canvas.paint_polygons([rotated(outline, _rotation(attributes)) + centre], number)


def _rotation(attributes: Mapping[str, str]) -> float:
    return _number({"rotation": "0", **attributes}, "rotation")


_PAINTERS: dict[str, Callable[[Mapping[str, str], Canvas, int], None]] = {
    "mask": _paint_mask,
    "polygon": _paint_polygon,
    "box": _paint_box,
    "ellipse": _paint_ellipse,
}


def _text(attributes: Mapping[str, str], name: str) -> str:
    if name not in attributes:
        raise LabelError(f"An element has no '{name}'.")
    return attributes[name]


def _whole(attributes: Mapping[str, str], name: str) -> int:
    text = _text(attributes, name)
    try:
        if len(text) > 20:
            raise ValueError
        return int(text)
    except ValueError as error:
        raise LabelError(f"'{name}' is {text!r:.40}; it must be a whole number.") from error


def _number(attributes: Mapping[str, str], name: str) -> float:
    text = _text(attributes, name)
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not abs(number) < 1e9:
        raise LabelError(f"'{name}' is {text!r:.40}; it must be a number of pixels or degrees.")
    return number
