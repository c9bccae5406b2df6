"""Labels that all hold the same single value show nothing."""

import numpy as np

from labelgrid.tasks.checks import MANY, judge_single_values, single_value

VALID = np.ones((4, 5), np.bool_)


def of(number: int) -> bytes:
    return single_value(np.full((4, 5, 1), number, np.uint8), VALID, None)


def test_pixels_that_are_not_valid_do_not_count() -> None:
    value = np.zeros((4, 5, 3), np.float32)
    value[0, 0] = 1
    assert single_value(value, VALID, None) == b""
    valid = VALID.copy()
    valid[0, 0] = False
    assert single_value(value, valid, None)
    assert single_value(value, ~VALID, None) == b""
    large = np.zeros((40, 50, 1), np.uint8)
    assert single_value(large, np.ones((40, 50), bool), None) == b"\0"
    large[3, 5] = 1
    assert single_value(large, np.ones((40, 50), bool), None) == b""


def test_only_many_labels_with_the_same_value_are_doubted() -> None:
    assert judge_single_values([of(3)] * MANY, None)
    assert not judge_single_values([of(3)] * (MANY - 1), None)
    assert not judge_single_values([*[of(3)] * MANY, of(4)], None)
    assert not judge_single_values([b""] * MANY, None)
