"""Laws of the trust in suppliers: what perfect, noisy and wrong labels earn, made and of NYUv2."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.formats.codec import LabelArray, Unsure, UpTo
from labelgrid.ledger.grid import TaskRow
from labelgrid.pixel.map_fit import spread
from labelgrid.relations.true_agreement import LabelPair
from labelgrid.suppliers.supplied_error import (
    FEWEST,
    TURNS,
    better_turn,
    measure_supplied,
    nearest,
    supplier_trust,
)
from labelgrid.tasks.task import definitions

CLASSES = [f"class {number}" for number in range(6)]
TASKS = definitions(
    [
        TaskRow("depth", "depth", 1.0),
        TaskRow("normals", "normals", 1.0),
        TaskRow("edges", "edges", 1.0),
        TaskRow("saliency", "saliency", 1.0),
        TaskRow("semseg", "semseg", 1.0, {"classes": CLASSES}),
    ]
)
SIZE = (24, 32)
SCALE = UpTo(shift=False, inverse=False, spread=1.0, least=0.1)
SHIFT = UpTo(shift=True, inverse=True, spread=1.0, least=0.1)
Labels = list[LabelArray]


def made(task: str, count: int = 40) -> Labels:
    """Smooth random labels of a task; the depth of rooms with a floor and a box."""
    rng = np.random.default_rng(3)
    labels = []
    for _ in range(count):
        fields = [cv2.GaussianBlur(rng.normal(size=SIZE), (0, 0), 4) for _ in range(6)]
        field = fields[0] / fields[0].std()
        row, column = np.mgrid[: SIZE[0], : SIZE[1]]
        wall = rng.uniform(2, 6) * (1 + rng.uniform(-0.7, 0.7) * (column / SIZE[1] - 0.5))
        floor = 20 / np.maximum(row - rng.uniform(5, 10), 1)
        depth = np.minimum(wall + field, floor)
        values = {
            "depth": np.maximum(depth, 0.5)[..., None].astype(np.float32),
            "normals": np.stack(fields[:3], -1),
            "edges": (np.abs(field) < 0.1)[..., None].astype(np.float32),
            "saliency": (field > 0.8)[..., None].astype(np.float32),
            "semseg": np.stack(fields).argmax(0)[..., None].astype(np.uint8),
        }
        value = values[task]
        if task == "normals":
            value = (value / np.linalg.norm(value, axis=-1, keepdims=True)).astype(np.float32)
        labels.append(LabelArray(value, np.ones(SIZE, np.bool_)))
    return labels


def scaled(labels: Labels) -> Labels:
    """Each depth divided by its own median: true up to a scale."""
    found = []
    for label in labels:
        median = np.median(label.value[label.valid])
        found.append(replace(label, value=label.value / median, unsure=Unsure(up_to=SCALE)))
    return found


def inverted(labels: Labels) -> Labels:
    """Inverse depth, times and plus a number of each image."""
    rng = np.random.default_rng(4)
    found = []
    for label in labels:
        value = rng.uniform(0.5, 5) / np.maximum(label.value, 0.1) + rng.uniform(-1, 3)
        found.append(replace(label, value=value, unsure=Unsure(up_to=SHIFT)))
    return found


FORMS: dict[str, Callable[[Labels], Labels]] = {
    "metric": lambda labels: labels,
    "up to a scale": scaled,
    "inverse, up to a scale and a shift": inverted,
}


def trust(labels: Sequence[LabelArray], truths: Sequence[LabelArray], task: str = "depth") -> float:
    pairs = [LabelPair(*pair) for pair in zip(labels, truths, strict=True)]
    measured, count = measure_supplied(pairs, TASKS[task])
    assert measured is not None and count == measured.images
    return measured.trust


def noisy(labels: Labels) -> Labels:
    """Smooth noise with a standard deviation of a tenth of each map's spread."""
    rng = np.random.default_rng(5)
    found = []
    for label in labels:
        noise = cv2.GaussianBlur(rng.normal(size=label.size), (0, 0), label.size[0] / 15)
        width = spread(label.value[..., 0][label.valid].astype(np.float64))
        value = label.value + 0.1 * width * (noise / noise.std())[..., None]
        found.append(replace(label, value=value))
    return found


