"""Predicts images with a project's network, and writes the predictions as label files."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from labelgrid.annotate.answers import Fault
from labelgrid.errors import ImageError, LabelError
from labelgrid.formats.naming import whole_names
from labelgrid.progress import Progress
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.image_files import readable_images, write_left_out
from labelgrid.project.sources import ImageFiles, labels_folder, other_folders
from labelgrid.rounds.context import RoundContext
from labelgrid.rounds.models import model_of, need_two_stages, restore
from labelgrid.rounds.outputs import write_label, write_soft_prediction
from labelgrid.rounds.previews import label_path
from labelgrid.train.evaluate import predictions
from labelgrid.train.model import TrainedModel
from labelgrid.words import join_names

T = TypeVar("T")


def predict(
    project: ProjectFolder,
    images: Path,
    out: Path,
    known: Path | None,
    progress: Progress,
    *,
    soft: bool = False,
    left_out: list[Fault] | None = None,
) -> int:
    """Write the predictions of all tasks for a folder of images, as label files at original size.

    Args:
        project: with a trained model.
        images: a folder or one file.
        out: the folder for the files `<task>/<image path>.<ext>`.
        known: a folder of labels to feed in.
        progress: receives the progress.
        soft: also write the soft predictions (class probabilities, say) beside each label file;
            `formats.soft` reads them.
        left_out: gets the images that cannot be read, which are listed in a file of the project,
            too; None: one is an error.

    Returns:
        The number of label files written.

    Raises:
        LabelgridError: there is no model or no image, no known label is of these images or the
            network can use none, or a file cannot be read.
    """
    fit = model_of(project)
    source = ImageFiles.of(images, known, left_out)
    if left_out is not None:
        source = replace(source, paths=readable_images(source.paths, left_out, progress))
        write_left_out(project.folder, left_out)
    context, model = restore(project, fit)
    if known:
        _check_known(source, context, model=model, folder=known, progress=progress)
    definitions = context.definitions
    image_ids = list(source.images())
    written = 0
    progress.start("Predicting", len(image_ids), "images")
    whole = whole_names(image_ids, image_ids)
    outputs = predictions(
        model,
        definitions,
        source=source,
        image_ids=image_ids,
        data=context.recipe.data,
        known=known is not None,
        progress=progress,
    )
    for image_id, raws, frame in _with_advice(outputs, left_out is None):
        for task, raw in raws.items():
            path = label_path(out, definitions[task], image_id, image_id in whole)
            try:
                write_label(context.tasks[task], definitions[task], raw=raw, frame=frame, path=path)
                if soft:
                    write_soft_prediction(context.tasks[task], raw, frame, path)
                written += 1
            except LabelError as error:
                # A failed write is not specific to this label.
                if isinstance(error.__cause__, OSError):
                    raise
                progress.say(f"{task} of {image_id} was not written: {error.what}")
    return written


def _with_advice(outputs: Iterator[T], stops: bool) -> Iterator[T]:
    """The outputs; if an image `stops` them, the error names the option that leaves it out."""
    try:
        yield from outputs
    except ImageError as error:
        if stops:
            error.next_step = f"{error.next_step} Or leave such images out with --leave-out."
        raise


def _check_known(
    source: ImageFiles, context: RoundContext, model: TrainedModel, folder: Path, progress: Progress
) -> None:
    """Say how many known labels are fed in; refuse if that are none, or if they have no effect."""
    need_two_stages(context, model)
    counts = source.label_counts(context.definitions)
    if not counts:
        raise LabelError(
            "None of the known labels is of one of the images and a task of the project.",
            where=str(folder),
            next_step="A label lies at TASK/IMAGE.EXT; the tasks are "
            f"{', '.join(context.definitions)}.",
            unchanged="Nothing was written.",
        )
    others = other_folders(labels_folder(folder), context.definitions)
    if others:
        progress.say(f"Not fed in, as no task has this name: {join_names(others)}.")
    parts = [f"{count} of {name}" for name, count in counts.items()]
    progress.say(f"Feeding in known labels: {', '.join(parts)}.")
