"""Lists the cells of a project as rows of a table, image after image. Loads no torch."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from labelgrid.basics.errors import LedgerError
from labelgrid.basics.files import write_texts
from labelgrid.basics.spreadsheets import csv_lines
from labelgrid.basics.type_names import Json
from labelgrid.ledger.grid import (
    SPLITS,
    STATE_NAMES,
    Cell,
    ImageRow,
    Split,
    Splits,
    State,
    StateName,
)
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.ledger.store import CellRow
from labelgrid.project.folder import ProjectFolder

#: The columns of the table.
COLUMNS = ("image", "task", "split", "state", "round", "cost", "weight", "seconds", "path")


def each_cell(
    project: ProjectFolder,
    *,
    state: StateName | None = None,
    task: str | None = None,
    split: Split | None = None,
    round: int | None = None,
    order: str = "",
) -> Iterator[Json]:
    """The cells that match all given values, as rows, ordered by image, then task.

    They are read while they are consumed, so a table of any length takes little memory.

    Args:
        project: the project.
        state: only the cells in this state; None: all, and those without a label too.
        task: only the cells of this task; None: all tasks.
        split: only the cells of this split's images; None: all.
        round: only the cells that this round asked for; None: all.
        order: the order of the images, one of `image_orders`; empty: by their ids. Another one
            takes all rows into memory.

    Raises:
        LedgerError: there is no such state, task or split.
        UsageError: there is no such order.
    """
    tasks = [row.name for row in project.store.tasks()]
    if task is not None:
        tasks = [project.task_row(task).name]
    if split is not None and split not in SPLITS:
        raise LedgerError(
            f"There is no split '{split}'.", next_step=f"The splits are: {', '.join(SPLITS)}."
        )
    if state is not None and state not in STATE_NAMES:
        raise LedgerError(
            f"There is no state '{state}'.", next_step=f"The states are: {', '.join(STATE_NAMES)}."
        )
    rows = _rows(
        project,
        state=None if state is None else STATE_NAMES[state],
        tasks=tasks,
        splits=None if split is None else (split,),
        round=round,
    )
    if not order:
        return rows
    from labelgrid.project.image_order import ordered_images  # with NumPy, slow to load

    names = ordered_images(project, ImageFilter(task=task or ""), order).names
    places = {image_id: place for place, image_id in enumerate(names)}
    return iter(sorted(rows, key=lambda row: places[row["image"]]))


def write_csv(path: Path, rows: Iterable[Json]) -> None:
    """Write rows to a CSV file while they are read.

    Raises:
        ProjectError: the disk reports an error; a file that is there is unchanged.
    """
    write_texts(path, csv_lines(COLUMNS, rows), "Nothing was written.")


def _rows(
    project: ProjectFolder,
    *,
    state: State | None,
    tasks: Sequence[str],
    splits: Splits,
    round: int | None,
) -> Iterator[Json]:
    store = project.store
    for image, cells in _with_cells(store.images(splits), store.cells(splits=splits)):
        for task in tasks:
            row = cells.get(task) or CellRow(cell=Cell(image.image_id, task))
            is_asked = row.state != State.MISSING and row.round == round
            if state in (None, row.state) and (round is None or is_asked):
                yield {
                    "image": image.image_id,
                    "task": task,
                    "split": image.split,
                    "state": row.state.name.lower(),
                    "round": row.round,
                    "cost": row.cost,
                    "weight": row.weight,
                    "seconds": row.seconds,
                    "path": row.path and str(project.folder / row.path),
                }


def _with_cells(
    images: Iterable[ImageRow], rows: Iterator[CellRow]
) -> Iterator[tuple[ImageRow, dict[str, CellRow]]]:
    """The images with the cells that are not missing, by task; all are ordered by image.

    Cells of other images, which another command may have added meanwhile, are left out.
    """
    row = next(rows, None)
    for image in images:
        cells = {}
        while row and row.cell.image_id <= image.image_id:
            if row.cell.image_id == image.image_id:
                cells[row.cell.task] = row
            row = next(rows, None)
        yield image, cells
