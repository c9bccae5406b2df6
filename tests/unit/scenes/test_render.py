"""Laws of rendered scenes: maps as geometry says them, pictures of the right things, the same bits for one seed."""

import numpy as np
import pytest

pytest.importorskip("mitsuba", reason="scenes need the extra [scenes]")

from labelgrid.scenes.maps import TASKS, labels_of
from labelgrid.scenes.render import Rendered, render
from labelgrid.scenes.rooms import CLASSES, Scene, make_scene
from labelgrid.scenes.solids import Material, Solid, ball, cube, moved, put, tube

COVERS = ["labelgrid.scenes.maps"]
SIZE = (24, 32)
RED, LIGHT = Material((0.8, 0.05, 0.05)), Material((0.9, 0.9, 0.9), light=6.0)


def scene(*solids: Solid, fov: float = 60.0) -> Scene:
    """Solids in front of a camera at the origin, in a white room with a lit ceiling."""
    room = [
        cube((14, 0.1, 16), (0, -2, -6), Material((0.7, 0.7, 0.7)), "floor"),
        cube((14, 0.1, 16), (0, 2, -6), LIGHT, "ceiling"),
        cube((14, 4, 0.1), (0, 0, -8.05), Material((0.7, 0.7, 0.7)), "wall"),
    ]
    return Scene((*room, *solids), moved(), fov)


def rays(size: tuple[int, int], fov: float) -> np.ndarray:
    """Directions with z = -1 through the pixels' centres [h, w, 3]."""
    height, width = size
    half = np.tan(np.radians(fov) / 2)
    x = (2 * (np.arange(width) + 0.5) / width - 1) * half
    y = (1 - 2 * (np.arange(height) + 0.5) / height) * half * height / width
    across, up = np.meshgrid(x, y)
    return np.stack([across, up, -np.ones_like(across)], -1)


def seen(made: Scene, samples: int = 4) -> tuple[Rendered, dict[str, np.ndarray]]:
    found = render(made, SIZE, samples, 0)
    return found, {name: label.value for name, label in labels_of(made, found).items()}


def test_depth_and_normals_of_a_wall_are_along_the_axis_and_in_the_cameras_frame() -> None:
    found, labels = seen(scene())
    wall = labels["semseg"][..., 0] == CLASSES.index("wall")
    assert wall.any() and np.allclose(found.depth[wall], 8.0, atol=1e-4)
    assert np.allclose(found.normals[wall], [0, 0, 1], atol=1e-5)
    floor = labels["semseg"][..., 0] == CLASSES.index("floor")
    expected = 1.95 / -rays(SIZE, 60.0)[..., 1]
    assert np.allclose(found.depth[floor], expected[floor], rtol=1e-4)
    assert np.allclose(found.normals[floor], [0, 1, 0], atol=1e-5)
    assert np.flatnonzero(floor.any(1)).min() > SIZE[0] / 2  # below the middle


def test_a_ball_is_where_geometry_has_it() -> None:
    centre, radius = np.array([0.8, 0.3, -4.0]), 0.7
    found, labels = seen(scene(*put([ball((radius,) * 3, centre, RED, "ball")], moved(), 1)))
    direction = rays(SIZE, 60.0)
    a, b, c = (direction**2).sum(-1), direction @ centre, centre @ centre - radius**2
    inside = b**2 - a * c > 0
    hit = labels["semseg"][..., 0] == CLASSES.index("ball")
    assert (inside != hit).sum() <= 6  # its triangles cut corners
    both = inside & hit
    depth = (b - np.sqrt(np.maximum(b**2 - a * c, 0))) / a
    assert np.abs(found.depth - depth)[both].max() < 0.1
    assert np.flatnonzero(hit.any(0)).mean() > SIZE[1] / 2 and np.flatnonzero(hit.any(1)).mean() < SIZE[0] / 2
    normal = (direction * depth[..., None] - centre) / radius
    assert (found.normals * normal).sum(-1)[both].mean() > 0.99
    assert found.image[hit].mean(0)[0] > 1.5 * found.image[hit].mean(0)[1]  # red


def test_parts_saliency_and_edges_follow_the_solids() -> None:
    figure = put(
        [
            ball((0.3, 0.3, 0.3), (0, 0.5, 0), RED, "person", "head"),
            cube((0.6, 0.8, 0.4), (0, -0.3, 0), RED, "person", "torso"),
        ],
        moved(-0.8, 0, -4),
        1,
    )
    other = put([tube(0.6, 1.6, (0, 0, 0), RED, "bin")], moved(1.0, 0, -4), 2)
    found, labels = seen(scene(*figure, *other))
    named = labels["semseg"][..., 0]
    assert set(np.unique(labels["parts"])) == {0, 1, 2}
    assert ((labels["parts"][..., 0] > 0) == (named == CLASSES.index("person"))).all()
    assert ((labels["saliency"][..., 0] == 1) == (named == CLASSES.index("person"))).all()  # people come first
    edges = labels["edges"][..., 0] == 1
    assert edges[:-1][named[:-1] != named[1:]].all() and edges[:, :-1][named[:, :-1] != named[:, 1:]].all()
    inner = (named[:-1, :-1] == named[1:, :-1]) & (named[:-1, :-1] == named[:-1, 1:])
    assert not edges[:-1, :-1][inner].any()
    assert found.depth.min() > 0


def test_one_seed_gives_the_same_bits_and_labels_fit_their_tasks() -> None:
    made = make_scene(0, 3)
    one, other = (render(made, SIZE, 4, 7) for _ in range(2))
    assert np.array_equal(one.image, other.image) and np.array_equal(one.depth, other.depth)
    assert not np.array_equal(render(made, SIZE, 4, 8).image, one.image)
    labels = labels_of(made, one)
    assert list(labels) == [row.name for row in TASKS]
    lengths = np.linalg.norm(labels["normals"].value, axis=-1)
    assert np.allclose(lengths[labels["normals"].valid], 1, atol=1e-5)
    assert labels["semseg"].valid.mean() > 0.99
