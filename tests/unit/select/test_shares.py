"""Groups take turns by their shares; budgets are kept, items are taken once."""

from itertools import islice

import numpy as np
import pytest

from labelgrid.ledger.grid import State
from labelgrid.select.budget import cell_costs, image_costs, payable_amount
from labelgrid.select.shares import Group, alternate, deal, interleave, random_order
from labelgrid.select.strategy import Budget
from labelgrid.testing.strategies import grid_of

KEYS = np.arange(100, dtype=np.uint64)


def group(items, scores=None):
    return Group(np.array(items), np.array(items if scores is None else scores, np.float64))


@pytest.mark.parametrize("shares", [[1, 1, 1], [0.66, 0.34], [1, 10, 0.5], [5]])
def test_turns_follow_the_shares_to_within_one_pick(shares):
    turns = list(
        islice(interleave([alternate([n]) for n in range(len(shares))], shares)(set()), 300)
    )
    for count in range(1, 301):
        got = np.bincount(turns[:count], minlength=len(shares))
        assert np.abs(got - count * np.array(shares) / sum(shares)).max() < 1.1


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.66, 0.9])
def test_of_two_groups_each_is_within_half_a_turn_of_its_share(share):
    turns = list(
        islice(interleave([alternate([0]), alternate([1])], [share, 1 - share])(set()), 200)
    )
    for count in range(1, 201):
        assert abs(turns[:count].count(0) - count * share) <= 0.5 + 1e-9


def test_turns_may_be_nested_so_that_many_small_groups_get_the_share_of_their_parent():
    small = interleave([alternate(range(1, 30))], [1.0])
    turns = list(islice(interleave([alternate([0]), small], [1, 1])(set()), 30))
    assert turns.count(0) == 15 and len(set(turns)) == 16


def test_groups_take_their_best_items_in_turn_and_each_item_once():
    found = deal(
        [group([0, 1, 2]), group([2, 3])],
        alternate([0, 1]),
        costs=np.ones(4),
        keys=KEYS,
        amount=4.0,
    )
    assert found == [(2, 0, 2.0), (3, 1, 3.0), (1, 0, 1.0), (0, 0, 0.0)]


def test_ties_are_broken_by_key_and_then_by_index():
    keys = np.array([5, 4, 4, 9], np.uint64)
    found = deal(
        [group([0, 1, 2, 3], [1, 1, 1, 1])], alternate([0]), costs=np.ones(4), keys=keys, amount=4.0
    )
    assert [item for item, *_ in found] == [1, 2, 0, 3]


def test_what_the_rest_does_not_pay_for_is_passed_over():
    costs = np.array([1.0, 5.0, 2.0, np.inf])
    found = deal([group([0, 1, 2, 3])], alternate([0]), costs=costs, keys=KEYS, amount=3.0)
    assert [item for item, *_ in found] == [2, 0]
    assert deal([group([1])], alternate([0]), costs=costs, keys=KEYS, amount=3.0) == []


def test_the_tolerance_for_rounding_may_be_spent_to_its_end():
    costs = np.array([payable_amount(2.0)])
    found = deal([group([0])], alternate([0]), costs=costs, keys=KEYS[:1], amount=2.0)
    assert [item for item, *_ in found] == [0]


def test_free_items_are_all_taken_and_no_groups_take_nothing():
    assert (
        len(deal([group(range(9))], alternate([0]), costs=np.zeros(9), keys=KEYS, amount=0.5)) == 9
    )
    assert deal([], alternate([]), costs=np.ones(9), keys=KEYS, amount=5.0) == []


def test_a_group_with_nothing_left_takes_no_more_turns():
    asked = []

    def turns(spent):
        for turn in interleave([alternate([0]), alternate([1])], [1e9, 1.0])(spent):
            asked.append(turn)
            yield turn

    found = deal(
        [group([0, 1]), group(range(2, 60))], turns, costs=np.ones(60), keys=KEYS[:60], amount=50.0
    )
    assert [of for _, of, _ in found] == [0, 0] + [1] * 48
    assert len(asked) < 60


def test_a_class_with_nothing_left_leaves_its_turns_to_the_other_classes_of_its_task():
    turns = interleave([alternate([0, 1]), alternate([2])], [1, 1])
    found = deal(
        [group([0]), group(range(1, 21)), group(range(21, 41))],
        turns,
        costs=np.ones(41),
        keys=KEYS[:41],
        amount=20.0,
    )
    assert abs(sum(of == 2 for _, of, _ in found) - 10) <= 1


def test_sorting_only_the_best_few_equals_sorting_all():
    rng = np.random.default_rng(0)
    for _ in range(30):
        scores, costs = rng.integers(0, 5, 40) / 5, rng.choice([1.0, 3.0, np.inf], 40)
        halves = [Group(np.arange(20), scores[:20]), Group(np.arange(10, 40), scores[10:])]
        amount = float(rng.uniform(1, 30))
        found = [
            item
            for item, *_ in deal(halves, alternate([0, 1]), costs=costs, keys=KEYS, amount=amount)
        ]
        order, left, taken, over, turn = [], amount, set(), set(), 0
        while len(over) < 2:
            at = halves[turn % 2]
            rest = [i for i in at.items.tolist() if i not in taken and costs[i] <= left + 1e-9]
            if rest:
                best = min(rest, key=lambda i: (-scores[i], i))
                order.append(best)
                taken.add(best)
                left -= costs[best]
            else:
                over.add(turn % 2)
            turn += 1
        assert found == order


@pytest.mark.parametrize(("cost", "amount", "sorted_items"), [(2.0, 21.0, 10), (0.0, 21.0, 60)])
def test_no_more_items_are_sorted_than_the_amount_could_pay_for(
    monkeypatch, cost, amount, sorted_items
):
    counts = []
    lexsort = np.lexsort
    monkeypatch.setattr(np, "lexsort", lambda keys: counts.append(len(keys[0])) or lexsort(keys))
    deal([group(range(60))], alternate([0]), costs=np.full(60, cost), keys=KEYS[:60], amount=amount)
    assert counts[0] == sorted_items and not sum(counts[1:])


def test_costs_are_those_of_missing_cells_in_the_unit_of_the_budget():
    grid = grid_of(["a", "b"], [[0, 0], [2, 1]], ["depth", "semseg"], (1.0, 4.0))
    found = [image_costs(grid, Budget(1, unit)).tolist() for unit in ("labels", "images", "cost")]
    assert found == [[2, np.inf], [1, np.inf], [5, np.inf]]
    labels, images, cost = (
        cell_costs(grid, Budget(3, unit)) for unit in ("labels", "images", "cost")
    )
    assert labels[0].tolist() == [1, 1, np.inf, np.inf] and (labels[1], images[1], cost[1]) == (
        3,
        6,
        3,
    )
    assert cost[0].tolist() == [1, 4, np.inf, np.inf]


def test_a_cell_is_bought_if_it_has_a_label_or_a_request():
    state = [
        [State.MISSING, State.LABELLED],
        [State.REQUESTED, State.MISSING],
        [State.MISSING, State.SKIPPED],
    ]
    bought = grid_of(["a", "b", "c"], state, ["depth", "semseg"]).bought
    assert bought.tolist() == [[False, True], [True, False], [False, False]]


def test_turns_are_shuffled_by_the_seed():
    assert {tuple(random_order(3, seed, "x")) for seed in range(50)} >= {(0, 1, 2), (2, 1, 0)}
    assert random_order(9, 1, "x") == random_order(9, 1, "x") != random_order(9, 1, "y")
