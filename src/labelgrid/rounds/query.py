"""Closes a round: picks cells within the budget and requests them in one ledger transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import ProjectError
from labelgrid.files import remove_folder
from labelgrid.labels.grid import Grid, Move, Pick, State
from labelgrid.progress import Progress
from labelgrid.project.artifacts import PickRecord, write_picks
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.requests import request_id
from labelgrid.recipes.files import hash_of
from labelgrid.rounds.context import open_round, round_number
from labelgrid.rounds.history import history_of
from labelgrid.rounds.models import latest
from labelgrid.rounds.previews import draw, write_prelabels
from labelgrid.rounds.score import PoolScorer, strategy_of
from labelgrid.select.strategy import Budget, PoolView, Selection, Strategy, check_budget
from labelgrid.streams import seed_of

#: The strategy before there is a model.
COLD = "random_images"


@dataclass(frozen=True)
class QueryResult:
    """The result of a query.

    Args:
        round: the number of the round.
        strategy: the strategy that picked; before there is a model this may be a random one.
        picks: best first.
        cost: the total cost of the picks.
    """

    round: int
    strategy: str
    picks: list[Pick]
    cost: float

    def as_json(self) -> dict[str, Any]:
        """The result as JSON values; a cell is `{"image": ID, "task": NAME}`."""
        cells = [{"image": pick.cell.image_id, "task": pick.cell.task} for pick in self.picks]
        picks = [asdict(pick) | {"cell": cell} for pick, cell in zip(self.picks, cells, strict=True)]
        return asdict(self) | {"picks": picks}


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
    pool, grid = project.store.pool_hash(), project.store.grid()
    check_budget(budget, grid)
    _refuse_unfinished(project)
    _warn_of_open_requests(project, progress)
    fit = latest(project)
    if chosen.needs and fit is None:
        name, chosen = _cold(project, name, progress)
    number = round_number(project)
    scorer = PoolScorer(project, fit, chosen, progress) if fit else None
    key, view = _view(project, name, chosen, scorer, number, grid)
    selection = chosen.select(view, budget)
    if not selection.picks:
        raise _too_little(budget, name, grid)
    costs = dict(zip(grid.tasks, grid.cost.tolist(), strict=True))
    picks = list(selection.picks)
    result = QueryResult(number, name, picks, float(sum(costs[pick.cell.task] for pick in picks)))
    _warn_of_unspent_budget(budget, result, progress)
    if not dry_run:
        _check_unchanged(project, pool, number)
        _preview(project, scorer, result, prelabels, prelabels if pictures is None else pictures)
        with project.store.transaction():
            _check_unchanged(project, pool, number)
            project.store.put(key, dict(selection.calibration))
            row = open_round(project)
            closed = replace(row, strategy=name, seed=view.seed, budget=budget.amount, unit=budget.unit, pool=pool)
            project.store.close_round(closed, _requests(project, result, terms_of(selection, grid), costs))
    return result


def _view(
    project: ProjectFolder, name: str, chosen: Strategy, scorer: PoolScorer | None, number: int, grid: Grid
) -> tuple[str, PoolView]:
    """The key of the strategy's calibration in the ledger, and the pool as the strategy sees it."""
    key = calibration_key(project, name, chosen, scorer.options if scorer and chosen.needs else {})
    view = PoolView(
        grid=grid,
        statistics=_statistics(scorer, number, grid) if scorer and chosen.needs else {},
        seed=seed_of(project.settings.seed, "select", number),
        calibration=project.store.get(key, {}),
        read_history=partial(history_of, project.folder),
    )
    return key, view


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
    folder = project.round_folder(round_number(project))
    if (folder / "fit" / "last.ckpt").exists() and not (folder / "fit.json").exists():
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


def _warn_of_unspent_budget(budget: Budget, result: QueryResult, progress: Progress) -> None:
    """Warn of a rest of the budget that no further image or label fits into."""
    images = {pick.cell.image_id for pick in result.picks}
    spent = {"labels": len(result.picks), "images": len(images), "cost": result.cost}[budget.unit]
    if budget.amount - spent > 1e-9:  # costs are sums of floats
        rest = f"{budget.amount - spent:g} of {budget.amount:g} {budget.unit}"
        progress.say(f"{rest} are not spent: no further pick of '{result.strategy}' fits.")


def _too_little(budget: Budget, name: str, grid: Grid) -> ProjectError:
    least = {
        "labels": f"An image has up to {len(grid.tasks)} labels; ask for at least that many.",
        "images": "Ask for at least 1.",
        "cost": f"The most expensive label costs {grid.cost.max():g}, an image at most {grid.cost.sum():g}.",
    }
    return ProjectError(
        f"The budget of {budget.amount:g} {budget.unit} does not pay for a single pick of '{name}'.",
        next_step=least[budget.unit],
        unchanged="Nothing was requested.",
    )


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
            wrong, unit = int((~np.isfinite(sums) & grid.eligible.any(1)).sum()), "images of the pool"
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


def terms_of(selection: Selection, grid: Grid) -> list[dict[str, float]]:
    """The named terms of each pick's score, in the order of the picks."""
    if not selection.terms:
        return [{} for _ in selection.picks]
    picked = {pick.cell.image_id for pick in selection.picks}
    rows = {image_id: row for row, image_id in enumerate(grid.images) if image_id in picked}
    columns = {task: column for column, task in enumerate(grid.tasks)}
    cells = [(rows[pick.cell.image_id], columns[pick.cell.task]) for pick in selection.picks]
    return [
        {name: float(values[cell] if values.ndim == 2 else values[cell[0]]) for name, values in selection.terms.items()}
        for cell in cells
    ]


def _check_unchanged(project: ProjectFolder, pool: str, number: int) -> None:
    """Refuse to request picks if another process has changed the pool meanwhile."""
    if project.store.pool_hash() != pool or round_number(project) != number:
        raise ProjectError(
            "Another command changed the pool while the picks were chosen.",
            where=str(project.folder),
            next_step="Run the same command again.",
            unchanged="Nothing was requested.",
        )


def _requests(
    project: ProjectFolder, result: QueryResult, terms: Sequence[Mapping[str, float]], costs: Mapping[str, float]
) -> list[Move]:
    """Return the moves that request the picks, and write the picks with their terms to the round's `picks.json`."""
    moves = [
        Move(
            pick.cell,
            State.REQUESTED,
            result.round,
            request_id(result.round, pick.cell),
            cost=costs[pick.cell.task],
            score=pick.score,
            weight=pick.weight,
            why=pick.why,
        )
        for pick in result.picks
    ]
    records = [
        PickRecord(m.cell.image_id, m.cell.task, m.score, m.cost, m.why, pick_terms, m.request_id, m.weight)
        for m, pick_terms in zip(moves, terms, strict=True)
    ]
    write_picks(project.round_folder(result.round), records)
    return moves
