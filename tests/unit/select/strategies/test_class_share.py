"""Class share: the images with most of a class, whatever else they show."""

import numpy as np
import pytest

from labelgrid.ledger.grid import State
from labelgrid.select.strategies import class_share
from labelgrid.select.strategy import Budget, PoolView
from labelgrid.testing.strategies import TASKS, grid_of
from tests.contracts.planted import Planted

#: What `test_declared.py` compares with.
DECLARED = [
    {
        "unit": "images",
        "needs": "classes",
        "whys": "largest predicted share of the class",
        "terms": "share",
    },
    {
        "options": {"task": "semseg", "number": 1, "name": "dress"},
        "unit": "images",
        "needs": "classes",
        "tasks": "semseg",
        "whys": "largest predicted share of dress",
        "terms": "share",
    },
]


def planted(number: int, column: int) -> Planted:
    """Four of sixty images show a little of a class; the others show more of all other ones."""
    shares = np.full((60, len(TASKS), 3), 0.3, np.float32)
    shares[:, column, number] = 0.01
    shares[20:24, column, number] = 0.05
    grid = grid_of([f"i{row}" for row in range(60)], np.zeros((60, len(TASKS))))
    answer = {grid.cell(row, task) for row in range(20, 24) for task in range(len(TASKS))}
    view = PoolView(grid=grid, statistics={"classes": shares.reshape(60, -1)})
    return Planted(view, Budget(4, "images"), lambda picked: picked == answer)


#: What `test_planted.py` buys from.
PLANTED = [
    ({"task": "semseg", "number": 2}, planted(2, TASKS.index("semseg"))),
    ({}, planted(0, 0)),
]


def picked(options, shares, budget, state=None):
    count = len(shares)
    state = np.zeros((count, 2)) if state is None else state
    grid = grid_of([f"i{row}" for row in range(count)], state, ["depth", "semseg"], (1.0, 1.0))
    view = PoolView(grid=grid, statistics={"classes": np.asarray(shares, np.float32)})
    return class_share.build(class_share.Options(**options)).select(view, budget)


def test_the_shares_of_an_image_are_its_scores_and_terms():
    shares = [[0, 0, 0.9, 0.1], [0, 0, 0.2, 0.8], [0, 0, 0.5, 0.5]]
    found = picked({"task": "semseg", "number": 1}, shares, Budget(2, "images"))
    scores = {pick.cell.image_id: pick.score for pick in found.picks}
    assert scores == pytest.approx({"i1": 0.8, "i2": 0.5})
    np.testing.assert_allclose(found.terms["share"], [0.1, 0.8, 0.5], rtol=1e-6)


def test_without_a_task_it_is_the_first_one_that_predicts_classes():
    shares = [[0, 0, 0.9, 0.1], [0, 0, 0.2, 0.8]]
    (first, _) = picked({}, shares, Budget(1, "images")).picks
    assert first.cell.image_id == "i0"


def test_a_class_that_the_statistic_lacks_has_no_share_and_is_picked_from():
    found = picked({"task": "semseg", "number": 7}, [[0, 0, 0.9, 0.1]] * 3, Budget(2, "images"))
    assert {pick.score for pick in found.picks} == {0.0} and len(found.picks) == 4


def test_an_image_with_the_label_is_not_picked():
    state = np.zeros((3, 2))
    state[1] = State.LABELLED
    shares = [[0, 0, 0.9, 0.1], [0, 0, 0.2, 0.8], [0, 0, 0.5, 0.5]]
    found = picked({"task": "semseg", "number": 1}, shares, Budget(1, "images"), state)
    assert {pick.cell.image_id for pick in found.picks} == {"i2"}
