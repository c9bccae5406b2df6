"""Learning loss: the sum of normalised predictions of a slow version, and gaps in them."""

import numpy as np
import pytest

from labelgrid.ledger.grid import Grid
from labelgrid.select.strategies.learning_loss import Options, build
from labelgrid.select.strategy import Budget, PoolView
from labelgrid.testing.strategies import grid_of

NAN = float("nan")


def pick(grid: Grid, values: np.ndarray, amount: int, unit: str = "images", seed: int = 0):
    strategy = build(Options(unit=unit))
    return strategy.select(
        PoolView(grid=grid, statistics={"learning_loss": values}, seed=seed),
        Budget(amount, "images"),
    )


def ids(selection):
    return list(dict.fromkeys(pick.cell.image_id for pick in selection.picks))


def slow(values: np.ndarray) -> list[float]:
    """The sum over tasks of each image's prediction, moved and scaled to [0, 1]."""
    sums = [0.0] * len(values)
    for column in values.T.tolist():
        low, high = min(column), max(column)
        for row, value in enumerate(column):
            sums[row] += (value - low) / (high - low)
    return sums


@pytest.mark.parametrize("seed", range(5))
def test_images_come_in_the_order_of_the_sum_of_their_normalised_predictions(seed):
    values = np.random.default_rng(seed).normal(size=(30, 3)) * np.array(
        [1e-3, 1.0, 1e4]
    ) - np.array([0, 3, 0])
    grid = grid_of([f"i{n}" for n in range(30)], np.zeros((30, 3)))
    found = pick(grid, values, 30)
    wanted = sorted(range(30), key=lambda row: -slow(values)[row])
    assert ids(found) == [grid.images[row] for row in wanted]
    np.testing.assert_allclose(
        [p.score for p in found.picks[::3]], sorted(slow(values), reverse=True) / np.array(3.0)
    )
    np.testing.assert_array_equal(found.terms["predicted loss"], values)


@pytest.mark.parametrize("seed", range(5))
def test_a_cell_without_a_prediction_has_the_mean_of_its_images_missing_cells_and_done_images_count_for_nothing(
    seed,
):
    rng, n = np.random.default_rng(seed), 20
    values = np.where(rng.random((n, 3)) < 0.3, NAN, rng.normal(size=(n, 3)))
    state = np.where(rng.random((n, 3)) < 0.3, 2, 0)
    values[:4], state[:4] = NAN, 0  # nothing is known of these: they are drawn
    values[-2:], state[-2:] = [[50, -50, 99], [-99, 50, -50]], 2  # they lack no label
    values[4:8], state[4:8] = rng.normal(size=(4, 3)), 0
    pool = [row for row in range(n) if (state[row] == 0).any()]
    bounds = [(np.nanmin(column), np.nanmax(column)) for column in values[pool].T]
    expected = {}
    for row in pool:
        own = {t: (values[row, t] - low) / (high - low) for t, (low, high) in enumerate(bounds)}
        known = [own[t] for t in own if state[row, t] == 0 and not np.isnan(own[t])]
        if known:
            expected[f"i{row}"] = sum(known) / len(known)
    found = pick(grid_of([f"i{row}" for row in range(n)], state), values, n)
    scores = {one.cell.image_id: one.score for one in found.picks}
    for image, score in expected.items():
        assert scores[image] == pytest.approx(score)
    assert len(expected) < len(scores) == len(pool)


def test_one_prediction_for_the_image_orders_images_whichever_labels_they_lack():
    """With `predict = "image"` all columns are equal, and so are their bounds: those over the images of the pool."""
    rng, n = np.random.default_rng(1), 40
    state = np.where(rng.random((n, 3)) < 0.5, 2, 0)
    state[:3] = 0
    values = np.repeat(rng.normal(size=(n, 1)), 3, 1)
    grid = grid_of([f"i{k}" for k in range(n)], state)
    pool = [row for row in range(n) if (state[row] == 0).any()]
    found = pick(grid, np.where((state == 0).any(1, keepdims=True), values, NAN), len(pool))
    assert ids(found) == [grid.images[row] for row in sorted(pool, key=lambda row: -values[row, 0])]


def test_a_task_without_predictions_does_not_change_the_order_of_images():
    values = np.random.default_rng(2).normal(size=(20, 3))
    grid = grid_of([f"i{n}" for n in range(20)], np.zeros((20, 3)))
    gaps = np.where([True, False, True], values, NAN)
    found = pick(grid, gaps, 20)
    wanted = sorted(range(20), key=lambda row: -slow(values[:, [0, 2]])[row])
    assert ids(found) == [grid.images[row] for row in wanted] and len(found.picks) == 60


def test_single_cells_are_those_with_the_highest_normalised_predictions():
    values = np.array([[0.0, 10.0, 5.0], [1.0, 30.0, 5.0], [0.9, 29.0, 5.0]])
    grid = grid_of(["a", "b", "c"], np.zeros((3, 3)))
    cells = [(p.cell.image_id, p.cell.task) for p in pick(grid, values, 1, "cells").picks]
    assert set(cells[:2]) == {("b", "depth"), ("b", "normals")} and cells[2] == ("c", "normals")
