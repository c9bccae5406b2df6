"""Runs a query: scores the pool if needed, chooses cells, writes previews, and requests the cells."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import ProjectError
from labelgrid.files import remove_folder
from labelgrid.labels.grid import Grid
from labelgrid.progress import Progress
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.files import hash_of
from labelgrid.rounds.choose import QueryResult, check_unchanged, choose, request
from labelgrid.rounds.history import history_of
from labelgrid.rounds.models import latest
from labelgrid.rounds.previews import draw, write_prelabels
from labelgrid.rounds.score import PoolScorer, strategy_of
from labelgrid.select.strategy import Budget, PoolView, Strategy, check_budget
from labelgrid.streams import seed_of

#: The strategy before there is a model.
COLD = "random_images"


def query(
    project: ProjectFolder,
    budget: Budget,
    progress: Progress,
    *,
    strategy: str = "",
    dry_run: bool = False,
    prelabels: bool = True,
    pictures: bool | None = None,
) -> QueryResult:
    """Pick missing cells worth at most the budget, request them and close the round.

    Args:
        project: the project.
        budget: the most that the picks may take.
        progress: receives the progress.
        strategy: replaces the strategy of the settings.
        dry_run: request nothing.
        prelabels: write the model's prediction of each pick as a label file.
        pictures: write pictures of the first picks; None: as `prelabels`.

    Raises:
        LabelgridError: the budget buys nothing or is larger than the pool, or the scores are stale.
    """
    name, chosen = strategy_of(project, strategy)
    stamp, grid = project.store.pool_hash(), project.store.grid()
    check_budget(budget, grid)
    _refuse_unfinished(project)
    _warn_of_open_requests(project, progress)
    fit = latest(project)
    if chosen.needs and fit is None:
        name, chosen = _cold(project, name, progress)
    scorer, number = PoolScorer(project, fit, chosen, progress) if fit else None, project.round_number
    scored = scorer if chosen.needs else None
    key = calibration_key(project, name, chosen, scored.options if scored else {})
    view = PoolView(
        grid=grid,
        statistics=_statistics(scored, number, grid) if scored else {},
        seed=seed_of(project.settings.seed, "select", number),
        calibration=project.store.get(key, {}),
        read_history=partial(history_of, project.folder),
    )
    choice = choose(name, chosen, number, view, budget, progress)
    if not dry_run:
        check_unchanged(project, stamp, number)
        _preview(project, scorer, choice.result, prelabels, prelabels if pictures is None else pictures)
        request(project, choice, stamp, key)
    return choice.result


def _preview(
    project: ProjectFolder, scorer: PoolScorer | None, result: QueryResult, prelabels: bool, pictures: bool
) -> None:
    """Write the previews of the picks; they replace those of a query that was stopped."""
    for unfinished in ("prelabels", "pictures"):
        remove_folder(project.round_folder(result.round) / unfinished)
    if scorer and prelabels:
        write_prelabels(scorer, result.picks, result.round)
    if scorer and pictures:
        draw(scorer, result.picks, result.round)


def _refuse_unfinished(project: ProjectFolder) -> None:
    """Refuse a query while the round has an unfinished training: closing the round would discard it."""
    folder = project.round_folder(project.round_number)
    started = any((folder / "fit" / left).exists() for left in ("last.ckpt", "terms"))  # terms: a preparation
    if started and not (folder / "fit.json").exists():
        raise ProjectError(
            "This round's training was stopped before its end; a query would close the round without it.",
            where=str(folder / "fit"),
            next_step=f"Run `labelgrid fit {project.folder}` to resume it, or remove that folder to discard it.",
            unchanged="Nothing was requested.",
        )


def _warn_of_open_requests(project: ProjectFolder, progress: Progress) -> None:
    """Warn of open requests: a second query may be intended, or a mistake (after a kill, say)."""
    requested = sum(count.requested for count in project.store.counts(("train",)).values())
    if requested:
        progress.say(f"{requested} requests of earlier rounds are still open; the new picks are added to them.")


def _cold(project: ProjectFolder, name: str, progress: Progress) -> tuple[str, Strategy]:
    progress.say(f"There is no model yet, so '{name}' has no scores: picking images at random.")
    return strategy_of(project, COLD)


def _statistics(scorer: PoolScorer, number: int, grid: Grid) -> dict[str, NDArray[Any]]:
    """The round's statistics at the grid's rows, computed if there are none; NaN for tasks whose head is untrained.

    Raises:
        ProjectError: a required value is not finite. (Picking such cells at random would hide the fault.)
    """
    table = scorer.fresh(number) or scorer.scored(number, grid)
    untrained = np.array([task not in scorer.fit.trained for task in grid.tasks])
    statistics = table.aligned(grid.images)
    for name, values in statistics.items():
        if table.axes[name] == "cell":
            statistics[name] = np.where(untrained, np.nan, values)
            wrong, unit = int((~np.isfinite(values) & grid.eligible & ~untrained).sum()), "cells of trained tasks"
        else:
            sums = values if values.ndim == 1 else values.sum(1, dtype=np.float64)
            scored = set(table.images)
            rows = np.fromiter((image_id in scored for image_id in grid.images), np.bool_, len(grid.images))
            wrong, unit = int((~np.isfinite(sums) & rows).sum()), "scored images"
        if wrong:
            raise ProjectError(
                f"{wrong} {unit} have no finite '{name}'.",
                where=str(scorer.fit.checkpoint),
                next_step="Train again, with a lower learning rate or `clip`, then score again.",
                unchanged="Nothing was requested.",
            )
    return statistics


def calibration_key(
    project: ProjectFolder, name: str, strategy: Strategy, options: Mapping[str, Mapping[str, Any]]
) -> str:
    """The ledger's key of a strategy's calibration. It changes with the options of the strategy and of its statistics.

    Args:
        project: its settings hold the strategy's options.
        name: the strategy's name.
        strategy: declares the statistics that it needs.
        options: the [score] tables of the project's recipe.
    """
    score_options = {need: options.get(need, {}) for need in sorted(strategy.needs)}
    return f"fixed/{name}/{hash_of(score_options, project.settings.strategy.options)}"
