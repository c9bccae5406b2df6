"""How a project's network predicts images, as label files."""

from pathlib import Path

from labelgrid.errors import LabelError
from labelgrid.labels.naming import whole_names
from labelgrid.progress import Progress
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.sources import ImageFiles
from labelgrid.rounds.models import model_of, restore
from labelgrid.rounds.previews import label_path, write_label, write_soft_prediction
from labelgrid.train.evaluate import predictions


def predict(
    project: ProjectFolder, images: Path, out: Path, known: Path | None, progress: Progress, *, soft: bool = False
) -> int:
    """Write the predictions of all tasks for a folder of images, as label files at original size.

    Args:
        project: with a trained model.
        images: a folder or one file.
        out: files go to `out/<task>/<image path>.<ext>`.
        known: a folder of labels to feed in.
        progress: told of each batch.
        soft: write the predictions themselves too (class probabilities, say), beside each label file; `labels.soft`
            reads them.

    Returns:
        how many label files were written.

    Raises:
        LabelgridError: there is no model, no image, or one that cannot be read.
    """
    done, source = model_of(project), ImageFiles.of(images, known)
    context, model = restore(project, done)
    names, data, written = list(source.images()), context.recipe.data, 0
    progress.start("Predicting", len(names), "images")
    fed, whole = known is not None, whole_names(names, names)
    for name, raws, frame in predictions(model, context.definitions, source, names, data, known=fed, progress=progress):
        for task, raw in raws.items():
            path = label_path(out, context.definitions[task], name, name in whole)
            try:
                write_label(context.tasks[task], context.definitions[task], raw, frame, path)
                if soft:
                    write_soft_prediction(context.tasks[task], raw, frame, path)
                written += 1
            except LabelError as error:
                if isinstance(error.__cause__, OSError):  # the disk refuses: not this label's fault
                    raise
                progress.say(f"{task} of {name} was not written: {error.what}")
    return written
