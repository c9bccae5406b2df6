"""Laws of composed labels: a part says nothing outside its regions, and the order of parts does not matter."""

import subprocess
import sys
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelgrid.basics.errors import LabelError
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.regions.partition import Partition
from labelgrid.regions.parts import GONE, AnsweredPart, compose, region_classes
from labelgrid.tasks.task import TaskDef

#: Four regions: one not connected, one of a pixel; and a pixel of none.
PARTITION = Partition.of(np.array([[1, 1, 2, 2], [3, 1, 2, 2], [3, 3, 1, 4], [3, 3, 3, 0]]))
CLASSES = ("floor", "chair", "lamp")
KEYS = """
from pathlib import Path
import numpy as np
from labelgrid.ledger.grid import TaskRow
from labelgrid.regions.partition import Partition
from labelgrid.regions.parts import AnsweredPart, compose
from labelgrid.tasks.task import TaskDef
partition = Partition.of(np.repeat(np.arange(1, 101), 100)[:, None].repeat(10_000, 1))
task = TaskDef.of(TaskRow("mine", "semseg", 1.0, {"classes": ["floor", "chair"]}))
(label,) = compose(task, partition, [AnsweredPart(regions=tuple(range(1, 51)), key="chair")])
assert label.valid.sum() == 50_000_000
text = Path("/proc/self/status").read_text()
print(int(text.split("VmHWM:")[1].split()[0]) / 1024)
"""


def task(kind: str = "semseg", **options) -> TaskDef:
    if kind == "semseg":
        options = {"classes": list(CLASSES), **options}
    return TaskDef.of(TaskRow("mine", kind, 1.0, options))


def of_classes(seed: int = 0, classes: int = 3, valid: float = 1.0) -> LabelArray:
    """A label with numbers also where it is not valid."""
    random = np.random.default_rng(seed)
    numbers = random.integers(0, classes, (*PARTITION.size, 1))
    return LabelArray(numbers, random.random(PARTITION.size) < valid)


def same(one: tuple[LabelArray, ...], other: tuple[LabelArray, ...]) -> None:
    assert len(one) == len(other)
    for mine, its in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine.value, its.value)
        np.testing.assert_array_equal(mine.valid, its.valid)
        np.testing.assert_array_equal(mine.annotated, its.annotated)


def test_a_label_counts_inside_its_regions_only():
    truth = of_classes(valid=0.7)
    (label,) = compose(task(), PARTITION, [AnsweredPart(regions=(1, 4), label=truth)])
    inside = np.isin(PARTITION.ids, (1, 4)) & truth.valid
    np.testing.assert_array_equal(label.valid, inside)
    np.testing.assert_array_equal(label.value[inside], truth.value[inside])
    assert label.value.dtype == np.int64 and label.annotated is None
    assert not label.value[~inside].any()


def test_a_key_is_the_class_of_the_whole_region():
    (label,) = compose(task(), PARTITION, [AnsweredPart(regions=(2, 3), key="lamp")])
    np.testing.assert_array_equal(label.valid, np.isin(PARTITION.ids, (2, 3)))
    assert (label.value[label.valid] == 2).all()


@given(st.permutations(range(4)))
def test_the_order_of_parts_changes_nothing(order):
    parts = [
        AnsweredPart(regions=(1,), label=of_classes(1, valid=0.5)),
        AnsweredPart(regions=(3,), label=of_classes(2)),
        AnsweredPart(regions=(2,), key="chair"),
        AnsweredPart(regions=(4,), key="floor", classes=("floor", "chair")),
    ]
    composed = compose(task(), PARTITION, parts)
    same(composed, compose(task(), PARTITION, [parts[place] for place in order]))
    assert len(composed) == 2 and not (composed[0].valid & composed[1].valid).any()


def test_all_parts_of_a_label_are_the_label():
    truth = of_classes()
    parts = [AnsweredPart(regions=(region,), label=truth) for region in range(1, 5)]
    (label,) = compose(task(), PARTITION, parts)
    np.testing.assert_array_equal(label.valid, PARTITION.ids > 0)
    np.testing.assert_array_equal(label.value[label.valid], truth.value[label.valid])


