"""Reads a project's requests by round, pool uncertainty and picks for reports."""

import hashlib
from pathlib import Path
from typing import get_args

import numpy as np

from labelgrid.drawings.request_history import RequestHistory
from labelgrid.errors import LabelgridError
from labelgrid.ledger.grid import Grid, Pick, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import SHOWN, read_fit, read_picks
from labelgrid.project.sources import OracleSource, ProjectSource, source_of
from labelgrid.report.content import Picture, PoolUncertainty, RoundPicks, ShownPick
from labelgrid.report.uncertainty import ScoredRound, mean_normalised
from labelgrid.score.table import FILE, read_table
from labelgrid.tasks.pictures import colour_map, jpeg


def data_hash(project: ProjectFolder) -> str:
    """One digest of the ids, splits and content hashes of all images in the ledger."""
    digest = hashlib.blake2b(digest_size=16)
    for row in sorted(project.store.images(), key=lambda row: row.image_id):
        digest.update(f"{row.image_id}\0{row.split}\0{row.digest}\n".encode())
    return digest.hexdigest()


def request_history(project: ProjectFolder) -> RequestHistory | None:
    """The requests for the training images; None before the first one."""
    grid = project.store.grid()
    rounds = _rounds(project, grid)
    if not (rounds >= 0).any():
        return None
    return RequestHistory(
        list(grid.tasks), rounds, grid.state == State.REQUESTED, grid.state == State.SKIPPED
    )


def _rounds(project: ProjectFolder, grid: Grid) -> np.ndarray:
    """Int [n, t], the round that requested each cell; -1 for a missing cell."""
    rounds = np.full(grid.state.shape, -1, np.int64)
    rows, columns = (
        {name: index for index, name in enumerate(names)} for names in (grid.images, grid.tasks)
    )
    for cell in project.store.cells():
        if cell.cell.image_id in rows and cell.state != State.MISSING:
            rounds[rows[cell.cell.image_id], columns[cell.cell.task]] = cell.round
    return rounds


def uncertainty_of(project: ProjectFolder) -> PoolUncertainty:
    """The mean normalised uncertainty of the pool, from all stored statistics with one value per cell.

    Raises:
        ProjectError: a table of scores is damaged.
    """
    grid = project.store.grid()
    rounds = _rounds(project, grid)
    tasks = list(grid.tasks)
    scored: dict[str, list[ScoredRound]] = {}
    for row in project.store.rounds():
        folder = project.round_folder(row.number)
        if not has_scores(project, row.number):
            continue
        table = read_table(_scores(project, row.number))
        done = read_fit(folder)
        missing = (rounds < 0) | (rounds >= row.number)
        for name, values in table.aligned(grid.images).items():
            if table.tasks == tuple(tasks) and table.axes[name] == "cell":
                untrained = (
                    np.array([task not in done.trained for task in tasks]) if done else False
                )
                scored.setdefault(name, []).append(
                    ScoredRound(row.number, np.where(untrained, np.nan, values), missing)
                )
    by_statistic = {name: mean_normalised(some, tasks) for name, some in scored.items()}
    return {name: means for name, means in by_statistic.items() if means}


def has_scores(project: ProjectFolder, number: int) -> bool:
    """Whether a round has a table of scores."""
    return _scores(project, number).is_file()


def _scores(project: ProjectFolder, number: int) -> Path:
    return project.round_folder(number) / "scores" / FILE


def round_picks(project: ProjectFolder, number: int, count: int = 0) -> RoundPicks | None:
    """A round's first picks with their pictures, including the truth where a label has come in.

    Raises:
        ProjectError: the list of picks is damaged.
    """
    picks = read_picks(project.round_folder(number)) if number else []
    if not picks:
        return None
    folder = project.round_folder(number) / "pictures"
    truths = TruthPictures(project)
    first = [
        ShownPick(pick, truths.with_truth(pick, _pictures(folder, index)))
        for index, pick in enumerate(picks[: count or SHOWN])
    ]
    return RoundPicks(number, len(picks), first)


def _pictures(folder: Path, index: int) -> dict[Picture, bytes]:
    places: dict[Picture, Path] = {
        what: folder / f"{index:03d}-{what}.jpg" for what in get_args(Picture)
    }
    return {what: path.read_bytes() for what, path in places.items() if path.is_file()}


class TruthPictures:
    """Draws pictures of the labels in the ledger."""

    def __init__(self, project: ProjectFolder) -> None:
        self.project = project
        self.tasks = project.tasks()
        self._source: ProjectSource | OracleSource | None = None

    def with_truth(self, pick: Pick, pictures: dict[Picture, bytes]) -> dict[Picture, bytes]:
        """The pictures of a pick with its truth added, if there are other pictures and a readable label."""
        if not pictures or pick.cell.task not in self.tasks:
            return pictures
        task = self.tasks[pick.cell.task]
        try:
            self._source = self._source or source_of(self.project)
            label = self._source.label(pick.cell.image_id, task)
        except (LabelgridError, OSError):  # moved or damaged since: the page leaves it out
            return pictures
        if label is None:
            return pictures
        return pictures | {"truth": jpeg(colour_map(task, label.value, label.valid))}


def newest_scored_round(project: ProjectFolder) -> int:
    """The last closed round with a table of scores; 0 if there is none."""
    closed = (row.number for row in project.store.rounds() if row.state == "closed")
    return max((number for number in closed if has_scores(project, number)), default=0)
