"""What every strategy is held to: picks that may be made, and budgets that the pool can fill."""

import math

import numpy as np
import pytest

from labelgrid.basics.errors import LabelgridError, PluginError
from labelgrid.ledger.grid import Cell, Grid, Pick, State
from labelgrid.select.budget import buy, check_budget, check_picks, payable_amount, pool_size
from labelgrid.select.strategy import Budget

#: Missing: the depth of a, b and c, and the normals of b. The image d has all its labels.
STATE = np.array([[0, 2], [0, 0], [0, 1], [2, 3]], np.int8)
GRID = Grid(
    images=["a", "b", "c", "d"],
    keys=np.arange(4, dtype=np.uint64),
    tasks=["depth", "normals"],
    state=STATE,
    cost=np.array([1.0, 4.0]),
)
ALL = [("a", "depth"), ("b", "depth"), ("b", "normals"), ("c", "depth")]


def picks(*cells, score=1.0):
    return [Pick(cell=Cell(*cell), score=score) for cell in cells]


def refused(picked, budget):
    with pytest.raises(PluginError) as caught:
        check_picks("mine", picked, grid=GRID, budget=Budget(*budget), unit="cells")
    return str(caught.value).splitlines()[0]


def test_the_remaining_pool_has_a_size_in_every_unit():
    assert [pool_size(GRID, unit) for unit in ("labels", "images", "cost")] == [4.0, 3.0, 7.0]
    assert all(type(pool_size(GRID, unit)) is float for unit in ("labels", "images", "cost"))


@pytest.mark.parametrize("budget", [(4, "labels"), (7, "cost"), (3, "images"), (2, "images")])
def test_picks_that_use_the_whole_budget_are_allowed(budget):
    check_picks("mine", picks(*ALL), grid=GRID, budget=Budget(*budget), unit="cells")


@pytest.mark.parametrize(
    "budget, used",
    [((3, "labels"), 4), ((6.99999, "cost"), 7), ((1, "images"), 2), ((3.5, "labels"), 4)],
)
def test_picks_beyond_the_budget_are_refused_with_both_amounts(budget, used):
    amount, unit = budget
    assert refused(picks(*ALL), budget) == (
        f"The strategy 'mine' picked more than the budget of {amount:g} {unit}: {used}."
    )


def test_a_budget_of_images_pays_for_as_many_labels_as_these_have_tasks():
    assert refused(picks(*ALL[:3]), (1, "images")).endswith(
        "more than the budget of 1 images: 1.5."
    )
    check_picks("mine", picks(*ALL[:2]), grid=GRID, budget=Budget(1, "images"), unit="cells")


def test_a_strategy_of_images_may_not_spread_a_budget_of_images():
    check_picks(
        "mine", picks(*ALL[:1], ALL[3]), grid=GRID, budget=Budget(1, "images"), unit="cells"
    )  # two labels of two tasks
    with pytest.raises(PluginError, match="more than the budget of 1 images: 2"):
        check_picks(
            "mine", picks(*ALL[:1], ALL[3]), grid=GRID, budget=Budget(1, "images"), unit="images"
        )
    check_picks("mine", picks(*ALL[:3]), grid=GRID, budget=Budget(2, "images"), unit="images")


def test_a_budget_is_kept_to_rounding():
    check_picks("mine", picks(*ALL), grid=GRID, budget=Budget(7 - 1e-7, "cost"), unit="cells")
    assert "more than the budget" in refused(picks(*ALL), (7 - 1e-5, "cost"))


def test_each_fault_of_a_pick_is_named():
    twice = [*picks(*ALL[:2]), *picks(ALL[1])]
    assert refused(twice, (9,)) == "The strategy 'mine' picked (b, depth) twice."
    for cell in (
        ("a", "normals"),
        ("c", "normals"),
        ("d", "normals"),
        ("e", "depth"),
        ("a", "edges"),
    ):
        fault = f"The strategy 'mine' picked ({', '.join(cell)}), which is not missing"
        assert refused(picks(cell), (9,)) == f"{fault}."
    for score in ("nan", "inf", "-inf"):
        found = refused(picks(ALL[0], score=float(score)), (9,))
        assert found == f"The strategy 'mine' picked (a, depth) with the score {score}."


