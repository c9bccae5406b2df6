"""K-centre greedy is exact: for features with a large mean, ties, duplicates.

And it passes over the pool rarely.
"""

from functools import cache

import numpy as np
import pytest

from labelgrid.select import centres
from labelgrid.select.centres import (
    Candidates,
    Nearest,
    ShortList,
    farthest_centre,
    farthest_first,
    nearest_centre,
    squared_distances,
)
from tests.reference.k_centre import brute_force

N, WIDTH, PICKS = 600, 8, 150
FIRST = [301, 500]
KEYS = np.random.default_rng(0).permutation(N).astype(np.uint64)


def made(kind):
    rng = np.random.default_rng(3)
    plain = rng.normal(size=(N, WIDTH)).astype(np.float32)
    return {
        "plain": plain,
        "far from 0": (plain * 1e-2 + 1000).astype(np.float32),
        "binary": rng.integers(0, 2, (N, WIDTH)).astype(np.float32),
        "duplicates": plain[rng.integers(0, 60, N)],
        "equal": np.full((N, WIDTH), 3, np.float32),
        "one outlier": np.where(np.arange(N)[:, None] == 77, np.float32(1e4), plain),
        "a cluster beside the centres": np.where(
            np.arange(N)[:, None] < 300, plain * 1e-3 + 50, plain
        ),
    }[kind]


KINDS = [
    "plain",
    "far from 0",
    "binary",
    "duplicates",
    "equal",
    "one outlier",
    "a cluster beside the centres",
]


@cache
def brute_force_picks(kind):
    open_rows = set(range(N)) - set(FIRST)
    return brute_force(made(kind), FIRST, open_rows=open_rows, count=PICKS, keys=KEYS.tolist())


def picked(features, centres, *, costs, keys, amount, draws):
    pool = Candidates(features=features, centres=centres, costs=costs, keys=keys, draws=draws)
    return farthest_first(pool, amount)


#: A list of nine rows, so that many lists are made; and blocks that divide neither rows nor centres.
SIZES = [{"LEAST": 1}, {"LEAST": 256}, {"LEAST": 1, "BLOCK": 70, "TOGETHER": 16, "PAIRS": 9}]


@pytest.fixture(params=SIZES, ids=str)
def sizes(request, monkeypatch):
    for name, size in request.param.items():
        monkeypatch.setattr(centres, name, size)


@pytest.mark.usefixtures("sizes")
@pytest.mark.parametrize("kind", KINDS)
def test_picks_and_distances_are_those_of_a_brute_force(kind):
    features = made(kind)
    first = np.zeros(N, np.bool_)
    first[FIRST] = True
    costs = np.where(first, np.inf, 1.0)
    rows, distances = picked(
        features, first, costs=costs, keys=KEYS, amount=float(PICKS), draws=np.zeros(N)
    )
    assert rows == brute_force_picks(kind)
    wide = features.astype(np.float64)
    for number, row in enumerate(rows):
        before = [*FIRST, *rows[:number]]
        assert distances[row] == pytest.approx(
            min(np.linalg.norm(wide[row] - wide[c]) for c in before), rel=1e-13
        )
    other = next(row for row in range(N) if row not in rows)
    all_centres = [*FIRST, *rows]
    assert distances[other] == pytest.approx(
        min(np.linalg.norm(wide[other] - wide[c]) for c in all_centres), abs=1e-4
    )


def test_distances_of_features_with_a_large_mean_lose_no_precision():
    rows = np.array([[1e8, 0.0], [1e8 + 8, 6.0]], np.float32)
    assert squared_distances(rows, rows[0]).tolist() == [0.0, 100.0]
    nearest = Nearest(rows)
    nearest.add([0])
    assert nearest.values[1] == pytest.approx(100) and nearest.exact(
        np.array([1]), np.array([0])
    ).tolist() == [100.0]


def test_settled_distances_are_exact_where_a_matrix_product_cannot_tell_two_centres_apart():
    for number in range(20):
        x = 1e6 + number * 977.3
        rows = np.array([[x, 0.0], [x + 3, 0.0], [x, 3.0 + 1e-7], [-x, 0.0]])
        nearest = Nearest(rows)
        assert nearest.rounding > 1e-3
        exact = nearest.exact(np.array([0]), np.array([2, 1, 3]))
        assert exact.tolist() == squared_distances(rows[1:2], rows[0]).tolist()


