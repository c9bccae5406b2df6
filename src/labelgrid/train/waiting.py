"""Measures how long a training waits for batches, and says so where it is much."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from labelgrid.basics.type_names import Values

T = TypeVar("T")
#: From this share of the training's time on, and so many seconds of it, waiting is told.
SHARE = 0.25
SECONDS = 30.0


class Waiting(Generic[T]):
    """Yields the items of an iterable, and measures how long that takes.

    Args:
        items: the iterable.

    Attributes:
        seconds: spent in it so far.

    Example:
        >>> waiting = Waiting("ab")
        >>> list(waiting), waiting.seconds >= 0
        (['a', 'b'], True)
    """

    def __init__(self, items: Iterable[T]) -> None:
        self.items = items
        self.seconds = 0.0

    def __iter__(self) -> Iterator[T]:
        iterator = iter(self.items)
        while True:
            started = time.perf_counter()
            try:
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self.seconds += time.perf_counter() - started
            yield item


def waiting_hint(history: Sequence[Values]) -> str:
    """Say which share of a training's time was waiting for batches; "" for a small share.

    Args:
        history: the log records of its epochs.

    Example:
        >>> waiting_hint([{"seconds": 100.0, "waited": 40.0}]).partition(":")[0]
        "40 % of the training's time was waiting for images"
        >>> waiting_hint([{"seconds": 100.0, "waited": 5.0}])
        ''
    """
    fraction = _share_waited(history)
    if fraction is None:
        return ""
    return (
        f"{100 * fraction:.0f} % of the training's time was waiting for images: "
        "`train.workers` reads them beside it, a larger `train.cache` keeps more decoded ones."
    )


def early_waiting_hint(history: Sequence[Values]) -> str:
    """Say which share of the time so far was waiting, and how to go on faster; else "".

    Example:
        >>> early_waiting_hint([{"seconds": 100.0, "waited": 40.0}]).partition(":")[0]
        '40 % of the time so far was waiting for images'
    """
    fraction = _share_waited(history)
    if fraction is None:
        return ""
    return (
        f"{100 * fraction:.0f} % of the time so far was waiting for images: Ctrl-C, then "
        "`labelgrid fit` with a larger `--set train.cache=GIB`, which keeps decoded ones, goes on "
        "from here."
    )


def _share_waited(history: Sequence[Values]) -> float | None:
    waited = 0.0
    seconds = 0.0
    for entry in history:
        if "waited" in entry:  # the log of an earlier version has none
            waited += entry["waited"]
            seconds += entry["seconds"]
    if waited < max(SECONDS, SHARE * seconds):
        return None
    return waited / seconds
