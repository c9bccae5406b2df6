import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.class_colours import to_oklab
from labelgrid.tasks.pictures import (
    HATCH,
    INFERNO,
    RGB,
    VIRIDIS,
    colour_map,
    heat_map,
    picture_file,
    thumbnail,
)
from labelgrid.tasks.task import TaskDef

DEPTH = TaskDef.of(TaskRow("depth", "depth", 1.0))
DISPARITY = TaskDef.of(TaskRow("stereo", "depth", 1.0, {"disparity": True}))
NORMALS = TaskDef.of(TaskRow("normals", "normals", 1.0))
EDGES = TaskDef.of(TaskRow("edges", "edges", 1.0))
CLASSES = TaskDef.of(TaskRow("semseg", "semseg", 1.0, {"classes": ["a", "b", "c"]}))
NAN = float("nan")


def row(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(1, -1, 1)


def lightness(picture: RGB) -> NDArray[np.float64]:
    return to_oklab(picture.reshape(-1, 3))[0, :, 0]


def test_equal_classes_are_equal_colours() -> None:
    picture = colour_map(CLASSES, np.array([[[0], [2], [0]]]))
    assert np.array_equal(picture[0], CLASSES.region_colours[[0, 2, 0]])


def test_near_is_brighter_than_far_for_depth_and_for_disparity() -> None:
    values = np.linspace(1, 9, 50, dtype=np.float32).reshape(1, -1, 1)
    assert (np.diff(lightness(colour_map(DEPTH, values))) <= 0).all()
    assert (np.diff(lightness(colour_map(DISPARITY, values))) >= 0).all()


def test_a_fixed_range_makes_pictures_comparable() -> None:
    one, two = (
        colour_map(DEPTH, row(1, 2), limits=(0, 10)),
        colour_map(DEPTH, row(2, 9), limits=(0, 10)),
    )
    assert np.array_equal(one[0, 1], two[0, 0])
    free = colour_map(DEPTH, row(2, 9))
    assert not np.array_equal(one[0, 1], free[0, 0])
    beyond = colour_map(DEPTH, row(-5, 0, 10, 50), limits=(0, 10))
    assert np.array_equal(beyond[0, 0], beyond[0, 1])
    assert np.array_equal(beyond[0, 2], beyond[0, 3])


def test_a_few_outliers_do_not_use_up_the_scale() -> None:
    values = np.append(np.linspace(1, 2, 999), 1e6).astype(np.float32).reshape(1, -1, 1)
    assert np.ptp(lightness(colour_map(DEPTH, values))[:999]) > 0.5


def test_a_map_of_one_value_or_of_none_is_a_picture() -> None:
    assert colour_map(DEPTH, row(3, 3)).shape == (1, 2, 3)
    assert np.isin(colour_map(DEPTH, row(NAN, NAN)), HATCH).all()
    assert np.isin(heat_map(np.full((2, 2), np.nan)), HATCH).all()


def test_what_is_not_finite_is_hatched_like_what_is_not_valid() -> None:
    assert np.isin(colour_map(DEPTH, row(1, NAN, 2))[0, 1], HATCH).all()
    assert np.isin(heat_map(np.array([[0.0, np.inf]]))[0, 1], HATCH).all()
    assert not np.isin(heat_map(np.array([[0.0, np.inf]]))[0, 0], HATCH).any()


def test_the_hatching_has_two_greys() -> None:
    nothing = colour_map(DEPTH, np.full((16, 16, 1), NAN))
    assert len(np.unique(nothing.reshape(-1, 3), axis=0)) == 2


def test_yes_is_white_and_no_is_black() -> None:
    assert colour_map(EDGES, row(0, 1))[0].tolist() == [[0, 0, 0], [255, 255, 255]]


def test_a_normal_is_its_vector_as_rgb() -> None:
    toward = np.array([[[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]]])
    assert colour_map(NORMALS, toward)[0].tolist() == [[128, 128, 255], [0, 128, 128]]


def test_heat_grows_brighter() -> None:
    heat = lightness(heat_map(np.linspace(-3, 5, 60)[None]))
    assert (np.diff(heat) >= 0).all()
    assert np.ptp(heat) > 0.8


def dense(value: NDArray[Any], valid: Any = True) -> LabelArray:
    return LabelArray(value, np.broadcast_to(valid, value.shape[:2]).copy())


def test_a_thumbnail_shows_sparse_measurements_and_hatches_where_there_are_none() -> None:
    valid = np.zeros((64, 64), np.bool_)
    valid[33::4, 1::4] = True
    near = np.full((64, 64, 1), 2.0, np.float32)
    small = thumbnail(DEPTH, dense(near, valid), (8, 8), (2.0, 9.0))
    assert np.isin(small[:4], HATCH).all()
    assert (small[4:] == VIRIDIS[-1]).all()


def test_a_small_hole_in_a_dense_label_is_no_hole_in_its_thumbnail_but_a_large_one_is() -> None:
    valid = np.ones((40, 40), np.bool_)
    valid[0, 0] = valid[20:30, 20:30] = False
    small = thumbnail(DEPTH, dense(np.ones((40, 40, 1), np.float32), valid), (4, 4), (1, 2))
    hatched = np.isin(small, HATCH).all(2)
    assert hatched[2, 2] and hatched.sum() == 1


def test_thin_lines_stay_white_in_a_thumbnail_that_keeps_lines() -> None:
    edges = np.zeros((200, 200, 1), np.float32)
    edges[:, 77] = 1
    kept = thumbnail(EDGES, dense(edges), (20, 20), lines=True)
    assert kept.max(1).min() > 120 and thumbnail(EDGES, dense(edges), (20, 20)).max() < 60
    assert (kept[:, :5] == 0).all()


def test_a_thumbnail_may_be_larger_than_the_label() -> None:
    two = np.array([[[0], [1]]], np.int64)
    large = thumbnail(CLASSES, dense(two), (10, 20))
    assert large.shape == (10, 20, 3)
    assert (large[0, 0] == CLASSES.region_colours[0]).all() and (
        large[-1, -1] == CLASSES.region_colours[1]
    ).all()


def test_a_thumbnail_of_a_large_label_is_that_of_all_its_pixels_but_for_borders() -> None:
    index = np.repeat(np.arange(3), 200)[None, :, None].repeat(600, 0)
    small = thumbnail(CLASSES, dense(index), (6, 6))
    assert (small[:, ::2] == CLASSES.region_colours[[0, 1, 2]]).all()


def test_a_picture_is_kept_in_colour_and_size() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, :30] = (250, 10, 20)
    png = np.asarray(Image.open(io.BytesIO(picture_file(picture, ".png"))))
    assert np.array_equal(png, picture)
    jpeg = cv2.imdecode(np.frombuffer(picture_file(picture, ".jpg"), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(jpeg[20, 10, ::-1].astype(int) - (250, 10, 20)).max() < 20


def test_a_fourth_channel_says_how_opaque_a_pixel_is() -> None:
    picture = np.zeros((4, 6, 4), np.uint8)
    picture[:, :3] = (250, 10, 20, 255)
    assert np.array_equal(
        np.asarray(Image.open(io.BytesIO(picture_file(picture, ".png")))), picture
    )


def test_a_scale_has_the_colours_that_lie_between_its_stops() -> None:
    values = np.random.default_rng(0).uniform(-0.1, 1.1, (40, 50))
    shown = heat_map(values, (0.0, 1.0)).astype(int)
    stops = np.linspace(0, 1, len(INFERNO))
    exact = [np.interp(values, stops, channel) for channel in np.array(INFERNO, float).T]
    assert np.abs(shown - np.stack(exact, -1)).max() <= 1
    assert (heat_map(stops[None], (0.0, 1.0))[0] == INFERNO).all()


def test_a_scale_takes_limits_and_values_of_any_size() -> None:
    large = 1e9 + np.array([[0.0, 1.0, 2.0]])
    assert len(np.unique(heat_map(large, (1e9, 1e9 + 2)).reshape(-1, 3), axis=0)) == 3
    for limits in ((0.0, 1e-46), (NAN, NAN), (1e39, 2e39)):
        assert heat_map(np.array([[0.0, 1.5e39]]), limits).shape == (1, 2, 3)
