"""Writes predictions of images as label files, and beside them what people look at."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import write_bytes, write_text
from labelgrid.basics.progress import Progress
from labelgrid.data.dataset import ImageSource
from labelgrid.drawings.label_sheet import SheetTask, legends
from labelgrid.drawings.overlay import draw_overlay
from labelgrid.formats.codec import LabelArray
from labelgrid.formats.naming import label_name
from labelgrid.relations.bound import BoundRelation
from labelgrid.rounds.derived_predictions import ImagePredictions
from labelgrid.rounds.outputs import write_soft_prediction
from labelgrid.rounds.previews import label_path
from labelgrid.tasks.legend import (
    LEGEND_PICTURE,
    LEGEND_TABLE,
    OVERLAY,
    OVERLAYS,
    legend_of,
    legends_text,
)
from labelgrid.tasks.overview import Legend
from labelgrid.tasks.pictures import picture_file
from labelgrid.tasks.task import TaskDef, TaskDefs

#: The width of the picture of all legends, in pixels.
WIDTH = 900


@dataclass(frozen=True, kw_only=True)
class PredictionWriter:
    """Writes the predictions of images below a folder.

    Args:
        out: the folder for the files `<task>/<image path>.<ext>`.
        source: the images.
        derived: the tasks whose predictions follow from others.
        whole: the images whose files keep the image's extension in their names.
        soft: also write soft predictions.
        overlay: also draw each photograph with each prediction over it.
        progress: is told of what cannot be written.
    """

    out: Path
    source: ImageSource
    derived: Mapping[str, BoundRelation]
    whole: Collection[str]
    soft: bool
    overlay: bool
    progress: Progress

    def write(self, image_id: str, made: ImagePredictions) -> int:
        """Write the predictions of an image; returns the number of label files.

        Raises:
            LabelError: the disk reports an error.
            ProjectError: it does for a picture.
            ImageError: the photograph cannot be read any more.
        """
        written = 0
        photograph = self.source.image(image_id) if self.overlay else None
        for task in made.definitions:
            try:
                label = self._write(image_id, task, made)
            except LabelError as error:
                # A failed write is not specific to this label.
                if isinstance(error.__cause__, OSError):
                    raise
                self.progress.say(f"{task} of {image_id} was not written: {error.what}")
                continue
            written += 1
            if photograph is not None:
                picture = draw_overlay(photograph, made.definitions[task], label)
                write_bytes(self._overlay_path(image_id, task), picture_file(picture, OVERLAY))
        return written

    def _write(self, image_id: str, task: str, made: ImagePredictions) -> LabelArray:
        """Write a prediction; returns it."""
        path = label_path(self.out, made.definitions[task], image_id, image_id in self.whole)
        relation = self.derived.get(task)
        label = made.write(task, relation, path)
        if self.soft and relation is None:
            write_soft_prediction(made.tasks[task], made.raws[task], made.frame, path)
        return label

    def _overlay_path(self, image_id: str, task: str) -> Path:
        name = label_name(image_id, OVERLAY, image_id in self.whole)
        return self.out / OVERLAYS / task / name


def write_legends(out: Path, tasks: TaskDefs) -> None:
    """Write the classes of all tasks, with their colours and numbers, as a table and a picture.

    Raises:
        ProjectError: the disk reports an error.
    """
    text = legends_text(tasks.values())
    if not text:
        return
    shown = [_with_numbers(task) for task in tasks.values() if legend_of(task)]
    write_text(out / LEGEND_TABLE, text)
    write_bytes(out / LEGEND_PICTURE, picture_file(legends(shown, WIDTH), ".png"))


def _with_numbers(task: TaskDef) -> SheetTask:
    """The legend of a task, with the numbers in its files."""
    swatches = []
    for row in legend_of(task):
        red, green, blue = row.colour.to_bytes(3)
        name = row.name if row.number is None else f"{row.number}  {row.name}"
        swatches.append(((red, green, blue), name))
    return SheetTask(task.name, "", Legend(swatches=swatches))
