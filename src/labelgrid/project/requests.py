"""Which requests of a project are open, their ids, and the predictions that go with them. Loads no torch."""

from collections.abc import Sequence
from pathlib import Path

from labelgrid.labels.codec import codec
from labelgrid.labels.grid import Cell, Move, State
from labelgrid.labels.naming import label_name
from labelgrid.labels.store import CellRow, Store
from labelgrid.project.folder import ProjectFolder
from labelgrid.streams import seed_of
from labelgrid.tasks.task import TaskDef


def request_heldout(store: Store, names: Sequence[str], tasks: Sequence[str]) -> None:
    """Request the missing cells of held-out images for these tasks, as round 0."""
    cells = [Cell(name, task) for name in names for task in tasks]
    cost = {task.name: task.cost for task in store.tasks()}
    known = store.find(cells)
    store.move(
        [
            Move(cell, State.REQUESTED, 0, request_id(0, cell), cost=cost[cell.task], why="held out for measuring")
            for cell in cells
            if known[cell].state == State.MISSING
        ]
    )


def request_id(round: int, cell: Cell) -> str:
    """The id of a request: the same for the same round and cell.

    Example:
        >>> request_id(3, Cell("a.jpg", "depth")) == request_id(3, Cell("a.jpg", "depth"))
        True
    """
    return f"r{round}-{seed_of(0, cell.image_id, cell.task):016x}"


def open_requests(project: ProjectFolder, round: int | None = None) -> dict[Cell, Move]:
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


def prelabel(project: ProjectFolder, row: CellRow | Move, task: TaskDef, whole: bool = False) -> Path | None:
    """The label file with the model's own prediction that came with a request, if there is one.

    Args:
        project: which one.
        row: the requested cell.
        task: the cell's task.
        whole: only a file that carries the image's whole name is this image's; see `naming.whole_names`.
    """
    folder = project.round_folder(row.round) / "prelabels" / task.name
    extensions = codec(task.spec.codec).EXTENSIONS
    kept = (folder / label_name(row.cell.image_id, extension, whole=True) for extension in extensions)
    replaced = (folder / label_name(row.cell.image_id, extension, whole=False) for extension in extensions)
    places = kept if whole else (*kept, *replaced)
    return next((path for path in places if path.is_file()), None)
