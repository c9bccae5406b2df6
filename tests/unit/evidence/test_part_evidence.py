"""Laws of the evidence about parts of labels: the wrong label is the first, and its part is named."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from labelgrid.basics.camera import Camera
from labelgrid.data.dataset import ImageSource
from labelgrid.evidence.label_doubt import LIMITS, rank_by_doubt
from labelgrid.evidence.label_grids import FINE, drawn_lines, fine_label
from labelgrid.evidence.label_summary import Summary
from labelgrid.evidence.part_blame import jump_blame
from labelgrid.evidence.part_doubts import part_doubts
from labelgrid.evidence.part_evidence import LEAST, SORTS, PartEvidence
from labelgrid.evidence.part_grid import CLEAN, GRID, PartBox, excess, pack, rectangles, unpack
from labelgrid.evidence.part_maps import PartMapping, PartMaps, part_relations
from labelgrid.evidence.part_marks import (
    FOLLOWED,
    IMAGE,
    LEVELS,
    STRONG,
    bent_marks,
    border_marks,
    drawn_marks,
    unpack_marks,
)
from labelgrid.evidence.part_outlines import Outlines, _logistic
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell, TaskRow
from labelgrid.tasks.task import TaskDef

COVERS = [
    "labelgrid.evidence.label_grids",
    "labelgrid.evidence.part_blame",
    "labelgrid.evidence.part_context",
    "labelgrid.evidence.part_grid",
    "labelgrid.evidence.part_maps",
    "labelgrid.evidence.part_marks",
    "labelgrid.evidence.part_outlines",
    "labelgrid.evidence.part_doubts",
]
HEIGHT, WIDTH = FINE
IMAGES = 18
CLASSES = ("wall", "floor", "left side", "right side")
#: Inverse depth grows by so much across and down the image, by class.
SLOPES = ((0.0, 0.0), (0.0, 0.4), (-0.3, 0.0), (0.3, 0.0))
TASKS = {
    row.name: TaskDef.of(row)
    for row in (
        TaskRow("semseg", "semseg", 1.0, {"classes": list(CLASSES)}),
        TaskRow("depth", "depth", 1.0),
        TaskRow("normals", "normals", 1.0),
        TaskRow("edges", "edges", 1.0),
    )
}
#: The right 40 % of the image, which is wrong.
PART = (slice(None), slice(round(0.6 * WIDTH), None))

Labels = Mapping[str, LabelArray]


def room(number: int) -> dict[str, LabelArray]:
    """The labels of an image: a wall, a floor, and boxes whose sides face left or right."""
    draw = np.random.default_rng(number)
    classes = np.zeros((HEIGHT, WIDTH), np.int64)
    classes[draw.integers(50, 80) :] = 1
    for _ in range(5):
        top, left = draw.integers(0, 60), draw.integers(0, 100)
        classes[top : top + draw.integers(20, 36), left : left + draw.integers(20, 36)] = (
            2 + draw.integers(2)
        )
    camera = Camera.of_view(66.0, (HEIGHT, WIDTH))
    across, down = np.array(SLOPES)[classes].transpose(2, 0, 1)
    columns = (np.arange(WIDTH) - camera.cx) / WIDTH
    rows = (np.arange(HEIGHT) - camera.cy)[:, None] / HEIGHT
    base = draw.uniform(0.4, 0.5) + 0.02 * classes
    inverse = base + across * columns + down * rows
    right = -across / WIDTH * camera.fx
    up = down / HEIGHT * camera.fy
    normals = np.stack([right, up, base], axis=2)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    valid = np.ones((HEIGHT, WIDTH), np.bool_)
    edges = np.zeros((HEIGHT, WIDTH), np.float32)
    edges[:, 1:] = classes[:, 1:] != classes[:, :-1]
    edges[1:] = np.maximum(edges[1:], classes[1:] != classes[:-1])
    values = {
        "semseg": classes[..., None],
        "depth": (1 / inverse)[..., None].astype(np.float32),
        "normals": normals.astype(np.float32),
        "edges": edges[..., None],
    }
    return {task: LabelArray(value, valid) for task, value in values.items()}


@dataclass(frozen=True)
class Fault:
    """What is wrong in the part of a label, given it and the same label of another image."""

    name: str
    change: Callable[[NDArray[np.generic], NDArray[np.generic]], NDArray[np.generic]]


MIRRORED = Fault("mirrored", lambda own, _: own[:, ::-1])
NEGATED = Fault("negated", lambda own, _: -own)
INVERTED = Fault("inverted", lambda own, _: 1 - own)
REFLECTED = Fault("reflected", lambda own, _: own.min() + own.max() - own)
EXCHANGED = Fault("classes exchanged", lambda own, _: (own + 1) % len(CLASSES))
OTHERS = Fault("another image's", lambda _, other: other)


def maps_of(labels: Labels) -> PartMaps:
    summaries = {}
    for task, label in labels.items():
        lines = drawn_lines(TASKS[task].outline(label))
        summaries[task] = Summary(fine=fine_label(label, label.size), lines=lines)
    source: ImageSource = None  # type: ignore[assignment]  # it knows no camera
    return PartMapping(TASKS, part_relations(TASKS), source).of_image("", summaries)


@cache
def right_maps(number: int) -> PartMaps:
    return maps_of(room(number))


def rooms(task: str = "", fault: Fault = MIRRORED, wrong: int = 1) -> dict[str, PartMaps]:
    """The maps of images; a part of the task's label is wrong in the first ones."""
    found = {f"{number:02}.png": right_maps(number) for number in range(IMAGES)}
    for number in range(wrong if task else 0):
        labels = room(number)
        value = labels[task].value.copy()
        value[PART] = fault.change(value[PART], room(number + 50)[task].value[PART])
        labels[task] = LabelArray(value, labels[task].valid)
        found[f"{number:02}.png"] = maps_of(labels)
    return found


