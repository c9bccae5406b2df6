"""The largest value for the money: against every set of items, and against half of it where that takes too long."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelgrid.select.knapsack import buy_value


def best_value(values, costs, amount):
    """The largest total value, by trying every set of items."""
    n = len(values)
    sets = (chosen for count in range(n + 1) for chosen in itertools.combinations(range(n), count))
    return max(
        sum(values[i] for i in one) for one in sets if sum(costs[i] for i in one) <= amount + 1e-9
    )


def items(draw_cost):
    one = st.tuples(st.floats(-3, 3).map(lambda x: round(x, 3)), draw_cost)
    return st.lists(one, min_size=1, max_size=8)


def bought(pairs, amount):
    """The value of what is bought above the least score, and the largest that is possible."""
    scores, costs = (np.array(column, np.float64) for column in zip(*pairs, strict=True))
    taken = buy_value(scores, np.arange(len(pairs), dtype=np.uint64), costs, amount)
    assert len(set(taken)) == len(taken) and costs[taken].sum() <= amount + 1e-6
    left = [cost for index, cost in enumerate(costs) if index not in taken]
    assert min(left, default=np.inf) > amount - costs[taken].sum() - 1e-9  # nothing else fits
    affordable = scores[costs <= amount + 1e-9]
    values = scores - min(affordable.min(initial=0.0), 0.0)
    return sum(values[taken]), best_value(values, costs, amount)


@given(pairs=items(st.sampled_from([0.0, 0.5, 1.0, 2.5, 7.0])), amount=st.floats(0.1, 25))
def test_with_costs_on_a_grid_the_value_is_the_largest_possible(pairs, amount):
    found, best = bought(pairs, amount)
    assert found == pytest.approx(best, abs=1e-9)


@given(pairs=items(st.floats(0.01, 9)), amount=st.floats(0.1, 25))
def test_with_any_costs_the_value_is_at_least_half_of_the_largest(pairs, amount):
    found, best = bought(pairs, amount)
    assert found >= best / 2 - 1e-9


def test_one_valuable_item_is_bought_rather_than_many_cheap_ones_that_are_worth_less():
    scores, costs = np.array([0.02, 5.0, 0.01]), np.array([0.1234567, 10.0, 0.1234567])
    assert buy_value(scores, np.arange(3, dtype=np.uint64), costs, 10.0) == [1]
    assert buy_value(np.full(2, np.nan), np.arange(2, dtype=np.uint64), np.ones(2), 3.0) == []


@pytest.mark.parametrize("amount", [7.0, 40.0, 1e9])
def test_ties_are_broken_by_key_in_any_order_of_the_items(amount):
    rng = np.random.default_rng(0)
    scores, costs = rng.integers(0, 3, 60) / 3, rng.choice([1.0, 2.0, 5.0], 60)
    keys, order = rng.permutation(60).astype(np.uint64), rng.permutation(60)
    first = buy_value(scores, keys, costs, amount)
    other = buy_value(scores[order], keys[order], costs[order], amount)
    assert keys[first].tolist() == keys[order][other].tolist()


def test_a_purchase_too_large_to_be_computed_exactly_is_taken_by_value_per_cost(monkeypatch):
    scores, costs = np.array([3.0, 4.0, 4.0]), np.array([2.0, 3.0, 3.0])
    keys = np.arange(3, dtype=np.uint64)
    for most, expected in (
        (21, [1, 2]),
        (20, [0, 1]),
    ):  # three items, each added to the best values of 0 to 6
        monkeypatch.setattr("labelgrid.select.knapsack.MOST_SUMS", most)
        assert buy_value(scores, keys, costs, 6.0) == expected


def test_a_purchase_that_is_not_exact_is_the_better_of_value_per_cost_and_the_most_valuable_item(
    monkeypatch,
):
    monkeypatch.setattr("labelgrid.select.knapsack.MOST_SUMS", 0)
    keys = np.arange(4, dtype=np.uint64)
    assert buy_value(np.array([2.0, 2, 2, 5]), keys, np.array([1.0, 1, 1, 3]), 3.0) == [0, 1, 2]
    assert buy_value(np.array([1.0, 0, 0, 5]), keys, np.array([1.0, 9, 9, 10]), 10.0) == [3]
    assert buy_value(np.array([3.0, 0, 0, 3]), keys, np.array([1.0, 9, 9, 3]), 3.0) == [0]


def test_what_is_bought_is_ordered_by_value_per_cost_and_free_items_come_first():
    scores, costs, keys = (
        np.array([2.0, 3.0, 0.1]),
        np.array([0.5, 1.0, 0.0]),
        np.array([2, 1, 0], np.uint64),
    )
    assert buy_value(scores, keys, costs, 9.0) == [2, 0, 1]


def test_costs_that_differ_by_rounding_alone_count_as_one():
    scores, costs = np.array([1.0, 5.0, 0.1, 5.0]), np.array([0.1 + 0.2, 0.3, 0.1 + 0.2, 0.3])
    assert buy_value(scores, np.arange(4, dtype=np.uint64), costs, 0.6) == [1, 3]


@pytest.mark.parametrize(
    "costs", [[1e-10, 1.0, 1.0], [1e300, 1.0, 1.0], [4999.9999, 5000.0001, 5000.0]]
)
def test_absurd_costs_are_bought_by_value_per_cost(costs):
    taken = buy_value(
        np.array([1.0, 2.0, 3.0]), np.arange(3, dtype=np.uint64), np.array(costs), 9999.0
    )
    assert 2 in taken and np.array(costs)[taken].sum() <= 9999.0


def test_costs_below_the_step_of_the_exact_purchase_are_paid_in_full():
    keys = np.arange(10, dtype=np.uint64)
    assert len(buy_value(np.ones(10), keys, np.full(10, 0.00005), 0.0001)) == 2
    assert len(buy_value(np.ones(10), keys, np.full(10, 0.00015), 0.0005)) == 3
