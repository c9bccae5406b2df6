"""How a round ends: cells are picked within the budget and requested, in one step of the ledger."""

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from labelgrid.campaign.fitting import Fit, latest, open_round, round_number
from labelgrid.campaign.prelabels import write_prelabels
from labelgrid.campaign.project import Project, write_text
from labelgrid.campaign.scoring import fresh, score, strategy_of
from labelgrid.campaign.setup import request_id
from labelgrid.errors import ProjectError
from labelgrid.labels.grid import Grid, Move, Pick, State
from labelgrid.progress import Progress
from labelgrid.score.table import Table
from labelgrid.select.strategy import Budget, Statistics, Strategy, check_budget
from labelgrid.streams import seed_of

COLD = "random_images"


@dataclass(frozen=True)
class Asked:
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


def query(
    project: Project,
    budget: Budget,
    progress: Progress,
    *,
    strategy: str = "",
    dry_run: bool = False,
    prelabels: bool = True,
) -> Asked:
    """Pick missing cells worth at most the budget, request them and close the round.

    Raises:
        LabelgridError: the budget buys nothing or is larger than the pool, or the scores are stale.
    """
    name, chosen = strategy_of(project, strategy)
    grid = project.store.grid()
    check_budget(budget, grid)
    done = latest(project)
    if chosen.needs and done is None:
        progress.say(f"There is no model yet, so '{name}' has nothing to go by: picking images at random.")
        name, chosen = strategy_of(project, COLD)
    number = round_number(project)
    statistics: Statistics = {}
    if chosen.needs and done is not None:
        statistics = _known_tasks(_scores(project, done, chosen, strategy, number, progress), grid, done)
    key, seed = f"fixed/{name}", seed_of(project.settings.seed, "select", number)
    fixed = chosen.fix(statistics, grid, project.store.get(key, {}))
    scores = chosen.score(statistics, grid, fixed, seed)
    picks = chosen.select(scores, statistics, grid, budget, seed)
    if not picks:
        raise ProjectError(
            f"The budget of {budget.amount:g} {budget.unit} does not pay for a single choice of '{name}'.",
            next_step=f"The dearest single label costs {grid.cost.max():g}, an image {grid.cost.sum():g} at most.",
            unchanged="Nothing was requested.",
        )
    cost = _cost(picks, grid)
    if dry_run:
        return Asked(number, name, picks, cost)
    if prelabels and done is not None:
        write_prelabels(project, done, picks, number, progress)
    _close(project, number, name, budget, seed, picks, grid, {key: fixed})
    return Asked(number, name, picks, cost)


def _scores(project: Project, done: Fit, chosen: Strategy, strategy: str, number: int, progress: Progress) -> Table:
    return fresh(project, done, chosen, number) or score(project, progress, strategy)


def _known_tasks(table: Table, grid: Grid, done: Fit) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """The statistics at the grid's rows; NaN for tasks whose head was never trained."""
    untrained = [task not in done.trained for task in grid.tasks]
    statistics = table.aligned(grid.images)
    for name, values in statistics.items():
        if values.shape[1] == len(grid.tasks):
            statistics[name] = np.where(untrained, np.nan, values)
    return statistics


def _cost(picks: list[Pick], grid: Grid) -> float:
    prices = dict(zip(grid.tasks, grid.cost.tolist(), strict=True))
    return float(sum(prices[pick.cell.task] for pick in picks))


def _close(
    project: Project,
    number: int,
    name: str,
    budget: Budget,
    seed: int,
    picks: list[Pick],
    grid: Grid,
    notes: dict[str, Any],
) -> None:
    """Write the picks down, then request them, keep the notes and close the round in one transaction."""
    prices = dict(zip(grid.tasks, grid.cost.tolist(), strict=True))
    steps = [
        Move(
            pick.cell,
            State.REQUESTED,
            number,
            request_id(number, pick.cell),
            cost=prices[pick.cell.task],
            score=pick.score,
            weight=pick.weight,
            why=pick.why,
        )
        for pick in picks
    ]
    kept = [
        {"request_id": s.request_id, "image": s.cell.image, "task": s.cell.task, "score": s.score, "cost": s.cost}
        | {"weight": s.weight, "why": s.why}
        for s in steps
    ]
    write_text(project.round_folder(number) / "picks.json", json.dumps(kept, indent=1) + "\n")
    closed = replace(open_round(project), strategy=name, seed=seed, budget=budget.amount, unit=budget.unit)
    closed = replace(closed, pool=project.store.pool_hash())
    with project.store.transaction():
        for key, value in notes.items():
            project.store.put(key, dict(value))
        project.store.close_round(closed, steps)
