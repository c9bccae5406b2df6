"""Chooses cells by a strategy, which sees the pool and the history, and checks the picks.

Loads no torch.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelgrid.basics.array_types import Array
from labelgrid.basics.errors import NothingToBuyError, ProjectError
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Values
from labelgrid.basics.words import count_text, join_names
from labelgrid.drawings.wording import number
from labelgrid.ledger.grid import Grid, Pick, State, request_id
from labelgrid.project.records import Fit
from labelgrid.rounds.round_scores import FEATURES, reads_suppliers
from labelgrid.score.table import Table
from labelgrid.select.budget import check_picks
from labelgrid.select.draws import SuppliedCells
from labelgrid.select.explain import explain_picks, nearest_labelled_images
from labelgrid.select.strategy import Budget, PoolView, Strategy


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The picks of a strategy, before they are requested.

    Args:
        round: the number of the round.
        strategy: the strategy's name.
        picks: best first, with their costs and the ids of their requests to come.
        calibration: what the ledger keeps of the strategy.
        unspent: the rest of the budget that no further pick fits into, in its unit; 0 if the pool
            is used up.
        seed: the seed of the round's draws.
        pairs: the images that the query drew as pairs.
        audited: the cells that the query drew to audit suppliers.
    """

    round: int
    strategy: str
    picks: Sequence[Pick]
    calibration: Values
    unspent: float
    seed: int
    pairs: Sequence[str] = ()
    audited: Sequence[SuppliedCells] = ()


def pool_statistics(table: Table, fit: Fit, grid: Grid) -> dict[str, Array]:
    """The statistics at the grid's rows; NaN for tasks whose head is untrained.

    So it is for cells without a supplied label in a statistic that reads these.

    Raises:
        ProjectError: a required value is not finite. (Picking such cells at random would hide the
            fault.)
    """
    untrained = np.array([task not in fit.trained for task in grid.tasks])
    statistics = table.aligned(grid.images)
    for name, values in statistics.items():
        if table.axes[name] == "cell":
            statistics[name] = np.where(untrained, np.nan, values)
            wrong = np.isinf(values) if reads_suppliers(name) else ~np.isfinite(values)
            faulty = wrong & grid.eligible & ~untrained
            unit = ("cell of a trained task has", "cells of trained tasks have")
        else:
            sums = values if values.ndim == 1 else values.sum(1, dtype=np.float64)
            scored = set(table.images)
            flags = (image_id in scored for image_id in grid.images)
            faulty = ~np.isfinite(sums) & np.fromiter(flags, np.bool_, len(grid.images))
            unit = ("scored image has", "scored images have")
        count = int(faulty.sum())
        if count:
            raise ProjectError(
                f"{count_text(count, *unit)} no finite '{name}'.",
                where=fit.checkpoint,
                next_step="Train again, with a lower learning rate or `clip`, then score again.",
                unchanged="Nothing was requested.",
            )
    return statistics


def images_without_scores(table: Table | None, grid: Grid) -> frozenset[str]:
    """The images with missing cells that were set aside when the pool was scored.

    Without a table there are none.
    """
    if table is None:
        return frozenset()
    rows = np.flatnonzero(grid.eligible.any(1)).tolist()
    return frozenset(grid.images[row] for row in rows).difference(table.images)


def choose(
    name: str, strategy: Strategy, number: int, pool: PoolView, budget: Budget, progress: Progress
) -> Choice:
    """Choose missing cells worth at most the budget.

    Args:
        name: the strategy's name.
        strategy: the strategy.
        number: the number of the round.
        pool: what the strategy sees.
        budget: the most that the picks may take.
        progress: receives the warnings.

    Raises:
        NothingToBuyError: the budget does not pay for a single pick.
        PluginError: a pick is not allowed.
    """
    grid = pool.grid
    selection = strategy.select(pool, budget)
    if not selection.picks:
        raise _nothing_to_buy(budget, name, grid)
    for note in selection.notes:
        progress.say(note)
    check_picks(name, selection.picks, grid=grid, budget=budget, unit=strategy.unit)
    costs = dict(zip(grid.tasks, grid.cost.tolist(), strict=True))
    valued = scores_are_values(strategy)
    picks = []
    explanations = explain_picks(selection, grid)
    for pick, (terms, explanation) in zip(selection.picks, explanations, strict=True):
        if pick.drawn:
            explanation = replace(explanation, rank=0, without={})
        complete = replace(
            pick,
            score=pick.score if valued and not pick.drawn else None,
            cost=costs[pick.cell.task],
            request_id=request_id(number, pick.cell),
            terms=terms,
            explanation=explanation,
        )
        picks.append(complete)
    unspent = 0.0
    if len(picks) < int(grid.eligible.sum()):
        unspent = _unspent(budget, picks, strategy, grid.image_labels)
    if unspent:
        progress.say(
            f"Not spent: {unspent:g} of {budget.amount:g} {budget.unit}; no further pick of "
            f"'{name}' fits. The rest is for the next query with a budget in {budget.unit}."
        )
    return Choice(
        round=number,
        strategy=name,
        picks=picks,
        calibration=selection.calibration,
        unspent=unspent,
        seed=pool.seed,
    )


