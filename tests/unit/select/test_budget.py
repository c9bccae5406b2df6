"""What every strategy is held to: picks that may be made, and budgets that the pool can fill."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelgrid.errors import LabelgridError, PluginError
from labelgrid.labels.grid import Cell, Grid, Pick
from labelgrid.select.budget import buy, buy_value, check_budget, check_picks, pool_size
from labelgrid.select.strategy import Budget

#: Missing: the depth of a, b and c, and the normals of b. The image d has all its labels.
STATE = np.array([[0, 2], [0, 0], [0, 1], [2, 3]], np.int8)
GRID = Grid(["a", "b", "c", "d"], np.arange(4, dtype=np.uint64), ["depth", "normals"], STATE, np.array([1.0, 4.0]))
ALL = [("a", "depth"), ("b", "depth"), ("b", "normals"), ("c", "depth")]


def picks(*cells, score=1.0):
    return [Pick(Cell(*cell), score) for cell in cells]


def refused(picked, budget):
    with pytest.raises(PluginError) as caught:
        check_picks("mine", picked, GRID, Budget(*budget), "cells")
    return str(caught.value).splitlines()[0]


def test_the_remaining_pool_has_a_size_in_every_unit():
    assert [pool_size(GRID, unit) for unit in ("labels", "images", "cost")] == [4.0, 3.0, 7.0]
    assert all(type(pool_size(GRID, unit)) is float for unit in ("labels", "images", "cost"))


@pytest.mark.parametrize("budget", [(4, "labels"), (7, "cost"), (3, "images"), (2, "images")])
def test_picks_that_use_the_whole_budget_are_allowed(budget):
    check_picks("mine", picks(*ALL), GRID, Budget(*budget), "cells")


@pytest.mark.parametrize(
    "budget, used", [((3, "labels"), 4), ((6.99999, "cost"), 7), ((1, "images"), 2), ((3.5, "labels"), 4)]
)
def test_picks_beyond_the_budget_are_refused_with_both_amounts(budget, used):
    amount, unit = budget
    assert refused(picks(*ALL), budget) == (
        f"The strategy 'mine' picked more than the budget of {amount:g} {unit}: {used}."
    )


def test_a_budget_of_images_pays_for_as_many_labels_as_these_have_tasks():
    assert refused(picks(*ALL[:3]), (1, "images")).endswith("more than the budget of 1 images: 1.5.")
    check_picks("mine", picks(*ALL[:2]), GRID, Budget(1, "images"), "cells")


def test_a_strategy_of_images_may_not_spread_a_budget_of_images():
    check_picks("mine", picks(*ALL[:1], ALL[3]), GRID, Budget(1, "images"), "cells")  # two labels of two tasks
    with pytest.raises(PluginError, match="more than the budget of 1 images: 2"):
        check_picks("mine", picks(*ALL[:1], ALL[3]), GRID, Budget(1, "images"), "images")
    check_picks("mine", picks(*ALL[:3]), GRID, Budget(2, "images"), "images")


def test_a_budget_is_kept_to_rounding():
    check_picks("mine", picks(*ALL), GRID, Budget(7 - 1e-7, "cost"), "cells")
    assert "more than the budget" in refused(picks(*ALL), (7 - 1e-5, "cost"))


def test_each_fault_of_a_pick_is_named():
    twice = [*picks(*ALL[:2]), *picks(ALL[1])]
    assert refused(twice, (9,)) == "The strategy 'mine' picked (b, depth) twice."
    for cell in (("a", "normals"), ("c", "normals"), ("d", "normals"), ("e", "depth"), ("a", "edges")):
        fault = f"The strategy 'mine' picked ({', '.join(cell)}), which is not missing"
        assert refused(picks(cell), (9,)) == f"{fault}."
    for score in ("nan", "inf", "-inf"):
        found = refused(picks(ALL[0], score=float(score)), (9,))
        assert found == f"The strategy 'mine' picked (a, depth) with the score {score}."


def test_of_many_faults_the_first_is_named_and_the_others_are_counted():
    many = picks(("a", "normals"), ("e", "depth"), ALL[0], ("d", "depth"))
    assert refused(many, (9,)).endswith("picked (a, normals), which is not missing, and 2 more faults.")
    assert refused(picks(("e", "depth"), ("e", "edges")), (2, "cost")).endswith(
        "which is not missing, and 1 more fault."
    )
    assert refused(picks(("e", "depth"), ALL[2]), (4, "cost")).endswith("which is not missing, and 1 more fault.")


def test_a_pick_without_a_known_cell_costs_nothing_more():
    assert refused(picks(("a", "edges"), ALL[2]), (4, "cost")).endswith("(a, edges), which is not missing.")


@pytest.mark.parametrize("amount, unit", [(0, "labels"), (-1, "cost"), (5, "labels"), (4, "images"), (99, "cost")])
def test_a_budget_of_nothing_or_beyond_the_pool_is_refused(amount, unit):
    found = f"Found {amount} {unit}." if amount <= 0 else f"budget of {amount} {unit} is larger than the pool, which"
    with pytest.raises(LabelgridError) as caught:
        check_budget(Budget(amount, unit), GRID)
    said = str(caught.value)
    assert (
        found in said and f"\n  Ask for at most {pool_size(GRID, unit):g}" in said and "Nothing was requested." in said
    )
    assert "set aside" not in said and "Put the files back" not in said


@pytest.mark.parametrize("amount, unit", [(4, "labels"), (3, "images"), (7, "cost"), (0.25, "cost")])
def test_a_budget_up_to_the_whole_pool_is_allowed(amount, unit):
    check_budget(Budget(amount, unit), GRID)


def test_a_pool_of_free_labels_has_no_budget_in_cost():
    free = Grid(GRID.images, GRID.keys, GRID.tasks, STATE, np.zeros(2))
    for amount in (0, 1):
        with pytest.raises(LabelgridError, match=r"All missing labels are free(.|\n)*Ask for a number of labels"):
            check_budget(Budget(amount, "cost"), free)
    check_budget(Budget(2), free)


def test_a_suggested_budget_is_allowed_whatever_the_sum_of_its_prices():
    prices = np.array([1234.56, 99.99, 310.1])
    grid = Grid(
        [str(n) for n in range(999)], np.arange(999, dtype=np.uint64), ["a", "b", "c"], np.zeros((999, 3)), prices
    )
    with pytest.raises(LabelgridError) as caught:
        check_budget(Budget(1e9, "cost"), grid)
    suggested = float(str(caught.value).split("at most ")[1].split(",")[0])
    check_budget(Budget(suggested, "cost"), grid)
    assert suggested == pytest.approx(pool_size(grid, "cost"), rel=1e-9)


def test_images_that_are_set_aside_are_counted_where_the_pool_is_too_small():
    with pytest.raises(LabelgridError) as caught:
        check_budget(Budget(9), GRID, set_aside=2)
    said = str(caught.value)
    assert "which holds 4; 2 images are set aside, because their files cannot be read." in said
    assert "Put the files back. Ask for at most 4" in said


def test_an_empty_pool_is_refused():
    nothing = Grid(["d"], GRID.keys[3:], GRID.tasks, STATE[3:], GRID.cost)
    with pytest.raises(LabelgridError) as caught:
        check_budget(Budget(1), nothing)
    assert "The pool is empty: no image to train on lacks a label." in str(caught.value)
    with pytest.raises(
        LabelgridError, match=r"lacks a label; 1 image is set aside, because its file(.|\n)*Put the files back\. Add"
    ):
        check_budget(Budget(1), nothing, set_aside=1)


def test_buying_takes_the_best_first_and_skips_what_is_too_dear():
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    assert buy(scores, np.arange(4, dtype=np.uint64), np.array([3.0, 5.0, 2.0, 1.0]), 6.0) == [0, 2, 3]
    assert buy(scores, np.arange(4, dtype=np.uint64), np.array([3.0, 5.0, 2.0, 1.0]), 0.5) == []
    assert buy(np.full(4, np.nan), np.arange(4, dtype=np.uint64), np.ones(4), 2.0) == []


def test_buying_only_the_best_few_equals_buying_from_the_whole_order():
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores, keys = rng.integers(0, 6, 30) / 6, rng.permutation(30).astype(np.uint64)
        prices, amount = rng.choice([1.0, 2.5, 7.0], 30), float(rng.uniform(1, 40))
        taken, left = [], amount
        for place in sorted(range(30), key=lambda p: (-scores[p], keys[p], p)):
            if prices[place] <= left + 1e-9:
                taken.append(place)
                left -= prices[place]
        assert buy(scores, keys, prices, amount) == taken


def test_free_labels_are_all_taken_and_what_costs_more_is_taken_while_it_lasts():
    scores, keys = np.array([0.4, 0.9, 0.8, 0.7]), np.arange(4, dtype=np.uint64)
    assert buy(scores, keys, np.array([0.0, 2.0, 2.0, 0.0]), 2.0) == [1, 3, 0]
    assert buy(scores, keys, np.zeros(4), 0.5) == [1, 2, 3, 0]


def test_a_budget_below_the_cheapest_item_buys_nothing():
    assert buy(np.ones(3), np.arange(3, dtype=np.uint64), np.array([2.0, 3.0, 4.0]), 1.9) == []


def best_value(values, costs, amount):
    """The largest total value, by trying every set of items."""
    n = len(values)
    sets = (chosen for count in range(n + 1) for chosen in itertools.combinations(range(n), count))
    return max(sum(values[i] for i in one) for one in sets if sum(costs[i] for i in one) <= amount + 1e-9)


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
    for most, expected in ((21, [1, 2]), (20, [0, 1])):  # three items, each added to the best values of 0 to 6
        monkeypatch.setattr("labelgrid.select.budget.MOST_SUMS", most)
        assert buy_value(scores, keys, costs, 6.0) == expected


def test_a_purchase_that_is_not_exact_is_the_better_of_value_per_cost_and_the_most_valuable_item(monkeypatch):
    monkeypatch.setattr("labelgrid.select.budget.MOST_SUMS", 0)
    keys = np.arange(4, dtype=np.uint64)
    assert buy_value(np.array([2.0, 2, 2, 5]), keys, np.array([1.0, 1, 1, 3]), 3.0) == [0, 1, 2]
    assert buy_value(np.array([1.0, 0, 0, 5]), keys, np.array([1.0, 9, 9, 10]), 10.0) == [3]
    assert buy_value(np.array([3.0, 0, 0, 3]), keys, np.array([1.0, 9, 9, 3]), 3.0) == [0]


def test_what_is_bought_is_ordered_by_value_per_cost_and_free_items_come_first():
    scores, costs, keys = np.array([2.0, 3.0, 0.1]), np.array([0.5, 1.0, 0.0]), np.array([2, 1, 0], np.uint64)
    assert buy_value(scores, keys, costs, 9.0) == [2, 0, 1]


def test_costs_that_differ_by_rounding_alone_count_as_one():
    scores, costs = np.array([1.0, 5.0, 0.1, 5.0]), np.array([0.1 + 0.2, 0.3, 0.1 + 0.2, 0.3])
    assert buy_value(scores, np.arange(4, dtype=np.uint64), costs, 0.6) == [1, 3]


@pytest.mark.parametrize("costs", [[1e-10, 1.0, 1.0], [1e300, 1.0, 1.0], [4999.9999, 5000.0001, 5000.0]])
def test_absurd_costs_are_bought_by_value_per_cost(costs):
    taken = buy_value(np.array([1.0, 2.0, 3.0]), np.arange(3, dtype=np.uint64), np.array(costs), 9999.0)
    assert 2 in taken and np.array(costs)[taken].sum() <= 9999.0


def test_costs_below_the_step_of_the_exact_purchase_are_paid_in_full():
    keys = np.arange(10, dtype=np.uint64)
    assert len(buy_value(np.ones(10), keys, np.full(10, 0.00005), 0.0001)) == 2
    assert len(buy_value(np.ones(10), keys, np.full(10, 0.00015), 0.0005)) == 3
