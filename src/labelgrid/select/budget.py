"""Budgets: their checks, and what to buy with them."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from labelgrid.errors import LabelgridError, PluginError
from labelgrid.labels.grid import Grid, Pick, Unit
from labelgrid.select.strategy import Budget
from labelgrid.words import counted

Floats = NDArray[np.float64]
#: Costs are sums of floats: the share of a budget, or of 1, that may be spent above it.
ROUNDING = 1e-9
#: Costs are whole multiples of this share of 1, or the best purchase is not computed exactly.
STEP = 1e-4
#: The largest number of sums that an exact purchase may compare; about a second's work.
MOST_SUMS = 2 * 10**8
#: The largest number of counts that it may keep, of 4 bytes each.
MOST_KEPT = 2 * 10**7


def check_picks(name: str, picks: Sequence[Pick], grid: Grid, budget: Budget, unit: Literal["cells", "images"]) -> None:
    """Refuse picks that no strategy may make; nothing was done with them yet.

    Args:
        name: the strategy's name.
        picks: its picks.
        grid: the pool.
        budget: the most that they may take. For a strategy of cells, an image is as many labels as there are tasks.
        unit: the unit of the strategy's picks.

    Raises:
        PluginError: a cell is picked twice, is not missing, has no finite score, or the picks exceed the budget.
    """
    cells = [pick.cell for pick in picks]
    picked, eligible = {cell.image_id for cell in cells}, grid.eligible
    rows = {image_id: row for row, image_id in enumerate(grid.images) if image_id in picked}
    columns = {task: column for column, task in enumerate(grid.tasks)}
    faults = [f"({cell.image_id}, {cell.task}) twice" for cell, count in Counter(cells).items() if count > 1]
    for pick in picks:
        row, column = rows.get(pick.cell.image_id), columns.get(pick.cell.task)
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
            + (f", and {counted(len(faults) - 1, 'more fault')}." if faults[1:] else "."),
            next_step="Fix the strategy; labelgrid list select shows others.",
            unchanged="Nothing was requested.",
        )


def payable(amount: float) -> float:
    """What picks may cost in all: the amount, and what sums of floats may err by.

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
        one, many = f"image is {why.format('its file')}", f"images are {why.format('their files')}"
        aside, back = f"; {counted(set_aside, one, many)}", "Put the files back. "
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
    if budget.amount > payable(available):
        raise LabelgridError(
            f"The budget of {budget.amount:.10g} {budget.unit} is larger than the pool, which holds "
            f"{available:.10g}{aside}.",
            next_step=f"{back}Ask for at most {available:.10g}, or add images with `labelgrid add`.",
            unchanged="Nothing was requested.",
        )


def image_costs(grid: Grid, budget: Budget) -> Floats:
    """What all missing cells of each image cost in the budget's unit, float64 [n]; infinite where there are none.

    Example:
        >>> grid = Grid(["i", "j"], np.arange(2, dtype=np.uint64), ["a", "b"], np.array([[0, 0], [2, 2]]), np.ones(2))
        >>> image_costs(grid, Budget(9, "labels"))
        array([ 2., inf])
    """
    eligible = grid.eligible
    costs = {"labels": eligible.sum(1), "images": eligible.any(1), "cost": (eligible * grid.cost).sum(1)}[budget.unit]
    return np.where(eligible.any(1), costs.astype(np.float64), np.inf)


def cell_costs(grid: Grid, budget: Budget) -> tuple[Floats, float]:
    """What each cell costs, float64 [n × t], infinite unless missing, and the budget's amount in the same unit.

    A budget of one image is worth t cells, so that strategies of both units spend equally many labels.
    """
    eligible = grid.eligible
    costs = np.where(eligible, grid.cost if budget.unit == "cost" else 1.0, np.inf)
    return costs.ravel(), budget.amount * (len(grid.tasks) if budget.unit == "images" else 1)


