"""Laws of the camera: the pixel that sees a point, in the image and in a view of it."""

import numpy as np
import pytest

from labelgrid.basics.camera import Camera

CAMERA = Camera(fx=50.0, fy=60.0, cx=20.25, cy=11.5)
POINTS = np.array([[0.3, -0.2, 1.5], [-1.0, 0.7, 4.0], [0.0, 0.0, 2.0]])


def pixels(camera: Camera) -> np.ndarray:
    """The columns and rows that see the points."""
    x, y, z = POINTS.T
    return np.stack([camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy], -1)


def test_a_crop_sees_a_point_so_many_pixels_further_left_and_up() -> None:
    assert np.allclose(pixels(CAMERA.shift(3, 7)), pixels(CAMERA) - [3, 7])


def test_in_a_resized_image_the_corners_of_the_pixels_stay_in_proportion() -> None:
    corners = (pixels(CAMERA) + 0.5) * [0.5, 3]
    assert np.allclose(pixels(CAMERA.scale(0.5, 3)), corners - 0.5)


def test_a_mirrored_image_sees_a_mirrored_point_where_it_saw_the_point() -> None:
    mirrored = CAMERA.mirror(40)
    x, _, z = POINTS.T
    assert np.allclose(mirrored.fx * -x / z + mirrored.cx, 39 - pixels(CAMERA)[:, 0])
    assert mirrored.mirror(40) == CAMERA


@pytest.mark.parametrize(
    ("camera", "degrees"),
    [(Camera(50.0, 50.0, 20.25, 11.5), 25.0), (CAMERA, 90.0), (CAMERA, -90.0)],
)
def test_a_turned_image_sees_a_turned_point_where_the_pixel_went(
    camera: Camera, degrees: float
) -> None:
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    clockwise = np.array([[cosine, -sine], [sine, cosine]])
    turned = camera.turn(degrees)
    x, y = clockwise @ POINTS[:, :2].T
    seen = np.stack([turned.fx * x, turned.fy * y], -1) / POINTS[:, 2:] + [turned.cx, turned.cy]
    assert np.allclose(seen, pixels(camera) @ clockwise.T)


def test_a_field_of_view_is_that_of_the_rays_that_render_rooms() -> None:
    from labelgrid.lab.scenes.ray_casting import ray_directions

    size = (24, 32)
    camera = Camera.of_view(66.0, size)
    rows, columns = np.indices(size)
    rays = ray_directions(66.0, size)
    assert np.allclose((columns - camera.cx) / camera.fx, rays[..., 0])
    assert np.allclose((rows - camera.cy) / camera.fy, -rays[..., 1])


@pytest.mark.parametrize("focal", [(0.0, 1.0), (1.0, -2.0), (float("nan"), 1.0)])
def test_a_focal_length_that_is_none_is_refused(focal: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="focal lengths are above 0"):
        Camera(*focal, 0.0, 0.0)
