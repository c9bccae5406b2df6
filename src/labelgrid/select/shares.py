"""Divides a budget among groups of images or cells: each group gets its share of the picks."""

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelgrid.select.budget import Floats, payable_amount
from labelgrid.streams import stream

Rows = NDArray[np.intp]
#: Yields the index of the group whose turn it is, given the groups that have nothing left, which
#: grow meanwhile.
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
    """One group after the other, again and again, until all are spent, which is looked up after each pass.

    Example:
        >>> spent = set()
        >>> turns = alternate([4, 2, 3])(spent)
        >>> first = [next(turns) for _ in range(4)]
        >>> spent |= {3, 4}
        >>> first, [next(turns) for _ in range(3)]
        ([4, 2, 3, 4], [2, 3, 2])
    """

    def turns(spent: Container[int]) -> Iterator[int]:
        left = groups
        while left := [group for group in left if group not in spent]:
            yield from left

    return turns


def interleave(parts: Sequence[Turns], shares: Sequence[float]) -> Turns:
    """Merge turns in proportion to their shares (Webster's rule); of equal ones, the first begins.

    When those of a part end, the others continue.

    Example:
        >>> from itertools import islice
        >>> list(islice(interleave([alternate([0, 1]), alternate([2])], [2, 1])(set()), 9))
        [0, 2, 1, 0, 2, 1, 0, 2, 1]
        >>> list(interleave([lambda _: iter([0, 0, 0, 0]), lambda _: iter([1])], [1, 1])(set()))
        [0, 1, 0, 0, 0]
    """

    def turns(spent: Container[int]) -> Iterator[int]:
        own = [part(spent) for part in parts]
        counts = dict.fromkeys(range(len(own)), 0)
        while counts:
            best = max(counts, key=lambda index: shares[index] / (2 * counts[index] + 1))
            counts[best] += 1
            group = next(own[best], None)
            if group is None:
                del counts[best]
            else:
                yield group

    return turns


def random_order(count: int, seed: int, *names: str) -> list[int]:
    """The numbers below `count` in random order: whose turn comes first, so that no group always gets the rest.

    Example:
        >>> sorted(shuffled(3, 0, "tasks"))
        [0, 1, 2]
    """
    return [int(number) for number in stream(seed, "turns", *names).permutation(count)]


def deal(
    groups: Sequence[Group], turns: Turns, costs: Floats, keys: NDArray[np.uint64], amount: float
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
        >>> few, all_ = Group(np.array([0]), np.array([0.1])), Group(np.arange(3), np.array([0.1, 0.5, 0.9]))
        >>> deal([few, all_], alternate([0, 1]), np.ones(3), np.arange(3, dtype=np.uint64), 3.0)
        [(0, 0, 0.1), (2, 1, 0.9), (1, 1, 0.5)]
    """
    least = float(costs.min(initial=np.inf))
    most = int(payable_amount(amount) // least) if 0 < least < np.inf else len(costs)
    queues = [_best_first(group, keys, most) for group in groups]
    spent = set[int]()
    left = payable_amount(amount)
    taken = np.zeros(len(costs), np.bool_)
    picks = list[tuple[int, int, float]]()
    for group in turns(spent):
        if left < least:
            break
        found = next(
            ((i, score) for i, score in queues[group] if not taken[i] and costs[i] <= left), None
        )
        if found is None:
            spent.add(group)
            continue
        item, score = found
        picks.append((item, group, score))
        taken[item] = True
        left -= float(costs[item])
    return picks


def _best_first(group: Group, keys: NDArray[np.uint64], most: int) -> Iterator[tuple[int, float]]:
    """The items of a group, best first.

    The best `most` are sorted first, and the others when they are reached.
    """
    top = np.ones(len(group.items), np.bool_)
    if 0 < most < len(top):
        top = group.scores >= np.partition(group.scores, -most)[-most]
    for part in (top, ~top):
        items = group.items[part]
        scores = group.scores[part]
        order = np.lexsort((items, keys[items], -scores))
        yield from zip(items[order].tolist(), scores[order].tolist(), strict=True)
