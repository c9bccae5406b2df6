"""Reads the cameras that took images from `camera.toml`: for all, by folder, by image, or EXIF."""

import csv
import io
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labelgrid.basics.camera import Camera
from labelgrid.basics.config import parse, read_toml
from labelgrid.basics.errors import RecipeError
from labelgrid.basics.files import read_bytes
from labelgrid.basics.type_names import Size, Values
from labelgrid.basics.words import join_names
from labelgrid.formats.codec import same_shape

NAME = "camera.toml"
#: The columns of a table of cameras, beside "image".
NUMBERS = ("field_of_view", "fx", "fy", "cx", "cy")
#: What `View` says in pixels.
PIXELS = ("fx", "fy", "cx", "cy", "size")
#: The bytes of a table, at most: 100 for each of ten million images.
LARGEST_TABLE = 10**9
#: The diagonal of a picture on 35 mm film, which is 24 mm by 36 mm.
FILM_DIAGONAL = math.hypot(24, 36)
#: Degrees and pixels beyond which a camera is a slip, and numbers overflow.
LEAST_DEGREES = 0.001
MOST_PIXELS = 1e9


@dataclass(frozen=True, kw_only=True)
class View:
    """What a camera sees: the angle of an image's width, or the numbers of a pinhole camera.

    Args:
        field_of_view: the angle of an image's width, in degrees. Pixels are square, and the
            camera's axis is in the middle.
        fx: the focal length in columns, instead.
        fy: the focal length in rows; None: fx.
        cx: the column that the camera's axis passes through, 0 in the middle of the first; None:
            the middle.
        cy: its row, likewise.
        size: the height and width of the images in whose pixels these numbers are. Images of the
            same shape are taken as the whole view, resized; None: an image's own.
    """

    field_of_view: float | None = None
    fx: float | None = None
    fy: float | None = None
    cx: float | None = None
    cy: float | None = None
    size: Size | None = None

    def __post_init__(self) -> None:
        degrees = self.field_of_view
        if degrees is not None and not LEAST_DEGREES <= degrees < 180:
            raise ValueError(f"field_of_view lies between 0 and 180 degrees; it is {degrees}")
        given = [name for name in PIXELS if getattr(self, name) is not None]
        if degrees is not None and given:
            raise ValueError(f"{given[0]} has no effect beside field_of_view: remove one")
        if given and self.fx is None:
            raise ValueError(f"{given[0]} needs fx, the focal length in columns")
        for name in given:
            self._check_pixels(name)

    def _check_pixels(self, name: str) -> None:
        value = getattr(self, name)
        if name == "size":
            is_right = min(value) >= 1
        elif name in ("fx", "fy"):
            is_right = 0 < value <= MOST_PIXELS
        else:
            is_right = abs(value) <= MOST_PIXELS
        if not is_right:
            above = "" if name in ("cx", "cy") else ", above 0"
            raise ValueError(f"{name} is in pixels{above}; it is {value}")

    @property
    def is_given(self) -> bool:
        """Whether a camera is described."""
        return self.field_of_view is not None or self.fx is not None

    def at(self, size: Size) -> Camera | None:
        """The camera of an image of this height and width; None if it is of another shape.

        Example:
            >>> view = View(fx=500.0, size=(480, 640))
            >>> view.at((240, 320))
            Camera(fx=250.0, fy=250.0, cx=159.5, cy=119.5)
            >>> view.at((640, 480))
        """
        if self.field_of_view is not None:
            return Camera.of_view(self.field_of_view, size)
        height, width = self.size or size
        if self.fx is None or not same_shape((height, width), size):
            return None
        camera = Camera(
            fx=self.fx,
            fy=self.fx if self.fy is None else self.fy,
            cx=(width - 1) / 2 if self.cx is None else self.cx,
            cy=(height - 1) / 2 if self.cy is None else self.cy,
        )
        return camera.scale(size[1] / width, size[0] / height)


@dataclass(frozen=True, kw_only=True)
class CameraFile(View):
    """The keys of `camera.toml` outside of its folders' tables.

    Args:
        table: a CSV file in the folder of `camera.toml`, with the cameras of images.
        exif: whether the cameras of other images are read from their EXIF data.
    """

    table: str = ""
    exif: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.exif and self.is_given:
            raise ValueError("exif has no effect beside a camera of all images: remove one")


