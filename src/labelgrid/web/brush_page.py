"""Shows the page with the brush: draws or corrects a label of regions."""

from dataclasses import dataclass

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.type_names import Size
from labelgrid.ledger.grid import Cell
from labelgrid.project.other_labels import OtherLabel
from labelgrid.web.drawings import check_drawable, erased_name, regions_of
from labelgrid.web.layers import LABEL, LIVE, shown_layers
from labelgrid.web.page_routes import Done
from labelgrid.web.pages import Opened, render
from labelgrid.web.predictions import Predictions

#: The keys of the first regions, in their order; `brush.js` knows them by their places.
KEYS = (*"1234567890", *(f"⇧{digit}" for digit in "1234567890"))


@dataclass(frozen=True, kw_only=True)
class BrushView:
    """The page with the brush.

    Args:
        cell: what is drawn.
        size: height and width of its image.
        regions: the names and colours ("#rrggbb") of what can be drawn.
        erased: what a pixel is that is not drawn on.
        layers: what a drawing can start from; the first layer is taken.
        purpose: what the label measures, so that other layers are hidden; empty: all are shown.
        seen: the number of the cell's last event; 0 without one.
        labelled: whether there is a label, from which the drawing starts.
        live: the version of the prediction by what learns while labelling; empty: there is none.
        requested: whether the label is asked for.
        following: the next requested cell of the task; None: no other.
    """

    cell: Cell
    size: Size
    regions: list[tuple[str, str]]
    erased: str
    layers: list[OtherLabel]
    purpose: str
    seen: int
    labelled: bool
    live: str
    requested: bool
    following: Cell | None


def router(opened: Opened, predictions: Predictions) -> APIRouter:
    """The route of the page."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/brush", response_class=HTMLResponse)
    def show_brush(cell: str, done: Done = None) -> Response:
        with opened() as project:
            view = brush_view(project, cell, predictions)
        return render("brush.html.j2", project=project, view=view, keys=KEYS, done=done)

    return routes


def brush_view(project: ProjectReader, name: str, predictions: Predictions) -> BrushView:
    """The page with the brush for a cell, given as `IMAGE:TASK`.

    Raises:
        LedgerError: there is no such cell.
        UsageError: labels of its task are no regions.
    """
    cell = project.cell(name).key
    task = project.declared_task(cell.task)
    check_drawable(task)
    history = project.cell(cell).history()
    layers, purpose = shown_layers(project, cell, predictions)
    versions = {layer.key: layer.version for layer in layers}
    return BrushView(
        cell=cell,
        size=project.image_size(cell.image_id),
        regions=regions_of(task),
        erased=erased_name(task),
        layers=layers,
        purpose=purpose,
        seen=history[-1]["event"] if history else 0,
        labelled=LABEL in versions,
        live=versions.get(LIVE, ""),
        requested=bool(history) and history[-1]["after"] == "requested",
        following=project.next_request(cell),
    )
