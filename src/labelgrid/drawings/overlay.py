"""Draws a photograph with a label or a prediction over it, and the legend of the colours below."""

from dataclasses import replace

import numpy as np

from labelgrid.drawings.label_sheet import RGB, SheetTask, Size, legends, resize
from labelgrid.formats.codec import LabelArray, nearest_pixels
from labelgrid.tasks.class_colours import is_background
from labelgrid.tasks.overview import Legend, Overview
from labelgrid.tasks.pictures import thicken_lines
from labelgrid.tasks.task import TaskDef

#: What is yes, over a photograph: the colour that few photographs hold.
MARK = (255, 40, 160)
#: How much of the photograph a label covers, from 0 to 1; what is yes covers more.
OPACITY = 0.6
OPACITY_YES = 0.8
#: The longer side of a photograph in pixels, at least and at most.
SHORTEST = 640
LONGEST = 1600
#: The space above the legend, which is at least as wide as a small photograph.
GAP = 12


def draw_overlay(photograph: RGB, task: TaskDef, label: LabelArray) -> RGB:
    """A label of any size, stretched over its photograph uint8 [h, w, 3], with a legend.

    The photograph shows where the label is not valid, and where it is background.
    """
    height, width = photograph.shape[:2]
    longer = max(height, width)
    scale = min(max(longer, SHORTEST), LONGEST) / longer
    size = Size(max(1, round(height * scale)), max(1, round(width * scale)))
    overview = task.overview()
    small = label_at_size(label, size, lines=overview.lines)
    overview.add("", small)
    legend = Legend()
    text = "nothing at any pixel"
    picture = resize(photograph, size)
    if small.valid.any():
        picture = cover(picture, task, small, overview)
        legend = overlay_legend(overview)
        text = ""
    width = max(size.width, SHORTEST)
    strip = legends([SheetTask(task.name, text, legend)], width)
    page = np.full((size.height + GAP + len(strip), width, 3), 255, np.uint8)
    page[: size.height, : size.width] = picture
    page[size.height + GAP :] = strip
    return page


def label_at_size(label: LabelArray, size: Size, *, lines: bool) -> LabelArray:
    """A label at another size, each pixel with the value of the nearest one.

    With `lines`, a pixel gets the largest value of the pixels that it replaces.
    """
    value = thicken_lines(label, size) if lines else label.value
    rows = nearest_pixels(label.size[0], size.height)[:, None]
    columns = nearest_pixels(label.size[1], size.width)
    return LabelArray(value[rows, columns], label.valid[rows, columns])


def cover(photograph: RGB, task: TaskDef, label: LabelArray, overview: Overview) -> RGB:
    """A photograph, covered by a label of the same size.

    `overview` is of all labels that are drawn with one legend.
    """
    shown = task.covers(label)
    value = np.where(shown[..., None], label.value, 0)
    if overview.yes_or_no:
        colours = np.array(MARK, np.float32)
        cover = OPACITY_YES * value.astype(np.float32)
    else:
        colours = task.render(value, shown, overview.limits()).astype(np.float32)
        cover = OPACITY * shown[..., None].astype(np.float32)
    mixed = photograph + cover * (colours - photograph)
    return np.rint(mixed).astype(np.uint8)


def overlay_legend(overview: Overview) -> Legend:
    """The meaning of the colours over the photograph."""
    if overview.yes_or_no:
        return Legend(swatches=[(MARK, "yes")])
    legend = overview.legend(overview.limits())
    swatches = []
    for colour, name in legend.swatches:
        swatches.append((colour, f"{name} (transparent)" if is_background(name) else name))
    return replace(legend, swatches=swatches)
