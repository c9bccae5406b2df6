"""Labels that all hold the same single value show nothing."""

import numpy as np

from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.checks import MANY, judge_single_values, single_value
from labelgrid.tasks.task import TaskDef

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


def test_small_objects_of_a_large_label_show_something() -> None:
    semseg = TaskDef.of(TaskRow("semseg", "semseg", 1.0, {"classes": ["wall", "hat"]}))
    value = np.zeros((2000, 2000, 1), np.int64)
    value[403:406, 803:806] = 1
    label = LabelArray(value, np.ones((2000, 2000), np.bool_))
    assert len(np.unique(label.sample().value)) == 1
    assert semseg.measured(label) == (b"",)
