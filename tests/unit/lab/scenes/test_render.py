"""Laws of rendered pictures: of the right things, lit from the front of lights, the same bits for one seed."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from labelgrid.lab.scenes.render import denoise, remove_fireflies

pytest.importorskip("mitsuba", reason="scenes need the extra [lab]")

from labelgrid.lab.scenes.ray_casting import cast, ray_directions
from labelgrid.lab.scenes.render import render
from labelgrid.lab.scenes.rooms import Scene, make_scene
from labelgrid.lab.scenes.solids import (
    Material,
    Solid,
    ball,
    cube,
    place_object,
    rotation,
    translation,
)

SIZE = (24, 32)
RED, GREY, LIGHT = (
    Material(colour=(0.8, 0.05, 0.05)),
    Material(colour=(0.7, 0.7, 0.7)),
    Material(colour=(0.9,) * 3, light=3.0),
)


SHAPE = (20, 30)


def scene(*solids: Solid) -> Scene:
    """Solids before a grey wall, under a light that looks down and stops short of the camera."""
    light = place_object(
        [cube((4, 4, 0.1), (0, 0, 0), LIGHT, "ceiling")],
        translation(0, 2, -4) @ rotation("x", 90),
        0,
    )
    floor, wall = (
        cube((9, 0.1, 9), (0, -2, -4), GREY, "floor"),
        cube((9, 9, 0.1), (0, 0, -8), GREY, "wall"),
    )
    return Scene((floor, wall, *light, *solids), translation(), 60.0)


def test_a_picture_shows_what_is_there_and_its_shadow() -> None:
    made = scene(
        *place_object([ball((0.7,) * 3, (0, 0, 0), RED, "ball")], translation(0, -0.9, -5), 1)
    )
    found = cast(made, SIZE)
    picture = render(made, found, 16, 0)
    red, green, _ = picture[found.solid == 3].mean(0)
    assert red > 1.5 * green
    across = found.depth * ray_directions(60.0, SIZE)[..., 0]
    floor = (found.solid == 0) & (np.abs(found.depth - 5) < 0.8)
    below, beside = floor & (np.abs(across) < 0.6), floor & (np.abs(across) > 1.2)
    assert below.any() and beside.any()
    assert picture[below].mean() < 0.75 * picture[beside].mean()


def test_a_light_shines_forward_only() -> None:
    lamp = cube((1, 1, 0.1), (0, 0, 0), LIGHT, "window")
    wall = cube((9, 9, 0.1), (0, 0, -8), GREY, "wall")
    toward = Scene(
        (wall, *place_object([lamp], translation(0, 1.5, -4) @ rotation("y", 180), 0)),
        translation(),
        60.0,
    )
    away = Scene((wall, *place_object([lamp], translation(0, 1.5, -4), 0)), translation(), 60.0)
    lit, dark = (render(made, cast(made, SIZE), 4, 0) for made in (toward, away))
    assert lit[12:].mean() > 60 and dark[12:].mean() < 5


def test_one_seed_gives_the_same_bits() -> None:
    made = make_scene(0, 3)
    found = cast(made, SIZE)
    assert np.array_equal(render(made, found, 4, 7), render(made, found, 4, 7))
    assert not np.array_equal(render(made, found, 4, 8), render(made, found, 4, 7))


def test_a_picture_leaves_no_files_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = scene(
        *place_object([ball((0.7,) * 3, (0, 0, 0), RED, "ball")], translation(0, -0.9, -5), 1)
    )
    render(made, cast(made, SIZE), 1, 0)
    assert list(tmp_path.iterdir()) == []


def noisy(tones: np.ndarray, spread: float = 0.03) -> np.ndarray:
    return tones[..., None] + np.random.default_rng(0).normal(0, spread, (*SHAPE, 3))


def test_noise_on_one_surface_shrinks() -> None:
    grey = np.full(SHAPE, 0.5)
    found = denoise(noisy(grey), np.zeros(SHAPE, np.int64))
    assert found.std() < 0.03 / 2.5 and found.mean() == pytest.approx(0.5, abs=0.005)


def test_nothing_crosses_from_one_solid_to_another_however_like_they_are() -> None:
    solid = np.zeros(SHAPE, np.int64)
    solid[:, 15:] = 1
    one = noisy(np.full(SHAPE, 0.5))
    other = np.where(solid[..., None] == 1, one + 0.01, one)
    assert np.array_equal(denoise(one, solid)[:, :15], denoise(other, solid)[:, :15])


def test_a_pattern_of_one_solid_stays() -> None:
    checks = 0.3 + 0.4 * (np.arange(30) // 5 % 2) * np.ones(SHAPE)
    found = denoise(noisy(checks), np.zeros(SHAPE, np.int64)).mean((0, 2))
    assert np.abs(found - checks[0]).max() < 0.06


def test_a_constant_picture_is_left_as_it_is() -> None:
    solid = np.random.default_rng(1).integers(0, 3, SHAPE)
    assert np.allclose(denoise(np.full((*SHAPE, 3), 0.4), solid), 0.4)


def test_single_bright_pixels_are_capped_and_bright_areas_are_not() -> None:
    linear = np.full((*SHAPE, 3), 0.2)
    linear[5, 5], linear[10:16, 10:16] = 50, 3
    found = remove_fireflies(linear)
    assert found[5, 5].max() < 0.5
    found[5, 5] = linear[5, 5]
    assert np.array_equal(found[11:15, 11:15], linear[11:15, 11:15]) and found.max() == 50
