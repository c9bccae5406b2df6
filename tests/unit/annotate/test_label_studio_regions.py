"""Regions of Label Studio cover the pixels that were drawn; others are refused by name."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from labelgrid.annotate.label_studio_regions import brush_region, reason_of, shapes_of
from labelgrid.basics.errors import LabelError
from labelgrid.formats.regions import Canvas

SIZE = (40, 60)


def region(kind: str, **value: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "original_width": SIZE[1],
        "original_height": SIZE[0],
        "image_rotation": 0,
        "value": {**value, kind: ["wall"]},
    }


def painted(*results: dict[str, Any]) -> NDArray[np.bool_]:
    size, shapes = shapes_of(list(results))
    assert size == SIZE
    canvas = Canvas(SIZE)
    for shape in shapes:
        assert shape.name == "wall"
        shape.paint(canvas, 0)
    return canvas.regions == 0


def centres() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rows and columns of the centres of pixels."""
    rows, columns = np.indices(SIZE)
    return rows + 0.5, columns + 0.5


def near(found: NDArray[np.bool_], expected: NDArray[np.bool_]) -> bool:
    """Whether two masks differ by less than half a pixel along their outlines."""
    outline = np.zeros_like(expected)
    for axis in (0, 1):
        outline |= expected != np.roll(expected, 1, axis)
    return bool((found != expected).sum() <= 0.5 * outline.sum())


def test_a_brush_comes_back_pixel_by_pixel() -> None:
    mask = np.random.default_rng(0).random(SIZE) < 0.5
    assert (painted(brush_region(mask, "wall", "semseg-brush")) == mask).all()


def test_percent_become_pixels_along_each_side() -> None:
    expected = np.zeros(SIZE, np.bool_)
    expected[10:30, 6:45] = True
    assert (painted(region("rectanglelabels", x=10, y=25, width=65, height=50)) == expected).all()
    corners = [[10, 25], [75, 25], [75, 75], [10, 75]]
    assert (painted(region("polygonlabels", points=corners)) == expected).all()


def test_a_rectangle_is_rotated_clockwise_about_its_first_corner() -> None:
    rows, columns = centres()
    down, right = rows - 8, columns - 30
    angle = np.radians(30)
    along = right * np.cos(angle) + down * np.sin(angle)
    across = down * np.cos(angle) - right * np.sin(angle)
    expected = (along > 0) & (along < 18) & (across > 0) & (across < 16)
    value = {"x": 50, "y": 20, "width": 30, "height": 40, "rotation": 30}
    assert near(painted(region("rectanglelabels", **value)), expected)


def test_an_ellipse_is_rotated_about_its_centre() -> None:
    rows, columns = centres()
    down, right = rows - 20, columns - 30
    angle = np.radians(-50)
    along = right * np.cos(angle) + down * np.sin(angle)
    across = down * np.cos(angle) - right * np.sin(angle)
    expected = (along / 18) ** 2 + (across / 8) ** 2 < 1
    value = {"x": 50, "y": 50, "radiusX": 30, "radiusY": 20, "rotation": -50}
    assert near(painted(region("ellipselabels", **value)), expected)


def without(key: str, **other: object) -> dict[str, Any]:
    changed = region("rectanglelabels", x=1, y=1, width=5, height=5) | other
    return {name: value for name, value in changed.items() if name != key}


GOOD = brush_region(np.ones(SIZE, np.bool_), "wall", "c")


@pytest.mark.parametrize(
    ("results", "what"),
    [
        (None, "no list of regions"),
        ([3], "no list of regions"),
        ([region("keypointlabels", x=1, y=1, width=1)], "keypointlabels"),
        ([region("choices")], "choices"),
        ([without("type")], "None"),
        ([without("type", type=["x"])], "type"),
        ([without("value")], "no `value`"),
        ([without("original_width")], "original_width"),
        ([without("", original_width=10**9)], "original_width"),
        ([without("", original_width=60.0)], "original_width"),
        ([without("", original_height=True)], "original_height"),
        ([without("", image_rotation=90)], "rotated by 90"),
        ([GOOD, without("", original_width=61)], "different sizes"),
        ([GOOD] * 10_001, "10,001 regions"),
        ([GOOD | {"value": {"rle": [1], "brushlabels": []}}], "must have one"),
        ([GOOD | {"value": {"rle": [1], "brushlabels": ["a", "b"]}}], "must have one"),
        ([GOOD | {"value": {"rle": [1]}}], "must have one"),
        ([GOOD | {"value": {"rle": [256], "brushlabels": ["a"]}}], "from 0 to 255"),
        ([GOOD | {"value": {"rle": 10**12, "brushlabels": ["a"]}}], "from 0 to 255"),
        ([GOOD | {"value": {"rle": [0.5], "brushlabels": ["a"]}}], "from 0 to 255"),
        ([region("polygonlabels")], "coordinates"),
        ([region("polygonlabels", points=[[1, 2, 3]])], "coordinates"),
        ([region("polygonlabels", points=[[1, 2], [3]])], "coordinates"),
        ([region("polygonlabels", points=[["a", 2]])], "coordinates"),
        ([region("polygonlabels", points=[[1e300, 2]] * 3)], "coordinates"),
        ([region("polygonlabels", points=[[float("nan"), 2]] * 3)], "coordinates"),
        ([region("rectanglelabels", x=1, y=1, width=1)], "coordinates"),
        ([region("ellipselabels", x=1, y=1, radiusX=1, radiusY={})], "coordinates"),
        ([region("rectanglelabels", x=1, y=1, width=1, height=1, rotation="a")], "rotation"),
        (
            [region("rectanglelabels", x=1, y=1, width=1, height=1, rotation=float("nan"))],
            "rotation",
        ),
    ],
)
def test_what_is_no_area_with_a_class_is_refused_by_name(results: object, what: str) -> None:
    with pytest.raises(LabelError, match=what):
        shapes_of(results)


@pytest.mark.parametrize(
    ("damaged", "what"),
    [
        (GOOD | {"value": {"rle": [1, 2], "brushlabels": ["wall"]}}, "run lengths"),
        (region("polygonlabels", points=[[1, 2], [3, 4]]), "three points"),
    ],
)
def test_a_damaged_outline_is_refused_when_it_is_painted(damaged: Any, what: str) -> None:
    with pytest.raises(LabelError, match=what):
        painted(damaged)


def test_the_reason_of_a_skip_is_one_line_and_no_region() -> None:
    reason = {
        "type": "textarea",
        "from_name": "reason",
        "value": {"text": ["too\ndark", "blurred"]},
    }
    assert shapes_of([reason]) == (None, [])
    assert reason_of([GOOD, reason]) == "too dark blurred"
    assert reason_of([reason | {"value": {"text": "one"}}]) == "one"
    assert reason_of([reason | {"value": {"text": [3]}}]) == ""