def test_a_value_that_rounding_puts_below_a_tie_is_settled_before_the_tie_is_broken():
    rows = np.array([[0.0, 0.0], [3.0, 0.0], [-3.0, 0.0], [3.0, 3.0]])
    nearest = Nearest(rows)
    nearest.add([0])
    assert nearest.values[1] == pytest.approx(9) and nearest.rounding > 0
    nearest.values[1:3] = [9 - nearest.rounding / 2, 9.0]
    listed = ShortList(nearest, np.array([1, 2, 3]), np.array([1, 2, 3], np.uint64), -np.inf)
    listed.add(2)
    assert listed.farthest(np.array([True, True, False])) == (
        0,
        9.0,
    )  # 9 from both centres; the lower key of the two


def test_only_a_few_passes_over_the_pool_are_made(monkeypatch):
    passes, whole = [], Nearest.add
    monkeypatch.setattr(
        Nearest, "add", lambda self, added: (passes.append(len(added)), whole(self, added))
    )
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20_000, 16)).astype(np.float32)
    first = np.arange(20_000) < 50
    picked(
        features,
        first,
        costs=np.where(first, np.inf, 1.0),
        keys=np.arange(20_000, dtype=np.uint64),
        amount=200.0,
        draws=features[:, 0],
    )
    assert sum(passes) == 250 and len(passes) < 20


def test_rows_without_finite_features_are_neither_picked_nor_centres():
    features = np.array([[0.0], [np.nan], [9.0], [4.0], [np.inf]])
    first = np.array([True, True, False, False, False])
    costs, keys = np.where(first, np.inf, 1.0), np.arange(5, dtype=np.uint64)
    rows, distances = picked(features, first, costs=costs, keys=keys, amount=9.0, draws=np.zeros(5))
    assert rows == [2, 3] and distances.tolist() == [0.0, np.inf, 9.0, 4.0, np.inf]


def test_rows_are_picked_while_the_amount_pays_for_them_and_costs_are_left_as_they_were():
    features, keys = np.array([[0.0], [9.0], [8.0], [1.0]]), np.arange(4, dtype=np.uint64)
    costs = np.array([np.inf, 5.0, 2.0, 1.0])
    rows, _ = picked(
        features,
        np.array([True, False, False, False]),
        costs=costs,
        keys=keys,
        amount=4.0,
        draws=np.zeros(4),
    )
    assert rows == [2, 3] and costs.tolist() == [np.inf, 5.0, 2.0, 1.0]
    assert (
        picked(
            features, np.zeros(4, np.bool_), costs=costs, keys=keys, amount=0.5, draws=np.zeros(4)
        )[0]
        == []
    )


@pytest.mark.usefixtures("sizes")
def test_nearest_and_farthest_centres_are_those_of_all_distances():
    rng = np.random.default_rng(5)
    features = (rng.normal(size=(300, 7)) + 100).astype(np.float32)
    for chosen in (np.arange(0), np.array([4]), rng.permutation(300)[:40]):
        all_ = (
            (features[:, None].astype(np.float64) - features[chosen].astype(np.float64)) ** 2
        ).sum(2)
        np.testing.assert_allclose(
            nearest_centre(features, chosen), all_.min(1, initial=np.inf), rtol=1e-12, atol=1e-12
        )
        assert farthest_centre(features, chosen) == pytest.approx(all_.max(initial=0.0), rel=1e-9)


def test_without_first_centres_the_highest_draw_comes_first_then_the_lowest_key():
    features = np.array([[0.0], [9.0], [8.0], [1.0]])
    keys = np.array([3, 2, 1, 0], np.uint64)
    costs = np.array([2.0, 2.0, 2.0, 9.0])
    rows, distances = picked(
        features,
        np.zeros(4, np.bool_),
        costs=costs,
        keys=keys,
        amount=5.0,
        draws=np.array([0.1, 0.5, 0.5, 0.9]),
    )
    assert rows == [2, 0] and distances.tolist() == [8.0, 1.0, 0.0, 1.0]


def test_a_pick_may_take_exactly_what_is_left():
    features = np.array([[0.0], [9.0], [8.0], [1.0]])
    costs = np.array([np.inf, 2.0, 2.0, 1.0])
    first = np.array([True, False, False, False])
    keys = np.arange(4, dtype=np.uint64)
    for amount, expected in ((4.0, [1, 2]), (3.0, [1, 3]), (2.0, [1]), (1.5, [3])):
        rows, _ = picked(features, first, costs=costs, keys=keys, amount=amount, draws=np.zeros(4))
        assert rows == expected


def test_products_of_the_nearest_centres_err_less_than_their_rounding():
    rng = np.random.default_rng(4)
    for mean in (0.0, 1e3, 1e6):
        features = rng.normal(size=(400, 12)) + mean
        nearest = Nearest(features)
        nearest.add([0, 3, 7])
        exact = nearest.exact(np.arange(400), np.array([0, 3, 7]))
        assert np.abs(nearest.values - exact).max() < nearest.rounding < 1e-10
