"""Laws of curves over labels: exact curves are found, noise widens, and two rounds are enough for an interval."""

from dataclasses import replace

import numpy as np
import pytest

from labelgrid.select.label_curve import (
    EDGE,
    CurvePoint,
    CurvePrior,
    MetricScale,
    curve_inputs,
    fit_curve,
    prior_of,
)

PRIOR = CurvePrior(
    task=0.1, all=0.05, task_spread=0.5, all_spread=0.5, shared_spread=-0.1, noise=0.03
)
METRES = MetricScale("m", "lower")
PERCENT = MetricScale("%", "higher")


def measured(scale, slopes, labels=(20, 40, 60, 80), noise=0.0, seed=0, level=0.3):
    """Rounds on a curve with these slopes, as many labels of each of three tasks."""
    rng = np.random.default_rng(seed)
    bare = [CurvePoint(own, 3.0 * own, 0.0) for own in labels]
    gained = level + curve_inputs(bare, bare[0]) @ slopes + noise * rng.normal(size=len(bare))
    return [
        replace(point, value=scale.value(place))
        for point, place in zip(bare, gained.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    "scale", [METRES, PERCENT, MetricScale("%", "lower"), MetricScale("", "higher")]
)
def test_a_scale_goes_there_and_back_and_more_is_better(scale):
    for value in (0.4, 3.0, 80.0):
        assert scale.value(scale.gained(value)) == pytest.approx(value)
    assert (scale.gained(2.0) > scale.gained(1.0)) == (scale.better == "higher")


def test_a_percentage_of_nothing_and_of_all_is_finite():
    assert PERCENT.gained(0.0) == PERCENT.gained(EDGE)
    assert PERCENT.gained(100.0) == PERCENT.gained(100 - EDGE)


@pytest.mark.parametrize("scale", [METRES, PERCENT])
def test_a_curve_as_was_expected_is_continued(scale):
    points = measured(scale, [0.1, 0.05])
    found = fit_curve(points[:3], scale, PRIOR).forecast(80, 240)
    assert found.value == pytest.approx(points[3].value)
    assert found.low < found.value < found.high


def test_rounds_outweigh_what_was_known():
    wide = replace(PRIOR, task_spread=1e4, all_spread=1e-6, shared_spread=0.0, all=0.0)
    points = measured(METRES, [0.3, 0.0])
    found = fit_curve(points[:3], METRES, wide).forecast(80, 240)
    assert found.value == pytest.approx(points[3].value, rel=1e-3)


@pytest.mark.parametrize("scale", [METRES, PERCENT])
def test_the_interval_holds_the_next_round_as_often_as_it_says(scale):
    held = 0
    draws = 600
    rng = np.random.default_rng(7)
    for seed in range(draws):
        slopes = rng.multivariate_normal(PRIOR.slopes, PRIOR.noise**2 * PRIOR.spread)
        points = measured(scale, slopes, noise=PRIOR.noise, seed=seed)
        found = fit_curve(points[:3], scale, PRIOR).forecast(80, 240)
        held += found.low <= points[3].value <= found.high
    assert 0.77 < held / draws < 0.88


def test_rounds_off_the_curve_widen_its_interval():
    def width(noise):
        points = measured(METRES, [0.1, 0.05], noise=noise, seed=3)
        found = fit_curve(points, METRES, PRIOR).forecast(100, 300)
        return found.high / found.low

    assert width(0.0) < width(0.1) < width(0.4)


def test_what_labels_do_is_surer_than_what_the_next_round_measures():
    points = measured(METRES, [0.1, 0.05], noise=0.03)
    curve = fit_curve(points, METRES, PRIOR)
    change = curve.change(100, 260)
    forecast = curve.forecast(100, 260)
    assert change.high - change.low < forecast.high - forecast.low
    still = curve.change(80, 240)
    assert still.low == still.high == pytest.approx(curve.now)


@pytest.mark.parametrize("scale", [METRES, PERCENT, MetricScale("%", "lower")])
def test_a_forecast_starts_from_the_newest_measurement_however_far_its_curve_lies(scale):
    """With no further label the interval holds today's value: the old forecast started from the curve."""
    rng = np.random.default_rng(3)
    for seed in range(200):
        slopes = rng.multivariate_normal(PRIOR.slopes, PRIOR.noise**2 * PRIOR.spread)
        labels = (20, 40, 60, 80)[: 2 + seed % 3]
        curve = fit_curve(measured(scale, slopes, labels, noise=0.3, seed=seed), scale, PRIOR)
        newest = curve.newest
        still = curve.forecast(newest.labels, newest.all)
        assert still.value == pytest.approx(newest.value) == curve.now
        assert still.low < newest.value < still.high
        further = curve.change(newest.labels + 1e-6, newest.all)
        assert further.value == pytest.approx(newest.value, rel=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.04, 99.97, 100.0])
def test_an_interval_of_a_percentage_reaches_its_end(value):
    points = [CurvePoint(20, 60, value), CurvePoint(40, 120, value)]
    still = fit_curve(points, PERCENT, PRIOR).forecast(40, 120)
    assert still.low <= value <= still.high


def test_a_curve_that_misses_its_newest_round_says_so_and_one_beside_it_by_chance_does_not():
    assert fit_curve([CurvePoint(24, 96, 2.3), CurvePoint(48, 144, 1.02)], METRES, PRIOR).misses
    assert not fit_curve(measured(METRES, [0.1, 0.05]), METRES, PRIOR).misses
    missed = 0
    rng = np.random.default_rng(5)
    for seed in range(300):
        slopes = rng.multivariate_normal(PRIOR.slopes, PRIOR.noise**2 * PRIOR.spread)
        points = measured(METRES, slopes, (20, 40, 60), noise=PRIOR.noise, seed=seed)
        missed += fit_curve(points, METRES, PRIOR).misses
    assert missed / 300 < 0.2


def test_rounds_without_labels_or_with_values_beyond_the_scale_do_not_count():
    points = measured(METRES, [0.1, 0.05])
    odd = [CurvePoint(0, 60, 3.0), CurvePoint(20, 60, float("nan")), CurvePoint(20, 60, 0.0)]
    one = fit_curve([*odd, *points], METRES, PRIOR)
    assert one.forecast(90, 270) == fit_curve(points, METRES, PRIOR).forecast(90, 270)
    assert fit_curve([*odd, points[0]], METRES, PRIOR) is None


def test_a_metric_without_a_name_of_its_own_has_what_is_known_of_its_unit():
    priors = {name: replace(PRIOR, task=place) for place, name in enumerate(("mIoU", "percentage"))}
    priors["other"] = replace(PRIOR, task=2.0)
    found = [prior_of(*names, priors).task for names in (("mIoU", "%"), ("Dice", "%"), ("D", "m"))]
    assert found == [0, 1, 2]
