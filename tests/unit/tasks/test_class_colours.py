"""Colours of classes: told apart by everybody, on dark and light, and kept by name."""

import numpy as np
import pytest

from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.class_colours import (
    AVOIDED,
    BACKGROUND_COLOUR,
    RGB,
    class_colours,
    is_background,
    name_order,
    palette,
    to_oklab,
)
from labelgrid.tasks.task import definitions


def least(colours: RGB, others: RGB) -> list[float]:
    """The smallest distance between two colours, for four kinds of vision, the normal one first."""
    one, other = to_oklab(colours), to_oklab(others)
    distances: list[float] = (
        np.linalg.norm(one[:, :, None] - other[:, None], axis=-1).min((1, 2)).tolist()
    )
    return distances


@pytest.mark.parametrize(
    ("count", "normal", "blind"),
    [(2, 0.3, 0.25), (7, 0.2, 0.11), (13, 0.13, 0.08), (21, 0.11, 0.055), (40, 0.07, 0.04)],
)
def test_classes_are_told_apart_by_any_colour_vision(
    count: int, normal: float, blind: float
) -> None:
    colours = palette(count)
    for index in range(1, count):
        first, *others = least(colours[index : index + 1], colours[:index])
        assert first > normal and min(others) > blind and len(others) == 3


def test_vision_is_simulated_for_each_kind_of_colour_blindness() -> None:
    red_green = np.array([[200, 60, 60], [110, 110, 50]], np.uint8)
    blue_green = np.array([[0, 120, 200], [0, 130, 130]], np.uint8)
    seen = [
        np.linalg.norm(np.diff(to_oklab(each), axis=1), axis=-1) for each in (red_green, blue_green)
    ]
    assert (seen[0][1:3] < seen[0][0] * 0.8).all()  # the green-blind and the red-blind
    assert seen[1][3] < seen[1][0] * 0.6  # the blue-blind
    assert (np.abs(to_oklab(np.array([[128] * 3], np.uint8))[:, 0, 1:]) < 0.01).all()  # greys stay


def test_colours_are_seen_on_dark_and_on_light_and_are_no_background_and_no_stripes() -> None:
    for other in AVOIDED:
        assert min(least(palette(40), np.array([other], np.uint8))) > 0.04
    lightness = to_oklab(palette(40))[0, :, 0]
    assert lightness.min() > 0.35 and lightness.max() < 0.9


def test_no_colour_is_shrill_and_there_are_enough() -> None:
    chroma = np.hypot(*to_oklab(palette(256))[0, :, 1:].T)
    assert chroma.max() < 0.22
    assert len(np.unique(palette(256), axis=0)) == 256
    assert palette(5000).shape == (5000, 3) and palette(0).shape == (0, 3)
    assert np.array_equal(palette(40)[:7], palette(7))


@pytest.mark.parametrize("name", ["background", "Background", "_background_", "bg", "unlabelled"])
def test_what_nobody_drew_is_grey_and_takes_no_colour(name: str) -> None:
    assert is_background(name)
    colours = class_colours((name, "shirt", "shoe"))
    assert tuple(colours[0]) == BACKGROUND_COLOUR
    assert np.array_equal(colours[1:], class_colours(("shirt", "shoe")))


def test_a_class_keeps_its_colour_when_classes_are_added_reordered_and_in_other_tasks() -> None:
    before = ("wall", "floor", "box")
    first = dict(zip(before, class_colours(before).tolist(), strict=True))
    for later in (("wall", "floor", "box", "bed"), ("bed", "box", "wall", "floor")):
        colours = class_colours(later, name_order([before], later)).tolist()
        kept = dict(zip(later, colours, strict=True))
        assert kept.pop("bed") not in first.values() and kept == first


def test_tasks_of_a_project_share_the_colours_of_their_classes() -> None:
    rows = [
        TaskRow("semseg", "semseg", 1.0, {"classes": ["background", "person", "bed"]}),
        TaskRow("parts", "semseg", 1.0, {"classes": ["head", "bed", "background", "person"]}),
        TaskRow("depth", "depth", 1.0),
    ]
    seen: dict[str, list[int]] = {}
    for task in definitions(rows, [("head", "person")]).values():
        for name, colour in zip(task.class_names, task.region_colours.tolist(), strict=True):
            assert seen.setdefault(name, colour) == colour
    assert seen["head"] == palette(1)[0].tolist() and len({*map(tuple, seen.values())}) == 4


def test_a_label_covers_what_is_below_but_for_background_and_unlabelled_pixels() -> None:
    rows = [
        TaskRow("semseg", "semseg", 1.0, {"classes": ["bed", "background"]}),
        TaskRow("depth", "depth", 1.0),
    ]
    tasks = definitions(rows)
    valid = np.array([[True, True, False]])
    classes = LabelArray(np.array([[[0], [1], [0]]]), valid)
    depth = LabelArray(np.array([[[1.0], [np.nan], [2.0]]], np.float32), valid)
    assert tasks["semseg"].covers(classes).tolist() == [[True, False, False]]
    assert tasks["depth"].covers(depth).tolist() == [[True, False, False]]
