"""Budgets: their checks, and what to buy with them."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import LabelgridError, PluginError
from labelgrid.ledger.grid import Grid, Pick, Unit
from labelgrid.select.strategy import Budget
from labelgrid.words import count_text

Floats = NDArray[np.float64]
#: Tolerance for rounding when costs are summed: relative to the budget, at least absolute.
ROUNDING = 1e-9


def check_picks(
    name: str, picks: Sequence[Pick], grid: Grid, budget: Budget, unit: Literal["cells", "images"]
) -> None:
    """Refuse picks that no strategy may make; nothing was done with them yet.

    Args:
        name: the strategy's name.
        picks: its picks.
        grid: the pool.
        budget: the most that they may take. For a strategy of cells, an image is as many labels as
            there are tasks.
        unit: the unit of the strategy's picks.

    Raises:
        PluginError: a cell is picked twice, is not missing, has no finite score, or the picks
            exceed the budget.
    """
    cells = [pick.cell for pick in picks]
    picked = {cell.image_id for cell in cells}
    eligible = grid.eligible
    rows = {image_id: row for row, image_id in enumerate(grid.images) if image_id in picked}
    columns = {task: column for column, task in enumerate(grid.tasks)}
    faults = [
        f"({cell.image_id}, {cell.task}) twice"
        for cell, count in Counter(cells).items()
        if count > 1
    ]
    for pick in picks:
        row = rows.get(pick.cell.image_id)
        column = columns.get(pick.cell.task)
        if row is None or column is None or not eligible[row, column]:
            faults.append(f"({pick.cell.image_id}, {pick.cell.task}), which is not missing")
        elif not math.isfinite(pick.score):
            faults.append(f"({pick.cell.image_id}, {pick.cell.task}) with the score {pick.score}")
    spent = sum(float(grid.cost[columns[cell.task]]) for cell in cells if cell.task in columns)
    images = len(picked) if unit == "images" else len(cells) / len(grid.tasks)
    used = {"labels": len(cells), "images": images, "cost": spent}[budget.unit]
    if used > budget.amount + 1e-6 * max(budget.amount, 1.0):  # sums of floats
        faults.append(f"more than the budget of {budget.amount:.10g} {budget.unit}: {used:.10g}")
    if faults:
        raise PluginError(
            f"The strategy '{name}' picked {faults[0]}"
            + (f", and {count_text(len(faults) - 1, 'more fault')}." if faults[1:] else "."),
            next_step="Fix the strategy; labelgrid list strategies shows others.",
            unchanged="Nothing was requested.",
        )


def payable_amount(amount: float) -> float:
    """What picks may cost in all: the amount plus the tolerance for rounding (`ROUNDING`).

    Example:
        >>> payable(0.0), payable(5e6) - 5e6 < 0.006
        (1e-09, True)
    """
    return amount + ROUNDING * max(amount, 1.0)


def pool_size(grid: Grid, unit: Unit) -> float:
    """The size of the remaining pool, in a budget's unit."""
    eligible = grid.eligible
    return {
        "labels": float(eligible.sum()),
        "images": float(eligible.any(1).sum()),
        "cost": float((eligible * grid.cost).sum()),
    }[unit]


def check_budget(budget: Budget, grid: Grid, set_aside: int = 0) -> None:
    """Check that a budget is above 0 and not larger than the pool.

    Args:
        budget: the most that the picks may take.
        grid: the pool, without the images that are set aside.
        set_aside: how many these are.

    Raises:
        LabelgridError: it is not, or the pool is empty.
    """
    available = pool_size(grid, budget.unit)
    aside = back = ""
    if set_aside:
        why = "set aside, because {} cannot be read"
        one = f"image is {why.format('its file')}"
        many = f"images are {why.format('their files')}"
        aside = f"; {count_text(set_aside, one, many)}"
        back = "Put the files back. "
    if budget.unit == "cost" and grid.eligible.any() and not available:
        raise LabelgridError(
            "All missing labels are free, so a cost does not limit them.",
            next_step="Ask for a number of labels or images.",
            unchanged="Nothing was requested.",
        )
    if not budget.amount > 0:
        raise LabelgridError(
            f"The budget must be above 0. Found {budget.amount:g} {budget.unit}.",
            next_step=f"Ask for at most {available:.10g}.",
            unchanged="Nothing was requested.",
        )
    if not grid.eligible.any():
        raise LabelgridError(
            f"The pool is empty: no image to train on lacks a label{aside}.",
            next_step=f"{back}Add images or tasks with `labelgrid add`.",
            unchanged="Nothing was requested.",
        )
    if budget.amount > payable_amount(available):
        raise LabelgridError(
            f"The budget of {budget.amount:.10g} {budget.unit} is larger than the pool, which holds "
            f"{available:.10g}{aside}.",
            next_step=f"{back}Ask for at most {available:.10g}, or add images with `labelgrid add`.",
            unchanged="Nothing was requested.",
        )


