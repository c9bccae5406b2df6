"""RBAL: the sum of ranks of a slow version, with ties and tasks without scores."""

from fractions import Fraction

import numpy as np
import pytest

from labelgrid.basics.errors import PluginError
from labelgrid.ledger.grid import Grid
from labelgrid.select.strategies.rbal import Options, build
from labelgrid.select.strategy import Budget, PoolView
from labelgrid.testing.strategies import grid_of

NAN = float("nan")


def pick(grid: Grid, values: np.ndarray, images: int, seed: int = 0, **options: str):
    statistic = options.get("statistic", "dropout")
    return build(Options(**options)).select(
        PoolView(grid=grid, statistics={statistic: values}, seed=seed), Budget(images, "images")
    )


def ids(selection):
    return list(dict.fromkeys(pick.cell.image_id for pick in selection.picks))


def slow(values: np.ndarray) -> list[Fraction]:
    """The combined rank of each image, exact: one more than how many are below, equal ones sharing their mean."""
    sums = [Fraction(0)] * len(values)
    for column in values.T.tolist():
        for row, own in enumerate(column):
            below, equal = (
                sum(other < own for other in column),
                sum(other == own for other in column),
            )
            sums[row] += below + Fraction(equal + 1, 2)
    return sums


@pytest.mark.parametrize("seed", range(5))
def test_images_come_in_the_order_of_the_sum_of_their_exact_ranks_and_ties_by_key(seed):
    rng = np.random.default_rng(seed)
    grid = grid_of([f"i{n}" for n in range(30)], np.zeros((30, 3)))
    values = rng.integers(0, 6, (30, 3)) * np.array([1e-3, 1.0, 1e4]) - np.array(
        [0, 3, 0]
    )  # many ties
    sums = slow(values)
    assert len(set(sums)) < 30, "some images tie"
    wanted = sorted(range(30), key=lambda row: (-sums[row], grid.keys[row]))
    found = pick(grid, values, 30)
    assert ids(found) == [grid.images[row] for row in wanted]
    np.testing.assert_array_equal(
        found.terms["uncertainty rank"].sum(1), [float(value) for value in sums]
    )


def test_the_unit_of_a_task_does_not_matter():
    grid = grid_of([f"i{n}" for n in range(12)], np.zeros((12, 3)))
    values = np.random.default_rng(0).random((12, 3))
    assert ids(pick(grid, values, 5)) == ids(
        pick(grid, np.exp(values * [1, 9, 0.1]) * [1, 1e6, 1e-6], 5)
    )


def test_a_task_without_scores_adds_random_ranks_of_the_same_size():
    grid = grid_of([f"i{n}" for n in range(400)], np.zeros((400, 2)), ["a", "b"], (1.0, 1.0))
    values = np.stack([np.arange(400.0), np.full(400, NAN)], 1)
    found = pick(grid, values, 100)
    rows = [int(image[1:]) for image in ids(found)]
    ranks = [
        2 * picked.score - (row + 1) for picked, row in zip(found.picks[::2], rows, strict=True)
    ]
    assert min(ranks) >= 1 and max(ranks) <= 400 and len(set(ranks)) > 60
    assert 200 < np.mean(rows) < 350, "between that of the best hundred, 349.5, and that of all"
    assert ids(found) != ids(pick(grid, values, 100, seed=1))


def test_images_are_ranked_within_the_pool_and_bought_whole():
    state = np.zeros((4, 3))
    state[0], state[1, 1:] = 2, 2  # labelled whole; two of three labels
    grid = grid_of(["a", "b", "c", "d"], state)
    values = np.array([[99.0, 99, 99], [3, 0, 0], [2, 3, 2], [1, 2, 3]])
    found = pick(grid, values, 2)
    np.testing.assert_array_equal(
        found.terms["uncertainty rank"][1:], [[3, 1, 1], [2, 3, 2], [1, 2, 3]]
    )
    assert [(p.cell.image_id, p.score) for p in found.picks] == [
        ("b", 3),
        *[("c", pytest.approx(7 / 3))] * 3,
    ]


def test_any_statistic_of_cells_is_ranked_and_another_is_refused():
    grid = grid_of(["a", "b"], np.zeros((2, 3)))
    assert build(Options("ensemble")).needs == frozenset({"ensemble"})
    assert ids(pick(grid, np.array([[0.0] * 3, [1.0] * 3]), 1, statistic="ensemble")) == ["b"]
    with pytest.raises(PluginError, match="'features', which has no value for each cell"):
        pick(grid, np.zeros((2, 8)), 1, statistic="features")
