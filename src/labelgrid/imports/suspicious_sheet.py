"""Draws the labels of an import that look wrong, each with the reason, and earlier ones below."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from labelgrid.basics.errors import LabelgridError
from labelgrid.drawings.label_sheet import RGB, Layout, SheetRow, SheetTask, Size, label_sheet
from labelgrid.evidence.part_grid import PartBox
from labelgrid.evidence.plausibility import Doubt
from labelgrid.formats.codec import LabelArray
from labelgrid.images.places import ImagePaths
from labelgrid.imports.import_picture import fitted_image, framed
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from labelgrid.tasks.pictures import thumbnail
from labelgrid.tasks.task import TaskDefs

#: So many images of the import are shown, and as many with earlier labels.
ROWS = 4
#: A doubt shows at most so many images that it notes, and no further doubt adds some if there are
#: `MOST`. Images that are compared with each other are never separated.
NOTED = 4
MOST = 8


@dataclass(frozen=True, kw_only=True)
class SuspiciousLabels:
    """An import whose labels look wrong.

    Args:
        project: the project.
        tasks: those that are shown.
        fresh: images of the import, in the order in which they are shown.
        earlier: images with labels that were imported before.
        imported: the cells of the import.
        read: reads a label, of the import or else of the project; None if there is none.
        parts: the parts of labels that look wrong, which are framed.
    """

    project: ProjectFolder
    tasks: TaskDefs
    fresh: Sequence[str]
    earlier: Sequence[str]
    imported: Collection[Cell]
    read: Callable[[Cell], LabelArray | None]
    parts: Mapping[Cell, PartBox] = field(default_factory=dict)


def draw_suspicious(labels: SuspiciousLabels, doubts: Sequence[Doubt]) -> bytes:
    """A PNG of images with their labels, each below what is doubted of it.

    Args:
        labels: the import.
        doubts: what is doubted of it, one at least.

    Raises:
        LabelgridError: a photograph cannot be found.
    """
    notes = suspicious_images(labels, doubts)
    painter = _Painter(labels, list(notes))
    painter.measure()
    rows = [painter.row(image_id, note) for image_id, note in notes.items()]
    stripes = any(shown.valid < shown.pixels for shown in painter.shown.values())
    title = "The labels of this import look wrong: some of them, with the reasons"
    return label_sheet(title, rows, painter.heads(), painter.layout, stripes=stripes)


def suspicious_images(labels: SuspiciousLabels, doubts: Sequence[Doubt]) -> dict[str, str]:
    """The images that are shown, and what is said of each: those that doubts note come first.

    Args:
        labels: the import.
        doubts: what is doubted of it.
    """
    chosen: list[str] = []
    for doubt in doubts:
        if len(chosen) < MOST:
            chosen += islice(doubt.notes, NOTED)
    shown = dict.fromkeys(chosen)
    for image_id in labels.fresh:
        if len(shown) < ROWS:
            shown.setdefault(image_id)
    notes = {image_id: _note(labels, doubts, image_id) for image_id in shown}
    earlier = [image_id for image_id in labels.earlier if image_id not in notes]
    return notes | dict.fromkeys(earlier[:ROWS], "imported before, to compare with")


def _note(labels: SuspiciousLabels, doubts: Sequence[Doubt], image_id: str) -> str:
    """What is said of an image: what doubts note of it, and those about all labels of a task."""
    parts = []
    for doubt in doubts:
        is_of_all = not doubt.notes and Cell(image_id, doubt.task) in labels.imported
        text = doubt.notes.get(image_id, doubt.brief if is_of_all else "")
        if text:
            parts.append(f"{doubt.task}: {text}")
    return "; ".join(parts) or f"{doubts[0].task}: of this import, to compare with"


class _Painter:
    """Reads photographs and labels, and makes small pictures of them, one at a time.

    `shown` gathers what the labels hold, for the ends of scales and the legends.
    """

    def __init__(self, labels: SuspiciousLabels, image_ids: Sequence[str]) -> None:
        self.labels = labels
        self.image_ids = image_ids
        rows = labels.project.store.images(names=image_ids)
        self.photographs = ImagePaths({row.image_id: (row.root, row.digest) for row in rows})
        self.shown = {name: task.overview() for name, task in labels.tasks.items()}
        self.layout = Layout(len(labels.tasks), len(image_ids))

    def measure(self) -> None:
        """Read all labels once, for what is said of them."""
        for image_id in self.image_ids:
            for name, shown in self.shown.items():
                label = self.labels.read(Cell(image_id, name))
                if label is not None:
                    shown.add(image_id, label)

    def row(self, image_id: str, note: str) -> SheetRow:
        """A photograph and its labels."""
        pictures = [self._label(Cell(image_id, name)) for name in self.labels.tasks]
        photograph: RGB | str = "cannot be read"
        with suppress(LabelgridError):
            photograph = fitted_image(self.photographs[image_id], self.layout)
        return SheetRow(image_id, photograph, pictures, note)

    def heads(self) -> list[SheetTask]:
        """What is said of each task, and what its colours mean."""
        heads = []
        for name, shown in self.shown.items():
            text = f"on this sheet: {shown.text()}" if shown.labels and shown.text() else ""
            limits = shown.limits() if shown.labels else None
            heads.append(SheetTask(name, text, shown.legend(limits)))
        return heads

    def _label(self, cell: Cell) -> RGB | str:
        label = self.labels.read(cell)
        if label is None:
            return "no label that can be read"
        shown = self.shown[cell.task]
        size = self.layout.fit(Size(*label.size))
        task = self.labels.tasks[cell.task]
        picture = thumbnail(task, label, size, shown.limits(), lines=shown.lines)
        return framed(picture, self.labels.parts.get(cell))
