"""Laws of cast rays: depth, normals and solids as geometry says them, and as Mitsuba's own rays meet the same scene."""

from dataclasses import replace

import numpy as np
import pytest

from labelgrid.lab.scenes.ray_casting import RayHits, cast, ray_directions
from labelgrid.lab.scenes.rooms import CLASSES, Scene, make_scene
from labelgrid.lab.scenes.solids import (
    Material,
    Solid,
    ball,
    cube,
    place_object,
    rotation,
    scaling,
    translation,
    tube,
)
from labelgrid.lab.scenes.write_scenes import TASKS, scene_labels

COVERS = ["labelgrid.lab.scenes.write_scenes"]
SIZE = (24, 32)
RED, GREY = Material(colour=(0.8, 0.05, 0.05)), Material(colour=(0.7, 0.7, 0.7))


def scene(*solids: Solid) -> Scene:
    """Solids in front of a camera at the origin, in a room without side walls."""
    room = [
        cube((14, 0.1, 16), (0, -2, -6), GREY, "floor"),
        cube((14, 0.1, 16), (0, 2, -6), GREY, "ceiling"),
        cube((14, 4, 0.1), (0, 0, -8.05), GREY, "wall"),
    ]
    return Scene((*room, *solids), translation(), 60.0)


def hits(made: Scene) -> tuple[RayHits, dict[str, np.ndarray]]:
    found = cast(made, SIZE)
    return found, {name: label.value for name, label in scene_labels(made, found).items()}


def test_depth_and_normals_of_a_wall_are_along_the_axis_and_in_the_cameras_frame() -> None:
    found, labels = hits(scene())
    wall = labels["semseg"][..., 0] == CLASSES.index("wall")
    assert wall.any() and np.allclose(found.depth[wall], 8.0, atol=1e-4)
    assert np.allclose(found.normals[wall], [0, 0, 1], atol=1e-5)
    floor = labels["semseg"][..., 0] == CLASSES.index("floor")
    expected = 1.95 / -ray_directions(60.0, SIZE)[..., 1]
    assert np.allclose(found.depth[floor], expected[floor], rtol=1e-4)
    assert np.allclose(found.normals[floor], [0, 1, 0], atol=1e-5)
    assert np.flatnonzero(floor.any(1)).min() > SIZE[0] / 2  # below the middle


def test_a_ball_is_where_geometry_has_it() -> None:
    centre, radius = np.array([0.8, 0.3, -4.0]), 0.7
    found, labels = hits(
        scene(*place_object([ball((radius,) * 3, centre, RED, "ball")], translation(), 1))
    )
    direction = ray_directions(60.0, SIZE)
    a, b, c = (direction**2).sum(-1), direction @ centre, centre @ centre - radius**2
    inside = b**2 - a * c > 0
    hit = labels["semseg"][..., 0] == CLASSES.index("ball")
    assert np.array_equal(inside, hit)
    depth = (b - np.sqrt(np.maximum(b**2 - a * c, 0))) / a
    assert np.abs(found.depth - depth)[hit].max() < 1e-5
    assert (
        np.flatnonzero(hit.any(0)).mean() > SIZE[1] / 2
        and np.flatnonzero(hit.any(1)).mean() < SIZE[0] / 2
    )
    normal = (direction * depth[..., None] - centre) / radius
    assert (found.normals * normal).sum(-1)[hit].min() > 1 - 1e-5


def test_parts_saliency_and_edges_follow_the_solids() -> None:
    figure = place_object(
        [
            ball((0.3, 0.3, 0.3), (0, 0.5, 0), material=RED, label="person", part="head"),
            replace(cube((0.6, 0.8, 0.4), (0, -0.3, 0), RED, "person"), part="torso"),
        ],
        translation(-0.8, 0, -4),
        1,
    )
    other = place_object(
        [tube(0.6, 1.6, at=(0, 0, 0), material=RED, label="bin")], translation(1.0, 0, -4), 2
    )
    _, labels = hits(scene(*figure, *other))
    named = labels["semseg"][..., 0]
    assert set(np.unique(labels["parts"])) == {0, 1, 2}
    assert ((labels["parts"][..., 0] > 0) == (named == CLASSES.index("person"))).all()
    assert (
        (labels["saliency"][..., 0] == 1) == (named == CLASSES.index("person"))
    ).all()  # though the bin is larger
    edges = labels["edges"][..., 0] == 1
    assert (
        edges[:-1][named[:-1] != named[1:]].all()
        and edges[:, :-1][named[:, :-1] != named[:, 1:]].all()
    )
    inner = (named[:-1, :-1] == named[1:, :-1]) & (named[:-1, :-1] == named[:-1, 1:])
    assert not edges[:-1, :-1][inner].any()


