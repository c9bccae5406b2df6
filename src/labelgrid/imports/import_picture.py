"""Draws a picture of an import: some of its photographs, their new labels, and a legend."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np

from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.streams import image_keys, keyed_uniform, seed_of
from labelgrid.basics.words import count_text
from labelgrid.drawings.label_sheet import (
    RGB,
    Layout,
    SheetRow,
    SheetTask,
    Size,
    fitted_photograph,
    label_sheet,
)
from labelgrid.imports.imported import Numbers
from labelgrid.imports.validate_labels import AcceptedLabel, as_file
from labelgrid.project.folder import ProjectFolder
from labelgrid.tasks.overview import Overview
from labelgrid.tasks.pictures import thumbnail

#: The most photographs of a picture.
SHOWN = 6


def draw_import(
    project: ProjectFolder,
    labels: Sequence[AcceptedLabel],
    overviews: Mapping[str, Overview],
    numbers: Mapping[str, Numbers],
) -> bytes:
    """A PNG of some photographs with the new labels of all tasks.

    Photographs and labels that cannot be read are noted in their places.

    Args:
        project: the project that has the photographs.
        labels: the new and replaced labels, one at least.
        overviews: of all of them by task, for the ends of scales.
        numbers: the same in words.
    """
    by_image: dict[str, dict[str, AcceptedLabel]] = {}
    for label in labels:
        cell = label.row.cell
        by_image.setdefault(cell.image_id, {})[cell.task] = label
    chosen = _draw_images(list(by_image))
    painter = _Painter(project, overviews, chosen)
    rows = [painter.row(image_id, by_image[image_id]) for image_id in chosen]
    tasks = []
    for name in painter.names:
        text = numbers[name].text if name in numbers else ""
        tasks.append(SheetTask(name, text, painter.shown[name].legend(painter.limits[name])))
    images = count_text(len(by_image), "image")
    title = f"New labels of {images}"
    if len(chosen) < len(by_image):
        title = f"New labels of {images}; {len(chosen)} of them, drawn at random"
    stripes = any(shown.valid < shown.pixels for shown in painter.shown.values())
    return label_sheet(title, rows, tasks, painter.layout, stripes=stripes)


def _draw_images(image_ids: Sequence[str]) -> list[str]:
    """Some of the images, drawn by image id, in their order by name."""
    draws = keyed_uniform(image_keys(image_ids), seed_of(0, "import picture"))
    order = np.argsort(draws, kind="stable")[:SHOWN]
    return sorted(image_ids[int(index)] for index in order)


class _Painter:
    """Reads photographs and labels and makes small pictures of them, one at a time.

    `shown` gathers what the pictures show, for the legend.
    """

    def __init__(
        self, project: ProjectFolder, overviews: Mapping[str, Overview], image_ids: Sequence[str]
    ) -> None:
        self.images = {row.image_id: row for row in project.store.images(names=image_ids)}
        self.tasks = project.tasks()
        self.names = [name for name in self.tasks if name in overviews]
        self.limits = {name: overviews[name].limits() for name in self.names}
        self.shown = {name: self.tasks[name].overview() for name in self.names}
        self.layout = Layout(len(self.names), len(image_ids))

    def row(self, image_id: str, labels: Mapping[str, AcceptedLabel]) -> SheetRow:
        """A photograph and its new labels."""
        pictures = [self._label(labels.get(name)) for name in self.names]
        return SheetRow(image_id, fitted_photograph(self.images[image_id], self.layout), pictures)

    def _label(self, label: AcceptedLabel | None) -> RGB | str:
        if label is None:
            return "no new label"
        name = label.row.cell.task
        task = self.tasks[name]
        with suppress(LabelgridError, OSError), as_file(label.answer, task, label.size) as path:
            if path:
                array = task.read(path)
                shown = self.shown[name]
                shown.add(label.row.cell.image_id, array)
                size = self.layout.fit(Size(*array.size))
                return thumbnail(task, array, size, self.limits[name], lines=shown.lines)
        return "cannot be read"
