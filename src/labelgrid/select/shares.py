"""Divides a budget among groups of images or cells: each group gets its share of the picks."""

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Bools, Floats, Keys
from labelgrid.basics.streams import stream
from labelgrid.select.budget import payable_amount

Rows = NDArray[np.intp]
#: Yields the index of the group whose turn it is. Its argument holds the groups that have nothing
#: left; it grows meanwhile.
Turns = Callable[[Container[int]], Iterator[int]]


@dataclass(frozen=True)
class Group:
    """The items that one share of the budget is spent on.

    Args:
        items: the indices of its items [m]; an item may be in several groups.
        scores: float64 [m], finite; the highest are taken first.
    """

    items: Rows
    scores: Floats


def alternate(groups: Sequence[int]) -> Turns:
    """Take one group after the other, again and again, until all are spent.

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

    Of equal shares, the first begins. When the turns of a part end, the others continue.

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

    In its turn a group takes its best item that no group took and that the rest of the amount pays
    for.

    Args:
        groups: the groups.
        turns: whose turn it is, such as `alternate([1, 0])`; each group again and again while it
            has items.
        costs: float64 [items], in the unit of `amount`.
        keys: uint64 [items]; they break ties of scores, then the index does.
        amount: what may be spent.

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
        best = _next_item(queues[group], taken, costs, rest)
        if best is None:
            spent.add(group)
            continue
        item, score = best
        picks.append((item, group, score))
        taken[item] = True
        rest -= float(costs[item])
    return picks


def _next_item(
    queue: Iterator[tuple[int, float]], taken: Bools, costs: Floats, amount: float
) -> tuple[int, float] | None:
    """The next item that is not taken and that the amount pays for, and its score."""
    for item, score in queue:
        if not taken[item] and costs[item] <= amount:
            return item, score
    return None


def _sort_items(group: Group, keys: Keys, most: int) -> Iterator[tuple[int, float]]:
    """Yield the items of a group and their scores, best first.

    The best `most` items are sorted first, and the others when they are reached.
    """
    top = np.ones(len(group.items), np.bool_)
    if 0 < most < len(top):
        top = group.scores >= np.partition(group.scores, -most)[-most]
    for part in (top, ~top):
        items = group.items[part]
        scores = group.scores[part]
        order = np.lexsort((items, keys[items], -scores))
        yield from zip(items[order].tolist(), scores[order].tolist(), strict=True)