def test_a_tube_shows_its_side_and_its_lid() -> None:
    found, labels = hits(
        scene(
            *place_object(
                [tube(0.5, 1.0, at=(0, -1.2, 0), material=RED, label="bin")],
                translation(0, 0, -4),
                1,
            )
        )
    )
    hit = labels["semseg"][..., 0] == CLASSES.index("bin")
    points = found.depth[..., None] * ray_directions(60.0, SIZE) - [0, -1.2, -4]
    lid = hit & (np.abs(points[..., 1] - 0.5) < 1e-5)
    side = hit & ~lid
    assert lid.sum() > 3 and side.sum() > 3
    assert np.allclose(found.normals[lid], [0, 1, 0], atol=1e-5)
    assert np.allclose(np.hypot(points[..., 0], points[..., 2])[side], 0.5, atol=1e-5)
    assert np.allclose(found.normals[side], (points * [2, 0, 2])[side], atol=1e-5)


def test_from_within_a_solid_its_inside_is_seen_and_what_is_behind_the_camera_is_not() -> None:
    within = Scene(
        (cube((2, 2, 6), (0, 0, 0), GREY, "box"), ball((1, 1, 1), (0, 0, 8), RED, "ball")),
        translation(),
        60.0,
    )
    found = cast(within, SIZE)
    assert (found.solid == 0).all() and found.depth.max() == pytest.approx(3)
    assert np.allclose(found.normals[12, 16], [0, 0, 1])
    assert not cast(Scene(within.solids[1:], translation(), 60.0), SIZE).depth.any()


@pytest.mark.parametrize("shape", ["cube", "sphere", "tube"])
def test_a_camera_moved_with_its_scene_sees_the_same(shape: str) -> None:
    transform = (
        translation(0.3, -0.2, -4) @ rotation("y", 33) @ rotation("x", 20) @ scaling(0.9, 0.6, 1.2)
    )
    made = Solid(shape=shape, transform=transform, material=RED, label="box", thing=1)  # type: ignore[arg-type]
    still = cast(Scene((made,), translation(), 60.0), SIZE)
    going = translation(2, 1, -3) @ rotation("y", 50) @ rotation("x", -12)
    found = cast(Scene(tuple(place_object([made], going, 1)), going, 60.0), SIZE)
    assert np.array_equal(found.solid, still.solid) and (still.solid == 0).sum() > 20
    assert np.allclose(found.depth, still.depth, atol=1e-5) and np.allclose(
        found.normals, still.normals, atol=1e-5
    )


@pytest.mark.parametrize("index", [3, 4, 9])
def test_pictures_and_labels_agree_since_mitsuba_s_rays_meet_the_same(index: int) -> None:
    """Mitsuba's balls are of triangles, which cut corners at borders.

    Where solids touch, either may be named.
    """
    pytest.importorskip("mitsuba", reason="scenes need the extra [lab]")
    from labelgrid.lab.scenes.render import load

    made = make_scene(0, index)
    found, loaded, into = cast(made, SIZE), load(made, SIZE, 1), made.camera[:3, :3].T
    differ = 0
    for row, column in np.ndindex(SIZE):
        where = [(column + 0.5) / SIZE[1], (row + 0.5) / SIZE[0]]
        ray, _ = loaded.sensors()[0].sample_ray(0.0, 0.5, where, [0.5, 0.5])
        hit = loaded.ray_intersect(ray)
        solid = made.solids[int(hit.shape.id().split("_")[1])]
        depth = -(into @ (np.array(hit.p).ravel() - made.camera[:3, 3]))[2]
        normal = into @ np.array(hit.sh_frame.n).ravel()
        same = solid.label == made.solids[found.solid[row, column]].label
        near = (
            abs(depth - found.depth[row, column]) < 0.05
            and abs(normal @ found.normals[row, column]) > 0.97
        )
        differ += not (same and near)
    assert differ <= 0.005 * SIZE[0] * SIZE[1]


def test_labels_of_rooms_fit_their_tasks() -> None:
    for index in range(6):
        made = make_scene(0, index)
        labels = scene_labels(made, cast(made, SIZE))
        assert list(labels) == [row.name for row in TASKS]
        lengths = np.linalg.norm(labels["normals"].value, axis=-1)
        assert np.allclose(lengths[labels["normals"].valid], 1, atol=1e-5)
        assert (
            labels["semseg"].valid.all()
            and 0.3 < labels["depth"].value.min() < labels["depth"].value.max() < 10
        )
