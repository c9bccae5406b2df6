"""Laws of the pool's mean normalised uncertainty: bounds of the first round stay, labelled cells are left out."""

import numpy as np
import pytest

from labelgrid.report.uncertainty import ScoredRound, mean_normalised

ALL = np.ones((4, 2), bool)


def scored(number: int, column: list[float], missing: list[bool] | None = None) -> ScoredRound:
    left = np.stack([np.array(missing or [True] * 4), np.ones(4, bool)], 1)
    return ScoredRound(
        number, np.stack([np.array(column), np.array([1.0, 2.0, 3.0, np.nan])], 1), left
    )


def test_bounds_are_those_of_the_first_round_in_any_order() -> None:
    rounds = [scored(3, [0.0, 0.5, 1.0, 2.5]), scored(2, [1.0, 2.0, 3.0, 5.0])]
    found = mean_normalised(rounds, ["a", "b"])
    assert found["a"] == {
        2: pytest.approx((0 + 1 + 2 + 4) / 16),
        3: pytest.approx((-1 - 0.5 + 0 + 1.5) / 16),
    }


def test_cells_that_have_a_label_and_unknown_numbers_count_neither_in_the_bounds_nor_in_the_mean() -> (
    None
):
    found = mean_normalised(
        [scored(1, [9.0, 1.0, 2.0, 3.0], [False, True, True, True])], ["a", "b"]
    )
    assert found == {"a": {1: 0.5}, "b": {1: 0.5}}


def test_a_task_whose_numbers_are_all_one_or_that_has_none_is_no_fault() -> None:
    nothing = ScoredRound(1, np.full((4, 2), [2.0, np.nan]), ALL)
    assert mean_normalised([nothing], ["a", "b"]) == {"a": {1: 0.0}}
    assert mean_normalised([], ["a"]) == {}


def test_bounds_are_those_of_the_first_round_whose_numbers_differ() -> None:
    rounds = [
        scored(1, [2.0, 2.0, 2.0, 2.0]),
        scored(2, [2.0, 2.0, 2.0, 2.0 + 1e-9]),  # rounding
        scored(3, [1.0, 2.0, 3.0, 5.0]),
        scored(4, [0.0, 0.5, 1.0, 2.5]),
    ]
    found = mean_normalised(rounds, ["a", "b"])["a"]
    assert found == {1: 0.0, 2: 0.0, 3: pytest.approx(7 / 16), 4: pytest.approx(0.0)}
