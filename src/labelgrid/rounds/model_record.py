"""Records a round's model, and its metrics on the held-out images."""

from dataclasses import replace

from labelgrid.ledger.grid import State
from labelgrid.project.declaration_changes import target_declarations
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import (
    Fit,
    Measurement,
    remove_measurement,
    write_fit,
    write_measurement,
)
from labelgrid.recipes.resolve import hash_of
from labelgrid.rounds.context import RoundContext
from labelgrid.train.evaluate import Evaluation


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
    project: ProjectFolder, context: RoundContext, fit: Fit, result: Evaluation | None
) -> None:
    """Write the metrics of a round on the held-out images; without any, remove older ones."""
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
        )
        write_measurement(project.round_folder(fit.round), record, spent, result.losses)
