"""Laws of cleaned pictures: noise goes, borders of solids and of patterns stay."""

import numpy as np
import pytest

from labelgrid.lab.scenes.denoising import denoise, remove_fireflies

SHAPE = (20, 30)


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
