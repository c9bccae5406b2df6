"""Laws of how well a label agrees with the true one of its image."""

import numpy as np
import pytest

from labelgrid.formats.codec import LabelArray
from labelgrid.tasks import agreement
from labelgrid.tasks.agreement import (
    angle_agreement,
    class_agreement,
    distance_agreement,
    line_agreement,
    no_agreement,
    region_agreement,
)
from tests.rooms import room_labels

SIZE = (40, 60)
COMPARE = [angle_agreement, class_agreement, distance_agreement, line_agreement, region_agreement]


def label(value: object, valid: object = True, annotated: object = None) -> LabelArray:
    array = np.asarray(value)
    if array.ndim == 0:
        array = np.full((*SIZE, 1), array)
    mask = np.broadcast_to(np.asarray(valid), array.shape[:2]).copy()
    return LabelArray(array, mask, None if annotated is None else np.asarray(annotated))


def values(compare, one: LabelArray, other: LabelArray) -> list[float]:
    return [round(result.value, 3) for result in compare(one, other, None)]


@pytest.mark.parametrize("compare", COMPARE)
def test_without_a_common_pixel_there_is_no_result(compare) -> None:
    left = np.zeros(SIZE, np.bool_)
    left[:, :30] = True
    value = np.zeros((*SIZE, 3), np.int64 if compare is class_agreement else np.float32)
    assert list(compare(label(value, left), label(value, ~left), None)) == []
    assert list(no_agreement(label(value), label(value), None)) == []


@pytest.mark.parametrize("compare", COMPARE)
def test_equal_labels_are_without_error_and_what_is_not_valid_changes_nothing(compare) -> None:
    value = np.zeros((*SIZE, 3), np.float32)
    value[20, :, 0] = 1
    value[:20, :, 1] = value[21:, :, 2] = 1
    if compare is not angle_agreement:
        value = value[..., :1]
    if compare is class_agreement:
        value = value.astype(np.int64)
    other = value.copy()
    valid = np.ones(SIZE, np.bool_)
    valid[:, 50:] = False
    other[:, 50:] = 7
    first = compare(label(other, valid), label(value), None)[0]
    assert first.value == (0 if first.better == "lower" else 100)


def test_angles_are_those_between_the_vectors() -> None:
    angles = np.radians([0.01, 10, 90, 180])
    turned = np.stack([np.sin(angles), 0 * angles, np.cos(angles)], -1)[None].astype(np.float32)
    ahead = np.broadcast_to(np.float32([0, 0, 1]), turned.shape)
    for place, angle in enumerate((0.01, 10, 90, 180)):
        one = label(turned[:, place : place + 1])
        found = values(angle_agreement, one, label(ahead[:, place : place + 1]))
        assert found == pytest.approx([angle, angle], abs=1e-2 * angle)


def test_distances_differ_by_a_share_of_the_mean_and_have_the_unit_of_their_task() -> None:
    near = label(np.float32([[[1], [3]]]))
    far = label(np.float32([[[2], [6]]]))
    assert values(distance_agreement, near, far) == [50, 2.236]
    assert [result.unit for result in distance_agreement(near, far, None)] == ["%", "m"]


def test_lines_that_are_near_agree_and_a_missing_or_a_second_line_costs_recall_or_precision() -> (
    None
):
    empty = np.zeros((*SIZE, 1), np.float32)
    one = empty.copy()
    one[10] = 1
    near = np.roll(one, 1, 0)
    two = one.copy()
    two[30] = 1
    assert values(line_agreement, label(near), label(one)) == [100, 100, 100]
    assert values(line_agreement, label(one), label(two)) == [66.667, 100, 50]
    assert values(line_agreement, label(two), label(one)) == [66.667, 50, 100]
    assert values(line_agreement, label(empty), label(one)) == [0, 0, 0]
    assert values(line_agreement, label(empty), label(empty)) == [100, 100, 100]
    upper = np.zeros(SIZE, np.bool_)
    upper[:20] = True
    assert values(line_agreement, label(one, upper), label(two)) == [100, 100, 100]


def test_objects_agree_by_their_iou() -> None:
    wide = np.zeros((*SIZE, 1), np.float32)
    wide[:, :20] = 1
    half = wide.copy()
    half[:, 10:] = 0
    assert values(region_agreement, label(half), label(wide)) == [50]
    assert values(region_agreement, label(0 * half), label(0 * wide)) == [100]


def test_classes_agree_by_the_mean_iou_of_those_that_occur() -> None:
    truth = label(np.array([[[0], [0], [5], [5]]]))
    found = label(np.array([[[0], [0], [0], [5]]]))
    assert values(class_agreement, found, truth) == [round(100 * (2 / 3 + 1 / 2) / 2, 3), 75]


def test_a_class_that_was_not_annotated_in_one_label_is_not_held_against_the_other() -> None:
    truth = label(np.array([[[0], [1], [2], [2]]]))
    some = label(np.array([[[0], [1], [1], [1]]]), annotated=[True, True, False])
    assert values(class_agreement, some, truth) == [100, 100]
    assert values(class_agreement, truth, some) == [100, 100]


def test_lines_of_large_maps_are_compared_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = room_labels(1, (240, 320))["edges"]
    moved = np.roll(truth.value, 2, 1) * (np.arange(320) % 7 > 0)[:, None]
    broken = LabelArray(moved.astype(np.float32), truth.valid)
    (whole, *_) = line_agreement(broken, truth, None)
    monkeypatch.setattr(agreement, "BLOCKS", 240 * 320 // 9)
    (blocks, *_) = line_agreement(broken, truth, None)
    assert 50 < whole.value < 99
    assert blocks.value == pytest.approx(whole.value, abs=4)
    assert line_agreement(truth, truth, None)[0].value == 100
