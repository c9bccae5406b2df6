"""Draws the labels against which most speaks: photograph, label, outlines, prediction, reasons."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType

import numpy as np

from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.words import count_text
from labelgrid.drawings.label_sheet import (
    RGB,
    Layout,
    SheetRow,
    SheetTask,
    Size,
    label_sheet,
)
from labelgrid.evidence.part_grid import PartBox
from labelgrid.formats.codec import LabelArray
from labelgrid.images.places import image_file
from labelgrid.imports.import_picture import fitted_image, framed
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.stored_labels import read_stored_label
from labelgrid.tasks.overview import Legend, Overview
from labelgrid.tasks.pictures import thumbnail
from labelgrid.tasks.task import TaskDef

#: The most labels of a sheet.
SHOWN = 24
#: The colour of a label's outlines on its photograph.
OUTLINE = (255, 40, 160)
COLUMNS = ("label", "its outlines", "prediction", "what speaks against it")


def draw_audit(
    project: ProjectFolder,
    doubtful: Mapping[Cell, Sequence[str]],
    predictions: Mapping[Cell, Path],
    labels: int,
    *,
    parts: Mapping[Cell, PartBox] = MappingProxyType({}),
) -> bytes:
    """A PNG of the first doubtful labels.

    Args:
        project: the project.
        doubtful: labels and what speaks against them, the worst first; one at least.
        predictions: pictures of predictions.
        labels: the number of all labels.
        parts: those of labels that look wrong, which are framed.
    """
    shown = dict(islice(doubtful.items(), SHOWN))
    columns = [name for name in COLUMNS if name != "prediction" or predictions]
    layout = Layout(len(columns), len(shown))
    rows = []
    tasks = project.tasks()
    names = dict.fromkeys(cell.task for cell in shown)
    overviews = {name: tasks[name].overview() for name in names}
    for place, (cell, reasons) in enumerate(shown.items(), 1):
        photograph, label, outlines = _pictures(project, cell, overviews[cell.task], layout)
        part = parts.get(cell)
        pictures = [framed(label, part), framed(outlines, part)]
        if predictions:
            pictures.append(_prediction(predictions.get(cell), layout))
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


def _pictures(
    project: ProjectFolder, cell: Cell, shown: Overview, layout: Layout
) -> tuple[RGB | str, RGB | str, RGB | str]:
    """The photograph, the label, which is added to `shown`, and its outlines on the photograph."""
    photograph: RGB | str = "cannot be read"
    label: RGB | str = "cannot be read"
    outlines: RGB | str = ""
    task = project.tasks()[cell.task]
    row = project.store.find([cell])[cell]
    with suppress(LabelgridError):
        image = project.store.image(cell.image_id)
        path = image_file(image.root, cell.image_id, image.digest)
        photograph = fitted_image(path, layout)
    with suppress(LabelgridError, OSError):
        array = read_stored_label(project, row, task)
        overview = task.overview()
        overview.add(cell.image_id, array)
        shown.add(cell.image_id, array)
        size = layout.fit(Size(*array.size))
        label = thumbnail(task, array, size, overview.limits(), lines=overview.lines)
        if not isinstance(photograph, str):
            outlines = _outlined(photograph, task, array)
    return photograph, label, outlines


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
    drawn[strong] = OUTLINE
    return drawn


def _prediction(path: Path | None, layout: Layout) -> RGB | str:
    return fitted_image(path, layout, "none") if path else "none"
