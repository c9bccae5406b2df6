"""How a round ends: cells are picked within the budget and requested, in one ledger transaction."""

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

COLD = "random_images"


@dataclass(frozen=True)
class QueryResult:
    """What a query chose.

    Args:
        round: its number.
        strategy: the one that chose; with no model yet that is a random one.
        picks: best first.
        cost: of all picks.
    """

    round: int
    strategy: str
    picks: list[Pick]
    cost: float

    def as_json(self) -> dict[str, Any]:
        """As JSON values; a cell is `{"image": ID, "task": NAME}`."""
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
        project: whose round it is.
        budget: what the picks may take.
        progress: told of long work.
        strategy: instead of the settings' one.
        dry_run: request nothing.
        prelabels: write the model's prediction of each pick as a label file.
        pictures: draw the first picks; None draws them with the pre-labels.

    Raises:
        LabelgridError: the budget buys nothing or is larger than the pool, or the scores are stale.
    """
    name, chosen = strategy_of(project, strategy)
    pool, grid = project.store.pool_hash(), project.store.grid()
    check_budget(budget, grid)
    _refuse_unfinished(project)
    _warn_of_open_requests(project, progress)
    done = latest(project)
    if chosen.needs and done is None:
        name, chosen = _cold(project, name, progress)
    number = round_number(project)
    scorer = PoolScorer(project, done, chosen, progress) if done else None
    key, view = _view(project, name, chosen, scorer, number, grid)
    selection = chosen.select(view, budget)
    if not selection.picks:
        raise _too_little(budget, name, grid)
    prices = dict(zip(grid.tasks, grid.cost.tolist(), strict=True))
    picks = list(selection.picks)
    asked = QueryResult(number, name, picks, float(sum(prices[pick.cell.task] for pick in picks)))
    _warn_of_rest(budget, asked, progress)
    if not dry_run:
        _check_unmoved(project, pool, number)
        _preview(project, scorer, asked, prelabels, prelabels if pictures is None else pictures)
        with project.store.transaction():
            _check_unmoved(project, pool, number)
            project.store.put(key, dict(selection.calibration))
            row = open_round(project)
            closed = replace(row, strategy=name, seed=view.seed, budget=budget.amount, unit=budget.unit, pool=pool)
            project.store.close_round(closed, _requests(project, asked, terms_of(selection, grid), prices))
    return asked


def _view(
    project: ProjectFolder, name: str, chosen: Strategy, scorer: PoolScorer | None, number: int, grid: Grid
) -> tuple[str, PoolView]:
    """What the strategy sees, and the note under which the ledger keeps its calibration."""
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
    project: ProjectFolder, scorer: PoolScorer | None, asked: QueryResult, prelabels: bool, pictures: bool
) -> None:
    """Write what is asked for to be seen of the picks, in place of what a stopped query left."""
    for unfinished in ("prelabels", "pictures"):
        remove_folder(project.round_folder(asked.round) / unfinished)
    if scorer and prelabels:
        write_prelabels(scorer, asked.picks, asked.round)
    if scorer and pictures:
        draw(scorer, asked.picks, asked.round)


def _refuse_unfinished(project: ProjectFolder) -> None:
    """A query closes the round: a training that was stopped in it would be lost."""
    folder = project.round_folder(round_number(project))
    if (folder / "fit" / "last.ckpt").exists() and not (folder / "fit.json").exists():
        raise ProjectError(
            "This round's training was stopped before its end; a query would close the round without it.",
            where=str(folder / "fit"),
            next_step=f"Run `labelgrid fit {project.folder}` to go on with it, or remove that folder to do without.",
            unchanged="Nothing was requested.",
        )


def _warn_of_open_requests(project: ProjectFolder, progress: Progress) -> None:
    """A round is asked for on top of open ones where that is wanted, but not unawares (after a kill, say)."""
    waiting = sum(count.requested for count in project.store.counts(("train",)).values())
    if waiting:
        progress.say(f"{waiting} requests of earlier rounds are still open; what is picked now comes on top.")


def _warn_of_rest(budget: Budget, asked: QueryResult, progress: Progress) -> None:
    """What whole images, or prices, leave of a budget is not spent unawares."""
    images = {pick.cell.image_id for pick in asked.picks}
    spent = {"labels": len(asked.picks), "images": len(images), "cost": asked.cost}[budget.unit]
    if budget.amount - spent > 1e-9:  # prices are sums of floats
        rest = f"{budget.amount - spent:g} of {budget.amount:g} {budget.unit}"
        progress.say(f"{rest} are not spent: no further choice of '{asked.strategy}' fits.")


def _too_little(budget: Budget, name: str, grid: Grid) -> ProjectError:
    least = {
        "labels": f"An image has up to {len(grid.tasks)} labels; ask for so many at least.",
        "images": "Ask for 1 at least.",
        "cost": f"The dearest single label costs {grid.cost.max():g}, an image {grid.cost.sum():g} at most.",
    }
    return ProjectError(
        f"The budget of {budget.amount:g} {budget.unit} does not pay for a single choice of '{name}'.",
        next_step=least[budget.unit],
        unchanged="Nothing was requested.",
    )


def _cold(project: ProjectFolder, name: str, progress: Progress) -> tuple[str, Strategy]:
    progress.say(f"There is no model yet, so '{name}' has nothing to go by: picking images at random.")
    return strategy_of(project, COLD)


def _statistics(scorer: PoolScorer, number: int, grid: Grid) -> dict[str, NDArray[Any]]:
    """The round's statistics at the grid's rows, made if they are not there; NaN for tasks whose head never learnt.

    Raises:
        ProjectError: a number that should be there is not finite: drawing such cells at random would hide it.
    """
    table = scorer.fresh(number) or scorer.scored(number, grid)
    untrained = np.array([task not in scorer.done.trained for task in grid.tasks])
    statistics = table.aligned(grid.images)
    for name, values in statistics.items():
        if table.axes[name] == "cell":
            statistics[name] = np.where(untrained, np.nan, values)
            wrong, what = int((~np.isfinite(values) & grid.eligible & ~untrained).sum()), "cells of trained tasks"
        else:
            sums = values if values.ndim == 1 else values.sum(1, dtype=np.float64)
            wrong, what = int((~np.isfinite(sums) & grid.eligible.any(1)).sum()), "images of the pool"
        if wrong:
            raise ProjectError(
                f"{wrong} {what} have no finite '{name}'.",
                where=str(scorer.done.checkpoint),
                next_step="Train again, with a lower learning rate or `clip`, then score again.",
                unchanged="Nothing was requested.",
            )
    return statistics


def calibration_key(
    project: ProjectFolder, name: str, strategy: Strategy, options: Mapping[str, Mapping[str, Any]]
) -> str:
    """The note under which the ledger keeps a strategy's calibration: another one where its scores are made otherwise.

    Args:
        project: whose settings hold the strategy's options.
        name: the strategy's.
        strategy: says what it needs.
        options: the [score] tables of the project's recipe.
    """
    made = {need: options.get(need, {}) for need in sorted(strategy.needs)}
    return f"fixed/{name}/{hash_of(made, project.settings.strategy.options)}"


def terms_of(selection: Selection, grid: Grid) -> list[dict[str, float]]:
    """The terms of each pick's score, in the order of the picks."""
    if not selection.terms:
        return [{} for _ in selection.picks]
    wanted = {pick.cell.image_id for pick in selection.picks}
    rows = {name: row for row, name in enumerate(grid.images) if name in wanted}
    columns = {task: column for column, task in enumerate(grid.tasks)}
    cells = [(rows[pick.cell.image_id], columns[pick.cell.task]) for pick in selection.picks]
    return [
        {name: float(values[cell] if values.ndim == 2 else values[cell[0]]) for name, values in selection.terms.items()}
        for cell in cells
    ]


def _check_unmoved(project: ProjectFolder, pool: str, number: int) -> None:
    """Refuse to request picks from a pool that another process has changed meanwhile."""
    if project.store.pool_hash() != pool or round_number(project) != number:
        raise ProjectError(
            "Another command changed the pool while the picks were chosen.",
            where=str(project.folder),
            next_step="Run the same command again.",
            unchanged="Nothing was requested.",
        )


def _requests(
    project: ProjectFolder, asked: QueryResult, terms: Sequence[Mapping[str, float]], prices: Mapping[str, float]
) -> list[Move]:
    """The moves that request the picks, also written to the round's `picks.json` with the terms of their scores."""
    moves = [
        Move(
            pick.cell,
            State.REQUESTED,
            asked.round,
            request_id(asked.round, pick.cell),
            cost=prices[pick.cell.task],
            score=pick.score,
            weight=pick.weight,
            why=pick.why,
        )
        for pick in asked.picks
    ]
    records = [
        PickRecord(m.cell.image_id, m.cell.task, m.score, m.cost, m.why, own, m.request_id, m.weight)
        for m, own in zip(moves, terms, strict=True)
    ]
    write_picks(project.round_folder(asked.round), records)
    return moves