def is_near(box: PartBox | None) -> bool:
    """Whether the middle of a box is in the part that is wrong, or just beside its border."""
    return box is not None and (box.left + box.right) / 2 >= 55


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        *[("normals", fault) for fault in (MIRRORED, NEGATED, OTHERS)],
        *[("depth", fault) for fault in (MIRRORED, REFLECTED, OTHERS)],
        *[("edges", fault) for fault in (MIRRORED, INVERTED, OTHERS)],
        *[("semseg", fault) for fault in (MIRRORED, OTHERS)],
    ],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_a_label_that_is_wrong_in_a_part_is_the_first_of_its_task_and_the_part_is_named(
    task: str, fault: Fault
) -> None:
    images = rooms(task, fault)
    sorts = PartEvidence(TASKS, part_relations(TASKS), images).evidence()
    first = rank_by_doubt([Cell(name, task) for name in images], sorts)[0]
    assert first.cell.image_id == "00.png" and first.score > 0
    assert is_near(first.part), first
    assert str(first.part) in first.reasons[0]


def test_classes_that_are_exchanged_in_a_part_show_at_its_border() -> None:
    images = rooms("semseg", EXCHANGED)
    sorts = PartEvidence(TASKS, part_relations(TASKS), images).evidence()
    first = rank_by_doubt([Cell(name, "semseg") for name in images], sorts)[0]
    assert first.cell.image_id == "00.png" and first.score > 0
    assert first.part is not None and first.part.left <= 60 <= first.part.right


def test_labels_that_are_right_are_past_no_limit() -> None:
    sorts = PartEvidence(TASKS, part_relations(TASKS), rooms()).evidence()
    for name in SORTS[:2]:
        assert sorts[name] and all(one.value < LIMITS[name] for one in sorts[name].values())


@pytest.mark.parametrize(
    ("task", "fault"), [("normals", MIRRORED), ("depth", MIRRORED), ("depth", REFLECTED)]
)
def test_of_depth_and_normals_that_contradict_each_other_the_wrong_one_is_blamed(
    task: str, fault: Fault
) -> None:
    found = PartEvidence(TASKS, part_relations(TASKS), rooms(task, fault)).evidence()[SORTS[0]]
    other = "depth" if task == "normals" else "normals"
    assert found[Cell("00.png", task)].value > 2 * found[Cell("00.png", other)].value


@pytest.mark.parametrize(
    ("task", "fault"),
    [
        *[("normals", fault) for fault in (MIRRORED, NEGATED, OTHERS)],
        *[("depth", fault) for fault in (MIRRORED, REFLECTED, OTHERS)],
    ],
    ids=lambda each: each if isinstance(each, str) else each.name,
)
def test_of_two_labels_alone_the_one_that_agrees_when_it_is_turned_back_is_blamed(
    task: str, fault: Fault
) -> None:
    kinds = {name: TASKS[name] for name in ("depth", "normals")}
    images = {}
    for name, maps in rooms(task, fault).items():
        values = {kind: maps.values[kind] for kind in kinds}
        images[name] = replace(maps, values=values, marks={}, lines={}, alone={})
    found = PartEvidence(kinds, part_relations(kinds), images).evidence()[SORTS[0]]
    other = "depth" if task == "normals" else "normals"
    assert found[Cell("00.png", task)].value > 2 * found[Cell("00.png", other)].value


