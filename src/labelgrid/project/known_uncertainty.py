"""Finds the newest model's uncertainty at a cell: a map of a round, and scored numbers.

Loads no torch.
"""

from pathlib import Path

from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import SHOWN, read_picks
from labelgrid.project.score_files import newest_scores, unreadable_scores


def uncertainty_map(project: ProjectFolder, cell: Cell) -> Path | None:
    """The picture of a picked cell's uncertainty from the newest round with a picture."""
    for number in sorted({event.move.round for event in project.store.history(cell)}, reverse=True):
        folder = project.round_folder(number)
        if not (folder / "pictures").is_dir():
            continue
        for index, pick in enumerate(read_picks(folder)[:SHOWN]):
            path = folder / "pictures" / f"{index:03d}-uncertainty.jpg"
            if pick.cell == cell and path.is_file():
                return path
    return None


def cell_statistics(project: ProjectFolder, cell: Cell) -> dict[str, float]:
    """The last scored statistics of a cell and its image, by name.

    Empty if it was not scored then.

    Raises:
        ProjectError: the reader of score tables is not installed, or the tables are damaged.
    """
    path = newest_scores(project)
    if not path:
        return {}
    unreadable = unreadable_scores(project)
    if unreadable:
        raise unreadable
    from labelgrid.score.table_files import read_cell  # needs pyarrow

    return read_cell(path, cell)
