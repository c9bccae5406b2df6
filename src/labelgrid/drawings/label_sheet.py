"""Draws a sheet of photographs beside their labels, with names and a legend for each task."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from labelgrid.basics.errors import LabelgridError, UsageError
from labelgrid.formats.codec import LabelArray
from labelgrid.images.places import image_file
from labelgrid.images.reading import read_image
from labelgrid.ledger.grid import ImageRow
from labelgrid.tasks.overview import Legend, Overview
from labelgrid.tasks.pictures import thumbnail
from labelgrid.tasks.task import TaskDef

RGB = NDArray[np.uint8]
Colour = tuple[int, int, int]
#: A part of a picture: left, top, right and bottom in percent.
Part = tuple[int, int, int, int]

#: The sheet's width in pixels, unless many tasks need more.
WIDTH = 1400
MARGIN = 16
GAP = 8
#: The sizes of pictures: at least and at most so wide, and so high relative to the width.
NARROWEST = 170
WIDEST = 360
HIGHEST = 0.8
LINE = 22
#: Of a PNG file that is written.
MOST_ROWS = 1_000_000
SWATCH = 16
#: The colour of the frame around a part.
FRAME = (255, 40, 160)
#: What is said in the place of an image that cannot be read.
UNREAD = "cannot be read"
INK = (40, 40, 40)
GREY = (110, 110, 110)
BOX = (238, 238, 238)
#: Stripes of pixels that are not shown, by `labelgrid.tasks.pictures`.
STRIPES = ((72, 72, 72), (104, 104, 104))


class Size(NamedTuple):
    """The size of a picture in pixels."""

    height: int
    width: int


@dataclass(frozen=True)
class SheetRow:
    """A photograph and its labels, as pictures of the size of `Layout.fit`.

    Args:
        name: the name of the image.
        photograph: RGB, uint8 [h, w, 3], or a text that says why there is none.
        labels: the same by task, in the sheet's order.
        note: what is said of the row, below the name.
    """

    name: str
    photograph: RGB | str
    labels: Sequence[RGB | str] = field(repr=False)
    note: str = ""


@dataclass(frozen=True)
class SheetTask:
    """The heading of a task: the name, the numbers in words, and the meanings of colours."""

    name: str
    text: str
    legend: Legend


class Layout:
    """The places of the pictures on a sheet.

    Args:
        tasks: the number of tasks beside a photograph.
        rows: the number of photographs.

    Example:
        >>> Layout(tasks=3, rows=6).fit(Size(480, 640))
        Size(height=250, width=334)
    """

    def __init__(self, tasks: int, rows: int) -> None:
        self.columns = 1 + tasks
        room = WIDTH - 2 * MARGIN
        self.blocks = min(max(1, room // (self.columns * 320)), max(rows, 1))
        across = room - (self.blocks - 1) * MARGIN
        cell = across // (self.blocks * self.columns) - GAP
        self.cell = min(max(cell, NARROWEST), WIDEST)
        self.block = self.columns * (self.cell + GAP) - GAP
        self.width = max(WIDTH, 2 * MARGIN + self.blocks * (self.block + MARGIN) - MARGIN)

    def fit(self, size: Size) -> Size:
        """The size of a drawn picture."""
        scale = min(self.cell / size.width, HIGHEST * self.cell / size.height)
        return Size(max(1, round(size.height * scale)), max(1, round(size.width * scale)))

    def left(self, block: int, column: int) -> int:
        """The first column of pixels of a picture."""
        return MARGIN + block * (self.block + MARGIN) + column * (self.cell + GAP)


def label_sheet(
    title: str,
    rows: Sequence[SheetRow],
    tasks: Sequence[SheetTask],
    layout: Layout,
    *,
    stripes: bool = True,
    legends: Sequence[SheetTask] | None = None,
) -> bytes:
    """A PNG of photographs with labels beside them and legends below.

    Args:
        title: above the sheet.
        rows: the photographs and their labels.
        tasks: the tasks in the order of the labels.
        layout: the layout for the number of tasks and rows.
        stripes: say what striped pixels are.
        legends: the legends below the sheet; None: the legends of `tasks`.
    """
    page = _Page(layout.width)
    for line in _wrap(title, _font(17, bold=True), layout.width - 2 * MARGIN):
        page.text(MARGIN, line, _font(17, bold=True))
        page.down(26)
    for start in range(0, len(rows), layout.blocks):
        _draw_rows(page, rows[start : start + layout.blocks], tasks, layout)
    if legends is None:
        legends = tasks
    for task in legends:
        _draw_legend(page, task)
    if stripes:
        down, across = np.indices((SWATCH, 2 * SWATCH))
        page.picture(MARGIN, np.array(STRIPES, np.uint8)[(down + across) // 4 % 2])
        page.text(MARGIN + 2 * SWATCH + 8, "not labelled or not measured", _font(13))
        page.down(LINE + MARGIN)
    return page.png()


def legends(tasks: Sequence[SheetTask], width: int) -> RGB:
    """The legends of tasks alone, as a picture of this width."""
    page = _Page(width)
    for task in tasks:
        _draw_legend(page, task)
    return page.pixels()


def _draw_rows(
    page: "_Page", rows: Sequence[SheetRow], tasks: Sequence[SheetTask], layout: Layout
) -> None:
    for block, row in enumerate(rows):
        name = _shorten(row.name, _font(14, bold=True), layout.block)
        page.text(layout.left(block, 0), name, _font(14, bold=True))
    page.down(LINE)
    _draw_notes(page, rows, layout)
    for block in range(len(rows)):
        for column, name in enumerate(["photograph", *(task.name for task in tasks)]):
            text = _shorten(name, _font(13), layout.cell)
            page.text(layout.left(block, column), text, _font(13), GREY)
    page.down(LINE - 2)
    lowest = LINE
    for block, row in enumerate(rows):
        for column, picture in enumerate([row.photograph, *row.labels]):
            left = layout.left(block, column)
            if isinstance(picture, str):
                lowest = max(lowest, page.note(left, layout.cell, picture))
            else:
                lowest = max(lowest, page.picture(left, picture))
    page.down(lowest + MARGIN)


def _draw_notes(page: "_Page", rows: Sequence[SheetRow], layout: Layout) -> None:
    notes = [_wrap(row.note, _font(13), layout.block) for row in rows]
    for block, lines in enumerate(notes):
        for index, line in enumerate(lines):
            page.text(layout.left(block, 0), line, _font(13), below=index * LINE)
    page.down(LINE * max(map(len, notes), default=0))


def _draw_legend(page: "_Page", task: SheetTask) -> None:
    bold = _font(14, bold=True)
    right = page.width - MARGIN
    indent = MARGIN + 20
    name = _shorten(task.name, bold, 300)
    page.text(MARGIN, name, bold)
    beside = MARGIN + round(bold.getlength(name)) + 12
    for line in _wrap(task.text, _font(14), right - beside) or [""]:
        page.text(beside, line, _font(14))
        page.down(LINE)
    page.down(2)
    legend = task.legend
    left = indent
    scale_height = 0
    if legend.scale is not None:
        scale_height = legend.scale.shape[0]
        middle = (scale_height - SWATCH) // 2
        left = page.beside(left, legend.ends[0], middle)
        page.picture(left, legend.scale)
        left = page.beside(left + legend.scale.shape[1] + 10, legend.ends[1], middle) + 10
    used = _draw_swatches(page, legend.swatches, left, right)
    page.down(max(used, scale_height) + 14)


def _draw_swatches(
    page: "_Page", swatches: Sequence[tuple[Colour, str]], left: int, right: int
) -> int:
    """Draw colours with their names in columns, read line by line; returns the height."""
    if not swatches:
        return 0
    font = _font(13)
    texts = [_shorten(text, font, 300) for _, text in swatches]
    width = round(max(font.getlength(text) for text in texts)) + SWATCH + 22
    columns = max(1, (right - left) // width)
    for index, (colour, _) in enumerate(swatches):
        line, column = divmod(index, columns)
        page.swatch(left + column * width, line * LINE, colour)
        page.text(left + column * width + SWATCH + 6, texts[index], font, below=line * LINE)
    return -(-len(swatches) // columns) * LINE


class _Page:
    """A white page that grows downward; drawings are placed below the passed height."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.top = MARGIN
        self._image = Image.new("RGB", (width, 600), "white")

    def down(self, height: int) -> None:
        self.top += height

    def text(
        self,
        left: int,
        text: str,
        font: ImageFont.FreeTypeFont,
        colour: Colour = INK,
        *,
        below: int = 0,
    ) -> None:
        self._draw(self.top + below + 2 * LINE).text((left, self.top + below), text, colour, font)

    def beside(self, left: int, text: str, below: int) -> int:
        """Write a line; returns the left of the place behind it."""
        if not text:
            return left
        self.text(left, text, _font(13), below=below)
        return left + round(_font(13).getlength(text)) + 10

    def picture(self, left: int, pixels: RGB) -> int:
        """Place a picture; returns its height."""
        self._draw(self.top + pixels.shape[0])
        self._image.paste(Image.fromarray(np.ascontiguousarray(pixels)), (left, self.top))
        return pixels.shape[0]

    def note(self, left: int, width: int, text: str) -> int:
        """Write in a grey box in place of a picture; returns its height."""
        lines = _wrap(text, _font(13), width - 20)
        height = LINE * (len(lines) + 1)
        pen = self._draw(self.top + height)
        pen.rectangle((left, self.top, left + width - 1, self.top + height - 1), BOX)
        for index, line in enumerate(lines):
            corner = (left + 10, self.top + LINE // 2 + index * LINE)
            pen.text(corner, line, GREY, _font(13))
        return height

    def swatch(self, left: int, below: int, colour: Colour) -> None:
        """Draw a square of a colour, with a border for white ones."""
        top = self.top + below
        pen = self._draw(top + SWATCH + 2)
        pen.rectangle((left, top, left + SWATCH, top + SWATCH), colour, (150, 150, 150))

    def pixels(self) -> RGB:
        return np.array(self._image.crop((0, 0, self.width, self.top)))

    def png(self) -> bytes:
        if self.top > MOST_ROWS:
            raise UsageError(
                f"The sheet would be {self.top:,} pixels high; {MOST_ROWS:,} can be written.",
                next_step="Ask for fewer images.",
            )
        # Pillow takes more than twice as long, for a file that is a fifth smaller.
        options = (cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_DEFAULT)
        _, encoded = cv2.imencode(".png", self.pixels()[..., ::-1], options)
        return bytes(encoded.tobytes())

    def _draw(self, bottom: int) -> ImageDraw.ImageDraw:
        """The drawing of the page, which is enlarged down to `bottom` if necessary."""
        if bottom > self._image.height:
            larger = Image.new("RGB", (self.width, bottom + 600), "white")
            larger.paste(self._image, (0, 0))
            self._image = larger
        return ImageDraw.Draw(self._image)


def resize(pixels: RGB, size: Size) -> RGB:
    """A photograph at another size."""
    shrinks = size.height < pixels.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(pixels, (size.width, size.height), interpolation=method).astype(np.uint8)


def fitted_image(path: Path, layout: Layout, unread: str = UNREAD) -> RGB | str:
    """An image file at the size of a picture; `unread` if it cannot be read."""
    with suppress(LabelgridError, OSError):
        pixels = read_image(path)
        return resize(pixels, layout.fit(Size(*pixels.shape[:2])))
    return unread


def fitted_photograph(image: ImageRow, layout: Layout) -> RGB | str:
    """As `fitted_image`, of an image wherever it is."""
    with suppress(LabelgridError):
        return fitted_image(image_file(image.root, image.image_id, image.digest), layout)
    return UNREAD


def fitted_label(
    task: TaskDef, label: LabelArray, layout: Layout, scale: Overview, *, size: Size | None = None
) -> RGB:
    """A label at the size of a picture, on the scale of an overview; `size`: the image's."""
    wanted = layout.fit(size or Size(*label.size))
    return thumbnail(task, label, wanted, scale.limits(), lines=scale.lines)


def framed(picture: RGB | str, part: Part | None) -> RGB | str:
    """A picture with a frame around a part; a text stays as it is."""
    if part is None or isinstance(picture, str):
        return picture
    height, width = picture.shape[:2]
    left, top, right, bottom = part
    first = (left * width // 100, top * height // 100)
    last = (right * width // 100 - 1, bottom * height // 100 - 1)
    drawn = np.ascontiguousarray(picture).copy()
    cv2.rectangle(drawn, first, last, (0, 0, 0), 4)
    cv2.rectangle(drawn, first, last, FRAME, 2)
    return drawn


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Matplotlib's own font, so that the sheet looks the same everywhere."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    package = find_spec("matplotlib")  # to load it takes half of the time of a picture
    path = Path(package.origin if package and package.origin else "").parent / "mpl-data"
    if not path.is_dir():  # a system may keep its data elsewhere
        import matplotlib as mpl

        path = Path(mpl.get_data_path())
    return ImageFont.truetype(str(path / "fonts" / "ttf" / name), size)


def _shorten(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """A text on one line, shortened in the middle to fit a width."""
    text = " ".join(text.split())
    keep = len(text)
    short = text
    while font.getlength(short) > width and keep > 2:
        keep -= 1
        short = f"{text[: keep // 2]}…{text[len(text) - (keep - keep // 2) :]}"
    return short


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(_shorten(word, font, width))
    return lines
