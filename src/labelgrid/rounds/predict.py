"""Predicts images with a project's network, and writes the predictions as label files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from labelgrid.annotate.answers import Fault
from labelgrid.basics.errors import ImageError, LabelError
from labelgrid.basics.files import remove_abandoned, remove_folder
from labelgrid.basics.progress import Progress
from labelgrid.basics.words import join_names
from labelgrid.data.cameras import read_cameras
from labelgrid.executors.workplace import IN_THIS_PROCESS, Workplace
from labelgrid.formats.naming import whole_names
from labelgrid.images.places import chosen_paths
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.image_files import (
    readable_images,
    refuse_or_leave_out,
    write_left_out,
)
from labelgrid.project.sources import ImageFiles, labels_folder, other_folders
from labelgrid.rounds.context import RoundContext, context_of, training_context
from labelgrid.rounds.derived_predictions import Derived
from labelgrid.rounds.models import check_known_is_used, model_of, restore_model
from labelgrid.rounds.predictor import PredictionOrder, write_legends
from labelgrid.rounds.shard_predictor import prediction_pass
from labelgrid.train.trained_model import TrainedModel

if TYPE_CHECKING:
    from labelgrid.storage.addresses import Address


def predict(
    project: ProjectFolder,
    images: "Path | Address",
    out: Path,
    known_labels: Path | None,
    progress: Progress,
    *,
    soft: bool = False,
    overlay: bool = False,
    relations: Derived = "missing",
    left_out: list[Fault] | None = None,
    workplace: Workplace = IN_THIS_PROCESS,
) -> int:
    """Write the predictions of all tasks for a folder of images, as label files at original size.

    Predictions of tasks that the network did not learn are derived from other predictions, if a
    relation is on. Classes have colours, which a table and a picture in the folder name.

    Args:
        project: a project with a trained model.
        images: a folder or one file.
        out: the folder for the files `<task>/<image path>.<ext>`.
        known_labels: a folder of labels to feed in.
        progress: receives the progress.
        soft: also write the soft predictions (class probabilities, say) beside each label file;
            `formats.soft` reads them.
        overlay: also draw each photograph with each prediction over it.
        relations: the relations of which tasks predictions are derived; a derived one is no soft
            prediction.
        left_out: gets the images that cannot be read, which are listed in a file of the project,
            too; None: one is an error.
        workplace: where the images are predicted, and in which shards. In shards, such an error
            comes when all others are predicted.

    Returns:
        The number of label files written; of a share, its own.

    Raises:
        LabelgridError: there is no model or no image, no known label is of these images or the
            network can use none, or a file cannot be read.
    """
    fit = model_of(project)
    cameras = read_cameras(project.folder)
    source = replace(ImageFiles.of(images, known_labels, left_out), cameras=cameras)
    is_here = workplace.executor is None
    if left_out is not None and is_here:
        readable = readable_images(source.paths, left_out, progress)
        source = replace(source, paths=chosen_paths(source.paths, readable))
        write_left_out(project.folder, left_out)
    current = context_of(project)
    context = training_context(current, fit)
    order = PredictionOrder(
        folder=project.folder.absolute(),
        encoders=project.encoders.absolute(),
        tasks=tuple(project.store.tasks()),
        class_lists=tuple(project.store.class_lists()),
        recipe=context.recipe,
        # The training's relations stay where the project's recipe does not declare them.
        relations={**context.recipe.relations, **current.recipe.relations},
        which=relations,
        fit=fit,
        feeds_known=known_labels is not None,
        out=out if is_here else out.absolute(),
        soft=soft,
        overlay=overlay,
    )
    predictor = order.predictor()
    # Maps of photographs that are predicted once are not kept.
    heads = replace(context, definitions=predictor.heads, features=None)
    model = restore_model(heads, fit)
    for task in sorted(predictor.heads.keys() - predictor.derived.keys() - set(fit.trained)):
        progress.say(f"No label of '{task}' was learned: its predictions mean nothing.")
    if known_labels:
        _check_known(source, heads, model=model, folder=known_labels, progress=progress)
    if not is_here:
        write_legends(out, context.definitions)
        return _predict_shards(
            project, order, source, workplace, left_out=left_out, progress=progress
        )
    image_ids = list(source.images())
    progress.start("Predicting", len(image_ids), "images")
    write_legends(out, context.definitions)
    whole = whole_names(image_ids, image_ids)
    with _with_advice(left_out is None):
        return predictor.write(model, source, image_ids, whole=whole, progress=progress)


def _predict_shards(
    project: ProjectFolder,
    order: PredictionOrder,
    source: ImageFiles,
    workplace: Workplace,
    *,
    left_out: list[Fault] | None,
    progress: Progress,
) -> int:
    """Predict a folder of images in shards; return the number of label files of this share."""
    predicting = prediction_pass(order, source)
    shards = predicting.shards(workplace)
    is_whole = predicting.run(shards, workplace, progress)
    records = [shard.read() for shard in shards]
    share = workplace.share
    of_share = [record for place, record in enumerate(records) if share.takes(place)]
    written = sum(record.written for record in of_share if record)
    if not is_whole:
        return written
    faults = []
    for record in filter(None, records):
        for image_id, reason in record.faults.items():
            faults.append(Fault(image_id, reason))
    remove_folder(predicting.folder)
    remove_abandoned(order.out, deep=True)
    refuse_or_leave_out(faults, len(source.paths), left_out)
    if left_out is not None:
        write_left_out(project.folder, left_out)
    return written


@contextmanager
def _with_advice(stops: bool) -> Iterator[None]:
    """Add the option for leaving images out to the error of an image that `stops` the block."""
    try:
        yield
    except ImageError as error:
        if stops:
            error.next_step = f"{error.next_step} Or leave such images out with --leave-out."
        raise


def _check_known(
    source: ImageFiles, context: RoundContext, model: TrainedModel, folder: Path, progress: Progress
) -> None:
    """Say how many known labels are fed in; refuse labels without any effect."""
    check_known_is_used(context, model)
    counts = source.label_counts(context.definitions)
    if not counts:
        raise LabelError(
            "None of the known labels is of one of the images and a task of the project.",
            where=folder,
            next_step="A label lies at TASK/IMAGE.EXT; the tasks are "
            f"{', '.join(context.definitions)}.",
            unchanged="Nothing was written.",
        )
    others = other_folders(labels_folder(folder), context.definitions)
    if others:
        progress.say(f"Not fed in, as no task has this name: {join_names(others)}.")
    parts = [f"{count} of {name}" for name, count in counts.items()]
    progress.say(f"Feeding in known labels: {', '.join(parts)}.")
