"""Draws a contact sheet: one row per image, with the image and the label of each task."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from labelgrid.basics import files
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.type_names import Size
from labelgrid.data.dataset import Source, nonempty_label
from labelgrid.images.reading import Pixels
from labelgrid.tasks.pictures import colour_map, picture_file
from labelgrid.tasks.task import TaskDefs

#: The gap between pictures, in pixels.
GAP = 2


def contact_sheet(source: Source, tasks: TaskDefs, image_ids: Sequence[str], out: Path) -> None:
    """Write a PNG of images and labels, all at the size of the first image.

    A missing or empty label is white.

    Raises:
        ImageError: an image cannot be read.
        LabelError: a label cannot be read.
        ProjectError: the file name does not end in .png, or the disk reports an error.
    """
    check_out(out)
    height, width = source.image(image_ids[0]).shape[:2]
    sheet_height = len(image_ids) * (height + GAP)
    sheet_width = (1 + len(tasks)) * (width + GAP)
    sheet = np.full((sheet_height, sheet_width, 3), 255, np.uint8)
    for row, image_id in enumerate(image_ids):
        top = row * (height + GAP)
        for column, picture in enumerate(_pictures(source, tasks, image_id, (width, height))):
            left = column * (width + GAP)
            sheet[top : top + height, left : left + width] = picture
    files.write_bytes(out, picture_file(sheet, ".png"), durable=True)


def check_out(out: Path) -> None:
    """Refuse a path that no sheet can be written to.

    Raises:
        ProjectError: its name does not end in .png, or there is no such folder.
    """
    if out.suffix.lower() != ".png":
        raise ProjectError(
            "A sheet is written as PNG.",
            where=out,
            next_step=f"Name it {out.stem or 'sheet'}.png.",
            unchanged="Nothing was written.",
        )
    if not out.absolute().parent.is_dir():
        raise ProjectError(
            "There is no such folder.", where=out.parent, next_step="Make it, or name another."
        )


def _pictures(source: Source, tasks: TaskDefs, image_id: str, size: Size) -> list[Pixels]:
    image = source.image(image_id)
    pictures = [image]
    for task in tasks.values():
        label = nonempty_label(source, image_id, task)
        if label is None:
            pictures.append(np.full_like(image, 255))
        else:
            pictures.append(colour_map(task, label.value, label.valid))
    return [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures]
