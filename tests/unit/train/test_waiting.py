"""How long a training waits for batches is measured, and told where it is much."""

import time

import pytest

from labelgrid.train.waiting import Waiting, early_waiting_hint, waiting_hint


def slow(count):
    for number in range(count):
        time.sleep(0.02)
        yield number


def test_only_the_time_inside_of_the_iterable_counts():
    waiting = Waiting(slow(3))
    for _ in waiting:
        time.sleep(0.2)
    assert 0.06 <= waiting.seconds < 0.6


def test_the_time_of_an_iterable_that_fails_counts_too():
    def failing():
        time.sleep(0.02)
        raise OSError("gone")
        yield

    waiting = Waiting(failing())
    with pytest.raises(OSError, match="gone"):
        list(waiting)
    assert waiting.seconds >= 0.02


@pytest.mark.parametrize(
    ("waited", "seconds", "told"),
    [(40, 100, "40 %"), (29, 30, ""), (31, 31, "100 %"), (24, 100, ""), (40, 200, "")],
)
def test_much_waiting_is_told(waited, seconds, told):
    half = {"waited": waited / 2, "seconds": seconds / 2}
    hint = waiting_hint([{"seconds": 1000.0}, half, half])
    assert hint.startswith(told) and bool(hint) == bool(told)
    early = early_waiting_hint([half, half])
    assert early.startswith(told) and bool(early) == bool(told)
