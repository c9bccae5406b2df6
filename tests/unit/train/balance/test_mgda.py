"""MGDA: no task's loss rises, networks and batches that lack a part.

Its equations are in tests/reference.
"""

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from labelgrid.basics.errors import TrainingError
from labelgrid.train.balance import mgda as module
from labelgrid.train.balance.mgda import Options, build, least_norm
from labelgrid.train.objective import supervised_loss
from labelgrid.train.shared_gradients import SharedGradients
from tests.balancing import FULL, PRESENT, TASKS, Toy, combined

WEIGHTS = {"a": 1.0, "b": 2.0, "c": 0.5}
REDUCE = partial(supervised_loss, reduction="task_sum")
places = pytest.mark.parametrize("at", ["features", "parameters"])


@pytest.mark.parametrize("seed", range(5))
def test_a_step_along_it_raises_no_tasks_loss(seed):
    toy = Toy(seed)
    build(WEIGHTS, REDUCE, Options(at="parameters")).backward(toy.step(FULL))
    moved = {name: g for name, g in toy.found().items() if toy.is_shared(name)}
    assert any(g.any() for g in moved.values())
    for share in toy.shares(FULL, "task_sum", WEIGHTS).values():
        slope = sum((moved[name] * toy.gradients(share)[name]).sum() for name in moved)
        assert slope.item() > -1e-12


@places
def test_one_labelled_task_is_learnt_as_if_alone(at):
    toy, present = Toy(), PRESENT & torch.tensor([False, True, False])
    build(WEIGHTS, REDUCE, Options(at=at)).backward(toy.step(present))
    expected = combined(toy, toy.shares(present, "task_sum", WEIGHTS), {"b": 1.0}, {"b": 1.0})
    for name, gradient in toy.found().items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def test_at_the_features_a_bypass_is_refused():
    with pytest.raises(TrainingError, match='at = "parameters"'):
        build(WEIGHTS, REDUCE, Options()).backward(Toy(around=True).step(FULL))
    build(WEIGHTS, REDUCE, Options(at="parameters")).backward(Toy(around=True).step(FULL))


@pytest.mark.parametrize("normalise", ["none", "l2", "loss", "loss+"])
def test_losses_of_nothing_give_finite_gradients(normalise):
    toy = Toy()
    step = toy.step(FULL)
    nothing = {name: 0 * loss for name, loss in step.losses.items()}
    build(WEIGHTS, REDUCE, Options(normalise=normalise)).backward(replace(step, losses=nothing))
    assert all(gradient.isfinite().all() for gradient in toy.found().values())
    step = toy.step(FULL)
    build(WEIGHTS, REDUCE, Options(normalise=normalise)).backward(
        replace(step, losses={**step.losses, "b": 0 * step.losses["b"]})
    )
    assert all(gradient.isfinite().all() for gradient in toy.found().values())
    assert not any(
        gradient.any() for name, gradient in toy.found().items() if toy.is_shared(name)
    )  # all weight is b's


def test_an_overflow_is_left_to_the_loss_scaler():
    toy = Toy(scale=1e306)
    build(WEIGHTS, REDUCE, Options()).backward(toy.step(FULL))
    assert not torch.stack([p.grad.isfinite().all() for p in toy.shared]).all()


def test_the_weights_are_new_in_each_step():
    toy = Toy()
    balancer = build(WEIGHTS, REDUCE, Options())
    assert not list(balancer.parameters()) and not balancer.state_dict()
    balancer.backward(toy.step(FULL))
    first = toy.found()
    balancer.backward(toy.step(PRESENT))
    balancer.backward(toy.step(FULL))
    for name, gradient in toy.found().items():
        assert torch.equal(gradient, first[name])
    assert list(toy.tasks) == list(TASKS)


def test_with_one_label_an_image_a_task_gets_the_inverse_square_of_its_gradients_norm():
    toy, present = Toy(), torch.eye(3, dtype=torch.bool)[[0, 1, 2, 1]]
    balancer = build(
        dict.fromkeys(TASKS, 1.0), partial(supervised_loss, reduction="task_sum"), Options()
    )
    step = toy.step(present)
    rows = SharedGradients(step, step.parts(balancer.reduce, balancer.fixed), "features").rows
    torch.testing.assert_close(
        rows @ rows.T, (rows @ rows.T).diag().diag()
    )  # no image is in two rows
    balancer.backward(toy.step(present))
    inverse = 1 / rows.square().sum(1)
    torch.testing.assert_close(torch.stack([*balancer.factors.values()]), inverse / inverse.sum())


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