def used_up_text(picks: Collection[Pick], grid: Grid) -> str:
    """Say which tasks have no missing label left after the picks; "" unless only some have none.

    Args:
        picks: the picks.
        grid: the pool they were picked from.
    """
    before = grid.eligible.sum(0)
    left = before.copy()
    columns = grid.columns
    for pick in picks:
        left[columns[pick.cell.task]] -= 1
    done = np.flatnonzero((before > 0) & (left == 0)).tolist()
    rest = np.flatnonzero(left > 0).tolist()
    if not done or not rest:
        return ""
    names = join_names([grid.tasks[column] for column in done])
    others = [f"{left[column]:,} of {grid.tasks[column]}" for column in rest]
    spent = grid.bought.sum(0) * grid.cost
    paid = [f"{task} {number(cost)}" for task, cost in zip(grid.tasks, spent.tolist(), strict=True)]
    return (
        f"This takes every missing label of {names}; left are {join_names(others)}. Labels cost so "
        f"far: {join_names(paid)}. `--task` limits a query to tasks that you name."
    )


def scores_are_values(strategy: Strategy) -> bool:
    """Whether a strategy's scores are values, not the order of random draws only.

    A strategy declares this by an attribute `valued`, which is true by default.
    """
    return bool(getattr(strategy, "valued", True))


def _nothing_to_buy(budget: Budget, name: str, grid: Grid) -> NothingToBuyError:
    dearest = grid.cost.max()
    least = {
        "labels": f"An image has up to {grid.image_labels} labels; ask for at least that many.",
        "images": "Ask for at least 1.",
        "cost": f"The most expensive label costs {dearest:g}, an image at most "
        f"{grid.cost.sum():g}.",
    }
    return NothingToBuyError(
        f"The budget of {budget.amount:g} {budget.unit} does not pay for a single pick of "
        f"'{name}'.",
        next_step=least[budget.unit],
        unchanged="Nothing was requested.",
    )


def _unspent(budget: Budget, picks: Sequence[Pick], strategy: Strategy, tasks: int) -> float:
    """The rest of the budget; for a strategy of cells, an image is worth one label of each task."""
    if strategy.unit == "cells":
        images = len(picks) / tasks
    else:
        images = len({pick.cell.image_id for pick in picks})
    cost = float(sum(pick.cost for pick in picks))
    spent = {"labels": len(picks), "images": images, "cost": cost}[budget.unit]
    return max(round(budget.amount - spent, 9), 0.0)  # costs are sums of floats


def explain_by_nearest(picks: Sequence[Pick], features: Table, pool: Grid) -> list[Pick]:
    """Add to the explanation of each pick the most similar image with a label of its task.

    Args:
        picks: missing cells of the pool.
        features: a table with the statistic `FEATURES` of the images.
        pool: the images and the states of their cells.
    """
    picked = {pick.cell.image_id for pick in picks}
    labelled = np.any(pool.state == State.LABELLED, axis=1).tolist()
    rows = zip(pool.images, labelled, strict=True)
    unlabelled = {image_id for image_id, is_labelled in rows if not is_labelled}
    grid = pool.without(unlabelled - picked)
    nearest = nearest_labelled_images(features.aligned(grid.images)[FEATURES], grid, picks)
    explained = []
    for pick, (image_id, distance) in zip(picks, nearest, strict=True):
        explanation = pick.explanation
        if image_id:
            explanation = replace(explanation, nearest=image_id, distance=distance)
        explained.append(replace(pick, explanation=explanation))
    return explained
