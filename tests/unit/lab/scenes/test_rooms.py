"""Laws of made rooms: drawn from a seed alone, of many classes with a long tail, looked at again from nearby."""

import hashlib
from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from labelgrid.lab.scenes.people import PARTS, PERSON, person
from labelgrid.lab.scenes.ray_casting import cast
from labelgrid.lab.scenes.rooms import CLASSES, KINDS, Scene, make_scene, room_of
from labelgrid.lab.scenes.scene_objects import LYING, STANDING
from labelgrid.lab.scenes.solids import Solid, rotation, scaling, translation

COVERS = [
    "labelgrid.lab.scenes.people",
    "labelgrid.lab.scenes.scene_objects",
    "labelgrid.lab.scenes.solids",
]
MANY = 250


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [make_scene(0, index) for index in range(MANY)]


def same(one: Scene, other: Scene) -> bool:
    pairs = zip(one.solids, other.solids, strict=True)
    return np.array_equal(one.camera, other.camera) and all(
        np.array_equal(a.transform, b.transform) and a.material == b.material and a.label == b.label
        for a, b in pairs
    )


def test_a_scene_depends_on_its_seed_and_number_alone(scenes: list[Scene]) -> None:
    assert same(make_scene(0, 17), scenes[17])
    assert not np.array_equal(make_scene(1, 17).camera, scenes[17].camera)


def test_some_scenes_look_again_at_the_room_before_from_nearby(scenes: list[Scene]) -> None:
    rooms = [room_of(0, index) for index in range(MANY)]
    again = [index for index, (_, look) in enumerate(rooms) if look]
    assert 0.1 < len(again) / MANY < 0.3
    for index in again[:10]:
        before, now = scenes[index - 1], scenes[index]
        assert all(
            np.array_equal(a.transform, b.transform)
            for a, b in zip(before.solids, now.solids, strict=True)
        )
        assert 0 < np.abs(before.camera[:3, 3] - now.camera[:3, 3]).max() < 0.8


def test_rooms_of_a_data_set_without_frames_stay_what_they_are() -> None:
    digest = hashlib.blake2b(digest_size=8)
    for index in range(30):
        scene = make_scene(0, index)
        values = np.stack([scene.camera, *(solid.transform for solid in scene.solids)])
        digest.update(
            f"{room_of(0, index)} {np.round(values, 6).tolist()}".replace("-0.0,", "0.0,").encode()
        )
    assert digest.hexdigest() == "ea18ee643ece7b70"


def test_with_frames_every_room_is_seen_as_often_from_nearby() -> None:
    assert [room_of(0, index, 4) for index in range(3, 9)] == [
        (0, 3),
        (1, 0),
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 0),
    ]
    for room in range(5):
        first, *others = [make_scene(0, index, 4) for index in range(4 * room, 4 * room + 4)]
        cameras = [one.camera[:3, 3] for one in (first, *others)]
        assert all(same(replace(one, camera=first.camera), first) for one in others)
        apart = [np.abs(a - b).max() for a, b in combinations(cameras, 2)]
        assert min(apart) > 0.001 and max(apart) < 0.9


def test_classes_have_a_long_tail_and_every_one_comes(scenes: list[Scene]) -> None:
    hits = Counter(label for scene in scenes for label in {solid.label for solid in scene.solids})
    assert set(hits) == set(CLASSES)
    assert hits["wall"] == MANY and 0 < hits["ladder"] < MANY / 20
    assert sum(kind.fraction for kind in KINDS.values()) == pytest.approx(1)


def test_things_are_numbered_and_the_room_is_nothing_s_part(scenes: list[Scene]) -> None:
    for scene in scenes[:40]:
        things = {solid.thing for solid in scene.solids}
        assert things == set(range(len(things)))
        assert {solid.label for solid in scene.solids if solid.thing == 0} >= {
            "wall",
            "floor",
            "ceiling",
        }
        for thing in things - {0}:
            labels = {solid.label for solid in scene.solids if solid.thing == thing}
            assert len(labels - {"books", "cabinet"}) <= 1, labels


def test_nothing_stands_so_near_the_camera_that_it_fills_the_picture(scenes: list[Scene]) -> None:
    for scene in scenes[:60]:
        found = cast(scene, (24, 32))
        thing = np.array([solid.thing for solid in scene.solids])[found.solid]
        assert (
            found.depth.min() > 0.5
            and np.bincount(thing.ravel(), minlength=2)[1:].max() < 0.6 * thing.size
        )


def test_a_figure_is_seen_in_about_a_third_of_the_pictures(scenes: list[Scene]) -> None:
    shown = 0
    for scene in scenes:
        person = np.array([solid.label == PERSON for solid in scene.solids])[
            cast(scene, (24, 32)).solid
        ]
        shown += person.sum() > 4
    assert 0.25 < shown / MANY < 0.45


def corners(solid: Solid) -> np.ndarray:
    unit = np.array([(x, y, z, 1.0) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]).T
    return (solid.transform @ unit)[:3].T


@pytest.mark.parametrize("name", [*STANDING, *LYING, PERSON])
def test_an_object_stands_on_the_floor_and_has_the_size_of_such_a_thing(name: str) -> None:
    for draw in range(20):
        build = {**STANDING, **LYING, PERSON: person}[name]
        points = np.concatenate([corners(solid) for solid in build(np.random.default_rng(draw))])
        low, high = points.min(0), points.max(0)
        assert -0.6 < low[1] < 0.3, low
        assert 0.02 < (high - low).max() < 2.8


def test_a_figure_has_all_parts_and_nothing_else_has_any(scenes: list[Scene]) -> None:
    figure = person(np.random.default_rng(0))
    assert {solid.part for solid in figure} == set(PARTS) - {"none"}
    for scene in scenes[:60]:
        assert all(bool(solid.part) == (solid.label == PERSON) for solid in scene.solids)


def test_moves_turns_and_stretches_are_the_usual_ones() -> None:
    assert np.allclose(rotation("z", 90) @ [1, 0, 0, 1], [0, 1, 0, 1])
    assert np.allclose(rotation("x", 90) @ [0, 1, 0, 1], [0, 0, 1, 1])
    assert np.allclose(rotation("y", 90) @ [0, 0, 1, 1], [1, 0, 0, 1])
    assert np.allclose(translation(1, 2, 3) @ scaling(2, 3, 4) @ [1, 1, 1, 1], [3, 5, 7, 1])