@dataclass(frozen=True)
class Cameras:
    """The cameras of the images below a folder. It holds names and numbers.

    Args:
        everywhere: the camera of all images without an entry of their own.
        folders: cameras of all images below a folder; a folder's name ends in a slash.
        images: cameras of single images, by id.
        exif: whether the EXIF data give the camera of an image without any entry.
    """

    everywhere: View = View()
    folders: Mapping[str, View] = field(default_factory=dict)
    images: Mapping[str, View] = field(default_factory=dict, repr=False)
    exif: bool = False

    def view_of(self, image_id: str) -> View:
        """The view of an image: by the id, else by the longest folder, else of all images."""
        if image_id in self.images:
            return self.images[image_id]
        folders = [name for name in self.folders if image_id.startswith(name)]
        if folders:
            return self.folders[max(folders, key=len)]
        return self.everywhere

    def camera(self, image_id: str, size: Size, path: Path) -> Camera | None:
        """The camera of an image; None if it is unknown.

        Args:
            image_id: the image.
            size: its upright height and width.
            path: its file, which is only read for EXIF data.

        Raises:
            ImageError: the file cannot be read.
        """
        view = self.view_of(image_id)
        if view.is_given or not self.exif:
            return view.at(size)
        from labelgrid.images.reading import film_focal_length  # slow to load

        millimetres = film_focal_length(path)
        if millimetres is None:
            return None
        # The angle of the diagonal is that on film; it stays when a photograph is turned.
        return View(fx=millimetres * math.hypot(*size) / FILM_DIAGONAL).at(size)


def read_cameras(folder: Path) -> Cameras | None:
    """Read `camera.toml` in a folder, and its table; None if there is none.

    Raises:
        RecipeError: one is no file, cannot be read, leads out of the folder, or has an unknown key
            or a wrong value.
    """
    path = folder / NAME
    if not os.path.lexists(path):
        return None
    values = read_toml(path)
    folders = {}
    for name in [name for name, value in values.items() if isinstance(value, dict)]:
        parts = name.split("/")
        if parts[-1] or set(parts[:-1]) & {"", ".", ".."}:
            raise RecipeError(
                f"The table ['{name}'] is not of a folder of images.",
                where=path,
                next_step='Write its path below the images, with a slash at its end: ["kitchen/"].',
            )
        where = f"{path}, '{name}'"
        folders[name] = _parse_view(values.pop(name), where)
        _check_size(folders[name], where)
    content = parse(CameraFile, values, str(path))
    _check_size(content, str(path))
    images = {}
    if content.table:
        images = _read_table(_inside(folder, content.table))
    return Cameras(content, folders, images, content.exif)


def _parse_view(values: Values, where: str) -> View:
    view = parse(View, values, where)
    if not view.is_given:
        raise RecipeError(
            "A camera needs its field_of_view, or fx.",
            where=where,
            next_step="Write `field_of_view = 66.0`, the degrees across an image's width.",
        )
    return view


def _check_size(view: View, where: str) -> None:
    if view.fx is not None and view.size is None:
        raise RecipeError(
            "fx is in pixels, and the size of the images that it is for is missing.",
            where=where,
            next_step="Add it: `size = [HEIGHT, WIDTH]`.",
        )


def _inside(folder: Path, name: str) -> Path:
    path = Path(os.path.realpath(folder / name.replace("\0", "")))
    if "\0" in name or not path.is_relative_to(os.path.realpath(folder)):
        raise RecipeError(
            f"The table of cameras, {name!r}, leads out of the folder of {NAME}.",
            where=folder / NAME,
            next_step="Copy it into this folder.",
        )
    return path


def _read_table(path: Path) -> dict[str, View]:
    views = {}
    for line, row in _rows(path):
        where = f"{path}, line {line}"
        image_id = row.pop("image")
        if image_id in views:
            raise RecipeError(
                f"The camera of '{image_id}' is given twice.",
                where=where,
                next_step="Remove one of the lines.",
            )
        values = {}
        for name, text in row.items():
            if text:
                values[name] = _number(name, text, where)
        views[image_id] = _parse_view(values, where)
    return views


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        text = read_bytes(path, LARGEST_TABLE).decode("utf-8-sig")
        # Spreadsheets of some countries write semicolons.
        separator = "," if "," in text.partition("\n")[0] else ";"
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="", delimiter=separator)
        columns = list(reader.fieldnames or ())
        if "image" not in columns or not set(columns) <= {"image", *NUMBERS}:
            raise RecipeError(
                f"The table's columns are {join_names(columns) or 'missing'}.",
                where=path,
                next_step=f"Name them in the first line: image, and some of {join_names(NUMBERS)}.",
            )
        for row in reader:
            if None in row:
                raise csv.Error(f"line {reader.line_num} has more values than columns")
            if any(row.values()):
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise RecipeError(
            f"The table of cameras cannot be read: {why}.",
            where=path,
            next_step="Write it as CSV in UTF-8.",
        ) from error


def _number(name: str, text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise RecipeError(
            f"{name} is '{text}', which is not a number.", where=where, next_step="Fix the line."
        ) from error
