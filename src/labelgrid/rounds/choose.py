"""Chooses cells by a strategy, and requests them once, in one ledger transaction.

Loads no torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from labelgrid.errors import LedgerError, NothingToBuyError, ProjectError
from labelgrid.ledger.grid import Cell, Grid, Move, Pick, State, Unit, request_id
from labelgrid.progress import Progress
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import PickRecord, newest_fit, read_picks, write_picks
from labelgrid.select.budget import check_picks
from labelgrid.select.explain import explain_picks
from labelgrid.select.strategy import Budget, PoolView, Strategy

#: The ledger's note of a round: the key of its query's calibration.
ASKED = "asked/{}"


@dataclass(frozen=True, kw_only=True)
class QueryResult:
    """The result of a query.

    Args:
        round: the number of the round.
        strategy: the strategy that picked; before there is a model this may be a random one.
        picks: best first.
        cost: the total cost of the picks.
        repeated: an earlier query requested these picks, and this one requested nothing.
    """

    round: int
    strategy: str
    picks: list[Pick]
    cost: float
    repeated: bool = False

    def as_json(self) -> dict[str, Any]:
        """The result as JSON values; a cell is `{"image": ID, "task": NAME}`."""
        cells = [{"image": pick.cell.image_id, "task": pick.cell.task} for pick in self.picks]
        picks = [
            asdict(pick) | {"cell": cell} for pick, cell in zip(self.picks, cells, strict=True)
        ]
        return asdict(self) | {"picks": picks}


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a strategy chose, before it is requested.

    Args:
        result: the picks.
        records: the picks as `picks.json` keeps them.
        calibration: what the ledger keeps of the strategy.
        unspent: the rest of the budget that no further pick fits into, in its unit; 0 if the pool
            is used up.
        seed: of the round's draws.
    """

    result: QueryResult
    records: Sequence[PickRecord]
    calibration: Mapping[str, Any]
    unspent: float
    seed: int


#: The ledger's key of what earlier budgets left over, by unit.
CARRIED = "carried"


def unspent_budget(project: ProjectFolder, unit: Unit) -> float:
    """The unspent rest of the last query with a budget in this unit.

    Raises:
        LedgerError: the ledger's note is not a number of at least 0.
    """
    kept = project.store.get(CARRIED, {})
    rest = kept.get(unit, 0.0) if isinstance(kept, dict) else None
    if isinstance(rest, bool) or not isinstance(rest, int | float) or not 0 <= rest < math.inf:
        raise LedgerError(
            f"The ledger's note '{CARRIED}' holds no unspent budget: {kept!r:.80}.",
            where=str(project.folder),
            next_step="Restore the project from a backup.",
            unchanged="Nothing was requested.",
        )
    return float(rest)


def choose(
    name: str, strategy: Strategy, number: int, pool: PoolView, budget: Budget, progress: Progress
) -> Choice:
    """Choose missing cells worth at most the budget.

    Args:
        name: the strategy's name.
        strategy: the strategy.
        number: of the round.
        pool: what the strategy sees.
        budget: the most that the picks may take.
        progress: receives the warnings.

    Raises:
        NothingToBuyError: the budget does not pay for a single pick. PluginError: a pick is not
            allowed.
    """
    grid = pool.grid
    selection = strategy.select(pool, budget)
    if not selection.picks:
        raise _too_little(budget, name, grid)
    check_picks(name, selection.picks, grid=grid, budget=budget, unit=strategy.unit)
    costs = dict(zip(grid.tasks, grid.cost.tolist(), strict=True))
    picks = list(selection.picks)
    result = QueryResult(
        round=number,
        strategy=name,
        picks=picks,
        cost=float(sum(costs[pick.cell.task] for pick in picks)),
    )
    used_up = len(picks) == int(grid.eligible.sum())
    unspent = 0.0 if used_up else _unspent(budget, result, strategy, len(grid.tasks))
    if unspent:
        progress.say(
            f"Not spent: {unspent:g} of {budget.amount:g} {budget.unit}; no further pick of '{name}' fits. The rest is "
            f"for the next query with a budget in {budget.unit}."
        )
    records = [
        PickRecord(
            image=pick.cell.image_id,
            task=pick.cell.task,
            score=pick.score,
            cost=costs[pick.cell.task],
            why=pick.why,
            terms=terms,
            request_id=request_id(number, pick.cell),
            weight=pick.weight,
            explanation=explanation,
        )
        for pick, (terms, explanation) in zip(picks, explain_picks(selection, grid), strict=True)
    ]
    return Choice(
        result=result,
        records=records,
        calibration=selection.calibration,
        unspent=unspent,
        seed=pool.seed,
    )


