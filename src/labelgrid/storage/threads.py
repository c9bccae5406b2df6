"""Runs an action on many objects at a time, and stops soon when one fails."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

#: So many objects are fetched at a time.
THREADS = 24
#: So many are begun before the result of the first is taken.
AHEAD = 8 * THREADS


def each_in_threads(action: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """The results of an action on each item, in their order.

    If one call fails, or the caller stops, waiting calls are not begun.

    Example:
        >>> list(each_in_threads(str.upper, "abc"))
        ['A', 'B', 'C']
    """
    threads = ThreadPoolExecutor(THREADS)
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(threads.submit(action, item))
            if len(waiting) >= AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)