def test_a_label_that_jumps_at_the_border_of_a_part_is_blamed() -> None:
    derived = np.zeros((*GRID, 3), np.float32)
    inside = np.zeros(GRID, np.bool_)
    inside[2:6, 4:9] = True
    jumping = np.where(inside[..., None], np.float32(0.5), derived)
    assert jump_blame(jumping, derived, inside) > 0.5
    assert jump_blame(derived, jumping, inside) == -jump_blame(jumping, derived, inside)
    assert jump_blame(jumping, jumping, inside) == 0.0
    assert jump_blame(np.full_like(derived, np.nan), derived, inside) == 0.0


def test_of_two_labels_that_contradict_each_other_neither_is_cleared_if_nothing_says_which() -> (
    None
):
    kinds = {task: TASKS[task] for task in ("depth", "normals")}
    images = {}
    for name, maps in rooms("normals", OTHERS).items():
        values = {task: maps.values[task] for task in kinds}
        marks = {task: maps.marks[task] for task in kinds}
        images[name] = replace(maps, values=values, marks=marks, lines={}, alone={})
    silent = [replace(relation, turns={}) for relation in part_relations(kinds)]
    evidence = PartEvidence(kinds, silent, images)
    sorts = evidence.evidence()
    for task in kinds:
        ranked = rank_by_doubt([Cell(name, task) for name in images], sorts)
        (wrong,) = (label for label in ranked if label.cell.image_id == "00.png")
        assert any("depth, normals contradict each other" in reason for reason in wrong.reasons)
    assert not evidence.cleared


def test_few_images_say_nothing() -> None:
    images = dict(list(rooms("normals").items())[: LEAST - 1])
    assert not any(PartEvidence(TASKS, part_relations(TASKS), images).evidence().values())


@pytest.mark.parametrize(
    ("task", "fault"), [("normals", NEGATED), ("depth", REFLECTED), ("edges", INVERTED)]
)
def test_several_labels_of_an_import_that_are_wrong_in_a_part_are_doubted_with_the_parts(
    task: str, fault: Fault
) -> None:
    found = part_doubts(rooms(task, fault, wrong=3), part_relations(TASKS), task)
    ((doubt, parts),) = [(one.doubt, one.parts) for one in found]
    assert sorted(parts) == ["00.png", "01.png", "02.png"]
    assert all(map(is_near, parts.values()))
    for name, box in parts.items():
        assert str(box) in doubt.notes[name] and f"{name} ({box})" in doubt.what
    assert "in a part of 3 images of 18" in doubt.what and "--accept" in doubt.next_step


@pytest.mark.parametrize(("before", "doubted"), [(0, True), (3, False)])
def test_parts_like_those_of_earlier_labels_are_not_doubted(before: int, doubted: bool) -> None:
    for task, fault in (("normals", NEGATED), ("edges", INVERTED)):
        images = rooms(task, fault, wrong=3)
        earlier = rooms(task, fault, wrong=before)
        found = part_doubts(images, part_relations(TASKS), task, lambda shown=earlier: shown)
        assert bool(found) == doubted


@pytest.mark.parametrize("wrong", [0, 2])
def test_right_labels_and_two_odd_ones_stop_no_import(wrong: int) -> None:
    images = rooms("normals", NEGATED, wrong=wrong)
    assert not any(part_doubts(images, part_relations(TASKS), task) for task in TASKS)


def test_a_rectangle_with_more_than_the_rest_is_found() -> None:
    amount = np.full((1, 12, 16), 40, np.float32)
    bad = np.zeros_like(amount)
    bad[0, 3:6, 8:12] = 40
    grid = rectangles()
    best = int(excess(amount, bad, 0.0, CLEAN)[0].argmax())
    assert grid.box(best) == PartBox(left=50, top=25, right=75, bottom=50)
    assert grid.mask(best).sum() == 12 and grid.sums(bad)[0, best] == 480


