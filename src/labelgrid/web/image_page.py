"""Collects the labels, history and possible changes for the page of an image."""

from contextlib import suppress
from dataclasses import dataclass, field

from pydantic import Field

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import LabelgridError, LedgerError
from labelgrid.basics.type_names import Json
from labelgrid.ledger.grid import Cell
from labelgrid.ledger.image_pages import ListedImage
from labelgrid.project.cells.cell_notes import CellNote
from labelgrid.project.cells.measuring_cells import MeasuringCells
from labelgrid.project.image_order import neighbours
from labelgrid.project.other_labels import OtherLabel
from labelgrid.web.drawings import value_names
from labelgrid.web.grid_page import GridQuery, shape_of
from labelgrid.web.layers import own_label, own_layers
from labelgrid.web.predictions import Predictions, can_predict
from labelgrid.web.scale_legend import ScaleLegend, scale_legend


class ImageQuery(GridQuery):
    """An image's page: the address also holds the grid of its caller."""

    image: str = Field(description="The image's id.")
    shown: str = Field("", description="The task that is shown large; empty: a labelled one.")
    layer: str = Field("", description="What is shown of it, such as label; empty: the first.")


@dataclass(frozen=True, kw_only=True)
class ShownCell:
    """A cell on its image's page.

    Args:
        task: its task.
        state: its state, in lower case.
        classes: what its labels name, with the colours ("#rrggbb"); empty if they hold numbers.
        unit: what follows the numbers of its labels.
        drawable: whether a brush can draw its labels.
        history: its events.
        seen: the number of the cell's last event, which a later change must name; 0 without an
            event.
    """

    task: str
    state: str
    classes: list[tuple[str, str]]
    unit: str
    drawable: bool
    history: list[Json]
    seen: int


@dataclass(frozen=True, kw_only=True)
class ImageView:
    """The page of an image.

    Args:
        image: the image, with the states of its cells.
        cells: its cells, in the order of the tasks.
        chosen: the task that is shown large.
        before: the image before this one in the grid that the user came from; empty: none.
        after: the one after it.
        query: the query of that grid.
        details: what is known of the cell that is shown large.
        layer: the layer that is shown large; None: there is none.
        legend: what its colours mean; None of classes, or if it cannot be read.
        notes: what people wrote on the chosen cell.
        predictable: whether there is a model to predict the image.
    """

    image: ListedImage
    cells: list[ShownCell]
    chosen: str
    before: str
    after: str
    query: GridQuery
    details: "CellDetails"
    layer: OtherLabel | None
    legend: ScaleLegend | None
    notes: list[CellNote]
    predictable: bool

    @property
    def shape(self) -> str:
        """The shape of the image: "wide", "square" or "upright"."""
        return shape_of([self.image.size])

    @property
    def cell(self) -> ShownCell:
        """The cell that is shown large."""
        return next(cell for cell in self.cells if cell.task == self.chosen)


@dataclass(kw_only=True)
class CellDetails:
    """The knowledge of a cell beside its history.

    Args:
        layers: what is known of its label, the label itself first.
        has_map: whether a round drew what its model was unsure of.
        statistics: as they were scored last, by name.
        purpose: what the label measures, for which no prediction is shown before the label is
            there; empty: nothing is hidden.
        problem: why layers or statistics are missing; empty if none are.
    """

    layers: list[OtherLabel] = field(default_factory=list)
    has_map: bool = False
    statistics: dict[str, float] = field(default_factory=dict)
    purpose: str = ""
    problem: str = ""


def image_view(project: ProjectReader, query: ImageQuery, predictions: Predictions) -> ImageView:
    """The page of an image.

    Raises:
        LedgerError: there is no such image or task.
    """
    image = project.disk.store.listed_image(query.image)
    task = query.shown
    if task and task not in image.states:
        raise LedgerError(f"The project has no task '{task:.80}'.")
    cells = [_shown_cell(project, image, name) for name in image.states]
    labelled = [cell.task for cell in cells if cell.state == "labelled"]
    chosen = task or next(iter([*labelled, *image.states]))
    cell = Cell(query.image, chosen)
    details = _details(project, cell, predictions)
    layers = {layer.key: layer for layer in details.layers}
    layer = layers.get(query.layer, next(iter(details.layers), None))
    before, after = neighbours(
        project.disk,
        query.filter(),
        query.image,
        order=query.order,
        labels=query.labels(project),
    )
    return ImageView(
        image=image,
        cells=cells,
        chosen=chosen,
        before=before,
        after=after,
        query=query,
        details=details,
        layer=layer,
        legend=_legend(project, chosen, layer),
        notes=project.cell(cell).notes(),
        predictable=can_predict(project) and not details.purpose,
    )


def _legend(project: ProjectReader, task: str, layer: OtherLabel | None) -> ScaleLegend | None:
    definition = project.declared_task(task)
    if layer is None or definition.region_names:
        return None
    with suppress(LabelgridError, OSError):  # the picture says why it cannot be read
        return scale_legend(definition, layer.read())
    return None


def _details(project: ProjectReader, cell: Cell, predictions: Predictions) -> CellDetails:
    details = CellDetails(layers=own_label(project, cell))
    details.purpose = "" if details.layers else MeasuringCells(project.disk).purpose(cell)
    if details.purpose:
        return details
    details.layers = own_layers(project, cell, predictions)
    try:
        cell_reader = project.cell(cell)
        details.layers += cell_reader.other_labels()
        details.has_map = cell_reader.uncertainty_map() is not None
        details.statistics = cell_reader.statistics()
    except LabelgridError as error:  # the rest of the page is shown
        details.problem = str(error)
    return details


def _shown_cell(project: ProjectReader, image: ListedImage, task: str) -> ShownCell:
    history = project.cell(Cell(image.image_id, task)).history()
    definition = project.declared_task(task)
    return ShownCell(
        task=task,
        state=image.states[task].name.lower(),
        classes=value_names(definition),
        unit=definition.overview().unit,
        drawable=bool(definition.region_names),
        history=history,
        seen=history[-1]["event"] if history else 0,
    )
