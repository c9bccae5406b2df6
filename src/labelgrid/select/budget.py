"""Checks budgets and picks, and buys the items with the highest scores."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from labelgrid.basics.array_types import Floats, Keys, Places
from labelgrid.basics.errors import LabelgridError, PluginError
from labelgrid.basics.words import count_text, join_names
from labelgrid.ledger.grid import Grid, Pick, State, Unit
from labelgrid.select.strategy import Budget, PickUnit

#: Tolerance for rounding when costs are summed: relative to the budget, at least absolute.
ROUNDING = 1e-9


def check_picks(
    name: str, picks: Sequence[Pick], grid: Grid, budget: Budget, unit: PickUnit
) -> None:
    """Refuse picks that no strategy may make.

    Args:
        name: the strategy's name.
        picks: the picks of the strategy.
        grid: the pool.
        budget: the limit. For a strategy of cells, an image is as many labels as there are tasks.
        unit: the unit of the strategy's picks.

    Raises:
        PluginError: a cell is picked twice, is not missing, has no finite score, or the picks
            exceed the budget.
    """
    faults = _pick_faults(picks, grid)
    used: float = len(picks)
    if budget.unit == "images":
        used /= grid.image_labels
        if unit == "images":
            used = len({pick.cell.image_id for pick in picks})
    elif budget.unit == "cost":
        prices = dict(zip(grid.tasks, grid.cost.tolist(), strict=True))
        used = sum(prices.get(pick.cell.task, 0.0) for pick in picks)
    if used > budget.amount + 1e-6 * max(budget.amount, 1.0):  # sums of floats
        faults.append(f"more than the budget of {budget.amount:.10g} {budget.unit}: {used:.10g}")
    if not faults:
        return
    others = ""
    if len(faults) > 1:
        others = f", and {count_text(len(faults) - 1, 'more fault')}"
    raise PluginError(
        f"The strategy '{name}' picked {faults[0]}{others}.",
        next_step="Fix the strategy; labelgrid list strategies shows others.",
        unchanged="Nothing was requested.",
    )


def _pick_faults(picks: Sequence[Pick], grid: Grid) -> list[str]:
    faults = []
    for cell, count in Counter(pick.cell for pick in picks).items():
        if count > 1:
            faults.append(f"({cell.image_id}, {cell.task}) twice")
    eligible = grid.eligible
    picked = {pick.cell.image_id for pick in picks}
    rows = {image_id: row for row, image_id in enumerate(grid.images) if image_id in picked}
    columns = grid.columns
    for pick in picks:
        cell = pick.cell
        row = rows.get(cell.image_id)
        column = columns.get(cell.task)
        if row is None or column is None or not eligible[row, column]:
            faults.append(f"({cell.image_id}, {cell.task}), which is not missing")
        elif pick.score is None or not math.isfinite(pick.score):
            faults.append(f"({cell.image_id}, {cell.task}) with the score {pick.score}")
    return faults


def payable_amount(amount: float) -> float:
    """The amount plus the tolerance for rounding (`ROUNDING`).

    Example:
        >>> payable_amount(0.0), payable_amount(5e6) - 5e6 < 0.006
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
    """Refuse a budget of nothing, and an empty pool.

    Args:
        budget: the most that the picks may take.
        grid: the pool, without the images that are set aside.
        set_aside: the number of images that are set aside, because their files cannot be read.

    Raises:
        LabelgridError: the budget is not above 0, or the pool is empty.
    """
    available = pool_size(grid, budget.unit)
    aside = ""
    advice = ""
    if set_aside:
        single = "image is set aside, because its file cannot be read"
        several = "images are set aside, because their files cannot be read"
        aside = f"; {count_text(set_aside, single, several)}"
        advice = "Put the files back. "
    if budget.unit == "cost" and grid.eligible.any() and not available:
        raise LabelgridError(
            "All missing labels are free, so a cost does not limit them.",
            next_step="Ask for a number of labels or images.",
            unchanged="Nothing was requested.",
        )
    if not 0 < budget.amount < math.inf:
        raise LabelgridError(
            f"The budget must be a number above 0. Found {budget.amount:g} {budget.unit}.",
            next_step=f"Ask for at most {available:.10g}.",
            unchanged="Nothing was requested.",
        )
    if not grid.eligible.any():
        states, again = _not_in_pool(grid)
        lacked = f"a label of {join_names(sorted(grid.asked))}" if grid.asked else "a label"
        raise LabelgridError(
            f"The pool is empty: no image to train on lacks {lacked}{states}{aside}.",
            next_step=f"{advice}{again}Add images or tasks with `labelgrid add`.",
            unchanged="Nothing was requested.",
        )


