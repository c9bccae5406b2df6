"""Buys the largest total value that a budget pays for.

The purchase is exact where that is quick, and by value per cost otherwise.
"""

import numpy as np

from labelgrid.basics.array_types import Floats, Ints, Keys, Places
from labelgrid.select.budget import ROUNDING, buy, payable_amount

#: Costs are whole multiples of this share of 1, or the best purchase is not computed exactly.
STEP = 1e-4
#: The largest number of sums that an exact purchase may compare; about a second's work.
MOST_SUMS = 2 * 10**8
#: The largest number of counts that it may keep, of 4 bytes each.
MOST_KEPT = 2 * 10**7


def buy_value(scores: Floats, keys: Keys, costs: Floats, amount: float) -> list[int]:
    """Take the items of the largest total value that an amount pays for.

    The rest of the amount buys further items.

    An item's value is its score, above the lowest score if any is below 0. Where costs are
    multiples of `STEP` and the problem is small (`MOST_SUMS`, `MOST_KEPT`), the total value is the
    largest possible. Otherwise the result is at least half of the best value: items are taken by
    value per cost, or the most valuable item alone if it is worth more than all of them.

    Args:
        scores: float64 [n]; NaN items are never taken.
        keys: uint64 [n], which break ties.
        costs: float64 [n], in the unit of `amount`.
        amount: what may be spent.

    Returns:
        The indices of the taken items, the highest value per cost first.

    Source: the 0-1 knapsack problem; the bound of a half is Dantzig's (1957), see Kellerer,
    Pferschy & Pisinger 2004, section 2.1.

    Example:
        >>> keys = np.array([2, 1, 0], np.uint64)
        >>> buy_value(np.array([0.6, 1.0, 0.5]), keys, np.array([1.0, 10.0, 1.0]), 10.0)
        [0, 2]
        >>> buy_value(np.array([0.3, 1.0, 0.5]), keys, np.array([1.0, 10.0, 1.0]), 10.0)
        [1]
    """
    items = np.flatnonzero(np.isfinite(scores) & (costs <= payable_amount(amount)))
    if not len(items):
        return []
    values = np.full(len(scores), np.nan)
    values[items] = scores[items] - min(float(scores[items].min()), 0.0)
    rates = np.where(costs > 0, values / np.where(costs > 0, costs, 1.0), np.finfo(np.float64).max)
    rates[np.isnan(values)] = np.nan
    taken = _buy_exactly(values, keys, costs=costs, amount=amount, items=items)
    if taken is None:
        taken = buy(rates, keys, costs, amount)
        best = int(_highest_items(items, values, keys, 1)[0])
        if values[best] > values[taken].sum():
            taken = [best]
    other_rates = rates.copy()
    other_rates[taken] = np.nan
    rest = payable_amount(amount) - float(costs[taken].sum())
    taken += buy(other_rates, keys, costs, rest)
    return sorted(taken, key=lambda item: (-rates[item], keys[item], item))


def _highest_items(items: Places, values: Floats, keys: Keys, count: int) -> Places:
    """The `count` items with the highest values, highest first; ties as in `buy`."""
    if 0 < count < len(items):
        items = items[values[items] >= np.partition(values[items], -count)[-count]]
    return items[np.lexsort((keys[items], -values[items]))][:count]


def _count_steps(costs: Floats) -> Ints | None:
    """Costs as whole multiples of `STEP`; None if one is not, or is too large."""
    steps = costs / STEP
    if steps.max() >= 2**53:  # where floats are further apart than 1
        return None
    whole = np.rint(steps).astype(np.int64)
    equal = np.abs(whole * STEP - costs) <= ROUNDING * np.maximum(costs, 1.0)
    vanished = (whole <= 0) & (costs != 0)
    if np.any(~equal | vanished):
        return None
    return whole


def _buy_exactly(
    values: Floats, keys: Keys, costs: Floats, amount: float, items: Places
) -> list[int] | None:
    """The items of the largest total value, or None if that takes too long.

    Among items of equal cost the most valuable are taken, so only their number is open for each
    cost. The best value of each amount is computed cost by cost (dynamic programming).
    """
    weights = _count_steps(costs[items])
    if weights is None:
        return None
    different = np.unique(weights)
    divisor = int(np.gcd.reduce(different)) or 1
    capacity = int(payable_amount(min(amount, float(costs[items].sum()))) / (divisor * STEP))
    if (capacity + 1) * len(different) > MOST_KEPT:
        return None
    groups = {}
    for weight in different.tolist():
        group = items[weights == weight]
        units = weight // divisor
        most = len(group)
        if units:
            most = capacity // units
        groups[units] = _highest_items(group, values, keys, most)
    free = groups.pop(0, items[:0])
    if sum(len(group) for group in groups.values()) * (capacity + 1) > MOST_SUMS:
        return None
    taken = free.tolist() + _fill(groups, values, capacity)
    return [int(item) for item in taken]


def _fill(groups: dict[int, Places], values: Floats, capacity: int) -> list[int]:
    """The items of the largest total value that a capacity holds.

    Args:
        groups: items by weight, each group's most valuable first.
        values: the values of all items.
        capacity: the largest total weight.
    """
    best = np.zeros(capacity + 1)
    counts = []
    for weight, group in groups.items():
        totals = np.cumsum(values[group])
        before = best.copy()
        count = np.zeros(capacity + 1, np.int32)
        for number, total in enumerate(totals, 1):
            spent = number * weight
            together = before[: capacity + 1 - spent] + total
            better = together > best[spent:]
            best[spent:][better] = together[better]
            count[spent:][better] = number
        counts.append(count)
    taken = list[int]()
    for (weight, group), count in zip(reversed(groups.items()), reversed(counts), strict=True):
        taken += group[: count[capacity]].tolist()
        capacity -= int(count[capacity]) * weight
    return taken
