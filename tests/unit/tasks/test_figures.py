"""Figures of labels, and slopes of surfaces: those of made scenes, and of the same ones with a fault."""

from typing import Any

import numpy as np
import pytest

from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.figures import LabelFigure
from labelgrid.tasks.task import TaskDef, spec_of
from tests.support import CLASSES, make_scene

SCENE = make_scene(np.random.default_rng(3), (60, 80))


def label(value: Any, valid: Any = None) -> LabelArray:
    shaped = np.asarray(value).reshape(*value.shape[:2], -1)
    return LabelArray(shaped, np.ones(value.shape[:2], np.bool_) if valid is None else valid)


def task(kind: str, **options: Any) -> TaskDef:
    return TaskDef.of(TaskRow("mine", kind, 1.0, options))


def figure(definition: TaskDef, value: Any, name: str) -> LabelFigure:
    return next(figure for key, figure in definition.figures(label(value)).items() if name in key)


def test_the_median_depth_ignores_what_was_not_measured_and_a_disparity_has_no_range() -> None:
    depth = np.array([[2.0, 3.0, 4.0, 0.0]], np.float32)
    found, near = task("depth").figures(label(depth, depth > 0)).values()
    assert (found.value, found.unit, found.ratio) == (3.0, " m", True)
    assert 0 < found.range[0] < found.range[1]
    assert near.value == pytest.approx(2.1) and near.range == (-np.inf, np.inf)
    (other,) = task("depth", disparity=True).figures(label(depth, depth > 0)).values()
    assert other.value == 3.0 and other.range == (-np.inf, np.inf)


def test_normals_of_a_room_face_the_camera_and_up() -> None:
    normals = task("normals")
    for axis, name in enumerate(("mean x", "mean y", "mean z")):
        assert figure(normals, SCENE.normals, name).value == pytest.approx(
            SCENE.normals[..., axis].mean()
        )
    low, _ = figure(normals, SCENE.normals, "mean z").range
    assert (
        figure(normals, SCENE.normals, "mean z").value
        > low
        > -figure(normals, SCENE.normals, "mean z").value
    )


@pytest.mark.parametrize(("axis", "name"), [(0, "x with the column"), (1, "y with the height")])
def test_a_flipped_axis_flips_the_correlation_with_the_place(axis: int, name: str) -> None:
    flipped = SCENE.normals * np.where(np.arange(3) == axis, -1, 1)
    right, wrong = (
        figure(task("normals"), value, name).value for value in (SCENE.normals, flipped)
    )
    assert abs(right) > 0.2 and wrong == pytest.approx(-right)


def test_normals_of_one_direction_have_no_correlation() -> None:
    assert len(task("normals").figures(label(np.tile([0.0, 0.0, 1.0], (5, 6, 1))))) == 3


@pytest.mark.parametrize("distance", [SCENE.depth, 1 / SCENE.depth], ids=["depth", "disparity"])
def test_depth_and_normals_recede_the_same_way(distance: np.ndarray) -> None:
    options = {} if distance is SCENE.depth else {"disparity": True}
    one = task("depth", **options).slope(label(distance))
    other = task("normals").slope(label(SCENE.normals))
    assert one is not None and other is not None
    for axis in (0, 1):
        known = (np.abs(one[..., axis]) > 1e-6) & (other[..., axis] != 0)
        assert known.sum() > 100 and np.sign(one * other)[..., axis][known].mean() > 0.6


def test_pixels_beside_a_hole_have_no_slope() -> None:
    depth, valid = np.tile(np.arange(1.0, 8.0), (5, 1)), np.ones((5, 7), np.bool_)
    valid[2, 3] = False
    slope = task("depth").slope(label(depth, valid))
    assert slope is not None and (slope[2, [2, 4], 0] == 0).all() and slope[0, 2, 0] > 0


def test_heights_of_classes_are_those_of_large_classes() -> None:
    value = np.zeros((100, 10), np.int64)
    value[90:] = 1
    value[0, :5] = 3
    found = task("semseg", classes=list(CLASSES)).figures(label(value))
    heights = {name: round(each.value, 3) for name, each in found.items()}
    assert heights == {"the mean height of 'wall'": 0.548, "the mean height of 'floor'": 0.045}


@pytest.mark.parametrize("kind", ["edges", "saliency"])
def test_a_binary_map_has_its_share_of_positives(kind: str) -> None:
    assert figure(task(kind), np.array([[1.0, 0, 0, 0]]), "share").value == 0.25


def test_a_kind_that_says_nothing_has_no_figures() -> None:
    spec = spec_of("tests.plugins.optical_flow:build")
    assert spec.figures(np.zeros((2, 2, 2)), np.ones((2, 2), np.bool_), None) == {}
    assert spec.slope(np.zeros((2, 2, 2)), np.ones((2, 2), np.bool_), None) is None


def fine(kind: str, pixels: Any, valid: Any = None, **options: Any) -> dict[str, float]:
    """The fine figures of a label by the first words of their names."""
    figures = task(kind, **options).fine_figures(label(pixels, valid))
    return {name.split(" of ")[1].split()[0]: figure.value for name, figure in figures.items()}


def test_smoothing_makes_rims_of_classes_between_others() -> None:
    classes = [f"c{number}" for number in range(12)]
    index = np.zeros((64, 64), np.int64)
    index[10:20, 10:20] = 10
    assert fine("semseg", index, classes=classes) == {}  # two classes say nothing
    index[9, 10:20], index[20, 10:20] = 2, 8
    index[10:20, 9], index[10:20, 20] = 5, 11
    # Of six classes, 2, 8 and 5 lie between 0 and 10, and 11 does not.
    assert fine("semseg", index, classes=classes) == {"possible": 3 / 6, "borders": 0.0}
    assert "possible" not in fine("semseg", index[:40, :40], classes=classes)  # too small
    # Of seven classes five are nowhere 3 pixels wide, and the four rims lie between 0 and 6.
    few = {0: 0, 10: 6, 2: 1, 8: 4, 5: 5, 11: 2}
    renumbered = np.vectorize(few.get)(index)
    assert fine("semseg", renumbered, classes=classes[:7])["possible"] == 4 / 5


def test_a_first_class_between_all_others_is_measured_unless_its_name_says_what_it_is() -> None:
    classes = ["wall", *"abcdefgh"]
    index = np.arange(64 * 64).reshape(64, 64) // 8 % 8 + 1
    index[:, ::8] = 0
    assert fine("semseg", index, classes=classes)["borders"] == 1.0
    assert "borders" not in fine("semseg", index, classes=["unlabelled", *"abcdefgh"])
    assert "borders" not in fine(
        "semseg", index - 1, np.asarray(index) > 0, classes=classes, first=1
    )
    index[:40] = 0  # a thick one
    assert fine("semseg", index, classes=classes)["borders"] == 0.0


@pytest.mark.parametrize("width", [1, 3, 7])
def test_the_width_of_lines_is_measured(width: int) -> None:
    edges = np.zeros((60, 80), np.float32)
    edges[20 : 20 + width] = 1
    assert fine("edges", edges) == {"the": pytest.approx(width)}
    assert fine("edges", np.zeros((60, 80), np.float32)) == {}