def test_blocks_of_rows_do_not_matter(monkeypatch):
    parts = [
        AnsweredPart(regions=(1,), label=of_classes(valid=0.5)),
        AnsweredPart(regions=(2,), key="chair"),
    ]
    whole = compose(task(), PARTITION, parts)
    counted = region_classes(PARTITION, of_classes(valid=0.5))
    monkeypatch.setattr("labelgrid.regions.partition._BLOCK", 1)
    same(whole, compose(task(), PARTITION, parts))
    again = region_classes(PARTITION, of_classes(valid=0.5))
    for mine, its in zip(counted, again, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_no_part_is_no_label():
    assert compose(task(), PARTITION, []) == ()


@pytest.mark.parametrize(
    ("kind", "values", "dtype"),
    [
        ("depth", np.float32([2.5]), np.float32),
        ("normals", np.float32([0, 0, 1]), np.float32),
        ("edges", np.float32([1]), np.float32),
    ],
)
def test_labels_of_every_kind_are_composed(kind, values, dtype):
    truth = LabelArray(np.broadcast_to(values, (*PARTITION.size, len(values))), PARTITION.ids < 4)
    (label,) = compose(task(kind), PARTITION, [AnsweredPart(regions=(1, 4), label=truth)])
    np.testing.assert_array_equal(label.valid, PARTITION.ids % 4 == 1)
    assert label.value.dtype == dtype and (label.value[label.valid] == values).all()
    assert label.annotated is None


def test_saliency_has_two_keys():
    parts = [
        AnsweredPart(regions=(1,), key="salient"),
        AnsweredPart(regions=(2,), key="background"),
    ]
    (label,) = compose(task("saliency"), PARTITION, parts)
    np.testing.assert_array_equal(label.valid, np.isin(PARTITION.ids, (1, 2)))
    np.testing.assert_array_equal(label.value[..., 0] == 1, PARTITION.ids == 1)


# --- class lists


def test_a_class_that_is_younger_than_an_answer_was_not_annotated_there():
    old = AnsweredPart(regions=(1,), key="chair", classes=("floor", "chair"))
    new = AnsweredPart(regions=(2,), key="lamp", classes=CLASSES)
    of_all, of_two = compose(task(), PARTITION, [old, new])
    assert of_all.annotated is None and of_two.annotated.tolist() == [True, True, False]
    np.testing.assert_array_equal(of_all.valid, PARTITION.ids == 2)
    np.testing.assert_array_equal(of_two.valid, PARTITION.ids == 1)
    assert (of_all.value[of_all.valid] == 2).all() and (of_two.value[of_two.valid] == 1).all()


def test_classes_are_found_by_name():
    drawn = of_classes()
    other = ("lamp", "floor", "chair")
    (label,) = compose(
        task(), PARTITION, [AnsweredPart(regions=(1, 2), label=drawn, classes=other)]
    )
    names = np.array(other)[drawn.value[label.valid]]
    np.testing.assert_array_equal(np.array(CLASSES)[label.value[label.valid]], names)
    assert label.annotated is None


def test_a_class_that_is_no_more_is_not_labelled():
    drawn = of_classes(classes=4)
    part = AnsweredPart(regions=(1, 2), label=drawn, classes=(*CLASSES, "horse"))
    (label,) = compose(task(), PARTITION, [part])
    kept = np.isin(PARTITION.ids, (1, 2)) & (drawn.value[..., 0] != 3)
    np.testing.assert_array_equal(label.valid, kept)
    (label,) = compose(
        task(), PARTITION, [AnsweredPart(regions=(3,), key="horse", classes=(*CLASSES, "horse"))]
    )
    assert not label.valid.any()


def test_a_merged_class_counts_as_the_other():
    merged = task(merge={"lamp": "chair"})
    (label,) = compose(merged, PARTITION, [AnsweredPart(regions=(1,), key="lamp", classes=CLASSES)])
    assert label.annotated is None and (label.value[label.valid] == 1).all()
    old = AnsweredPart(regions=(1,), key="chair", classes=("floor", "chair"))
    (label,) = compose(merged, PARTITION, [old])
    assert label.annotated.tolist() == [True, False]
    into_younger = task(merge={"chair": "lamp"})
    unknown_chair = AnsweredPart(regions=(1,), key="lamp", classes=("floor", "lamp"))
    (label,) = compose(into_younger, PARTITION, [unknown_chair])
    assert label.annotated.tolist() == [True, False]


def test_what_a_label_says_of_annotated_classes_is_kept():
    annotated = np.array([True, False, True])
    label = of_classes()
    part = AnsweredPart(regions=(1,), label=LabelArray(label.value, label.valid, annotated))
    (composed,) = compose(task(), PARTITION, [part])
    np.testing.assert_array_equal(composed.annotated, annotated)


# --- refused


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (
            [AnsweredPart(regions=(5,), key="chair")],
            "no region 5: the image's partition has 4 regions",
        ),
        ([AnsweredPart(regions=(0,), key="chair")], "no region 0"),
        ([AnsweredPart(regions=(1, 1), key="chair")], "Region 1 has two answers"),
        (
            [AnsweredPart(regions=(1, 2), key="chair"), AnsweredPart(regions=(2,), key="lamp")],
            "Region 2 has two",
        ),
        (
            [AnsweredPart(regions=(1,), key="horse")],
            "'horse' is none of 'mine': it has floor, chair, lamp",
        ),
        ([AnsweredPart(regions=(1,), key="lamp", classes=("floor", "chair"))], "'lamp' is none of"),
        (
            [
                AnsweredPart(
                    regions=(1,), label=LabelArray(np.zeros((2, 2, 1), int), np.ones((2, 2), bool))
                )
            ],
            "4x4 pixels, the image has 2x2",
        ),
    ],
)
def test_answers_that_cannot_be_right_are_refused(parts, words):
    for order in permutations(parts):
        with pytest.raises(LabelError, match=words):
            compose(task(), PARTITION, order)


