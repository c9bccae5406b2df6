"""Reads a project's requests by round, pool uncertainty and picks for reports."""

import hashlib
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from labelgrid.basics.array_types import Bools, Floats, Ints
from labelgrid.basics.errors import LabelgridError
from labelgrid.data.project_source import ProjectSource
from labelgrid.drawings.request_history import RequestHistory
from labelgrid.ledger.grid import Grid, Pick, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import SHOWN, read_fit, read_picks
from labelgrid.project.score_files import scores_file, unreadable_scores
from labelgrid.project.sources import OracleSource, source_of
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.report.content import Picture, PoolUncertainty, RoundPicks, ShownPick
from labelgrid.rounds.choose import scores_are_values
from labelgrid.select.parts import widths
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


def _rounds(project: ProjectFolder, grid: Grid) -> Ints:
    """The round that requested each cell, int [n, t]; -1 for a missing cell."""
    rounds = np.full(grid.state.shape, -1, np.int64)
    rows = {image_id: row for row, image_id in enumerate(grid.images)}
    columns = grid.columns
    for entry in project.store.cells():
        cell = entry.cell
        if cell.image_id in rows and entry.state != State.MISSING:
            rounds[rows[cell.image_id], columns[cell.task]] = entry.round
    return rounds


def uncertainty_of(project: ProjectFolder) -> PoolUncertainty:
    """The mean normalised uncertainty of the pool.

    It comes from all stored statistics with one value per cell; empty where no scores can be read.

    Raises:
        ProjectError: a table of scores is damaged.
    """
    if unreadable_scores(project):
        return {}
    grid = project.store.grid()
    rounds = _rounds(project, grid)
    tasks = list(grid.tasks)
    scored: dict[str, list[ScoredRound]] = {}
    for row in project.store.rounds():
        if not has_scores(project, row.number):
            continue
        from labelgrid.score.table_files import read_table  # needs pyarrow

        table = read_table(scores_file(project, row.number))
        fit = read_fit(project.round_folder(row.number))
        if table.tasks != tuple(tasks):
            continue
        untrained = np.zeros(len(tasks), bool)
        if fit:
            untrained = np.array([task not in fit.trained for task in tasks])
        missing = (rounds < 0) | (rounds >= row.number)
        for name, values in table.aligned(grid.images).items():
            if table.axes[name] == "cell":
                trained_values = np.where(untrained, np.nan, values)
                scored_round = ScoredRound(row.number, trained_values, missing)
                scored.setdefault(name, []).append(scored_round)
    uncertainty = {name: mean_normalised(values, tasks) for name, values in scored.items()}
    return {name: means for name, means in uncertainty.items() if means}


def has_scores(project: ProjectFolder, number: int) -> bool:
    """Whether a round has a table of scores."""
    return scores_file(project, number).is_file()


def round_picks(project: ProjectFolder, number: int, count: int = 0) -> RoundPicks | None:
    """A round's first picks with pictures, also of answered labels.

    Raises:
        ProjectError: the list of picks is damaged.
    """
    picks = read_picks(project.round_folder(number)) if number else []
    if not picks:
        return None
    folder = project.round_folder(number) / "pictures"
    labels = LabelPictures(project)
    valued = _has_scores_of_value(project, number)
    first = []
    for index, pick in enumerate(picks[: count or SHOWN]):
        shown = pick if valued else replace(pick, score=None)
        pictures: dict[Picture, bytes] = {}
        for name in get_args(Picture):
            path = folder / f"{index:03d}-{name}.jpg"
            if path.is_file():
                pictures[name] = path.read_bytes()
        first.append(ShownPick(shown, labels.with_label(pick, pictures)))
    return RoundPicks(number, len(picks), first)


def _has_scores_of_value(project: ProjectFolder, number: int) -> bool:
    """Whether the scores of a round's picks are values, not the order of random draws."""
    for row in project.store.rounds():
        if row.number == number:
            with suppress(LabelgridError):  # a strategy that is only where queries are made
                strategy = build_plugin("strategies", PluginChoice(row.strategy, {}))
                return scores_are_values(strategy)
    return True


class LabelPictures:
    """Draws pictures of the labels in the ledger."""

    def __init__(self, project: ProjectFolder) -> None:
        self.project = project
        self.tasks = project.tasks()
        self._source: ProjectSource | OracleSource | None = None

    def with_label(self, pick: Pick, pictures: dict[Picture, bytes]) -> dict[Picture, bytes]:
        """The pictures of a pick, with a picture of its label if the label can be read."""
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
        return pictures | {"label": jpeg(colour_map(task, label.value, label.valid))}


def newest_scored_round(project: ProjectFolder) -> int:
    """The last closed round with a table of scores; 0 if there is none."""
    newest = 0
    for row in project.store.rounds():
        if row.state == "closed" and has_scores(project, row.number):
            newest = max(newest, row.number)
    return newest


@dataclass(frozen=True)
class ScoredRound:
    """A round's scores.

    Args:
        round: its number.
        values: float [n, t]; NaN where there is no score.
        missing: bool [n, t], the cells without a label when the round was scored.
    """

    round: int
    values: Floats
    missing: Bools


def mean_normalised(
    scored: Sequence[ScoredRound], tasks: Sequence[str]
) -> dict[str, dict[int, float]]:
    """The mean over the missing cells of (u - min) / (max - min), by task and round.

    A task's min and max are those of the first round in which its scores differ and do not change,
    so the value can fall (eq. 8). Before that round it is 0.

    Source: PartAL eq. 1, A.3 and eq. 8.

    Example:
        >>> missing = np.ones((2, 1), bool)
        >>> first = ScoredRound(1, np.array([[1.0], [3.0]]), missing)
        >>> second = ScoredRound(2, np.array([[1.0], [2.0]]), missing)
        >>> mean_normalised([first, second], ["depth"])
        {'depth': {1: 0.5, 2: 0.25}}
    """
    means: dict[str, dict[int, float]] = {task: {} for task in tasks}
    bounds: dict[str, tuple[np.float64, np.float64]] = {}
    for scores in sorted(scored, key=lambda s: s.round):
        for column, task in enumerate(tasks):
            values = scores.values[scores.missing[:, column], column]
            values = values[np.isfinite(values)]
            if not len(values):
                continue
            low, high = bounds.get(task, (values.min(), values.max()))
            width = float(widths(low, high))
            if math.isfinite(width):
                bounds[task] = (low, high)
            means[task][scores.round] = float((values.mean() - low) / width)
    return {task: rounds for task, rounds in means.items() if rounds}
