"""Draws held-out predictions beside their labels, and labels over their photographs, for reports.

Loads no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.results import Result
from labelgrid.basics.streams import image_keys, keyed_uniform, seed_of
from labelgrid.basics.words import count_text
from labelgrid.data.dataset import Source
from labelgrid.drawings.label_sheet import RGB, Size, resize
from labelgrid.drawings.overlay import cover, label_at_size, overlay_legend
from labelgrid.drawings.wording import number
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.heldout_examples import EXAMPLES, HeldoutExample, read_examples
from labelgrid.project.records import Measurement
from labelgrid.project.sources import source_of
from labelgrid.report.content import PictureLegend, PictureRow, TaskPictures
from labelgrid.tasks.overview import Legend, Overview
from labelgrid.tasks.pictures import jpeg, picture_file, thumbnail
from labelgrid.tasks.task import TaskDef

#: The width of a picture in pixels: three of them fill a wide window.
WIDTH = 480
#: How many photographs are shown with labels over them.
OVERLAID = 3


def predictions_of(project: ProjectFolder, measured: Measurement) -> list[TaskPictures]:
    """The held-out predictions that a round kept, by task, beside their photographs and labels.

    What cannot be read any more is left out.

    Raises:
        ProjectError: the list of the predictions is damaged.
    """
    round_folder = project.round_folder(measured.round)
    by_task: dict[str, list[HeldoutExample]] = {}
    for example in read_examples(round_folder, measured.model):
        by_task.setdefault(example.task, []).append(example)
    tasks = project.tasks()
    shown = []
    for name in filter(by_task.__contains__, tasks):
        drawer = _Examples(project, tasks[name], measured)
        for example in by_task[name]:
            drawer.read(example)
        if drawer.read_ones:
            shown.append(drawer.pictures())
    return shown


class _Examples:
    """Reads a task's held-out predictions, then draws all with one scale."""

    def __init__(self, project: ProjectFolder, task: TaskDef, measured: Measurement) -> None:
        self.task = task
        self.measured = measured
        self.source = source_of(project)
        self.folder = project.round_folder(measured.round) / EXAMPLES
        self.overview = task.overview()
        self.read_ones: list[tuple[HeldoutExample, RGB, LabelArray, LabelArray]] = []

    def read(self, example: HeldoutExample) -> None:
        """Read the files of an example; one that cannot be read is left out."""
        try:
            photograph = self.source.image(example.image_id)
            label = self.source.label(example.image_id, self.task)
            prediction = self.task.read(self.folder / example.file)
        except (LabelgridError, OSError):  # moved or damaged since
            return
        if label is None:
            return
        for array in (label, prediction):
            self.overview.add(example.image_id, array)
        self.read_ones.append((example, photograph, label, prediction))

    def pictures(self) -> TaskPictures:
        """The pictures of all examples that were read."""
        limits = self.overview.limits()
        rows = []
        for example, photograph, label, prediction in self.read_ones:
            size = _shown_size(photograph)
            pictures = {"photograph": jpeg(photograph, WIDTH)}
            for name, array in (("label", label), ("prediction", prediction)):
                drawn = thumbnail(self.task, array, size, limits, lines=self.overview.lines)
                pictures[name] = jpeg(drawn, WIDTH)
            rows.append(PictureRow(self._text(example), pictures))
        legend = _legend(self.overview.legend(limits))
        return TaskPictures(self.task.name, rows, legend, self._note())

    @property
    def _metric(self) -> Result:
        return self.measured.metrics[self.task.name][self.task.headline]

    @property
    def _images(self) -> str:
        return count_text(self.measured.heldout_labels.get(self.task.name, 0), "image")

    def _text(self, example: HeldoutExample) -> str:
        metric = self._metric
        value = f"{metric.name} {number(example.value)} {metric.unit}".rstrip()
        return f"{example.place} of {self._images}: {example.image_id}, {value} on it alone"

    def _note(self) -> str:
        """The figure of all images, and why even the worst image may be better than that."""
        metric = self._metric
        text = (
            f"{self._images} together: {metric.name} {number(metric.value)} {metric.unit}".rstrip()
        )
        worst = [example.value for example, *_ in self.read_ones if example.place == "worst"]
        sign = 1 if metric.better == "higher" else -1
        if any(sign * (value - metric.value) > 0 for value in worst):
            text += (
                ". Even the worst image alone is better, since this is no mean of images: it is "
                "computed from the pixels of all, and where classes are averaged, from every class "
                "that one of them shows; a single image has few classes, mostly the frequent ones"
            )
        return f"{text}."


def overlays_of(project: ProjectFolder) -> list[TaskPictures]:
    """Some training photographs with their labels over them, by task.

    The photographs are drawn at random among those with the most labels.
    """
    tasks = project.tasks()
    labelled: dict[str, set[str]] = {}
    for row in project.store.cells(state=State.LABELLED, splits=("train",)):
        labelled.setdefault(row.cell.image_id, set()).add(row.cell.task)
    if not labelled:
        return []
    source = source_of(project)
    image_ids = _draw_images(labelled)
    shown = []
    for name, task in tasks.items():
        labels = _labels(source, task, [one for one in image_ids if name in labelled[one]])
        if labels:
            shown.append(_overlays(task, labels))
    return shown


def _draw_images(labelled: Mapping[str, set[str]]) -> list[str]:
    """The images with the most labels, of equal ones some at random."""
    image_ids = sorted(labelled)
    draws = keyed_uniform(image_keys(image_ids), seed_of(0, "report overlays"))
    counts = [len(labelled[image_id]) for image_id in image_ids]
    order = np.lexsort((draws, np.negative(counts)))
    return [image_ids[int(index)] for index in order[:OVERLAID]]


@dataclass(frozen=True)
class _Labelled:
    """A label, and its photograph at the size that is shown."""

    image_id: str
    photograph: RGB
    label: LabelArray


def _labels(source: Source, task: TaskDef, image_ids: Sequence[str]) -> list[_Labelled]:
    """The labels of these images at the size of the pictures; unreadable ones are left out."""
    labels = []
    lines = task.overview().lines
    for image_id in image_ids:
        try:
            photograph = source.image(image_id)
            label = source.label(image_id, task)
        except (LabelgridError, OSError):  # moved or damaged since
            continue
        if label is not None:
            size = _shown_size(photograph)
            small = label_at_size(label, size, lines=lines)
            labels.append(_Labelled(image_id, resize(photograph, size), small))
    return labels


def _overlays(task: TaskDef, labels: Sequence[_Labelled]) -> TaskPictures:
    overview: Overview = task.overview()
    for one in labels:
        overview.add(one.image_id, one.label)
    pictures = {}
    for one in labels:
        picture = cover(one.photograph, task, one.label, overview)
        pictures[one.image_id] = jpeg(picture, WIDTH)
    return TaskPictures(task.name, [PictureRow("", pictures)], _legend(overlay_legend(overview)))


def _shown_size(photograph: RGB) -> Size:
    """The size at which a photograph is shown, not larger than it is."""
    height, width = photograph.shape[:2]
    scale = min(1.0, WIDTH / width)
    return Size(max(1, round(height * scale)), max(1, round(width * scale)))


def _legend(legend: Legend) -> PictureLegend:
    """A legend with the colours and the picture of its scale as a page takes them."""
    swatches = []
    for (red, green, blue), name in legend.swatches:
        swatches.append((f"#{red:02x}{green:02x}{blue:02x}", name))
    scale = None if legend.scale is None else picture_file(legend.scale, ".png")
    return PictureLegend(swatches, scale, legend.ends)
