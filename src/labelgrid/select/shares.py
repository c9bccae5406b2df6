"""Divides a budget among groups of images or cells: each group gets its share of the picks."""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.basics.array_types import Floats, Keys, Places
from labelgrid.basics.streams import stream
from labelgrid.ledger.grid import Grid
from labelgrid.select.budget import cell_costs, payable_amount
from labelgrid.select.strategy import Budget

#: Yields the index of the group whose turn it is. Its argument holds the groups that have nothing
#: left; it grows meanwhile.
Turns = Callable[[Container[int]], Iterator[int]]


@dataclass(frozen=True)
class Group:
    """Items that a share of the budget is spent on.

    Args:
        items: the indices [m]; an item may be in several groups.
        scores: float64 [m], finite; the highest are taken first.
    """

    items: Places
    scores: Floats


def groups_of(order: Iterable[int], numbers: Places, scores: Floats) -> list[Group]:
    """The groups that have items, in order.

    Args:
        order: the numbers of the groups.
        numbers: the number of the group of each item [m]; -1 where an item cannot be picked.
        scores: float64 [m].
    """
    groups = []
    for number in order:
        items = np.flatnonzero(numbers == number)
        if len(items):
            groups.append(Group(items, scores[items]))
    return groups


def alternate(groups: Sequence[int]) -> Turns:
    """Repeat a sequence of groups until all are spent.

    Which groups are spent is looked up after each pass.

    Example:
        >>> spent = set()
        >>> turns = alternate([4, 2, 3])(spent)
        >>> first = [next(turns) for _ in range(4)]
        >>> spent |= {3, 4}
        >>> first, [next(turns) for _ in range(3)]
        ([4, 2, 3, 4], [2, 3, 2])
    """

    def turns(spent: Container[int]) -> Iterator[int]:
        unspent = groups
        while True:
            unspent = [group for group in unspent if group not in spent]
            if not unspent:
                return
            yield from unspent

    return turns


def interleave(parts: Sequence[Turns], shares: Sequence[float]) -> Turns:
    """Merge the turns of several parts in proportion to their shares (Webster's rule).

    Among equal shares, the first begins. When the turns of a part end, the others continue.

    Example:
        >>> from itertools import islice
        >>> list(islice(interleave([alternate([0, 1]), alternate([2])], [2, 1])(set()), 9))
        [0, 2, 1, 0, 2, 1, 0, 2, 1]
        >>> list(interleave([lambda _: iter([0, 0, 0, 0]), lambda _: iter([1])], [1, 1])(set()))
        [0, 1, 0, 0, 0]
    """

    def turns(spent: Container[int]) -> Iterator[int]:
        iterators = [part(spent) for part in parts]
        counts = dict.fromkeys(range(len(parts)), 0)
        while counts:
            best = max(counts, key=lambda index: shares[index] / (2 * counts[index] + 1))
            counts[best] += 1
            group = next(iterators[best], None)
            if group is None:
                del counts[best]
            else:
                yield group

    return turns


def random_order(count: int, seed: int, *names: str) -> list[int]:
    """The numbers below `count` in random order.

    Groups take turns in such an order, so that not always the same group gets the rest.

    Example:
        >>> sorted(random_order(3, 0, "tasks"))
        [0, 1, 2]
    """
    order = stream(seed, "turns", *names).permutation(count)
    return [int(number) for number in order]


def deal(
    groups: Sequence[Group], turns: Turns, costs: Floats, keys: Keys, amount: float
) -> list[tuple[int, int, float]]:
    """Let the groups take turns until the amount pays for no further item.

    When its turn comes, a group takes its best remaining item that the remaining amount pays for.

    Args:
        groups: the groups.
        turns: such as `alternate([1, 0])`; each group again and again while it has items.
        costs: float64 [items], in the unit of `amount`.
        keys: uint64 [items], which break ties of scores, then the index does.
        amount: the most to spend.

    Returns:
        Item, group and score of each pick, in order.

    Example:
        >>> few = Group(np.array([0]), np.array([0.1]))
        >>> many = Group(np.arange(3), np.array([0.1, 0.5, 0.9]))
        >>> keys = np.arange(3, dtype=np.uint64)
        >>> deal([few, many], alternate([0, 1]), np.ones(3), keys, amount=3.0)
        [(0, 0, 0.1), (2, 1, 0.9), (1, 1, 0.5)]
    """
    least = float(costs.min(initial=np.inf))
    most = len(costs)
    if 0 < least < np.inf:
        most = int(payable_amount(amount) // least)
    queues = [_sort_items(group, keys, most) for group in groups]
    spent = set[int]()
    rest = payable_amount(amount)
    taken = np.zeros(len(costs), np.bool_)
    picks = list[tuple[int, int, float]]()
    for group in turns(spent):
        if rest < least:
            break
        for item, score in queues[group]:
            if not taken[item] and costs[item] <= rest:
                picks.append((item, group, score))
                taken[item] = True
                rest -= float(costs[item])
                break
        else:
            spent.add(group)
    return picks


def deal_cells(
    groups: Sequence[Group], turns: Turns, grid: Grid, budget: Budget
) -> list[tuple[int, int, float]]:
    """Deal the cells of a grid, as `deal`; the items are indices in the flattened grid."""
    costs, amount = cell_costs(grid, budget)
    keys = np.repeat(grid.keys, len(grid.tasks))
    return deal(groups, turns, costs=costs, keys=keys, amount=amount)


def _sort_items(group: Group, keys: Keys, most: int) -> Iterator[tuple[int, float]]:
    """Yield items and scores, best first: the best `most` are sorted at once, the rest when due."""
    top = np.ones(len(group.items), np.bool_)
    if 0 < most < len(top):
        top = group.scores >= np.partition(group.scores, -most)[-most]
    for part in (top, ~top):
        items = group.items[part]
        scores = group.scores[part]
        order = np.lexsort((items, keys[items], -scores))
        yield from zip(items[order].tolist(), scores[order].tolist(), strict=True)