def _not_in_pool(grid: Grid) -> tuple[str, str]:
    requested = int((grid.state == State.REQUESTED).sum())
    skipped = int((grid.state == State.SKIPPED).sum())
    text = ""
    again = ""
    if grid.left_out is not None:
        follows = int(((grid.state == State.MISSING) & grid.left_out).sum())
        text = f", or it follows from others ({follows})" if follows else ""
    if requested:
        text += f", or it is asked for ({requested})"
    if skipped:
        text += f", or it was skipped ({skipped})"
        again = "`labelgrid cancel DIR --requeue` lets skipped labels be asked for again. "
    return text, again


def image_costs(grid: Grid, budget: Budget) -> Floats:
    """The cost of the missing cells of each image together, in the budget's unit.

    Returns:
        Float64 [n]; infinite for an image without a missing cell.

    Example:
        >>> keys = np.arange(2, dtype=np.uint64)
        >>> state = np.array([[0, 0], [2, 2]])
        >>> grid = Grid(
        ...     images=["i", "j"], keys=keys, tasks=["a", "b"], state=state, cost=np.ones(2)
        ... )
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
    """The cost of each cell, and the budget's amount in the same unit.

    A budget of one image is worth t cells, so that strategies of both units spend equally many
    labels.

    Returns:
        The costs, float64 [n × t], infinite unless the cell is missing; the amount.
    """
    price: Floats | float = 1.0
    amount = budget.amount
    if budget.unit == "cost":
        price = grid.cost
    elif budget.unit == "images":
        amount *= grid.image_labels
    return np.where(grid.eligible, price, np.inf).ravel(), amount


def buy(scores: Floats, keys: Keys, costs: Floats, amount: float) -> list[int]:
    """Take the items with the highest scores that an amount pays for.

    The items with a finite score are tried in order, highest first, and each is taken if the rest
    of the amount pays for it. Ties are broken by key, then by index (a cell's task). Only the best
    items that the amount could pay for are sorted.

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
    items = np.flatnonzero(np.isfinite(scores))
    if not len(items):
        return []
    cheapest = float(costs[items].min())
    if cheapest > payable_amount(amount):
        return []
    count = 0
    if cheapest:  # labels may be free
        count = int(payable_amount(amount) // cheapest)
    top = items
    if 0 < count < len(items):
        values = scores[items]
        top = items[values >= np.partition(values, -count)[-count]]
    taken, rest = _take(top, scores, keys=keys, costs=costs, amount=amount)
    if rest >= cheapest and len(top) < len(items):
        taken, _ = _take(items, scores, keys=keys, costs=costs, amount=amount)
    return taken


def _take(
    items: Places, scores: Floats, keys: Keys, costs: Floats, amount: float
) -> tuple[list[int], float]:
    order = items[np.lexsort((keys[items], -scores[items]))]
    taken = []
    rest = payable_amount(amount)
    cheapest = float(costs[order].min())
    for item in order:
        if rest < cheapest:
            break
        if costs[item] <= rest:
            taken.append(int(item))
            rest -= float(costs[item])
    return taken, rest
