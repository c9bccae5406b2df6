"""Finds a project's open requests and their prelabels. Loads no torch."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labelgrid.formats.naming import label_name
from labelgrid.ledger.grid import Cell, Move, State, request_id
from labelgrid.ledger.store import CellRow, Store
from labelgrid.project.folder import ProjectFolder

if TYPE_CHECKING:
    from labelgrid.tasks.task import TaskDef

#: The ledger's note of what the query of a round asked for beside a budget.
ASKED = "asked/{}"
#: It ends so if the query had no budget of its own.
ALONE = "/alone"


def request_heldout(store: Store, image_ids: Sequence[str], tasks: Sequence[str]) -> None:
    """Request the missing cells of held-out images for these tasks, as round 0."""
    cells = [Cell(image_id, task) for image_id in image_ids for task in tasks]
    request_outside_rounds(store, cells, "held out for measuring")


def request_outside_rounds(store: Store, cells: Sequence[Cell], why: str) -> None:
    """Request the missing cells among some cells, as round 0; `why` is the reason."""
    costs = {task.name: task.cost for task in store.tasks()}
    rows = store.find(cells)
    moves = []
    for cell in cells:
        if rows[cell].state == State.MISSING:
            move = Move(
                cell=cell,
                to=State.REQUESTED,
                round=0,
                request_id=request_id(0, cell),
                cost=costs[cell.task],
                why=why,
            )
            moves.append(move)
    store.move(moves)


def open_requests(project: ProjectFolder, round: int | None = None) -> dict[Cell, Move]:
    """The requested cells with the moves of their requests, the best first.

    Without a round, all of them, ordered by round.
    """
    open_cells = {row.cell: row for row in project.store.cells(state=State.REQUESTED, round=round)}
    requests: dict[Cell, Move] = {}
    for number in sorted({row.round for row in open_cells.values()}):
        for event in project.store.events(round=number, in_effect=True):
            move = event.move
            row = open_cells.get(move.cell)
            ids = (move.round, move.request_id)
            if row and move.to == State.REQUESTED and ids == (row.round, row.request_id):
                # Requested, cancelled and requested again: the last request counts.
                requests.pop(move.cell, None)
                requests[move.cell] = move
    return requests


def prelabel(
    project: ProjectFolder, row: CellRow | Move, task: "TaskDef", whole: bool = False
) -> Path | None:
    """The label file with the model's prediction for a request, if there is one.

    `whole` accepts only a file with the image's whole name; see `naming.whole_names`.
    """
    folder = prelabel_folder(project, row.round, task.name)
    if not folder:
        return None
    return prelabel_in(folder, row.cell.image_id, task, whole)


def prelabel_folder(project: ProjectFolder, round: int, task: str) -> Path | None:
    """The folder with the model's predictions for a round's requests of a task, if there is one."""
    folder = project.round_folder(round) / "prelabels" / task
    return folder if folder.is_dir() else None


def prelabel_in(folder: Path, image_id: str, task: "TaskDef", whole: bool = False) -> Path | None:
    """As `prelabel`, in the folder of the request's round and task."""
    spellings = [True] if whole else [True, False]
    for keep_extension in spellings:
        for extension in task.codec.EXTENSIONS:
            path = folder / label_name(image_id, extension, whole=keep_extension)
            if path.is_file():
                return path
    return None


def predicted_requests(project: ProjectFolder, cells: Iterable[Cell]) -> set[Cell]:
    """The cells whose request came with a prediction; unknown cells are left out."""
    tasks = project.tasks()
    predicted = set()
    for cell, row in project.store.find(cells).items():
        if cell.task in tasks and prelabel(project, row, tasks[cell.task]):
            predicted.add(cell)
    return predicted
