"""Distances that were cut off, or whose bits or bytes were moved, are doubted; the sky is not."""

from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from labelgrid.tasks.stored_distances import (
    End,
    Stored,
    end_of,
    judge_ends,
    judge_stored,
    stored_of,
)

UNDECLARED = SimpleNamespace(scale=None, step=None)


def ramp(steps: int = 2000) -> NDArray[np.uint16]:
    """Whole millimetres [h, w] that rise to the right and downward, and a box in front."""
    rows, columns = np.indices((48, 64))
    depth = 1000 + (columns * steps / 64 + rows * 7).astype(np.uint16)
    depth[10:20, 10:20] = 900
    return depth.astype(np.uint16)


def stored(numbers: NDArray[np.uint16], step: float = 0.001) -> Stored | None:
    value = (numbers * np.float32(step))[..., None].astype(np.float32)
    return stored_of(value, numbers > 0, UNDECLARED)


def test_a_pile_at_the_end_is_a_cut_only_if_there_is_something_just_before_it() -> None:
    metres = (np.minimum(ramp(), 2000) / 1000)[..., None].astype(np.float32)
    valid = np.ones(metres.shape[:2], np.bool_)
    assert judge_ends([end_of(metres, valid, UNDECLARED)] * 10, UNDECLARED)
    metres[metres > 1.99] = 80.0
    assert not judge_ends([end_of(metres, valid, UNDECLARED)] * 10, UNDECLARED)


def test_labels_that_end_at_different_values_are_no_doubt() -> None:
    ends = [End(2.0 + number / 100, 0.3, 0.1) for number in range(20)]
    assert not judge_ends(ends, UNDECLARED)
    assert not judge_ends([End(2.0, 0.3, 0.1)] * 7, UNDECLARED)
    assert not judge_ends([End(10.0, 0.006, 0.1)] * 20, UNDECLARED)


def test_bits_moved_to_the_left_are_told_and_right_numbers_are_not() -> None:
    assert "moved to the left by 3" in judge_stored([stored(ramp() << 3)] * 3, UNDECLARED)
    assert not judge_stored([stored(ramp())] * 3, UNDECLARED)
    assert not judge_stored([stored(ramp() // 10 * 10)] * 3, UNDECLARED)  # measured in centimetres


def test_exchanged_bytes_are_told() -> None:
    assert "Exchange the bytes" in judge_stored([stored(ramp().byteswap())] * 3, UNDECLARED)


def test_numbers_that_are_no_whole_steps_say_nothing() -> None:
    metres = (ramp() * np.float32(0.001) + np.float32(0.0003))[..., None]
    assert stored_of(metres, np.ones(metres.shape[:2], np.bool_), UNDECLARED) is None
    assert stored(np.full((48, 64), 800, np.uint16)) is None
    assert not judge_stored([stored(ramp() << 3), None], UNDECLARED)
