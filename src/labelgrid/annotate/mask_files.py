"""Finds and reads the masks and maps of a folder: PNG files whose names say what they show."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np

from labelgrid.annotate.answer_folder import PRELABELS
from labelgrid.annotate.manifest import IMAGES
from labelgrid.annotate.matching import LINK, is_inside
from labelgrid.basics.array_types import Array, Bools
from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import walk
from labelgrid.basics.type_names import Size
from labelgrid.formats.arrays import samples, stored_size
from labelgrid.formats.channels import equal_channels, shown_grey, without_alpha
from labelgrid.formats.heads import Head, head_of
from labelgrid.formats.regions import Canvas

#: So many names are looked at to recognise a folder.
LOOKED_AT = 200


def png_names(folder: Path) -> Iterator[str]:
    """The PNG files below a folder, as paths below the folder; hidden files are left out.

    So are those in its folders of images and prelabels. Links to folders are not followed.

    Raises:
        LabelError: there is no such folder.
    """
    if not folder.is_dir():
        raise LabelError(
            "There is no such folder of PNG files.", where=folder, next_step="Check the path."
        )
    for prefix, folders, names in walk(folder):
        excluded = set() if prefix else {IMAGES, PRELABELS}
        folders[:] = sorted(n for n in folders if n not in excluded and not n.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(".png") and not name.startswith("."):
                yield prefix + name


def head_of_first(folder: Path, matches: Callable[[str], object]) -> Head | None:
    """The head of the first file whose name matches, among the first 200 PNG files below a folder.

    None if there is none, or if it is damaged or a link that leads out. It raises nothing.
    """
    with suppress(OSError, ValueError, LabelError):
        for name in islice(png_names(folder), LOOKED_AT):
            if matches(name.rpartition("/")[2]):
                path = folder / name
                if not is_inside(folder, path):
                    return None
                return head_of(path, (".png",))
    return None


class Masks:
    """The masks of a folder; the last file is kept, since it may be painted often."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last: tuple[str, Array] = ("", np.zeros(0))

    def size(self, name: str) -> Size:
        """Height and width, from the file's header."""
        self._check_inside(name)
        return stored_size(self.folder / name) or (0, 0)

    def numbers(self, name: str) -> Array:
        """The numbers [h, w] or, of a file of colours, [h, w, 3].

        Raises:
            LabelError: the file is damaged, has transparent pixels, or is a link that leads out.
        """
        last, numbers = self._last
        if last != name:
            self._check_inside(name)
            path = self.folder / name
            numbers = without_alpha(samples(path), path, "A mask")
            flat = equal_channels(numbers)
            numbers = numbers if flat is None else shown_grey(flat, path)
            self._last = (name, numbers)
        return numbers

    def paint_number(self, name: str, stored: int, canvas: Canvas, number: int) -> None:
        """Paint the pixels at which a file holds the number `stored`."""
        self._paint(name, self.numbers(name) == stored, canvas, number)

    def paint_positive(self, name: str, canvas: Canvas, number: int) -> None:
        """Paint the pixels at which a file holds a number above 0, in any channel."""
        numbers = self.numbers(name)
        if numbers.ndim == 3:
            numbers = numbers.max(axis=-1)
        self._paint(name, numbers > 0, canvas, number)

    def _paint(self, name: str, mask: Bools, canvas: Canvas, number: int) -> None:
        if mask.shape != canvas.size:
            sizes = ["x".join(map(str, shape)) for shape in (mask.shape, canvas.size)]
            raise LabelError(
                f"The mask {name} is {sizes[0]}, another one of its image {sizes[1]} (height x "
                "width).",
                next_step="Export them again, at the image's size.",
            )
        canvas.paint(mask, number)

    def _check_inside(self, name: str) -> None:
        if not is_inside(self.folder, self.folder / name):
            raise LabelError(LINK, next_step="Copy the file itself into the folder.")
