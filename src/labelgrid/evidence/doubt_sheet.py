"""Draws doubted labels with the reasons: some of a batch and earlier ones, or the worst of all."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import numpy as np

from labelgrid.basics.words import count_text
from labelgrid.drawings.label_sheet import (
    FRAME,
    RGB,
    UNREAD,
    Layout,
    SheetRow,
    SheetTask,
    Size,
    fitted_image,
    fitted_photograph,
    framed,
    label_sheet,
)
from labelgrid.evidence.batch_doubts import BatchDoubts
from labelgrid.evidence.doubts import Doubt
from labelgrid.evidence.known_labels import KnownLabels
from labelgrid.evidence.part_grid import PartBox
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.overview import Legend, Overview
from labelgrid.tasks.pictures import thumbnail
from labelgrid.tasks.task import TaskDef

#: So many images of a batch are shown, and as many with earlier labels.
ROWS = 4
#: A doubt shows at most so many images that it notes, and no further doubt adds some if there are
#: `MOST`. Images that are compared with each other are never separated.
NOTED = 4
MOST = 8
#: The most labels of a sheet of single ones.
SHOWN = 24
COLUMNS = ("label", "its outlines", "prediction", "what speaks against it")


@dataclass(frozen=True, kw_only=True)
class DoubtedLabels:
    """A batch of labels that look wrong.

    Args:
        known: reads the labels.
        tasks: the names of those that are shown.
        fresh: images of the batch, in the order in which they are shown.
        earlier: images with earlier labels.
        imported: the cells of the batch.
        parts: the parts of labels that look wrong, which are framed.
    """

    known: KnownLabels
    tasks: Sequence[str]
    fresh: Sequence[str]
    earlier: Sequence[str]
    imported: Collection[Cell]
    parts: Mapping[Cell, PartBox] = field(default_factory=dict)


def doubted_labels(batch: BatchDoubts, doubts: Sequence[Doubt]) -> DoubtedLabels:
    """What is drawn of a batch, by its first doubt; one there is at least."""
    doubted = list(dict.fromkeys(doubt.task for doubt in doubts))
    return DoubtedLabels(
        known=batch.known,
        tasks=[name for name in batch.tasks if name in doubted or batch.sample(name)],
        fresh=[cell.image_id for cell in batch.sample(doubted[0])],
        earlier=[cell.image_id for cell in batch.earlier(doubted[0])],
        imported=batch.digests.keys(),
        parts=batch.parts,
    )


def draw_batch(labels: DoubtedLabels, doubts: Sequence[Doubt]) -> bytes:
    """A PNG of images with their labels, each below what is doubted of it.

    Args:
        labels: the batch.
        doubts: what is doubted of it, one at least.
    """
    notes = doubted_images(labels, doubts)
    painter = _Painter(labels, list(notes))
    painter.measure()
    rows = [painter.row(image_id, note) for image_id, note in notes.items()]
    stripes = any(shown.valid < shown.pixels for shown in painter.shown.values())
    title = "The labels of this import look wrong: some of them, with the reasons"
    return label_sheet(title, rows, painter.heads(), painter.layout, stripes=stripes)


def doubted_images(labels: DoubtedLabels, doubts: Sequence[Doubt]) -> dict[str, str]:
    """The images that are shown, and what is said of each: those that doubts note come first.

    Args:
        labels: the batch.
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


def _note(labels: DoubtedLabels, doubts: Sequence[Doubt], image_id: str) -> str:
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

    def __init__(self, labels: DoubtedLabels, image_ids: Sequence[str]) -> None:
        self.labels = labels
        self.images = {row.image_id: row for row in labels.known.images(image_ids)}
        self.image_ids = image_ids
        self.tasks = {name: labels.known.tasks[name] for name in labels.tasks}
        self.shown = {name: task.overview() for name, task in self.tasks.items()}
        self.layout = Layout(len(labels.tasks), len(image_ids))

    def measure(self) -> None:
        """Read all labels once, for what is said of them."""
        for image_id in self.image_ids:
            for name, shown in self.shown.items():
                label = self.labels.known.label(Cell(image_id, name))
                if label is not None:
                    shown.add(image_id, label)

    def row(self, image_id: str, note: str) -> SheetRow:
        """A photograph and its labels."""
        pictures = [self._label(Cell(image_id, name)) for name in self.tasks]
        photograph = fitted_photograph(self.images[image_id], self.layout)
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
        label = self.labels.known.label(cell)
        if label is None:
            return "no label that can be read"
        picture = _label_picture(self.tasks[cell.task], label, self.shown[cell.task], self.layout)
        return framed(picture, self.labels.parts.get(cell))


