"""Draws a sheet of a project: some of its images, and beside each the labels of all tasks."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.files import write_bytes
from labelgrid.basics.progress import Progress
from labelgrid.basics.shown import Shown, picture_of
from labelgrid.basics.words import count_text
from labelgrid.drawings.contact_sheet import check_out
from labelgrid.drawings.label_sheet import (
    RGB,
    Layout,
    SheetRow,
    SheetTask,
    Size,
    label_sheet,
    resize,
)
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.sources import source_of
from labelgrid.tasks.overview import Legend
from labelgrid.tasks.pictures import thumbnail

#: The file in the project, unless another one is named.
SHEET = "sheet.png"
#: What is said of a cell without a label.
_NOTES = {State.MISSING: "no label", State.REQUESTED: "requested", State.SKIPPED: "skipped"}
_UNREAD = "cannot be read"


@dataclass(frozen=True, repr=False)
class DrawnSheet(Shown):
    """A sheet that was drawn.

    Args:
        path: the PNG file.
        shown: the images on it.
        images: the images that have a label; all images if none has.
        labelled: whether any has.
    """

    path: Path
    shown: int
    images: int
    labelled: bool

    def __str__(self) -> str:
        images = count_text(self.images, "image")
        return f"{self.path} shows {self.shown:,} of {images}{' with labels' * self.labelled}."

    def _parts(self) -> Iterator[str]:
        yield picture_of(self.path, "images beside their labels")


def draw_sheet(
    project: ProjectFolder, out: Path | None, count: int, progress: Progress
) -> DrawnSheet:
    """Draw a project's images beside their labels, spread evenly over the labelled images.

    `out` is the PNG file, `sheet.png` in the project by default; `count` the most images.

    Raises:
        ProjectError: the file's name does not end in .png, or the disk reports an error.
    """
    path = out or project.folder / SHEET
    check_out(path)
    rows = project.store.cells(state=State.LABELLED)
    labelled = list(dict.fromkeys(row.cell.image_id for row in rows))
    images = labelled or [row.image_id for row in project.store.images()]
    chosen = spread(images, count)
    painter = _Painter(project, chosen)
    painter.measure(progress)
    progress.start("Drawing images", len(chosen), "images")
    drawn = []
    for image_id in chosen:
        drawn.append(painter.row(image_id))
        progress.advance()
    stripes = any(shown.valid < shown.pixels for shown in painter.shown.values())
    title = _title(len(chosen), len(images), has_labels=bool(labelled))
    write_bytes(path, label_sheet(title, drawn, painter.heads(), painter.layout, stripes=stripes))
    return DrawnSheet(path, len(chosen), len(images), bool(labelled))


def spread(names: Sequence[str], count: int) -> list[str]:
    """So many of the names, or all, spread evenly.

    Example:
        >>> spread("abcdef", 3), spread("ab", 3)
        (['a', 'c', 'e'], ['a', 'b'])
    """
    count = min(count, len(names))
    return [names[index * len(names) // count] for index in range(count)]


def _title(shown: int, images: int, *, has_labels: bool) -> str:
    noun = "image" if not has_labels else "image with labels"
    whole = count_text(images, noun, noun.replace("image", "images"))
    if shown == images:
        return whole
    return f"{shown} of {whole}, spread evenly"


class _Painter:
    """Reads photographs and labels, and scales them down.

    `shown` gathers the labels' values, for the ends of scales and the legends.
    """

    def __init__(self, project: ProjectFolder, image_ids: Sequence[str]) -> None:
        self.image_ids = image_ids
        self.tasks = project.tasks()
        self.shown = {name: task.overview() for name, task in self.tasks.items()}
        self.layout = Layout(len(self.tasks), len(image_ids))
        self._counts = project.store.counts()
        self._source = source_of(project)
        self._splits = {row.image_id: row.split for row in project.store.images(names=image_ids)}
        cells = [Cell(image_id, name) for image_id in image_ids for name in self.tasks]
        self._states = {cell: row.state for cell, row in project.store.find(cells).items()}

    def measure(self, progress: Progress) -> None:
        """Read all labels once, for the scales and legends."""
        progress.start("Reading labels", len(self.image_ids), "images")
        for image_id in self.image_ids:
            for name, shown in self.shown.items():
                label = self._read(Cell(image_id, name))
                if label is not None:
                    shown.add(image_id, label)
            progress.advance()

    def row(self, image_id: str) -> SheetRow:
        """The pictures of an image, in a line of the sheet."""
        labels = [self._label(Cell(image_id, name)) for name in self.tasks]
        name = image_id
        if self._splits[image_id] == "heldout":
            name = f"{image_id} (held out)"
        return SheetRow(name, self._photograph(image_id), labels)

    def heads(self) -> list[SheetTask]:
        """The texts above the columns, with the legends."""
        return [self._head(name) for name in self.tasks]

    def _head(self, name: str) -> SheetTask:
        shown = self.shown[name]
        text = count_text(self._counts[name].labelled, "label")
        if not shown.labels:
            return SheetTask(name, text, Legend())
        said = shown.text()
        if said:
            text += f"; on this sheet: {said}"
        return SheetTask(name, text, shown.legend(shown.limits()))

    def _photograph(self, image_id: str) -> RGB | str:
        with suppress(LabelgridError, OSError):
            pixels = self._source.image(image_id)
            return resize(pixels, self.layout.fit(Size(*pixels.shape[:2])))
        return _UNREAD

    def _label(self, cell: Cell) -> RGB | str:
        state = self._states[cell]
        if state is not State.LABELLED:
            return _NOTES[state]
        label = self._read(cell)
        if label is None:
            return _UNREAD
        shown = self.shown[cell.task]
        size = self.layout.fit(Size(*label.size))
        task = self.tasks[cell.task]
        return thumbnail(task, label, size, shown.limits(), lines=shown.lines)

    def _read(self, cell: Cell) -> LabelArray | None:
        """The label of a cell; None if there is none, or if it cannot be read."""
        if self._states[cell] is not State.LABELLED:
            return None
        with suppress(LabelgridError, OSError):
            return self._source.label(cell.image_id, self.tasks[cell.task])
        return None