def request(project: ProjectFolder, choice: Choice, budget: Budget, stamp: str, key: str) -> None:
    """Request the picks and close the round, in one transaction.

    Args:
        project: the project.
        choice: the picks.
        budget: the query's own, without what earlier ones left over.
        stamp: of the pool that they were chosen from.
        key: of the strategy's calibration in the ledger.

    Raises:
        ProjectError: another process has changed the pool meanwhile. Nothing was requested.
    """
    result = choice.result
    with project.store.transaction():
        _check_unchanged(project, stamp, result.round)
        project.store.put(key, dict(choice.calibration))
        project.store.put(ASKED.format(result.round), key)
        project.store.put(CARRIED, {**project.store.get(CARRIED, {}), budget.unit: choice.unspent})
        row = replace(project.open_round(), strategy=result.strategy, seed=choice.seed, pool=stamp)
        write_picks(project.round_folder(result.round), choice.records)
        moves = [
            _move(pick, record, result.round)
            for pick, record in zip(result.picks, choice.records, strict=True)
        ]
        project.store.close_round(replace(row, budget=budget.amount, unit=budget.unit), moves)


def repeated_result(
    project: ProjectFolder, strategy: str, budget: Budget, key: str
) -> QueryResult | None:
    """The result of the last query, if the same query would only spend the budget a second time.

    It is the same if the strategy, the budget, the model and the options of the scores are the
    same, and if none of the requested cells has been labelled, skipped or cancelled since.

    Args:
        project: the project.
        strategy: the name of the strategy that would pick.
        budget: the most that the picks may take.
        key: of the strategy's calibration, which differs with the options; an older program did not
            keep it.
    """
    closed = [row for row in project.store.rounds() if row.state == "closed"]
    if not closed:
        return None
    last = closed[-1]
    fit = newest_fit(project.folder)
    same = (last.strategy, last.budget, last.unit) == (strategy, budget.amount, budget.unit)
    if (
        not same
        or (fit and fit.round > last.number)
        or project.store.get(ASKED.format(last.number)) not in (None, key)
    ):
        return None
    records = read_picks(project.round_folder(last.number))
    open_cells = {
        row.cell for row in project.store.cells(state=State.REQUESTED) if row.round == last.number
    }
    picks = [Pick(Cell(r.image, r.task), r.score or 0.0, r.weight, r.why) for r in records]
    if not picks or {pick.cell for pick in picks} != open_cells:
        return None
    return QueryResult(
        round=last.number,
        strategy=strategy,
        picks=picks,
        cost=sum(record.cost for record in records),
        repeated=True,
    )


def _check_unchanged(project: ProjectFolder, stamp: str, number: int) -> None:
    """Refuse to request picks if another process has changed the pool meanwhile.

    Raises:
        ProjectError: it has.
    """
    if project.store.pool_hash() != stamp or project.round_number != number:
        raise ProjectError(
            "Another command changed the pool while the picks were chosen.",
            where=str(project.folder),
            next_step="Run the same command again.",
            unchanged="Nothing was requested.",
        )


def _move(pick: Pick, record: PickRecord, number: int) -> Move:
    """The move that requests a pick."""
    return Move(
        cell=pick.cell,
        to=State.REQUESTED,
        round=number,
        request_id=record.request_id,
        cost=record.cost,
        score=pick.score,
        weight=pick.weight,
        why=pick.why,
    )


def _unspent(budget: Budget, result: QueryResult, strategy: Strategy, tasks: int) -> float:
    """The rest of the budget; an image is worth one label of each task."""
    picks = result.picks
    images = (
        len(picks) / tasks
        if strategy.unit == "cells"
        else len({pick.cell.image_id for pick in picks})
    )
    spent = {"labels": len(picks), "images": images, "cost": result.cost}[budget.unit]
    return max(round(budget.amount - spent, 9), 0.0)  # costs are sums of floats


def _too_little(budget: Budget, name: str, grid: Grid) -> NothingToBuyError:
    least = {
        "labels": f"An image has up to {len(grid.tasks)} labels; ask for at least that many.",
        "images": "Ask for at least 1.",
        "cost": f"The most expensive label costs {grid.cost.max():g}, an image at most {grid.cost.sum():g}.",
    }
    return NothingToBuyError(
        f"The budget of {budget.amount:g} {budget.unit} does not pay for a single pick of '{name}'.",
        next_step=least[budget.unit],
        unchanged="Nothing was requested.",
    )
