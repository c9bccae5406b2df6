"""Like: the images nearest to an example, however long their vectors are."""

import numpy as np
import pytest

from labelgrid.ledger.grid import State
from labelgrid.select.strategies import like
from labelgrid.select.strategy import Budget, PoolView
from labelgrid.testing.strategies import TASKS, grid_of
from tests.contracts.planted import Planted

#: What `test_declared.py` compares with.
DECLARED = [
    {
        "unit": "images",
        "needs": "features",
        "whys": "most like the example",
        "terms": "likeness",
    },
    {
        "options": {"name": "a.jpg"},
        "unit": "images",
        "needs": "features",
        "whys": "most like a.jpg",
        "terms": "likeness",
    },
]


def planted(example, labelled=()) -> Planted:
    """Four of sixty images point nearly where the example does; the others are longer."""
    features = np.random.default_rng(0).normal(0, 5, (60, 8)).astype(np.float32)
    features[:, 0] = -np.abs(features[:, 0]) - 1
    features[20:24] = np.random.default_rng(1).normal(0, 0.05, (4, 8)) + np.eye(8)[0]
    state = np.zeros((60, len(TASKS)))
    for row in labelled:
        features[row] = 9 * np.eye(8)[0]
        state[row] = State.LABELLED
    grid = grid_of([f"i{row}" for row in range(60)], state)
    answer = {grid.cell(row, task) for row in range(20, 24) for task in range(len(TASKS))}
    view = PoolView(grid=grid, statistics={"features": features}, example=example)
    return Planted(view, Budget(4, "images"), lambda picked: picked == answer)


#: What `test_planted.py` buys from.
PLANTED = [({}, planted(np.eye(8)[0])), ({}, planted(None, labelled=[3]))]


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_cosines_in_float64(seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(20, 6)).astype(np.float32)
    features[4] = 0
    example = rng.normal(size=6).astype(np.float32)
    grid = grid_of([f"i{row}" for row in range(20)], np.zeros((20, 1)), ["depth"], (1.0,))
    view = PoolView(grid=grid, statistics={"features": features}, example=example)
    picks = like.build(like.Options()).select(view, Budget(20)).picks
    for pick in picks:
        vector = features[int(pick.cell.image_id[1:])].astype(np.float64)
        length = np.sqrt((vector**2).sum() * (example.astype(np.float64) ** 2).sum())
        expected = float(vector @ example) / length if length else 0.0
        assert pick.score == pytest.approx(expected, abs=1e-12)
    assert [pick.score for pick in picks] == sorted((p.score for p in picks), reverse=True)


def test_it_picks_before_the_first_training():
    assert like.build(like.Options()).cold
