"""Evaluates a project's network on a split, or on a folder of labels."""

from pathlib import Path

from labelgrid.basics.errors import ProjectError, UsageError
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Json
from labelgrid.formats.naming import whole_names
from labelgrid.images.listing import list_images
from labelgrid.images.places import ImagePaths
from labelgrid.ledger.grid import Split
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.unusable_images import usable_images
from labelgrid.project.sources import ImageFiles, labels_folder, source_of
from labelgrid.rounds.context import labelled_images
from labelgrid.rounds.evaluate_files import evaluate_files, results_json
from labelgrid.rounds.model_record import measure, measure_heldout
from labelgrid.rounds.models import model_of, restore
from labelgrid.rounds.own_model.outside_score import evaluate_recorded
from labelgrid.rounds.protocol import WHOLE, Protocol
from labelgrid.train.evaluation import Evaluation, evaluate


def _evaluation_json(evaluation: Evaluation) -> Json:
    return {
        "labels": dict(evaluation.labels),
        "metrics": results_json(evaluation.metrics),
        "losses": dict(evaluation.losses),
        "loss_mtl": evaluation.loss_mtl.value,
    }


def evaluate_project(
    project: ProjectFolder,
    progress: Progress,
    labels: Path | None,
    split: Split | None,
    predictions: Path | None,
    protocol: Protocol = WHOLE,
) -> Json:
    """Evaluate the newest model, or a folder of prediction files.

    Args:
        project: the project.
        progress: receives the progress.
        labels: a folder of labels to evaluate on; None: those of a split.
        split: the split, held out by default.
        predictions: the folder of prediction files; None: the newest model predicts.
        protocol: the pixels that count.

    Raises:
        UsageError: a folder of labels is given beside a split or predictions, or the protocol does
            not fit the tasks.
        LabelgridError: as each of them.
    """
    if labels is not None and (split is not None or predictions is not None):
        raise UsageError(
            "--split and --predictions use the project's own labels, but LABELS were given too.",
            next_step="Leave LABELS or the options out.",
        )
    protocol.check(project.tasks())
    if labels is not None:
        values = evaluate_folder(project, labels, progress, protocol)
    elif predictions is not None:
        values = evaluate_predictions(
            project, predictions, split or "heldout", progress, protocol=protocol
        )
    else:
        values = evaluate_split(project, split or "heldout", progress, protocol)
    if protocol.is_whole:
        return values
    return {**values, "protocol": protocol.as_json()}


def evaluate_split(
    project: ProjectFolder, split: Split, progress: Progress, protocol: Protocol = WHOLE
) -> Json:
    """Evaluate the newest model on a split of the project.

    Held-out results on whole images are also written for the report.

    Raises:
        ProjectError: there is no model, or the split has no label.
    """
    fit = model_of(project)
    if fit.predictions:
        result = evaluate_recorded(project, fit, split, progress, protocol=protocol)
    else:
        context, model = restore(project, fit)
        if split == "heldout" and protocol.is_whole:
            result = measure_heldout(context, model=model, fit=fit, progress=progress)
        else:
            result = measure(context, model, split, progress, protocol=protocol)
    if result is None:
        raise ProjectError(
            f"The {split} split has no label.", next_step="Import labels for it first."
        )
    protocol.check_counted(result.labels, project.tasks())
    return _evaluation_json(result)


def evaluate_folder(
    project: ProjectFolder, labels: Path, progress: Progress, protocol: Protocol = WHOLE
) -> Json:
    """Evaluate the newest model on a folder of labels.

    The images are those in its folder `images/` or, without such a folder, the project's.

    Raises:
        ProjectError: there is no model, or no image has a label.
        LabelError: a label cannot be read.
    """
    context, model = restore(project, model_of(project))
    image_folder = labels / "images"
    if image_folder.is_dir():
        places = {image_id: (str(image_folder), "") for image_id in list_images(image_folder)}
    else:
        places = {row.image_id: (row.root, row.digest) for row in project.store.images()}
    paths = ImagePaths(places)
    source = ImageFiles(
        paths=paths,
        labels=labels_folder(labels),
        whole=whole_names(paths, paths),
        digests={image_id: digest for image_id, (_, digest) in places.items()},
    )
    image_ids = []
    for image_id in source.images():
        labels_of_image = (source.label(image_id, task) for task in context.definitions.values())
        if any(label is not None for label in labels_of_image):
            image_ids.append(image_id)
    if not image_ids:
        raise ProjectError(
            "No image has a label in the folder.",
            where=labels,
            next_step="Put labels at TASK/IMAGE.png below the folder.",
        )
    recipe = context.recipe
    result = evaluate(
        model,
        protocol.tasks(context.tasks, context.definitions),
        definitions=context.definitions,
        source=protocol.source(source, context.definitions),
        image_ids=image_ids,
        data=recipe.data,
        objective=recipe.objective,
        group=project.group_of,
        progress=progress,
    )
    protocol.check_counted(result.labels, context.definitions)
    return _evaluation_json(result)


def evaluate_predictions(
    project: ProjectFolder,
    predictions: Path,
    split: Split,
    progress: Progress,
    protocol: Protocol = WHOLE,
) -> Json:
    """Evaluate prediction files from any program on a split of the project; no model is needed.

    Raises:
        ProjectError: the split has no label.
        LabelgridError: as `evaluate_files`.
    """
    image_ids = usable_images(project, labelled_images(project, split), progress)
    if not image_ids:
        raise ProjectError(
            f"The {split} split has no label.", next_step="Import labels for it first."
        )
    return evaluate_files(
        source_of(project),
        project.tasks(),
        image_ids=image_ids,
        folder=predictions,
        progress=progress,
        protocol=protocol,
    )