def test_a_strip_of_a_tenth_of_an_image_is_a_part() -> None:
    grid = rectangles()
    boxes = {grid.box(index) for index in range(len(grid.share))}
    assert PartBox(left=0, top=92, right=100, bottom=100) in boxes
    assert PartBox(left=0, top=0, right=6, bottom=100) in boxes


def lines_of(number: int) -> NDArray[np.bool_]:
    """Some lines across and down an image."""
    draw = np.random.default_rng(number)
    lines = np.zeros(FINE, np.bool_)
    for _ in range(4):
        top, left = draw.integers(0, 70), draw.integers(0, 100)
        lines[top, left : left + 25] = True
        lines[top : top + 25, left] = True
    return lines


def outlines(wrong: str = "") -> Outlines:
    """The lines of images and of two tasks, of which one is another image's on the right of one."""
    known = np.ones(FINE, np.bool_)
    names = [f"{number:02}.png" for number in range(IMAGES)]
    marks = {}
    for source in (IMAGE, "semseg", "edges"):
        lines = [lines_of(number) for number in range(IMAGES)]
        if source == wrong:
            lines[3][PART] = lines_of(70)[PART]
        marks[source] = [drawn_marks(each, known) for each in lines]
    return Outlines(names, marks, ["semseg", "edges"])


@pytest.mark.parametrize(("wrong", "sign"), [("semseg", 1), ("edges", -1)])
def test_of_lines_that_do_not_follow_each_other_those_beside_no_edge_are_blamed(
    wrong: str, sign: int
) -> None:
    found = outlines(wrong)
    apart = found.apart("semseg", "edges")
    assert apart is not None and apart.value.argmax() == 3
    assert sign * apart.blame[3] > 1
    assert is_near(rectangles().box(int(apart.rectangle[3])))
    value, rectangle = found.odd()[wrong]
    assert value.argmax() == 3 and is_near(rectangles().box(int(rectangle[3])))


def test_what_is_learned_of_lines_does_not_depend_on_what_was_asked_before() -> None:
    first = outlines("semseg").odd()
    asked = outlines("semseg")
    asked.apart("edges", "semseg")
    asked.cells("edges", ["semseg", IMAGE])
    for task, (value, _) in asked.odd().items():
        assert (value == first[task][0]).all()
    one = asked.cells("semseg", ["edges", IMAGE])
    other = outlines("semseg").cells("semseg", [IMAGE, "edges"])
    assert (one.surprise == other.surprise).all()


def test_a_regression_of_lines_is_solved_to_its_end() -> None:
    draw = np.random.default_rng(0)
    inputs = np.eye(8)[draw.integers(0, 8, 4000)] + np.eye(8)[draw.integers(0, 4, 4000)]
    lines = (draw.random(4000) < 0.01 * inputs @ np.arange(1, 9)).astype(np.float64)
    weights = _logistic(csr_array(inputs), lines)
    likely = 1 / (1 + np.exp(-inputs @ weights))
    assert np.abs(inputs.T @ (likely - lines) + weights).max() < 1e-3
    mixed = draw.permutation(4000)
    again = _logistic(csr_array(inputs[mixed]), lines[mixed])
    np.testing.assert_allclose(again, weights, atol=1e-6)


def test_lines_that_follow_each_other_are_odd_nowhere() -> None:
    found = outlines()
    apart = found.apart("semseg", "edges")
    assert apart is not None and apart.value.max() < 0.01
    assert all(value.max() < LIMITS["parts by outlines"] for value, _ in found.odd().values())


def test_marks_come_back_and_those_beside_the_unknown_are_no_own_lines() -> None:
    lines = np.zeros(FINE, np.bool_)
    lines[:, [20, 90]] = True
    known = np.ones(FINE, np.bool_)
    known[:, 91:] = False
    levels = unpack_marks(drawn_marks(lines, known))
    assert (levels[:, 20] == LEVELS - 1).all() and (levels[:, 90] == FOLLOWED).all()
    assert not levels[:, 40].any() and (unpack_marks(None) == LEVELS).all()
    steps = np.zeros((*FINE, 1), np.float32)
    steps[:, 64:] = 1
    bent = unpack_marks(bent_marks(steps, np.ones(FINE, np.bool_)))
    assert (bent[:, 62:66] >= STRONG).all() and not bent[:, :60].any()


