"""Laws of many at a time: in order, only a few ahead, and a failure stops those that wait."""

import itertools
import threading
import time

import pytest

from labelgrid.storage.threads import AHEAD, THREADS, each_in_threads


def test_results_come_in_the_order_of_the_items():
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0)
        return number * 2

    assert list(each_in_threads(slow_first, range(500))) == [2 * number for number in range(500)]


def test_only_some_items_are_taken_ahead():
    taken = itertools.count()
    items = (next(taken) for _ in range(10**9))
    results = each_in_threads(lambda item: item, items)
    assert next(results) == 0
    assert next(taken) <= AHEAD
    results.close()


def test_a_failure_stops_those_that_wait():
    begun = []
    lock = threading.Lock()

    def fail(number: int) -> None:
        with lock:
            begun.append(number)
        time.sleep(0.05)
        raise OSError(number)

    with pytest.raises(OSError, match="0"):
        list(each_in_threads(fail, range(10_000)))
    assert len(begun) <= 3 * THREADS
