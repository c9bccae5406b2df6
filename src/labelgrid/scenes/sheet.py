"""A picture of many labels at once: a row an image, the image first, then each task's label."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from labelgrid import files
from labelgrid.data.dataset import Source
from labelgrid.errors import ProjectError
from labelgrid.labels.images import Pixels
from labelgrid.tasks.pictures import colour_map
from labelgrid.tasks.task import TaskDef

#: Free pixels between pictures.
GAP = 2


def contact_sheet(source: Source, tasks: Mapping[str, TaskDef], names: Sequence[str], out: Path) -> None:
    """Write a PNG of images and labels, all drawn at the first image's size; a missing label is left white.

    Raises:
        ImageError: an image cannot be read. LabelError: a label cannot be. ProjectError: the file's name
        ends otherwise than in .png, or the disk refuses.
    """
    if out.suffix.lower() != ".png":
        raise ProjectError(
            "A sheet is written as PNG.",
            where=str(out),
            next_step=f"Name it {out.with_suffix('.png').name}.",
            unchanged="Nothing was written.",
        )
    height, width = source.image(names[0]).shape[:2]
    rows = [_row(source, tasks, name, (width, height)) for name in names]
    sheet = np.full((len(rows) * (height + GAP), (1 + len(tasks)) * (width + GAP), 3), 255, np.uint8)
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            top, left = row * (height + GAP), column * (width + GAP)
            sheet[top : top + height, left : left + width] = picture
    _, data = cv2.imencode(".png", sheet[..., ::-1])
    with files.disk(out), files.atomic_write(out, durable=True) as temporary:
        temporary.write_bytes(data.tobytes())


def _row(source: Source, tasks: Mapping[str, TaskDef], name: str, size: tuple[int, int]) -> list[Pixels]:
    image = source.image(name)
    found = [image]
    for task in tasks.values():
        label = source.label(name, task)
        found.append(np.full_like(image, 255) if label is None else colour_map(task, label.value, label.valid))
    return [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in found]
