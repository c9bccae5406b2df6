"""A label over its photograph: covered where it is valid, alone what is yes, of any sizes, with a legend."""

from typing import Any

import numpy as np
import pytest

from labelgrid.drawings.overlay import (
    LONGEST,
    MARK,
    OPACITY,
    SHORTEST,
    draw_overlay,
)
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.class_colours import class_colours
from labelgrid.tasks.task import TaskDef

GREY = 100


def task(kind: str, **options: Any) -> TaskDef:
    return TaskDef.of(TaskRow(kind, kind, 1.0, options))


def photograph(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def mixed(colour: np.ndarray) -> np.ndarray:
    return np.rint(GREY + OPACITY * (colour.astype(np.float64) - GREY))


def test_classes_cover_the_photograph_where_they_are_valid() -> None:
    semseg = task("semseg", classes=["wall", "floor", "box"])
    value = np.zeros((480, 640, 1), np.int64)
    value[:, 320:] = 1
    valid = np.ones((480, 640), np.bool_)
    valid[:240] = False
    found = draw_overlay(photograph(480, 640), semseg, LabelArray(value, valid))
    wall, floor, box = class_colours(("wall", "floor", "box"))
    assert (found[:240, :640] == GREY).all()
    assert np.abs(found[300, 10] - mixed(wall)).max() <= 1
    assert np.abs(found[300, 600] - mixed(floor)).max() <= 1
    legend = {tuple(pixel) for pixel in found[480:].reshape(-1, 3).tolist()}
    assert tuple(wall.tolist()) in legend and tuple(floor.tolist()) in legend
    assert tuple(box.tolist()) not in legend, "a class that does not occur"


def test_the_photograph_shows_through_the_background() -> None:
    clothes = task("semseg", classes=["background", "shirt"])
    value = np.zeros((480, 640, 1), np.int64)
    value[:, 320:] = 1
    label = LabelArray(value, np.ones((480, 640), np.bool_))
    found = draw_overlay(photograph(480, 640), clothes, label)
    assert (found[:480, :320] == GREY).all()
    assert np.abs(found[300, 600] - mixed(clothes.region_colours[1])).max() <= 1


def test_of_yes_and_no_only_yes_is_shown_and_a_line_survives_a_smaller_picture() -> None:
    value = np.zeros((1500, 2000, 1), np.float32)
    value[:, 1001] = 1
    label = LabelArray(value, np.ones((1500, 2000), np.bool_))
    found = draw_overlay(photograph(1500, 2000), task("edges"), label)
    assert found.shape[1] == LONGEST
    marked = (found[:1200] != GREY).any(2)
    assert marked.any(1).all() and marked.sum() <= 1200 * 4
    assert (found[1200:] == MARK).all(2).any(), "the legend"


@pytest.mark.parametrize("size", [(24, 32), (32, 24), (480, 640), (1700, 50), (1, 300)])
@pytest.mark.parametrize("stride", [1, 2])
def test_photographs_of_any_size_are_shown_in_full(size: tuple[int, int], stride: int) -> None:
    shape = (max(1, size[0] // stride), max(1, size[1] // stride))
    value = np.linspace(1, 5, shape[0] * shape[1], dtype=np.float32).reshape(*shape, 1)
    label = LabelArray(value, np.ones(shape, np.bool_))
    found = draw_overlay(photograph(*size), task("depth"), label)
    longer = min(max(*size, SHORTEST), LONGEST)
    height = max(1, round(size[0] * longer / max(size)))
    width = max(1, round(size[1] * longer / max(size)))
    assert found.shape[0] > height and found.shape[1] == max(width, SHORTEST)
    assert (found[:height, :width] != GREY).any(2).mean() > 0.9
    assert (found[:height, width:] == 255).all()


@pytest.mark.parametrize("kind", ["semseg", "depth", "normals", "edges"])
def test_a_label_without_a_valid_pixel_says_so(kind: str) -> None:
    options = {"classes": ["wall", "floor"]} if kind == "semseg" else {}
    channels = 3 if kind == "normals" else 1
    dtype = np.int64 if kind == "semseg" else np.float32
    value = np.zeros((48, 64, channels), dtype)
    label = LabelArray(value, np.zeros((48, 64), np.bool_))
    found = draw_overlay(photograph(48, 64), task(kind, **options), label)
    assert (found[:480] == GREY).all()
    assert (found[480:] < 128).any(), "a text"