def turned(label: LabelArray, axis: int) -> LabelArray:
    return replace(label, value=np.flip(label.value, axis), valid=np.flip(label.valid, axis))


def wrong(labels: Labels) -> dict[str, Labels]:
    """Labels of other images, mirrored ones, and ones upside down."""
    order = np.random.default_rng(6).permutation(len(labels))
    shuffled = list(labels)
    for place, other in zip(order, np.roll(order, 1), strict=True):
        shuffled[place] = labels[other]
    return {
        "shuffled": shuffled,
        "mirrored": [turned(label, 1) for label in labels],
        "upside down": [turned(label, 0) for label in labels],
    }


def check_laws(truths: Labels, form: str, faults: Sequence[str], draws: int) -> None:
    labels = FORMS[form](truths)
    assert trust(labels, truths) >= 0.95
    assert 0.8 <= trust(noisy(labels), truths) <= 0.95
    for name in faults:
        others = wrong(labels)[name]
        none = 0
        for draw in range(draws):
            places = np.random.default_rng(draw).permutation(len(truths))[:FEWEST]
            chosen = [others[place] for place in places]
            none += trust(chosen, [truths[place] for place in places]) == 0
        assert none >= 0.9 * draws, name


@pytest.mark.parametrize("form", FORMS)
def test_perfect_depth_of_rooms_is_trusted_noisy_depth_less_and_wrong_depth_not(form: str) -> None:
    check_laws(made("depth"), form, ["shuffled", "mirrored", "upside down"], 20)


@pytest.mark.parametrize("form", FORMS)
def test_perfect_depth_of_photographs_is_trusted_noisy_depth_less_and_wrong_depth_not(
    nyuv2: Path, form: str
) -> None:
    every = slice(None, None, 8)
    names = (nyuv2 / "gt_sets/val.txt").read_text().split()
    whole = [TASKS["depth"].read(nyuv2 / f"depth/{name}.png") for name in names]
    truths = [label.part(every, every) for label in whole]
    check_laws(truths, form, ["shuffled", "mirrored", "upside down"], 100)


@pytest.mark.parametrize("task", ["normals", "edges", "saliency", "semseg"])
def test_perfect_labels_of_each_kind_are_trusted_and_wrong_ones_not(task: str) -> None:
    truths = made(task, 20)
    for label in truths:  # as in photographs, what is at the bottom says much of all of it
        label.value[16:] = label.value[23, 31]
    assert trust(truths, truths, task) == 1
    for name, labels in wrong(truths).items():
        assert trust(labels, truths, task) == 0, name


def symmetric(labels: Labels) -> Labels:
    """Labels whose right half is the mirror image of the left one."""
    half = SIZE[1] // 2
    found = []
    for label in labels:
        left = label.value[:, :half]
        found.append(replace(label, value=np.concatenate([left, left[:, ::-1]], 1)))
    return found


def same_in_each_row(labels: Labels) -> Labels:
    """Labels of which every row says one thing, as bands of sky, houses and street do."""
    return [
        replace(label, value=np.broadcast_to(label.value[:, :1], label.value.shape).copy())
        for label in labels
    ]


SCENES = {"symmetric": symmetric, "bands": same_in_each_row}


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("task", TASKS)
def test_scenes_that_look_alike_when_turned_cost_no_trust(task: str, scene: str) -> None:
    truths = SCENES[scene](made(task, 20))
    assert trust(truths, truths, task) >= 0.95


