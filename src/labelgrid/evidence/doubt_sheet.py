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
    fitted_image,
    fitted_label,
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
from labelgrid.tasks.overview import Legend
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
        label_source: reads the labels.
        tasks: the names of those that are shown.
        fresh: images of the batch, in the order in which they are shown.
        earlier: images with earlier labels.
        imported: the cells of the batch.
        parts: the parts of labels that look wrong, which are framed.
    """

    label_source: KnownLabels
    tasks: Sequence[str]
    fresh: Sequence[str]
    earlier: Sequence[str]
    imported: Collection[Cell]
    parts: Mapping[Cell, PartBox] = field(default_factory=dict)


def doubted_labels(batch: BatchDoubts, doubts: Sequence[Doubt]) -> DoubtedLabels:
    """The labels of a batch to draw, by the first doubt."""
    doubted = list(dict.fromkeys(doubt.task for doubt in doubts))
    return DoubtedLabels(
        label_source=batch.known,
        tasks=[name for name in batch.tasks if name in doubted or batch.sample(name)],
        fresh=[cell.image_id for cell in batch.sample(doubted[0])],
        earlier=[cell.image_id for cell in batch.earlier(doubted[0])],
        imported=batch.digests.keys(),
        parts=batch.parts,
    )


def draw_batch(labels: DoubtedLabels, doubts: Sequence[Doubt]) -> bytes:
    """A PNG of images with labels and doubts, one at least."""
    notes = doubted_images(labels, doubts)
    label_source = labels.label_source
    images = {row.image_id: row for row in label_source.images(list(notes))}
    layout = Layout(len(labels.tasks), len(images))
    overviews = {name: label_source.tasks[name].overview() for name in labels.tasks}
    for image_id in notes:
        for name, overview in overviews.items():
            label = label_source.label(Cell(image_id, name))
            if label is not None:
                overview.add(image_id, label)
    rows = []
    for image_id, note in notes.items():
        pictures: list[RGB | str] = []
        for name, overview in overviews.items():
            cell = Cell(image_id, name)
            label = label_source.label(cell)  # again: they are not kept in memory
            picture: RGB | str = "no label that can be read"
            if label is not None:
                picture = fitted_label(label_source.tasks[name], label, layout, overview)
            pictures.append(framed(picture, labels.parts.get(cell)))
        rows.append(SheetRow(image_id, fitted_photograph(images[image_id], layout), pictures, note))
    heads = []
    for name, overview in overviews.items():
        text = overview.text() if overview.labels else ""
        legend = overview.legend(overview.limits() if overview.labels else None)
        heads.append(SheetTask(name, f"on this sheet: {text}" if text else "", legend))
    stripes = any(overview.valid < overview.pixels for overview in overviews.values())
    title = "The labels of this import look wrong: some of them, with the reasons"
    return label_sheet(title, rows, heads, layout, stripes=stripes)


def doubted_images(labels: DoubtedLabels, doubts: Sequence[Doubt]) -> dict[str, str]:
    """The shown images with notes; images that doubts name come first."""
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
    parts = []
    for doubt in doubts:
        is_of_all = not doubt.notes and Cell(image_id, doubt.task) in labels.imported
        text = doubt.notes.get(image_id, doubt.brief if is_of_all else "")
        if text:
            parts.append(f"{doubt.task}: {text}")
    return "; ".join(parts) or f"{doubts[0].task}: of this import, to compare with"


def draw_doubtful(
    label_source: KnownLabels,
    doubtful: Mapping[Cell, Sequence[str]],
    predictions: Mapping[Cell, Path],
    labels: int,
    *,
    parts: Mapping[Cell, PartBox] = MappingProxyType({}),
) -> bytes:
    """A PNG of the first doubtful labels.

    Args:
        label_source: reads the labels.
        doubtful: labels and the evidence against them, the worst first; at least one.
        predictions: pictures of predictions.
        labels: the number of all labels.
        parts: the parts of labels that look wrong, which are framed.
    """
    shown = dict(islice(doubtful.items(), SHOWN))
    columns = [name for name in COLUMNS if name != "prediction" or predictions]
    layout = Layout(len(columns), len(shown))
    rows = []
    image_ids = {cell.image_id for cell in shown}
    images = {row.image_id: row for row in label_source.images(image_ids)}
    overviews = {cell.task: label_source.tasks[cell.task].overview() for cell in shown}
    for place, (cell, reasons) in enumerate(shown.items(), 1):
        task = label_source.tasks[cell.task]
        photograph = fitted_photograph(images[cell.image_id], layout)
        array = label_source.label(cell)
        label: RGB | str = UNREAD
        outlines: RGB | str = ""
        if array is not None:
            overviews[cell.task].add(cell.image_id, array)
            label_overview = task.overview()  # each label has a scale of its own
            label_overview.add("", array)
            label = fitted_label(task, array, layout, label_overview)
            if not isinstance(photograph, str):
                outlines = _outlined(photograph, task, array)
        part = parts.get(cell)
        pictures = [framed(label, part), framed(outlines, part)]
        if predictions:
            path = predictions.get(cell)
            pictures.append(fitted_image(path, layout, "none") if path else "none")
        pictures.append(". ".join(reasons))
        rows.append(SheetRow(f"{place}. {cell.image_id}:{cell.task}", photograph, pictures))
    title = f"The {count_text(len(shown), 'label')} of {labels:,} against which most speaks"
    heads = [SheetTask(name, "", Legend()) for name in columns]
    legends = []
    for name, overview in overviews.items():
        legend = overview.legend(overview.limits() if overview.labels else None)
        near, far = (end.split(": ")[0] for end in legend.ends)
        legends.append(SheetTask(name, "", replace(legend, ends=(near, far))))
    return label_sheet(title, rows, heads, layout, legends=legends)


def _outlined(photograph: RGB, task: TaskDef, label: LabelArray) -> RGB | str:
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
