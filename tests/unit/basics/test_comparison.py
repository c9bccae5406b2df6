"""Laws of comparing strategies: as SciPy, and right on average where nothing or something is to be found."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from labelgrid.basics.comparison import (
    at_shared_x,
    bootstrap_interval,
    compare,
    first_crossing,
    holm_correction,
    mean_over,
    seeds_needed,
    sign_flip_p,
    smallest_p,
    untested,
)

Values = NDArray[np.float64]
RNG = np.random.default_rng(0)


def test_the_area_under_a_curve_is_that_of_fine_steps() -> None:
    x, y = np.array([100.0, 340.0, 580.0]), np.array([6.0, 5.5, 5.4])
    fine = np.linspace(150, 500, 100_001)
    assert mean_over((x, y), 150, 500) == pytest.approx(np.interp(fine, x, y).mean(), abs=1e-5)
    assert mean_over((x, y), 340, 340) == 5.5


def test_labels_needed_lie_on_the_curve_or_nowhere() -> None:
    falling = np.array([100.0, 200.0, 300.0]), np.array([6.0, 5.0, 5.5])
    assert first_crossing(falling, 5.25, "lower") == 175
    assert first_crossing(falling, 7.0, "lower") == 100
    assert first_crossing(falling, 4.9, "lower") == np.inf
    assert first_crossing((falling[0], -falling[1]), -5.25, "higher") == 175


def test_a_goal_reached_at_a_point_of_the_curve_is_reached_there() -> None:
    x = np.array([100.0, 200.0, 400.0])
    assert first_crossing((x, np.array([5.0, 6.0, 4.0])), 5.0, "lower") == 100
    assert first_crossing((x, np.array([6.0, 5.0, 5.5])), 5.0, "lower") == 200
    assert first_crossing((x, np.array([9.0, 8.0, 4.0])), 7.0, "lower") == 250
    assert first_crossing((x, np.array([1.0, 2.0, 6.0])), 5.0, "higher") == 350


def test_p_is_the_share_of_sign_flips_as_extreme() -> None:
    for n in (1, 2, 3, 5, 8):
        values = RNG.normal(0.4, 1, n)
        flips = np.array(
            [np.mean(values * signs) for signs in itertools.product((-1, 1), repeat=n)]
        )
        share = np.mean(np.abs(flips) >= abs(values.mean()) - 1e-12)
        assert sign_flip_p(values) == pytest.approx(share)


def test_two_pairs_have_four_sign_flips() -> None:
    assert sign_flip_p(np.array([1.0, 2.0])) == 0.5
    assert sign_flip_p(np.array([-1.0, 2.0])) == 1.0
    assert sign_flip_p(np.array([3.0])) == 1.0


def test_the_p_of_many_pairs_is_scipys_and_the_same_each_time() -> None:
    values = np.random.default_rng(8).normal(0.3, 1, 20)
    drawn = stats.permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",
        n_resamples=9999,
        rng=np.random.default_rng(0),
    )
    assert 0.05 < sign_flip_p(values) < 0.95 and sign_flip_p(values) == drawn.pvalue


@pytest.mark.parametrize(
    "ties", [lambda d: d, np.round, lambda d: np.concatenate([d, -d]), lambda d: np.round(d, 1)]
)
@pytest.mark.parametrize("n", [2, 3, 5, 6])
def test_p_is_that_of_scipy_bit_by_bit_even_where_flips_tie(
    n: int, ties: Callable[[Values], Values]
) -> None:
    draws = np.random.default_rng(n)
    for _ in range(5):
        values = ties(draws.normal(0.3, 1.5, n))
        exact = stats.permutation_test(
            (values,), np.mean, permutation_type="samples", n_resamples=9999
        )
        assert sign_flip_p(values) == exact.pvalue


def test_the_smallest_p_is_that_of_differences_which_all_point_one_way() -> None:
    for seeds in (1, 2, 3, 8, 13):
        assert smallest_p(seeds) == sign_flip_p(np.linspace(1, 2, seeds))
    assert smallest_p(20) == sign_flip_p(np.linspace(1, 2, 20)) == 2 / 10_000
    assert smallest_p(0) == 1.0


def test_the_seeds_needed_are_the_fewest_at_which_the_corrected_p_can_be_small_enough() -> None:
    for pairs in (1, 2, 3, 10):
        fewest = next(
            n for n in range(2, 20) if max(holm_correction([smallest_p(n)] * pairs)) <= 0.05
        )
        assert seeds_needed(pairs) == fewest
    assert seeds_needed(0) == 2


def test_three_seeds_never_show_a_difference() -> None:
    found = compare({"a": ([1.0, 1.1, 1.2], [9.0, 9.1, 9.3])}, "lower")["a"]
    assert found.p == 0.25 and found.verdict == "cannot tell" and found.seeds == 3


def test_holm_is_the_smallest_level_at_which_the_step_down_test_rejects() -> None:
    for _ in range(20):
        p = RNG.uniform(0, 0.2, 5)
        order = np.argsort(p)
        for level in np.linspace(0.001, 0.999, 60):
            rejected = np.zeros(5, bool)
            for rank, place in enumerate(order):
                if p[place] > level / (5 - rank):
                    break
                rejected[place] = True
            assert (np.array(holm_correction(list(p))) <= level).tolist() == rejected.tolist()


def test_a_corrected_p_is_at_most_one() -> None:
    assert holm_correction([0.9, 0.8, 0.001]) == pytest.approx([1.0, 1.0, 0.003])


def test_the_interval_is_scipys_bootstrap() -> None:
    values = RNG.normal(1, 2, 12)
    level = 1 - 2 * stats.norm.cdf(-np.sqrt(12 / 11) * stats.t.ppf(0.975, 11))
    expected = stats.bootstrap(
        (values,),
        np.mean,
        method="percentile",
        confidence_level=level,
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert bootstrap_interval(values, 5) == pytest.approx((expected.low, expected.high), rel=1e-9)


@pytest.mark.parametrize("seeds", [6, 12])
def test_the_interval_holds_the_mean_about_as_often_as_it_says(seeds: int) -> None:
    found = [bootstrap_interval(RNG.normal(size=seeds), draw) for draw in range(400)]
    assert 0.91 <= np.mean([low <= 0 <= high for low, high in found]) <= 0.98


def test_of_skewed_differences_the_interval_holds_the_mean_less_often_as_the_report_says() -> None:
    draws = np.random.default_rng(4)
    found = [bootstrap_interval(draws.exponential(size=6) - 1, draw) for draw in range(400)]
    assert 0.84 <= np.mean([low <= 0 <= high for low, high in found]) <= 0.92


def test_equal_differences_have_an_interval_without_width_and_others_one_inside_their_range() -> (
    None
):
    assert bootstrap_interval(np.full(8, 2.5), 0) == (2.5, 2.5)
    low, high = bootstrap_interval(np.array([0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.9, 1.0]), 0)
    assert 0 < low < 0.5375 < high < 1


def test_of_few_seeds_the_least_and_the_largest_difference_are_told() -> None:
    assert bootstrap_interval(np.array([2.5]), 5) == (2.5, 2.5)
    assert bootstrap_interval(np.array([3.0, 1.0, 2.0, 2.0, 1.5]), 5) == (1.0, 3.0)


def test_a_study_of_nothing_finds_a_difference_as_rarely_as_it_says() -> None:
    p = np.array([sign_flip_p(RNG.normal(size=8)) for _ in range(400)])
    for level in (0.05, 0.2, 0.5):
        assert np.mean(p <= level) == pytest.approx(level, abs=3.5 * np.sqrt(level / 400))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_and_gives_no_p(wrong: float) -> None:
    good = [float(seed) for seed in range(8)]
    with pytest.raises(ValueError, match="a - b is not a finite number"):
        compare({"c - d": (good, good), "a - b": ([*good[1:], wrong], good)}, "lower")


def test_a_planted_difference_is_found_on_the_right_side() -> None:
    base = RNG.normal(5, 0.5, 8)
    noise = RNG.normal(0, 0.05, 8)
    pairs = {
        "good": (base - 0.4 + noise - noise.mean(), base),
        "bad": (base + 0.4, base),
        "none": (base, base),
    }
    found = compare(pairs, "lower")
    assert [found[name].verdict for name in pairs] == ["better", "worse", "within noise"]
    assert found["good"].low < -0.4 < found["good"].high
    assert found["good"].holm >= found["good"].p
    swapped = compare({"good": pairs["good"]}, "higher")["good"]
    assert swapped.verdict == "worse"


def test_a_comparison_has_the_mean_and_the_interval_of_its_seed() -> None:
    base = np.random.default_rng(6).normal(5, 0.5, 8)
    pairs = {"a": (base + np.array([1, 2, 3, 2, 4, 1, 2, 3]) / 10, base)}
    found = compare(pairs, "higher", seed=3)["a"]
    assert found.mean == pytest.approx(0.225) and found.verdict == "better"
    assert (found.low, found.high) == bootstrap_interval(pairs["a"][0] - base, 3)
    assert found == compare(pairs, "higher", seed=3)["a"] != compare(pairs, "higher")["a"]
    assert compare(pairs, "higher") == compare(pairs, "higher", seed=0)


def test_curves_share_the_places_that_both_have_but_for_rounding() -> None:
    first = np.array([0.1 + 0.2, 1.0, 2.0]), np.array([9.0, 8.0, 7.0])
    second = np.array([0.3, 0.7, 2.0]), np.array([6.0, 5.0, 4.0])
    mine, its = at_shared_x(first, second)
    assert mine[1].tolist() == [9.0, 7.0] and its[1].tolist() == [6.0, 4.0]
    assert [len(one[0]) for one in at_shared_x(first, (second[0][1:2], second[1][1:2]))] == [0, 0]


@pytest.mark.parametrize(
    ("further", "verdict", "p"),
    [
        ((), "better", 2 / 2**8),
        ((0.5, 3.0), "better", 2 / 2**8),
        ((-0.5,), "cannot tell", 1.0),
        ((0.0,), "cannot tell", 1.0),
    ],
)
def test_a_difference_is_one_by_each_reading_of_its_values(
    further: tuple[float, ...], verdict: str, p: float
) -> None:
    base = np.arange(8.0)
    readings = [(base, base + ahead) for ahead in further]
    found = compare({"a": (base, base + 1.0)}, "lower", further={"a": readings})["a"]
    assert (found.verdict, found.p) == (verdict, p) and bool(found.why) == (p == 1.0)
    spanned = [-1.0, *(-ahead for ahead in further)]
    assert (found.mean, found.low, found.high) == (-1.0, min(spanned), max(spanned))


def test_readings_of_noise_alone_are_noise() -> None:
    noise = np.array([1.0, -1.0, 0.5, -0.5, 0.2, -0.2, 0.1, -0.1])
    found = compare({"a": (noise, 0 * noise)}, "lower", further={"a": [(0 * noise, noise)]})["a"]
    assert (found.verdict, found.why) == ("within noise", "")


def test_a_pair_without_a_test_has_its_difference_and_the_reason_alone() -> None:
    found = untested(([1.0] * 8, [2.0] * 8), "no shared rounds")
    assert found.mean == -1.0 and np.isnan([found.p, found.holm]).all()
    assert not found.is_tested and not found.is_difference
    assert found.words == "cannot tell: no shared rounds"
