"""Draws photographs and labels at the size of their place on a page."""

import hashlib
from collections import OrderedDict
from threading import Lock

import numpy as np

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.array_types import Bytes, Floats32
from labelgrid.basics.type_names import Size
from labelgrid.basics.version import __version__
from labelgrid.formats.codec import LabelArray, finite_pixels, nearest_pixels
from labelgrid.tasks.pictures import colour_map, picture_file
from labelgrid.tasks.task import TaskDef
from labelgrid.web.scale_legend import scale_ends

#: The longer side of a picture in pixels: of a tile of the grid, of a large tile, and of a page of
#: an image.
TILE = 240
MEDIUM = 640
LARGE = 1280
#: So that a picture keeps its size, whatever it is.
WHOLE = 2**31
#: The digits after the point of values that are shown.
DIGITS = 4
#: The most bytes of pictures that are kept in memory.
KEPT = 64 * 2**20


class KeptPictures:
    """Encoded pictures, of which the latest are kept, for several threads."""

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        self._size = 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> bytes | None:
        """A picture that is kept; None: it is not."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key]

    def keep(self, key: str, picture: bytes) -> None:
        """Keep a picture, and drop the pictures that nobody asked for the longest."""
        with self._lock:
            self._size += len(picture) - len(self._kept.pop(key, b""))
            self._kept[key] = picture
            while self._size > self._most:
                _, dropped = self._kept.popitem(last=False)
                self._size -= len(dropped)


def picture_key(*parts: object) -> str:
    """The key of a picture: a hash of the values it depends on and of the version."""
    drawn = repr((__version__, parts)).encode("utf-8", "replace")
    return hashlib.blake2b(drawn, digest_size=16).hexdigest()


def draw_image(project: ProjectReader, image_id: str, longest: int) -> bytes:
    """A photograph as JPEG, its longer side at most `longest` pixels."""
    return picture_file(_fit(project.image(image_id), longest), ".jpg")


def draw_label(task: TaskDef, label: LabelArray, longest: int) -> bytes:
    """A label as PNG in the colours of its task.

    Background and what is not valid is transparent.
    """
    colours = colour_map(task, label.value, True, scale_ends(task, label))
    alpha = np.where(task.covers(label), 255, 0).astype(np.uint8)
    rgba = np.concatenate([colours, alpha[..., None]], axis=2)
    return picture_file(_fit(rgba, longest, smooth=False), ".png")


def label_values(label: LabelArray, longest: int) -> Floats32:
    """The values [h, w, c] of a label at the size of its picture; NaN where not valid."""
    shown = finite_pixels(label.value) & label.valid
    value = np.where(shown[..., None], label.value, np.nan).astype(np.float32)
    height, width = shown_size(label.size, longest)
    rows = nearest_pixels(label.size[0], height)
    columns = nearest_pixels(label.size[1], width)
    return np.round(value[rows][:, columns], DIGITS)


def shown_size(size: Size, longest: int) -> Size:
    """The height and width of a picture, its longer side at most `longest` pixels.

    Example:
        >>> shown_size((300, 600), 200), shown_size((30, 60), 200)
        ((100, 200), (30, 60))
    """
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _fit(picture: Bytes, longest: int, *, smooth: bool = True) -> Bytes:
    import cv2

    height, width = shown_size(picture.shape[:2], longest)
    how = cv2.INTER_AREA if smooth else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)