def test_what_is_unlabelled_along_a_border_of_classes_does_not_hide_it() -> None:
    classes = np.zeros(FINE, np.int64)
    classes[:, 41:] = 1
    known = np.ones(FINE, np.bool_)
    known[:, 38:44] = False
    known[:, 90:] = False
    levels = unpack_marks(border_marks(classes, known))
    drawn = np.flatnonzero((levels[50] >= STRONG) & (levels[50] < LEVELS))
    assert drawn.tolist() == [41]
    assert (levels[50, 98:] == LEVELS).all() and not levels[50, 42:90].any()
    nothing = np.zeros(FINE, np.bool_)
    assert (unpack_marks(border_marks(classes, nothing)) == LEVELS).all()
    assert (unpack_marks(bent_marks(np.zeros((*FINE, 1), np.float32), nothing)) == LEVELS).all()


def unlabelled_along_borders(label: LabelArray) -> LabelArray:
    """A class map whose borders were left out, as those of many data sets are."""
    classes = label.value[..., 0].astype(np.uint8)
    square = np.ones((5, 5), np.uint8)
    inside = cv2.dilate(classes, square) == cv2.erode(classes, square)
    return LabelArray(label.value, label.valid & inside)


def test_classes_with_unlabelled_borders_are_held_against_lines() -> None:
    images = {}
    for number in range(IMAGES):
        labels = room(number)
        if number == 0:
            value = labels["semseg"].value.copy()
            value[PART] = room(50)["semseg"].value[PART]
            labels["semseg"] = LabelArray(value, labels["semseg"].valid)
        labels["semseg"] = unlabelled_along_borders(labels["semseg"])
        images[f"{number:02}.png"] = maps_of({task: labels[task] for task in ("semseg", "edges")})
    kinds = {task: TASKS[task] for task in ("semseg", "edges")}
    found = PartEvidence(kinds, part_relations(kinds), images).evidence()["parts by lines"]
    values = {cell: each.value for cell, each in found.items() if cell.task == "semseg"}
    first = Cell("00.png", "semseg")
    others = [value for cell, value in values.items() if cell != first]
    assert values[first] > LIMITS["parts by lines"] > max(others)
    assert is_near(found[first].part)


def test_packed_arrays_come_back_and_lines_are_drawn_ones_alone() -> None:
    array = np.arange(12 * 16 * 2, dtype=np.float32).reshape(12, 16, 2)
    assert (unpack(pack(array), "float32") == array).all()
    assert drawn_lines(array[..., 0]) is None and drawn_lines(None) is None
    outline = np.zeros((480, 640), np.float32)
    outline[100] = 1
    lines = drawn_lines(outline)
    assert lines is not None and lines.shape == (120, 160) and lines.any()


def labelled(tasks: Sequence[str], unknown: Sequence[str] = ()) -> dict[str, PartMaps]:
    """The maps of images with labels of some tasks, of which some know nothing anywhere."""
    found = {}
    for number in range(IMAGES):
        labels = {}
        for task in tasks:
            label = room(number)[task]
            known = label.valid & (task not in unknown)
            labels[task] = LabelArray(label.value, known)
        found[f"{number:02}.png"] = maps_of(labels)
    return found


@pytest.mark.parametrize("unknown", ["all", "last", "none"])
@pytest.mark.parametrize(
    "tasks",
    [
        *[(task,) for task in TASKS],
        ("depth", "normals"),
        ("semseg", "edges"),
        ("semseg", "normals"),
        tuple(TASKS),
    ],
    ids="+".join,
)
def test_labels_that_have_nothing_to_be_compared_with_are_not_doubted(
    tasks: tuple[str, ...], unknown: str
) -> None:
    images = labelled(tasks, {"all": tasks, "last": tasks[-1:], "none": ()}[unknown])
    kinds = {task: TASKS[task] for task in tasks}
    sorts = PartEvidence(kinds, part_relations(kinds), images).evidence()
    ranked = rank_by_doubt([Cell(name, task) for name in images for task in tasks], sorts)
    assert all(np.isfinite(each.value) for found in sorts.values() for each in found.values())
    alone = {"all": tasks, "last": tasks[-1:], "none": tasks[: len(tasks) == 1]}[unknown]
    assert not any(label.score for label in ranked if label.cell.task in alone)


def test_a_task_of_which_few_images_have_a_label_is_not_doubted() -> None:
    images = labelled(("semseg", "edges"))
    few = labelled(tuple(TASKS))
    images.update(list(few.items())[: LEAST - 1])
    sorts = PartEvidence(TASKS, part_relations(TASKS), images).evidence()
    assert not any(cell.task == "depth" for found in sorts.values() for cell in found)
