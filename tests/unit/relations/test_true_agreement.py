"""Laws of how labels that are not true are measured, and what trust follows."""

import numpy as np
import pytest

from labelgrid.basics.camera import Camera
from labelgrid.basics.results import Result
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.bound import BoundRelation
from labelgrid.relations.true_agreement import (
    LabelPair,
    TruePair,
    chance_error,
    coverage_of,
    error_of,
    measure_labels,
    measure_relation,
    trust_of,
)
from labelgrid.tasks.task import definitions
from tests.support import make_scene, task_rows

TASKS = definitions(list(task_rows(("normals", "edges", "saliency"))))


def relation(derive, gives: str = "normals") -> BoundRelation:
    """A relation that derives from the true label itself."""
    return BoundRelation(
        name="made",
        reads=(gives,),
        gives=gives,
        trust=0.0,
        exact=False,
        coverage=1.0,
        needs_camera=False,
        derive=lambda labels, camera: derive(labels[0]),
    )


def pairs(task: str, count: int = 10) -> list[TruePair]:
    """The labels of made rooms."""
    made = []
    for number in range(count):
        scene = make_scene(np.random.default_rng([4, number]), (48, 64))
        value = np.asarray(getattr(scene, task), np.float32)
        label = LabelArray(value.reshape(48, 64, -1), np.ones((48, 64), np.bool_))
        made.append(TruePair({task: label}, label))
    return made


def measured(derive, task: str = "normals", count: int = 10):
    return measure_relation(relation(derive, task), pairs(task, count), TASKS[task])


def turned(label: LabelArray) -> LabelArray:
    """Normals that are 45 degrees off, about the axis that points up."""
    sine = np.sqrt(0.5)
    matrix = np.array([[sine, 0, sine], [0, 1, 0], [-sine, 0, sine]])
    value = label.value @ matrix.T.astype(np.float32)
    return LabelArray(value, label.valid)


def drawn(label: LabelArray) -> LabelArray:
    """A third of the lines, and as many that are wrong."""
    value = np.zeros_like(label.value)
    value[:16] = label.value[:16]
    value[20::8] = 1
    return LabelArray(value, label.valid)


def test_an_exact_relation_is_trusted_fully() -> None:
    for task in TASKS:
        found = measured(lambda label: label, task)
        assert found.trust == 1 and found.error == 0 and found.coverage == 1


@pytest.mark.parametrize(
    ("task", "derive"),
    [
        ("normals", lambda label: LabelArray(label.value[..., [1, 2, 0]], label.valid)),
        ("normals", lambda label: LabelArray(-label.value, label.valid)),
        ("normals", lambda label: LabelArray(label.value[:, ::-1], label.valid)),
        ("normals", turned),
        ("edges", drawn),
        ("saliency", lambda label: LabelArray(1 - label.value, label.valid)),
    ],
    ids=["axes permuted", "signs", "mirrored", "45 degrees", "F of a third", "inverted"],
)
def test_a_wrong_relation_is_not_trusted(task: str, derive) -> None:
    found = measured(derive, task)
    assert found.trust == 0 and found.images == 10


def test_trust_falls_with_the_error_and_rests_on_its_unfavourable_end() -> None:
    rng = np.random.default_rng(0)

    def noisy(scale: float):
        def derive(label: LabelArray) -> LabelArray:
            value = label.value + rng.normal(0, scale * rng.random(), label.value.shape)
            value /= np.linalg.norm(value, axis=-1, keepdims=True)
            return LabelArray(value.astype(np.float32), label.valid)

        return derive

    few, many = (measured(noisy(scale)) for scale in (0.02, 0.08))
    assert 1 > few.trust > many.trust > 0
    figure = few.figures["mean angle"]
    assert figure.low < figure.value < figure.high == few.error
    assert few.trust == trust_of(few.error, few.chance)


