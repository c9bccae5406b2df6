"""The combination of least norm: against a grid of weights, its conditions, and Frank-Wolfe where that stops early."""

import itertools

import numpy as np
import pytest

from labelgrid.train import least_norm as module
from labelgrid.train.least_norm import least_norm


def products_of(vectors):
    vectors = np.asarray(vectors, float)
    return vectors @ vectors.T


def random_vectors(seed, count, width, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.normal(shift, rng.gamma(1.0, 2.0, (count, 1)) + 0.1, (count, width))


def norm(weights, products):
    return float(weights @ products @ weights)


@pytest.mark.parametrize("seed", range(20))
def test_no_weights_of_a_grid_are_better(seed):
    products = products_of(random_vectors(seed, 3, 2 + seed % 4))
    found = least_norm(products)
    assert found.min() >= 0 and found.sum() == pytest.approx(1, abs=1e-12)
    steps = np.linspace(0, 1, 101)
    grid = np.array(
        [(a, b, 1 - a - b) for a, b in itertools.product(steps, steps) if a + b <= 1 + 1e-12]
    )
    norms = np.einsum("ni,ij,nj->n", grid, products, grid)
    assert norm(found, products) <= norms.min() + 1e-12
    assert (
        norm(found, products) >= norms.min() - 0.05 * np.abs(products).max()
    )  # the nearest point of the grid
    assert np.abs(grid[norms.argmin()] - found).max() < 0.02 or np.linalg.matrix_rank(products) < 3


@pytest.mark.parametrize("count", [1, 2, 4, 6, 7, 12])
@pytest.mark.parametrize("width", [2, 3, 40])
def test_the_conditions_of_the_optimum_hold(count, width):
    for seed in range(5):
        products = products_of(random_vectors(seed, count, width, shift=0.5))
        found = least_norm(products)
        least = norm(found, products)
        slack = (
            products @ found - least
        )  # the derivative towards each vector: 0 where its weight is not 0
        scale = np.abs(products).max()
        assert found.min() >= 0 and found.sum() == pytest.approx(1, abs=1e-9)
        assert slack.min() >= -1e-7 * scale and abs(found @ slack) <= 1e-7 * scale


def test_both_solvers_agree(monkeypatch):
    for seed, count in itertools.product(range(10), (2, 3, 5)):
        products = products_of(random_vectors(seed, count, 8))
        expected = least_norm(products)
        with monkeypatch.context() as context:
            context.setattr(module, "MOST_ENUMERATED", 0)
            np.testing.assert_allclose(least_norm(products), expected, atol=1e-7)


def frank_wolfe(products, tolerance=1e-3, most=100):
    """Algorithm 2 of Sener & Koltun 2018 with the default settings of TorchJD."""
    weights = np.full(len(products), 1 / len(products))
    for _ in range(most):
        best = int((products @ weights).argmin())
        mixed, mine, its = weights @ products[best], norm(weights, products), products[best, best]
        length = (
            1.0
            if its <= mixed
            else 0.0
            if mine <= mixed
            else (mine - mixed) / (mine + its - 2 * mixed)
        )
        weights = (1 - length) * weights
        weights[best] += length
        if length < tolerance:
            break
    return weights


def test_opposed_gradients_do_not_stop_it_early():
    products = products_of([[0.4, 1.3, -0.1, -2.4], [-0.3, -1.3, 0.1, 2.4], [0.8, 1.7, -0.2, 1.2]])
    stopped, found = frank_wolfe(products), least_norm(products)
    assert norm(stopped, products) == pytest.approx(0.0238, abs=1e-4)
    assert norm(found, products) == pytest.approx(0.00246, abs=1e-5)


def test_equal_opposed_and_parallel_vectors_have_an_answer():
    np.testing.assert_allclose(least_norm(products_of([[1, 2], [1, 2], [1, 2]])) @ np.ones(3), 1)
    assert (
        norm(least_norm(products_of([[1, 2], [-2, -4]])), products_of([[1, 2], [-2, -4]])) < 1e-12
    )
    np.testing.assert_allclose(least_norm(products_of([[1, 2], [3, 6]])), [1, 0])
    np.testing.assert_allclose(least_norm(products_of([[1, 2], [0, 0]])), [0, 1])


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_products_that_say_nothing_give_equal_weights(value):
    np.testing.assert_array_equal(least_norm(np.full((4, 4), value)), np.full(4, 0.25))


@pytest.mark.parametrize("count", [4, 8])
def test_the_scale_of_the_vectors_does_not_matter(count):
    vectors = random_vectors(3, count, 20)
    for factor in (1e-12, 1e12):
        np.testing.assert_allclose(
            least_norm(products_of(factor * vectors)), least_norm(products_of(vectors))
        )