def _label_picture(task: TaskDef, label: LabelArray, shown: Overview, layout: Layout) -> RGB:
    """A label at the size of a picture, with the scale of what is shown."""
    size = layout.fit(Size(*label.size))
    return thumbnail(task, label, size, shown.limits(), lines=shown.lines)


def draw_doubtful(
    known: KnownLabels,
    doubtful: Mapping[Cell, Sequence[str]],
    predictions: Mapping[Cell, Path],
    labels: int,
    *,
    parts: Mapping[Cell, PartBox] = MappingProxyType({}),
) -> bytes:
    """A PNG of the first doubtful labels.

    Args:
        known: reads the labels.
        doubtful: labels and what speaks against them, the worst first; one at least.
        predictions: pictures of predictions.
        labels: the number of all labels.
        parts: those of labels that look wrong, which are framed.
    """
    shown = dict(islice(doubtful.items(), SHOWN))
    columns = [name for name in COLUMNS if name != "prediction" or predictions]
    layout = Layout(len(columns), len(shown))
    rows = []
    image_ids = {cell.image_id for cell in shown}
    images = {row.image_id: row for row in known.images(image_ids)}
    tasks = known.tasks
    names = dict.fromkeys(cell.task for cell in shown)
    overviews = {name: tasks[name].overview() for name in names}
    for place, (cell, reasons) in enumerate(shown.items(), 1):
        photograph = fitted_photograph(images[cell.image_id], layout)
        array = known.label(cell)
        label: RGB | str = UNREAD
        outlines: RGB | str = ""
        if array is not None:
            overviews[cell.task].add(cell.image_id, array)
            label = _own_picture(tasks[cell.task], array, layout)
            if not isinstance(photograph, str):
                outlines = _outlined(photograph, tasks[cell.task], array)
        part = parts.get(cell)
        pictures = [framed(label, part), framed(outlines, part)]
        if predictions:
            path = predictions.get(cell)
            pictures.append(fitted_image(path, layout, "none") if path else "none")
        pictures.append(". ".join(reasons))
        rows.append(SheetRow(f"{place}. {cell.image_id}:{cell.task}", photograph, pictures))
    title = f"The {count_text(len(shown), 'label')} of {labels:,} against which most speaks"
    heads = [SheetTask(name, "", Legend()) for name in columns]
    legends = [SheetTask(name, "", _legend(overview)) for name, overview in overviews.items()]
    return label_sheet(title, rows, heads, layout, legends=legends)


def _legend(overview: Overview) -> Legend:
    """What a task's colours mean; without the ends of a scale, as each label has its own."""
    legend = overview.legend(overview.limits() if overview.labels else None)
    near, far = (end.split(": ")[0] for end in legend.ends)
    return replace(legend, ends=(near, far))


def _own_picture(task: TaskDef, label: LabelArray, layout: Layout) -> RGB:
    """A label at the size of a picture, with a scale of its own."""
    overview = task.overview()
    overview.add("", label)
    return _label_picture(task, label, overview, layout)


def _outlined(photograph: RGB, task: TaskDef, label: LabelArray) -> RGB | str:
    """A photograph with the strongest outlines of a label."""
    import cv2  # imported late: without a sheet nothing is drawn

    outline = task.outline(label)
    if outline is None or not outline.any():
        return "it has none"
    height, width = photograph.shape[:2]
    step = -(-max(outline.shape) // max(height, width))
    thick = cv2.dilate(outline, np.ones((step, step), np.uint8))
    small = cv2.resize(thick, (width, height), interpolation=cv2.INTER_LINEAR)
    strong = small > max(0.5 * float(np.quantile(small, 0.98)), 1e-6)
    drawn = photograph.copy()
    drawn[strong] = FRAME
    return drawn