def test_trust_is_the_share_that_is_right_minus_the_share_that_is_wrong() -> None:
    """Pixels from other images: with a quarter of them, trust is about a half."""
    made = pairs("normals")
    truths = iter([pair.truth for pair in made])
    others = iter([pair.truth for pair in made[1:] + made[:1]])

    def derive(label: LabelArray) -> LabelArray:
        assert next(truths) is label
        wrong = np.random.default_rng(1).random(label.size) < 0.25
        return LabelArray(np.where(wrong[..., None], next(others).value, label.value), label.valid)

    found = measure_relation(relation(derive), made, TASKS["normals"])
    assert found is not None and abs(found.trust - 0.5) < 0.12


def test_fewer_than_two_comparable_images_say_nothing() -> None:
    def nowhere(label: LabelArray) -> LabelArray:
        return LabelArray(label.value, np.zeros_like(label.valid))

    assert measured(lambda label: label, count=1) is None
    assert measured(lambda label: label, count=2).images == 2
    assert measured(nowhere) is None


def test_a_relation_is_measured_as_the_labels_that_it_derives() -> None:
    made = pairs("normals", 7)
    labels = (LabelPair(turned(pair.truth), pair.truth) for pair in made)
    assert measure_labels(labels, TASKS["normals"]) == measured(turned, count=7)
    assert measure_labels([], TASKS["normals"]) is None


def test_pixels_that_are_not_valid_say_nothing_but_how_far_the_labels_reach() -> None:
    half = np.zeros((48, 64), np.bool_)
    half[:24] = True
    found = []
    for valid in (half, half | True):
        labels = []
        for pair in pairs("normals", 4):
            wrong = np.where(half[..., None], pair.truth.value, -pair.truth.value)
            labels.append(LabelPair(LabelArray(wrong, valid), pair.truth))
        found.append(measure_labels(labels, TASKS["normals"]))
    sure, everywhere = found
    assert (sure.trust, sure.coverage) == (1, 0.5)
    assert (everywhere.trust, everywhere.coverage) == (0, 1)


def test_coverage_is_the_share_of_true_pixels_that_are_reached() -> None:
    valid = np.zeros((48, 64), np.bool_)
    valid[:12] = True

    def part(label: LabelArray) -> LabelArray:
        return LabelArray(label.value, valid)

    assert measured(part).coverage == 0.25
    nothing = LabelArray(np.zeros((48, 64, 3)), ~(valid | True))
    assert coverage_of(nothing, nothing) == 0


def test_labels_that_are_all_alike_earn_no_trust() -> None:
    flat = LabelArray(np.zeros((8, 8, 1), np.float32), np.ones((8, 8), np.bool_))
    same = [TruePair({"saliency": flat}, flat)] * 4
    found = measure_relation(relation(lambda label: label, "saliency"), same, TASKS["saliency"])
    assert found is not None and found.chance == 0 and found.trust == 0


def test_labels_of_other_sizes_are_compared_too() -> None:
    wide, tall = (
        LabelArray(np.eye(3)[np.full(size, number)].astype(np.float32), np.ones(size, np.bool_))
        for number, size in enumerate(((4, 6), (8, 3)))
    )
    assert chance_error([wide, tall], TASKS["normals"]) == pytest.approx(90)
    assert chance_error([wide], TASKS["normals"]) == 0


def test_a_percentage_is_as_wrong_as_it_lacks_of_a_hundred() -> None:
    assert error_of(Result("F", 30.0, "%", "higher")) == 70
    assert error_of(Result("mean angle", 3.0, "degree", "lower")) == 3


def test_a_field_of_view_stands_in_for_an_unknown_camera_alone() -> None:
    seen = []

    def derive(_labels, camera):
        seen.append(camera)
        return pair.truth

    (pair,) = pairs("normals", 1)
    bound = BoundRelation(**{**vars(relation(lambda label: label)), "derive": derive})
    pair.derive(bound, 90.0)
    own = Camera(9.0, 9.0, 1.0, 1.0)
    TruePair(pair.labels, pair.truth, own).derive(bound, 90.0)
    pair.derive(bound)
    assert seen == [Camera.of_view(90.0, (48, 64)), own, None]
