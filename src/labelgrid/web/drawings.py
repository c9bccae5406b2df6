"""Turns labels into what a brush draws on, the numbers of regions, and drawings into labels."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import LabelError, UsageError
from labelgrid.basics.words import join_names
from labelgrid.drawings.overlay import MARK
from labelgrid.formats.codec import LabelArray
from labelgrid.formats.colours import colour_codes, colour_text
from labelgrid.formats.regions import UNCOVERED
from labelgrid.ledger.grid import Cell
from labelgrid.project.other_labels import OtherLabel
from labelgrid.tasks.class_colours import is_background
from labelgrid.tasks.overview import BLACK, WHITE
from labelgrid.tasks.task import TaskDef

#: The numbers of a drawing, as they are sent.
NUMBERS = np.dtype("<i2")
#: What follows a colour that is transparent over a photograph.
CLEAR = "00"


def check_drawable(task: TaskDef) -> None:
    """Refuse a task whose labels are no regions.

    Raises:
        UsageError: they are not.
    """
    if not task.region_names:
        raise UsageError(
            f"Labels of '{task.name}' are measured, not drawn.",
            next_step="Import them, or replace the label by a file.",
            unchanged="Nothing was changed.",
        )


def regions_of(task: TaskDef) -> list[tuple[str, str]]:
    """What a brush can draw: names with colours ("#rrggbb", of the background "#rrggbb00")."""
    if task.class_names:
        return value_names(task)
    return list(zip(task.region_names, _as_text(np.array([MARK], np.uint8)), strict=True))


def value_names(task: TaskDef) -> list[tuple[str, str]]:
    """The meanings of a label's values, in order, with the colours of pictures.

    The colours are written as those of `regions_of`. Empty if the values are measured.
    """
    if not task.region_names:
        return []
    names = task.class_names
    if not names:
        colours = np.array([BLACK, WHITE], np.uint8)
        return list(zip(("no", "yes"), _as_text(colours), strict=True))
    texts = _as_text(task.region_colours)
    meanings = []
    for name, text in zip(names, texts, strict=True):
        meanings.append((name, text + CLEAR if is_background(name) else text))
    return meanings


def _as_text(colours: NDArray[np.uint8]) -> list[str]:
    return [colour_text(code) for code in colour_codes(colours).tolist()]


def erased_name(task: TaskDef) -> str:
    """The meaning of a pixel that no region covers."""
    nothing = task.from_regions(np.full((1, 1), UNCOVERED, np.int32))
    return "no" if nothing.valid.all() else "not labelled"


def layer_regions(project: ProjectReader, cell: Cell, layer: OtherLabel) -> NDArray[np.int16]:
    """The regions [h, w] of a layer, at its image's size.

    Raises:
        UsageError: labels of the task are no regions.
        LabelError: the layer cannot be read, or has another size.
    """
    task = project.declared_task(cell.task)
    check_drawable(task)
    label = layer.read()
    if label.size != project.image_size(cell.image_id):
        raise LabelError(f"The {layer.name} has another size than its image.")
    return task.to_regions(label).astype(np.int16)


def drawn_label(project: ProjectReader, cell: Cell, drawing: bytes) -> LabelArray:
    """The label of a drawing: the number of each pixel's region, int16, little-endian.

    Raises:
        LedgerError: there is no such cell.
        UsageError: labels of the task are no regions, or the drawing is not of the image's size.
    """
    height, width = project.image_size(cell.image_id)
    task = project.declared_task(cell.task)
    check_drawable(task)
    if len(drawing) != height * width * NUMBERS.itemsize:
        raise UsageError(
            f"The drawing has {len(drawing):,} bytes; one of {height}x{width} pixels has "
            f"{height * width * NUMBERS.itemsize:,}.",
            unchanged="Nothing was changed.",
        )
    regions = np.frombuffer(drawing, NUMBERS).reshape(height, width).astype(np.int32)
    if regions.min() < UNCOVERED or regions.max() >= len(task.region_names):
        raise UsageError(
            f"The drawing has numbers from {regions.min()} to {regions.max()}; they must be from "
            f"{UNCOVERED} to {len(task.region_names) - 1}.",
            unchanged="Nothing was changed.",
        )
    return task.from_regions(regions)


def known_names(task: TaskDef, label: LabelArray) -> list[str] | None:
    """The annotated classes of a label; None: all."""
    if label.annotated is None:
        return None
    return [task.class_names[index] for index in np.flatnonzero(label.annotated).tolist()]


def knowing(task: TaskDef, drawn: LabelArray, class_names: Sequence[str] | None) -> LabelArray:
    """A drawing that knows some classes alone; None: all.

    Raises:
        UsageError: the label shows another class, or there is no such class.
    """
    if class_names is None:
        return drawn
    names = np.array(task.class_names)
    annotated = np.isin(names, class_names)
    unknown = sorted(set(class_names) - set(task.class_names))
    if unknown:
        raise UsageError(
            f"'{task.name}' has no class '{unknown[0]:.80}'.", unchanged="Nothing was changed."
        )
    shown = np.unique(drawn.value[drawn.valid])
    strange = names[shown[~annotated[shown]]].tolist()
    if strange:
        raise UsageError(
            f"The drawing shows {join_names(strange, 5)}, but the label knows other classes alone: "
            f"{join_names(class_names, 5)}. Where else {strange[0]} is, it would not say.",
            next_step="Erase it, or draw every class of the image and say so.",
            unchanged="Nothing was changed.",
        )
    return replace(drawn, annotated=annotated)