def test_of_many_faults_the_first_is_named_and_the_others_are_counted():
    many = picks(("a", "normals"), ("e", "depth"), ALL[0], ("d", "depth"))
    assert refused(many, (9,)).endswith(
        "picked (a, normals), which is not missing, and 2 more faults."
    )
    assert refused(picks(("e", "depth"), ("e", "edges")), (2, "cost")).endswith(
        "which is not missing, and 1 more fault."
    )
    assert refused(picks(("e", "depth"), ALL[2]), (4, "cost")).endswith(
        "which is not missing, and 1 more fault."
    )


def test_a_pick_without_a_known_cell_costs_nothing_more():
    assert refused(picks(("a", "edges"), ALL[2]), (4, "cost")).endswith(
        "(a, edges), which is not missing."
    )


@pytest.mark.parametrize(
    "amount, unit", [(0, "labels"), (-1, "cost"), (math.inf, "labels"), (math.nan, "images")]
)
def test_a_budget_that_is_no_number_above_0_is_refused(amount, unit):
    found = f"Found {amount:g} {unit}."
    with pytest.raises(LabelgridError) as caught:
        check_budget(Budget(amount, unit), GRID)
    said = str(caught.value)
    assert (
        found in said
        and f"\n  Ask for at most {pool_size(GRID, unit):g}" in said
        and "Nothing was requested." in said
    )
    assert "set aside" not in said and "Put the files back" not in said


@pytest.mark.parametrize(
    "amount, unit", [(4, "labels"), (3, "images"), (7, "cost"), (0.25, "cost"), (99, "cost")]
)
def test_a_budget_may_be_larger_than_the_pool(amount, unit):
    check_budget(Budget(amount, unit), GRID)


def test_a_pool_of_free_labels_has_no_budget_in_cost():
    free = Grid(images=GRID.images, keys=GRID.keys, tasks=GRID.tasks, state=STATE, cost=np.zeros(2))
    for amount in (0, 1):
        with pytest.raises(
            LabelgridError, match=r"All missing labels are free(.|\n)*Ask for a number of labels"
        ):
            check_budget(Budget(amount, "cost"), free)
    check_budget(Budget(2), free)


def test_an_empty_pool_is_refused():
    nothing = Grid(
        images=["d"], keys=GRID.keys[3:], tasks=GRID.tasks, state=STATE[3:], cost=GRID.cost
    )
    with pytest.raises(LabelgridError) as caught:
        check_budget(Budget(1), nothing)
    assert "The pool is empty: no image to train on lacks a label" in str(caught.value)
    with pytest.raises(
        LabelgridError,
        match=r"lacks a label.*; 1 image is set aside, because its file(.|\n)*Put the files back\. `labelgrid",
    ):
        check_budget(Budget(1), nothing, set_aside=1)


def test_buying_takes_the_best_first_and_skips_what_is_too_dear():
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    assert buy(scores, np.arange(4, dtype=np.uint64), np.array([3.0, 5.0, 2.0, 1.0]), 6.0) == [
        0,
        2,
        3,
    ]
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


def test_the_tolerance_for_rounding_may_be_spent_to_its_end():
    assert payable_amount(0.5) == 0.5 + 1e-9
    costs = np.array([payable_amount(2.0)])
    assert buy(np.ones(1), np.arange(1, dtype=np.uint64), costs, 2.0) == [0]


def test_a_budget_below_the_cheapest_item_buys_nothing():
    assert buy(np.ones(3), np.arange(3, dtype=np.uint64), np.array([2.0, 3.0, 4.0]), 1.9) == []


def test_where_the_pool_is_empty_the_way_to_skipped_labels_is_said():
    asked = Grid(
        images=["a", "b", "c"],
        keys=GRID.keys[:3],
        tasks=GRID.tasks,
        state=np.array(
            [[State.SKIPPED, State.LABELLED], [State.REQUESTED] * 2, [State.LABELLED] * 2]
        ),
        cost=GRID.cost,
    )
    with pytest.raises(LabelgridError) as caught:
        check_budget(Budget(1), asked)
    said = str(caught.value)
    assert "or it is asked for (2), or it was skipped (1)." in said
    assert "`labelgrid cancel DIR --requeue`" in said
