"""Measures a round's model, and records it and its metrics on the held-out images."""

import math
from dataclasses import replace

from labelgrid.basics.progress import Progress
from labelgrid.ledger.grid import Split, State
from labelgrid.project.declaration_changes import target_declarations
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.unusable_images import usable_images
from labelgrid.project.records import (
    Fit,
    Measurement,
    remove_measurement,
    write_fit,
    write_measurement,
)
from labelgrid.recipes.resolve import hash_of
from labelgrid.rounds.context import RoundContext, labelled_images
from labelgrid.rounds.heldout_examples import Outputs, save_examples
from labelgrid.rounds.protocol import WHOLE, Protocol
from labelgrid.train.evaluate import Evaluation, evaluate, predictions
from labelgrid.train.model import TrainedModel


def record_model(project: ProjectFolder, fit: Fit) -> None:
    """Write the record of a finished training, or of a folder of predictions.

    Also into the ledger, unless a query has closed the round meanwhile.
    """
    write_fit(project.round_folder(fit.round), fit)
    with project.store.transaction():
        row = project.store.current_round()
        if row and row.number == fit.round:
            project.store.update_round(replace(row, recipe=hash_of(fit.recipe), model=fit.model))


def record_measurement(
    project: ProjectFolder,
    context: RoundContext,
    fit: Fit,
    result: Evaluation | None,
    outputs: Outputs,
) -> None:
    """Write the metrics of a round on the held-out images; without any, remove older ones.

    Also a few predictions for the report, which `outputs` makes.
    """
    if result is None:
        remove_measurement(project.round_folder(fit.round))
    else:
        spent = project.store.spent(("heldout",))
        rows = project.store.cells(state=State.LABELLED, splits=("heldout",))
        labels = [(row.cell.image_id, row.cell.task, row.digest) for row in rows]
        record = Measurement(
            round=fit.round,
            model=fit.model,
            labels=fit.labels,
            spent=fit.spent,
            heldout_labels=result.labels,
            metrics=result.metrics,
            loss_mtl=result.loss_mtl.value,
            heldout_set=hash_of(sorted(labels), target_declarations(context.definitions)),
            without=result.without,
            classes=result.classes,
        )
        folder = project.round_folder(fit.round)
        write_measurement(folder, record, spent, result.losses)
        save_examples(folder, context, fit=fit, result=result, outputs=outputs)


def measure_heldout(
    project: ProjectFolder, context: RoundContext, model: TrainedModel, fit: Fit, progress: Progress
) -> Evaluation | None:
    """Evaluate a round's network on the held-out labels, and write the result for the report.

    The cost of these labels is written, too. Without a held-out label, older metrics of the round
    are removed.
    """
    result = measure(project, context, model=model, split="heldout", progress=progress)
    record_measurement(
        project,
        context,
        fit=fit,
        result=result,
        outputs=lambda image_ids: predictions(
            model,
            context.definitions,
            source=context.source,
            image_ids=image_ids,
            data=context.recipe.data,
        ),
    )
    if result is not None:
        _say_unmeasured(result, progress)
    return result


def _say_unmeasured(result: Evaluation, progress: Progress) -> None:
    """Say which metrics of a task with held-out labels are no number, such as without edges."""
    for task, metrics in result.metrics.items():
        names = [name for name, metric in metrics.items() if not math.isfinite(metric.value)]
        if names and result.labels.get(task):
            progress.say(
                f"{task}: {', '.join(names)} cannot be measured on its held-out labels: they hold "
                "nothing of what is looked for."
            )


def measure(
    project: ProjectFolder,
    context: RoundContext,
    model: TrainedModel,
    split: Split,
    progress: Progress,
    protocol: Protocol = WHOLE,
) -> Evaluation | None:
    """Evaluate a network on the labels of a split; None if the split has no label.

    `protocol` says which of their pixels count.
    """
    image_ids = usable_images(project, labelled_images(project, split), progress)
    if not image_ids:
        return None
    recipe = context.recipe
    return evaluate(
        model,
        protocol.tasks(context.tasks, context.definitions),
        definitions=context.definitions,
        source=protocol.source(context.source, context.definitions),
        image_ids=image_ids,
        data=recipe.data,
        objective=recipe.objective,
        workers=recipe.train.workers,
        group=project.group_of,
        progress=progress,
    )
