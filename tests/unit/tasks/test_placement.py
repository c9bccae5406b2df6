from dataclasses import replace

import numpy as np
import pytest

from labelgrid.basics.camera import Camera
from labelgrid.tasks.placement import Placement, same_values


def part(flip: bool = False) -> Placement:
    """The right half of 2x4 pixels, twice as wide, in the lower rows of a canvas."""
    return Placement(
        source=(slice(0, 2), slice(2, 4)),
        target=(slice(1, 3), slice(0, 4)),
        canvas=(3, 4),
        zoom=2.0,
        flip=flip,
    )


def test_the_nearest_values_of_the_part_lie_on_the_canvas_and_padding_is_zero() -> None:
    values = np.arange(1, 9).reshape(2, 4)
    assert part().nearest(values).tolist() == [[0, 0, 0, 0], [3, 3, 4, 4], [7, 7, 8, 8]]
    assert part(flip=True).nearest(values).tolist() == [[0, 0, 0, 0], [4, 4, 3, 3], [8, 8, 7, 7]]


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_linear_values_pass_from_one_pixel_to_the_next_and_lie_where_the_nearest_do(
    channels: int,
) -> None:
    values = np.repeat(np.array([[9, 9, 2, 4], [9, 9, 2, 4]], np.float32)[..., None], channels, 2)
    valid = np.ones((2, 4), bool)
    found = part().linear(values, valid)
    assert found.shape == (3, 4, channels)
    assert found[..., -1].tolist() == [[0, 0, 0, 0], [2, 2.5, 3.5, 4], [2, 2.5, 3.5, 4]]
    assert np.array_equal(part(flip=True).linear(values, valid), found[:, ::-1])


def test_linear_values_take_nothing_of_pixels_that_are_not_valid() -> None:
    values = np.array([[9, 9, np.nan, 4], [9, 9, 2, 4]], np.float32)[..., None]
    assert part().linear(values, np.isfinite(values[..., 0]))[1, :, 0].tolist() == [0, 1, 3, 4]


def test_only_a_flip_turns_directions_and_only_across() -> None:
    x, y = np.array([1.0, -2.0]), np.array([3.0, 4.0])
    assert [values.tolist() for values in part().turn(x, y)] == [[1, -2], [3, 4]]
    assert [values.tolist() for values in part(flip=True).turn(x, y)] == [[-1, 2], [3, 4]]


def test_values_that_no_view_changes_move_with_their_holes() -> None:
    value, valid = same_values(
        np.arange(8).reshape(2, 4, 1), np.arange(8).reshape(2, 4) > 2, part(), None
    )
    assert value[..., 0].tolist() == [[0, 0, 0, 0], [2, 2, 3, 3], [6, 6, 7, 7]]
    assert valid.tolist() == [[False] * 4, [False, False, True, True], [True] * 4]


@pytest.mark.parametrize(
    ("flip", "angle"), [(False, 0.0), (True, 0.0), (False, 20.0), (True, 20.0)]
)
def test_the_camera_of_a_view_sees_along_its_axis_what_the_image_s_camera_saw(
    flip: bool, angle: float
) -> None:
    placement = replace(part(flip), angle=angle)
    camera = placement.camera(Camera(fx=8.0, fy=8.0, cx=2.3, cy=0.8))
    assert (camera.fx, camera.fy) == pytest.approx((16.0, 8.0))
    column = 3 - camera.cx if flip else camera.cx
    assert placement.matrix() @ [column, camera.cy, 1] == pytest.approx([2.3, 0.8])


def slow_reduction(
    value: np.ndarray, valid: np.ndarray, placement: Placement
) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel of the canvas before the flip by itself: its nearest source pixel, or the valid ones in it."""
    nearest = replace(placement, flip=False).nearest(np.arange(valid.size).reshape(valid.shape) + 1)
    turn = np.linalg.inv(np.vstack([placement.matrix(), [0, 0, 1]]))
    held: dict[tuple[int, int], list[tuple[float, int]]] = {}
    for y, x in np.argwhere(valid).tolist():
        column, row, _ = turn @ (x, y, 1)
        pixel = (int(np.floor(row + 0.5)), int(np.floor(column + 0.5)))
        apart = (row - pixel[0]) ** 2 + (column - pixel[1]) ** 2
        held.setdefault(pixel, []).append((apart, y * valid.shape[1] + x))
    placed, placed_valid = np.zeros(placement.canvas), np.zeros(placement.canvas, bool)
    for row in range(placement.canvas[0]):
        for column in range(placement.canvas[1]):
            here = nearest[row, column] - 1
            if here >= 0 and valid.flat[here]:
                pick = here
            elif here >= 0 and (row, column) in held:
                pick = min(held[row, column])[1]
            else:
                continue
            placed[row, column], placed_valid[row, column] = value.flat[pick], True
    if placement.flip:
        return placed[:, ::-1], placed_valid[:, ::-1]
    return placed, placed_valid


SHRUNK = [
    Placement(
        source=(slice(2, 42), slice(0, 61)),
        target=(slice(1, 9), slice(0, 13)),
        canvas=(11, 13),
        flip=flip,
        angle=angle,
    )
    for flip in (False, True)
    for angle in (0.0, 20.0)
]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.97])
@pytest.mark.parametrize("placement", SHRUNK)
def test_sparse_values_are_kept_as_by_looking_at_every_pixel(
    placement: Placement, share: float
) -> None:
    rng = np.random.default_rng(0)
    value = rng.random((45, 61, 1))
    valid = rng.random((45, 61)) < share
    found, found_valid = placement.nearest_valid(value, valid)
    slow, slow_valid = slow_reduction(value, valid, placement)
    assert np.array_equal(found_valid, slow_valid)
    assert np.array_equal(found[..., 0][found_valid], slow[slow_valid])


@pytest.mark.parametrize("placement", [*SHRUNK, part(), part(flip=True)])
def test_values_that_are_all_valid_are_placed_as_the_nearest(placement: Placement) -> None:
    value = np.random.default_rng(0).random((45, 61, 1))
    valid = np.ones((45, 61), bool)
    found, found_valid = placement.nearest_valid(value, valid)
    assert np.array_equal(found_valid, placement.nearest(valid))
    assert np.array_equal(found[found_valid], placement.nearest(value)[found_valid])


@pytest.mark.parametrize("start", range(5))
def test_of_a_grid_that_the_nearest_pixels_miss_every_pixel_gets_a_value(start: int) -> None:
    valid = np.zeros((240, 320), bool)
    valid[start::5, start::5] = True
    whole = Placement(
        source=(slice(0, 240), slice(0, 320)),
        target=(slice(0, 48), slice(0, 64)),
        canvas=(48, 64),
    )
    assert whole.nearest(valid).any() == (start == 2)
    assert whole.nearest_valid(valid[..., None], valid)[1].all()
