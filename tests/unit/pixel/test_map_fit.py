"""A map is fitted to another: least squares without the pixels that are farthest off."""

import numpy as np
import pytest

from labelgrid.pixel.map_fit import FEWEST_PIXELS, fit, fit_error, spread


def slow_line(values: np.ndarray, aim: np.ndarray, shift: bool) -> tuple[float, float]:
    """The least squares of a line with a scale of 0 or more, by NumPy's solver."""
    columns = np.stack([values, np.ones_like(values)], 1) if shift else values[:, None]
    solved = np.linalg.lstsq(columns, aim, rcond=None)[0]
    scale, offset = (solved[0], solved[1]) if shift else (solved[0], 0.0)
    if scale < 0:
        return 0.0, float(aim.mean()) if shift else 0.0
    return float(scale), float(offset)


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_a_fit_equals_two_plain_least_squares(seed: int, shift: bool) -> None:
    rng = np.random.default_rng(seed)
    values = rng.uniform(1, 9, 501)
    aim = 3 * values + rng.normal(0, 0.5, 501) + 2 * shift
    aim[:60] = rng.uniform(-90, 90, 60)
    scale, offset = slow_line(values, aim, shift)
    error = np.abs(scale * values + offset - aim)
    kept = error <= np.sort(error)[400]  # 401 of 501: four fifths, rounded up
    expected = slow_line(values[kept], aim[kept], shift)
    np.testing.assert_allclose(fit(values, aim, shift=shift), expected, rtol=1e-9, atol=1e-9)


def test_a_fit_is_not_led_by_a_fifth_of_wrong_pixels() -> None:
    values = np.linspace(1, 9, 500)
    aim = 3 * values + 2
    aim[:90] = 80
    assert fit(values, aim, shift=True).scale == pytest.approx(3, abs=0.6)


def test_a_map_that_falls_where_the_other_rises_fits_as_a_constant() -> None:
    values = np.linspace(1, 9, 500)
    fitted = fit(values, -values, shift=True)
    assert fitted.scale == 0
    assert fit(values, -values, shift=False) == (0, 0)
    assert fit(np.full(500, 2.0), values, shift=True).scale == 0  # nothing to be scaled


def test_the_spread_is_the_mean_distance_from_the_median() -> None:
    values = np.random.default_rng(0).normal(3, 2, 501)
    assert spread(values) == pytest.approx(np.abs(values - np.median(values)).mean())


def test_an_error_is_a_share_of_the_spread() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(1, 9, 5000)
    assert fit_error(values, 7 * values + 3, shift=True) < 1e-12
    constant = fit_error(np.ones(5000), values, shift=True)
    assert constant == pytest.approx(1, abs=0.02)
    assert np.isnan(fit_error(values[: FEWEST_PIXELS - 1], values[: FEWEST_PIXELS - 1], shift=True))
    assert np.isnan(fit_error(values, np.ones(5000), shift=True))