def buy(scores: Floats, keys: NDArray[np.uint64], costs: Floats, amount: float) -> list[int]:
    """Go through the items with a finite score, highest first, and take each that the rest of `amount` pays for.

    Ties are broken by key, then by index (a cell's task). Only the best items that `amount` could pay for are sorted.

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
    if cheapest > payable(amount):
        return []
    count = int(payable(amount) // cheapest) if cheapest else 0  # labels may be free
    top = known
    if 0 < count < len(known):
        values = scores[known]
        top = known[values >= np.partition(values, -count)[-count]]
    taken, left = _take(top, scores, keys, costs, amount)
    if left >= cheapest and len(top) < len(known):
        taken, _ = _take(known, scores, keys, costs, amount)
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
    taken, left, cheapest = [], payable(amount), float(costs[order].min())
    for item in order:
        if left < cheapest:
            break
        if costs[item] <= left:
            taken.append(int(item))
            left -= float(costs[item])
    return taken, left


def buy_value(scores: Floats, keys: NDArray[np.uint64], costs: Floats, amount: float) -> list[int]:
    """Take the items of the largest total value that `amount` pays for, then others that the rest pays for.

    An item's value is its score, above the lowest score if any is below 0. Where costs are multiples of `STEP` and the
    problem is small (`MOST_SUMS`, `MOST_KEPT`), the total value is the largest possible. Otherwise it is at least half
    of that: the items are taken by value per cost, or the most valuable item alone if it is worth more than all these.

    Args:
        scores: float64 [n]; NaN items are never taken.
        keys: uint64 [n], which break ties.
        costs: float64 [n], in the unit of `amount`.
        amount: what may be spent.

    Returns:
        The indices of the taken items, the highest value per cost first.

    Source: the 0-1 knapsack problem; the bound of a half is Dantzig's (1957), see Kellerer, Pferschy & Pisinger 2004,
    section 2.1.

    Example:
        >>> keys = np.array([2, 1, 0], np.uint64)
        >>> buy_value(np.array([0.6, 1.0, 0.5]), keys, np.array([1.0, 10.0, 1.0]), 10.0)
        [0, 2]
        >>> buy_value(np.array([0.3, 1.0, 0.5]), keys, np.array([1.0, 10.0, 1.0]), 10.0)
        [1]
    """
    known = np.flatnonzero(np.isfinite(scores) & (costs <= payable(amount)))
    if not len(known):
        return []
    values = np.full(len(scores), np.nan)
    values[known] = scores[known] - min(float(scores[known].min()), 0.0)
    rates = np.where(costs > 0, values / np.where(costs > 0, costs, 1.0), np.finfo(np.float64).max)
    rates[np.isnan(values)] = np.nan
    taken = _best_exactly(values, keys, costs, amount, known)
    if taken is None:
        taken = buy(rates, keys, costs, amount)
        best = int(_highest(known, values, keys, 1)[0])
        taken = [best] if values[best] > values[taken].sum() else taken
    values[taken] = np.nan
    taken += buy(np.where(np.isnan(values), np.nan, rates), keys, costs, payable(amount) - float(costs[taken].sum()))
    return sorted(taken, key=lambda item: (-rates[item], keys[item], item))


def _highest(items: NDArray[np.intp], values: Floats, keys: NDArray[np.uint64], count: int) -> NDArray[np.intp]:
    """The `count` items of the highest value, highest first; ties are broken by key, then by index."""
    if 0 < count < len(items):
        items = items[values[items] >= np.partition(values[items], -count)[-count]]
    return items[np.lexsort((keys[items], -values[items]))][:count]


def _in_steps(costs: Floats) -> NDArray[np.int64] | None:
    """Costs as whole multiples of `STEP`; None if one is not, or is too large."""
    steps = costs / STEP
    if steps.max() >= 2**53:  # where floats are further apart than 1
        return None
    whole = np.rint(steps).astype(np.int64)
    fits = (np.abs(whole * STEP - costs) <= ROUNDING * np.maximum(costs, 1.0)) & ((whole > 0) | (costs == 0))
    return whole if fits.all() else None


def _best_exactly(
    values: Floats,
    keys: NDArray[np.uint64],
    costs: Floats,
    amount: float,
    items: NDArray[np.intp],
) -> list[int] | None:
    """The items of the largest total value, or None if that takes too long.

    Of items that cost the same, the most valuable are taken, so that only their number is open for each cost. The best
    value of each amount is computed cost by cost (dynamic programming).
    """
    weights = _in_steps(costs[items])
    if weights is None:
        return None
    different = np.unique(weights)
    divisor = int(np.gcd.reduce(different)) or 1
    capacity = int(payable(min(amount, float(costs[items].sum()))) / (divisor * STEP))
    if (capacity + 1) * len(different) > MOST_KEPT:
        return None
    groups = {}
    for weight in different.tolist():
        group, share = items[weights == weight], weight // divisor
        groups[share] = _highest(group, values, keys, capacity // share if share else len(group))
    free = groups.pop(0, items[:0])
    if sum(len(group) for group in groups.values()) * (capacity + 1) > MOST_SUMS:
        return None
    best, counts = np.zeros(capacity + 1), []
    for weight, group in groups.items():
        totals, before = np.cumsum(values[group]), best.copy()
        count = np.zeros(capacity + 1, np.int32)
        for number, total in enumerate(totals, 1):
            spent = number * weight
            better = before[: capacity + 1 - spent] + total > best[spent:]
            best[spent:][better] = (before[: capacity + 1 - spent] + total)[better]
            count[spent:][better] = number
        counts.append(count)
    taken = free.tolist()
    for (weight, group), count in zip(reversed(groups.items()), reversed(counts), strict=True):
        taken += group[: count[capacity]].tolist()
        capacity -= int(count[capacity]) * weight
    return [int(item) for item in taken]
