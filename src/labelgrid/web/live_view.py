"""Tells the brush what the model knows that learns while labels are made, and asks it for more."""

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.type_names import Json
from labelgrid.ledger.grid import Cell
from labelgrid.project.cells.measuring_cells import MeasuringCells
from labelgrid.project.live_folder import LiveFolder
from labelgrid.web import jobs
from labelgrid.web.layers import live_prediction


def live_view(project: ProjectReader, cell: Cell) -> Json:
    """What the running model has learnt, and whether there is a prediction of a cell.

    The cell and the task's next request are wished for, unless their labels measure something.

    Raises:
        LabelgridError: there is no such task, or the folder leads out of the project.
    """
    place = LiveFolder.of(project.disk)
    measuring = MeasuringCells(project.disk)
    for wished in (project.next_request(cell), cell):
        if wished and not measuring.purpose(wished):
            place.wish(wished)
    job = jobs.staying(project)
    state = place.state
    prediction = live_prediction(project, cell, measuring)
    return {
        "runs": place.job.state == "running",
        "job": job.number if job and job.is_active else 0,
        "fault": job.fault if job and job.state in ("failed", "died") else "",
        "labels": state.labels if state else 0,
        "version": prediction.version if prediction else "",
    }