def test_noisy_labels_of_symmetric_scenes_are_rarely_called_turned() -> None:
    truths = symmetric(made("depth"))
    labels = noisy(truths)
    turned_draws = 0
    for draw in range(50):
        places = np.random.default_rng(draw).permutation(len(truths))[:FEWEST]
        pairs = [LabelPair(labels[place], truths[place]) for place in places]
        turned_draws += better_turn(pairs, TASKS["depth"]) != ""
    assert turned_draws <= 5


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("task", TASKS)
def test_turned_labels_earn_nothing_and_are_named(task: str, turn: str) -> None:
    truths = made(task, 12)
    labels = [label.part(*TURNS[turn]) for label in truths]
    measured, _ = measure_supplied(map(LabelPair, labels, truths), TASKS[task])
    assert measured is not None
    assert (measured.trust, measured.turn) == (0, turn)


@pytest.mark.parametrize("form", FORMS)
def test_labels_of_a_part_of_the_images_are_judged_where_they_are(form: str) -> None:
    labels: Labels = []
    truths = made("depth", 24)
    for number, label in enumerate(FORMS[form](truths)):
        known = label.valid.copy()
        known[:, : 20 * (number % 2)] = False
        labels.append(replace(label, valid=known))
    assert trust(labels, truths) >= 0.95


def test_each_comparison_is_on_its_own_images() -> None:
    errors = np.array([0.2] * 12 + [0.9] * 12)
    everywhere = np.full(24, 1.0)
    on_easy_images = np.where(errors < 0.5, 0.6, np.nan)
    assert nearest(errors, [everywhere, on_easy_images]) is everywhere
    assert supplier_trust(errors, on_easy_images) == 0.67
    assert supplier_trust(errors, everywhere) == 0.45


@pytest.mark.parametrize("task", TASKS)
def test_a_label_that_says_the_same_everywhere_is_not_trusted(task: str) -> None:
    truths = made(task, 12)
    constant = [
        replace(label, value=np.broadcast_to(label.value[:1, :1], label.value.shape))
        for label in truths
    ]
    assert trust(constant, truths, task) == 0


def test_nine_images_give_no_trust_and_are_counted() -> None:
    truths = made("depth", FEWEST)
    hidden = replace(truths[0], valid=np.zeros(SIZE, np.bool_))
    pairs = [LabelPair(truth, truth) for truth in truths[1:]]
    assert measure_supplied([LabelPair(hidden, truths[0]), *pairs], TASKS["depth"]) == (None, 9)
    flat = replace(scaled(truths)[0], value=np.ones_like(truths[0].value))
    assert measure_supplied([LabelPair(flat, truths[0]), *pairs], TASKS["depth"]) == (None, 9)


@pytest.mark.parametrize("form", FORMS)
def test_what_lies_behind_no_confidence_counts_for_nothing(form: str) -> None:
    truths = made("depth", 12)
    labels = FORMS[form](truths)
    confidence = np.ones(SIZE, np.float32)
    confidence[:, 10:] = 0
    behind = []
    for label in labels:
        value = label.value.copy()
        value[:, 10:] = 77
        behind.append(replace(label, value=value).with_confidence(confidence))
    assert trust(behind, truths) >= 0.95


def test_a_fitted_map_is_wrong_by_as_much_as_it_is_sure() -> None:
    truths = made("depth", 12)
    trusts = []
    for sure in (1.0, 0.1):
        confidence = np.ones(SIZE, np.float32)
        confidence[:, 25:] = sure
        labels: Labels = []
        for label in scaled(truths):
            value = label.value.copy()
            value[:, 25:] *= 1.5
            labels.append(replace(label, value=value).with_confidence(confidence))
        trusts.append(trust(labels, truths))
    assert trusts[0] < trusts[1]


def test_trust_is_none_unless_the_difference_is_sure() -> None:
    errors = np.full(10, 0.5)
    unsteady = errors + np.array([1.0, -0.9] * 5)
    assert unsteady.mean() > errors.mean() and supplier_trust(errors, unsteady) == 0
    assert supplier_trust(errors, errors + 0.05) == 0.09
    assert supplier_trust(errors, np.zeros(10)) == 0
