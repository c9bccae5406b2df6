"""Collects the layers of a cell: its label, predictions, derived and supplied labels."""

from contextlib import suppress
from functools import partial

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import LabelgridError, LedgerError
from labelgrid.ledger.grid import Cell
from labelgrid.project.cells.measuring_cells import MeasuringCells
from labelgrid.project.live_folder import LiveFolder
from labelgrid.project.other_labels import OtherLabel
from labelgrid.web.predictions import Predictions

#: The key of the ledger's own label, and of a prediction while labels are made.
LABEL = "label"
LIVE = "live"


def shown_layers(
    project: ProjectReader, cell: Cell, predictions: Predictions
) -> tuple[list[OtherLabel], str]:
    """The layers on screen while a label is drawn, and why others are not; empty: all are.

    For a label that measures something, only its own versions are shown.

    Raises:
        LabelgridError: as `layers_of`.
    """
    purpose = MeasuringCells(project.disk).purpose(cell)
    if purpose:
        return own_label(project, cell), purpose
    return layers_of(project, cell, predictions), ""


def layers_of(project: ProjectReader, cell: Cell, predictions: Predictions) -> list[OtherLabel]:
    """The layers of a cell, its label first.

    Raises:
        LabelgridError: there is no such cell, or what else is known cannot be read, as with a wrong
            recipe.
    """
    return [*own_layers(project, cell, predictions), *project.cell(cell).other_labels()]


def own_layers(project: ProjectReader, cell: Cell, predictions: Predictions) -> list[OtherLabel]:
    """The label of a cell, and predictions made on this machine, as far as they are there.

    Raises:
        LedgerError: there is no such cell.
    """
    measuring = MeasuringCells(project.disk)
    made = [live_prediction(project, cell, measuring), predictions.of(project, cell)]
    return [*own_label(project, cell), *filter(None, made)]


def live_prediction(
    project: ProjectReader, cell: Cell, measuring: MeasuringCells
) -> OtherLabel | None:
    """The prediction of the model that learns while labels are made; None for measuring labels."""
    task = project.declared_task(cell.task)
    with suppress(LabelgridError):
        path = LiveFolder.of(project.disk).prediction(cell, task.codec.EXTENSIONS[0])
        if path and not measuring.purpose(cell):
            return OtherLabel(
                key=LIVE,
                name="live, not a result: prediction",
                version=path.parent.name,
                read=partial(task.read_prediction, path),
                hint="model",
            )
    return None


def own_label(project: ProjectReader, cell: Cell) -> list[OtherLabel]:
    """The label of a cell, if there is a label, with the hint from its drawing.

    Raises:
        LedgerError: there is no such cell.
    """
    last = next(reversed(project.cell(cell).history()), None)
    if last is None or last["after"] != "labelled":
        return []
    label = OtherLabel(
        key=LABEL,
        name="label",
        version=str(last["event"]),
        read=partial(project.label, cell),
        hint=last["hint"],
    )
    return [label]


def layer_of(project: ProjectReader, cell: Cell, key: str, predictions: Predictions) -> OtherLabel:
    """One layer of a cell.

    Raises:
        LedgerError: there is no such cell or layer, or the layer may not be seen yet.
    """
    if key != LABEL:
        refuse_early_look(project, cell)
    for find in (own_layers, layers_of):
        for layer in find(project, cell, predictions):
            if layer.key == key:
                return layer
    problem = "has no label" if key == LABEL else f"has no '{key:.40}'"
    raise LedgerError(f"'{cell.image_id}:{cell.task}' {problem}.")


def refuse_early_look(project: ProjectReader, cell: Cell) -> None:
    """Refuse to show predictions of a measuring label that is not there yet.

    Raises:
        LedgerError: there is no such cell, or the layer may not be seen yet.
    """
    purpose = "" if own_label(project, cell) else MeasuringCells(project.disk).purpose(cell)
    if purpose:
        raise LedgerError(f"No prediction is shown before the label is there: {purpose}.")