def test_a_task_without_keys_takes_none():
    with pytest.raises(LabelError, match="'near' is none of 'mine': it has none"):
        compose(task("depth"), PARTITION, [AnsweredPart(regions=(1,), key="near")])


# --- the commonest class


@given(st.integers(0, 10**6), st.sampled_from([1.0, 0.5, 0.0]), st.integers(1, 4))
def test_the_commonest_class_is_that_of_a_straight_count(seed, valid, classes):
    label = of_classes(seed, classes, valid)
    commonest, agreeing, covered = region_classes(PARTITION, label)
    for region in range(1, 5):
        inside = PARTITION.mask(region)
        counts = np.bincount(label.value[inside & label.valid][:, 0], minlength=1)
        assert commonest[region - 1] == (counts.argmax() if counts.any() else GONE)
        assert agreeing[region - 1] == counts.max() / max(1, counts.sum())
        assert covered[region - 1] == counts.sum() / inside.sum()


def test_a_key_of_the_commonest_class_gives_it_back():
    commonest = region_classes(PARTITION, of_classes()).commonest
    parts = [
        AnsweredPart(regions=(1 + place,), key=CLASSES[number])
        for place, number in enumerate(commonest)
    ]
    (label,) = compose(task(), PARTITION, parts)
    again = region_classes(PARTITION, label)
    np.testing.assert_array_equal(again.commonest, commonest)
    assert (again.agreeing == 1).all() and (again.covered == 1).all()


def test_a_partition_without_regions_has_no_class():
    empty = Partition.of(np.zeros((4, 4), int))
    assert [len(values) for values in region_classes(empty, of_classes())] == [0, 0, 0]


@pytest.mark.skipif(sys.platform != "linux", reason="measures peak memory with Linux's /proc")
def test_keys_of_100_megapixels_need_less_than_2_gb():
    done = subprocess.run([sys.executable, "-c", KEYS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 2000