def image_costs(grid: Grid, budget: Budget) -> Floats:
    """What all missing cells of each image cost in the budget's unit, float64 [n].

    Infinite where there are none.

    Example:
        >>> grid = Grid(["i", "j"], np.arange(2, dtype=np.uint64), ["a", "b"], np.array([[0, 0], [2, 2]]), np.ones(2))
        >>> image_costs(grid, Budget(9, "labels"))
        array([ 2., inf])
    """
    eligible = grid.eligible
    costs = {
        "labels": eligible.sum(1),
        "images": eligible.any(1),
        "cost": (eligible * grid.cost).sum(1),
    }[budget.unit]
    return np.where(eligible.any(1), costs.astype(np.float64), np.inf)


def cell_costs(grid: Grid, budget: Budget) -> tuple[Floats, float]:
    """What each cell costs, float64 [n × t], infinite unless missing, and the budget's amount in the same unit.

    A budget of one image is worth t cells, so that strategies of both units spend equally many
    labels.
    """
    eligible = grid.eligible
    costs = np.where(eligible, grid.cost if budget.unit == "cost" else 1.0, np.inf)
    return costs.ravel(), budget.amount * (len(grid.tasks) if budget.unit == "images" else 1)


def buy(scores: Floats, keys: NDArray[np.uint64], costs: Floats, amount: float) -> list[int]:
    """Go through the items with a finite score, highest first, and take each that the rest of `amount` pays for.

    Ties are broken by key, then by index (a cell's task). Only the best items that `amount` could
    pay for are sorted.

    Args:
        scores: float64 [n]; NaN items are never taken.
        keys: uint64 [n].
        costs: float64 [n], in the unit of `amount`.
        amount: what may be spent.

    Returns:
        The indices of the taken items, highest score first.

    Example:
        >>> keys = np.array([3, 2, 1, 0], np.uint64)
        >>> buy(np.array([0.5, 0.9, 0.5, np.nan]), keys, np.array([1.0, 2.0, 1.0, 1.0]), 3.0)
        [1, 2]
    """
    known = np.flatnonzero(np.isfinite(scores))
    if not len(known):
        return []
    cheapest = float(costs[known].min())
    if cheapest > payable_amount(amount):
        return []
    count = int(payable_amount(amount) // cheapest) if cheapest else 0  # labels may be free
    top = known
    if 0 < count < len(known):
        values = scores[known]
        top = known[values >= np.partition(values, -count)[-count]]
    taken, left = _take(top, scores, keys=keys, costs=costs, amount=amount)
    if left >= cheapest and len(top) < len(known):
        taken, _ = _take(known, scores, keys=keys, costs=costs, amount=amount)
    return taken


def _take(
    items: NDArray[np.intp],
    scores: Floats,
    keys: NDArray[np.uint64],
    costs: Floats,
    amount: float,
) -> tuple[list[int], float]:
    """The taken items among `items`, and the rest of the amount."""
    order = items[np.lexsort((keys[items], -scores[items]))]
    taken = []
    left = payable_amount(amount)
    cheapest = float(costs[order].min())
    for item in order:
        if left < cheapest:
            break
        if costs[item] <= left:
            taken.append(int(item))
            left -= float(costs[item])
    return taken, left
