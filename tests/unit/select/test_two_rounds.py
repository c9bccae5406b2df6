"""Laws of k-centre in two rounds: exact with one part, within the bound with many, and the same in any order."""

from itertools import combinations

import numpy as np
import pytest

from labelgrid.basics.streams import image_keys
from labelgrid.select.centres import Candidates, farthest_first
from labelgrid.select.two_rounds import WORST, Cover, cover_in_parts

N = 400


def pool_of(rows: np.ndarray, centres: tuple[int, ...] = (), costs: object = 1.0) -> Candidates:
    n = len(rows)
    first = np.zeros(n, np.bool_)
    first[list(centres)] = True
    paid = np.where(first, np.inf, np.broadcast_to(costs, n)).astype(np.float64)
    keys = image_keys(f"i{row}" for row in range(n))
    draws = np.random.default_rng(5).random(n)
    return Candidates(features=rows, centres=first, costs=paid, keys=keys, draws=draws)


def points(n: int = N, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)


@pytest.mark.parametrize("centres", [(), (3, 77)])
def test_one_part_is_the_greedy_algorithm(centres: tuple[int, ...]) -> None:
    pool = pool_of(points(), centres)
    cover = cover_in_parts(pool, 20.0, N)
    picks, distances = farthest_first(pool, 20.0)
    assert cover.parts == 1 and cover.picks == picks
    np.testing.assert_allclose(cover.distances, distances, rtol=1e-6, atol=1e-6)
    assert cover.bound <= 2


def best_radius(rows: np.ndarray, first: list[int], count: int) -> float:
    """The least radius of all choices."""
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    others = [row for row in range(len(rows)) if row not in first]
    return min(
        float(apart[:, [*first, *some]].min(1).max()) for some in combinations(others, count)
    )


@pytest.mark.parametrize("seed", range(6))
def test_the_radius_is_within_the_bound_that_is_said_of_the_best(seed: int) -> None:
    rows = points(16, seed)
    pool = pool_of(rows, (0,))
    cover = cover_in_parts(pool, 3.0, 5)
    best = best_radius(rows.astype(np.float64), [0], 3)
    assert cover.parts == 3
    assert cover.least <= best * (1 + 1e-6)
    assert best * (1 - 1e-6) <= cover.radius <= cover.bound * best * (1 + 1e-6)
    assert cover.bound <= WORST


def test_many_parts_cover_about_as_well_as_the_greedy_algorithm() -> None:
    pool = pool_of(points(), (3, 77))
    cover = cover_in_parts(pool, 20.0, 50)
    picks, distances = farthest_first(pool, 20.0)
    rest = np.setdiff1d(np.arange(N), [*picks, 3, 77])
    assert cover.parts == 8 and len(cover.picks) == len(set(cover.picks)) == 20
    assert not {3, 77} & set(cover.picks)
    assert cover.radius <= 1.5 * distances[rest].max()
    own = np.setdiff1d(np.arange(N), [*cover.picks, 3, 77])
    apart = np.linalg.norm(pool.features[own, None] - pool.features[[3, 77, *cover.picks]], axis=2)
    np.testing.assert_allclose(cover.distances[own], apart.min(1), rtol=1e-5)


def test_the_order_of_the_rows_changes_no_pick() -> None:
    pool = pool_of(points(), (3, 77))
    order = np.random.default_rng(9).permutation(N)
    shuffled = Candidates(
        features=pool.features[order],
        centres=pool.centres[order],
        costs=pool.costs[order],
        keys=pool.keys[order],
        draws=pool.draws[order],
    )
    picks = cover_in_parts(shuffled, 12.0, 60).picks
    assert order[picks].tolist() == cover_in_parts(pool, 12.0, 60).picks


def test_unknown_features_are_neither_picked_nor_centres_and_different_costs_have_no_bound() -> (
    None
):
    rows = points()
    rows[[5, 77]] = np.nan
    costs = np.where(np.arange(N) % 2, 1.0, 2.0)
    cover = cover_in_parts(pool_of(rows, (3, 77), costs), 15.0, 60)
    assert not {5, 77} & set(cover.picks) and np.isinf(cover.distances[[5, 77]]).all()
    assert costs[cover.picks].sum() <= 15 and np.isnan(cover.bound) and cover.least == 0


def test_a_pool_of_equal_images_is_covered_at_once() -> None:
    cover: Cover = cover_in_parts(pool_of(np.ones((40, 2), np.float32), (0,)), 5.0, 10)
    assert cover.radius == 0 and cover.bound == 1 and len(cover.picks) == 5
