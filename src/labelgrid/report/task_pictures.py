"""Draws held-out predictions, labels, and labels over photographs, for reports.

Loads no torch.
"""

from collections.abc import Sequence

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
from labelgrid.tasks.overview import Legend
from labelgrid.tasks.pictures import jpeg, picture_file, thumbnail
from labelgrid.tasks.task import TaskDef

#: The width of a picture in pixels: three of them fill a wide window.
WIDTH = 480
#: How many photographs are shown with labels over them.
OVERLAID = 3


def predictions_of(project: ProjectFolder, measured: Measurement) -> list[TaskPictures]:
    """A round's held-out predictions by task, beside photographs and labels.

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
        """Read the files of an example; an unreadable example is left out."""
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
        metric = self.measured.metrics[self.task.name][self.task.headline]
        images = count_text(self.measured.heldout_labels.get(self.task.name, 0), "image")
        limits = self.overview.limits()
        rows = []
        for example, photograph, label, prediction in self.read_ones:
            size = _shown_size(photograph)
            pictures = {"photograph": jpeg(photograph, WIDTH)}
            value = f"{metric.name} {number(example.value)} {metric.unit}".rstrip()
            text = f"{example.place} of {images}: {example.image_id}, {value} on it alone"
            for name, array in (("label", label), ("prediction", prediction)):
                drawn = thumbnail(self.task, array, size, limits, lines=self.overview.lines)
                pictures[name] = jpeg(drawn, WIDTH)
            rows.append(PictureRow(text, pictures))
        legend = _legend(self.overview.legend(limits))
        return TaskPictures(self.task.name, rows, legend, self._note(metric, images))

    def _note(self, metric: Result, images: str) -> str:
        """The metric of all images; even the worst image alone may be better."""
        text = f"{images} together: {metric.name} {number(metric.value)} {metric.unit}".rstrip()
        worst = []
        for example, *_ in self.read_ones:
            if example.place == "worst":
                worst.append(example.value)
        sign = 1 if metric.better == "higher" else -1
        if any(sign * (value - metric.value) > 0 for value in worst):
            text += (
                ". Even the worst image alone is better, since this is no mean of images: it is "
                "computed from the pixels of all, and where classes are averaged, from every class "
                "that one of them shows; a single image has few classes, mostly the frequent ones"
            )
        return f"{text}."


def overlays_of(project: ProjectFolder) -> list[TaskPictures]:
    """Some training photographs with labels over them, by task.

    The photographs are drawn at random among those with the most labels.
    """
    tasks = project.tasks()
    labelled: dict[str, set[str]] = {}
    for row in project.store.cells(state=State.LABELLED, splits=("train",)):
        labelled.setdefault(row.cell.image_id, set()).add(row.cell.task)
    if not labelled:
        return []
    source = source_of(project)
    image_ids = sorted(labelled)
    draws = keyed_uniform(image_keys(image_ids), seed_of(0, "report overlays"))
    counts = [len(labelled[image_id]) for image_id in image_ids]
    order = np.lexsort((draws, np.negative(counts)))
    drawn = [image_ids[int(index)] for index in order[:OVERLAID]]
    shown = []
    for name, task in tasks.items():
        overlays = _overlays(source, task, [one for one in drawn if name in labelled[one]])
        if overlays:
            shown.append(overlays)
    return shown


def _overlays(source: Source, task: TaskDef, image_ids: Sequence[str]) -> TaskPictures | None:
    """The labels of images over their photographs; None if no label can be read."""
    overview = task.overview()
    labels = []
    for image_id in image_ids:
        try:
            photograph = source.image(image_id)
            label = source.label(image_id, task)
        except (LabelgridError, OSError):  # moved or damaged since
            continue
        if label is not None:
            size = _shown_size(photograph)
            small = label_at_size(label, size, lines=overview.lines)
            overview.add(image_id, small)
            labels.append((image_id, resize(photograph, size), small))
    if not labels:
        return None
    pictures = {}
    for image_id, photograph, label in labels:
        pictures[image_id] = jpeg(cover(photograph, task, label, overview), WIDTH)
    return TaskPictures(task.name, [PictureRow("", pictures)], _legend(overlay_legend(overview)))


def _shown_size(photograph: RGB) -> Size:
    height, width = photograph.shape[:2]
    scale = min(1.0, WIDTH / width)
    return Size(max(1, round(height * scale)), max(1, round(width * scale)))


def _legend(legend: Legend) -> PictureLegend:
    swatches = []
    for (red, green, blue), name in legend.swatches:
        swatches.append((f"#{red:02x}{green:02x}{blue:02x}", name))
    scale = None if legend.scale is None else picture_file(legend.scale, ".png")
    return PictureLegend(swatches, scale, legend.ends)
