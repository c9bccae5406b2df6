"""Which requests of a project are open, and the model's own predictions that go with them. Loads no torch."""

from pathlib import Path

from labelgrid.campaign.project import Project
from labelgrid.labels.codec import codec
from labelgrid.labels.grid import Cell, Move, State
from labelgrid.labels.naming import label_name
from labelgrid.labels.store import CellRow
from labelgrid.tasks.task import TaskDef


def open_requests(project: Project, round: int | None = None) -> dict[Cell, Move]:
    """The cells that wait for a label -> the move that requested them, in the order they were requested: best first.

    Args:
        project: which one.
        round: only of this round; None: of all, by round.
    """
    waiting = {row.cell: row for row in project.store.cells(state=State.REQUESTED, round=round)}
    found: dict[Cell, Move] = {}
    for number in sorted({row.round for row in waiting.values()}):
        for event in project.store.events(round=number):
            move = event.move
            row = waiting.get(move.cell)
            if row and move.to == State.REQUESTED and (move.round, move.request_id) == (row.round, row.request_id):
                found.pop(move.cell, None)  # requested, cancelled and requested again: the last time counts
                found[move.cell] = move
    return found


def prelabel(project: Project, row: CellRow | Move, task: TaskDef, whole: bool = False) -> Path | None:
    """The label file with the model's own prediction that came with a request, if there is one.

    Args:
        project: which one.
        row: the requested cell.
        task: the cell's task.
        whole: only a file that carries the image's whole name is this image's; see `naming.whole_names`.
    """
    folder = project.round_folder(row.round) / "prelabels" / task.name
    extensions = codec(task.spec.codec).EXTENSIONS
    kept = (folder / label_name(row.cell.image, extension, whole=True) for extension in extensions)
    replaced = (folder / label_name(row.cell.image, extension, whole=False) for extension in extensions)
    places = kept if whole else (*kept, *replaced)
    return next((path for path in places if path.is_file()), None)
