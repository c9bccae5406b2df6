"""MGDA: moves the shared part along the tasks' gradients of least norm, which harms no task.

The gradients are combined with weights of at least 0 whose sum is 1. The objective's weights
multiply the losses first. Source: Sener & Koltun 2018, algorithm 2 and section 3.3 (MGDA-UB).
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from labelgrid.basics.array_types import Floats
from labelgrid.train.balancer import Reduce, TaskLosses, WeightedBalancer, Weights
from labelgrid.train.shared_gradients import SharedGradients

#: The largest number of vectors whose supports are enumerated: 63 small linear systems.
MOST_ENUMERATED = 6


@dataclass(frozen=True)
class Options:
    """The gradients.

    Args:
        at: where the gradients are taken: at the shared `"features"` (MGDA-UB: an upper bound, with
            one pass through the encoder), or at the shared `"parameters"`, with a pass for each
            task.
        normalise: what divides the gradients while the weights are sought, as in the released code:
            `"none"` (the paper), their `"l2"` norm, their task's `"loss"`, or `"loss+"`, the
            product of both.
        heads: the gradients of the tasks' own parameters are `"plain"`, with the objective's
            weights alone (algorithm 2); or `"weighted"` as the shared part's are (the released
            code).
    """

    at: Literal["features", "parameters"] = "features"
    normalise: Literal["none", "l2", "loss", "loss+"] = "none"
    heads: Literal["plain", "weighted"] = "plain"


class MultipleGradientDescent(WeightedBalancer):
    """Computes the weights of the labelled tasks anew in each step.

    Deviation: the released code approaches the weights by Frank-Wolfe steps; here they are exact.
    """

    options: Options

    def backward(self, step: TaskLosses) -> Tensor:
        """Back-propagate the losses, as `Balancer.backward` says.

        Raises:
            TrainingError: the network's tasks read more of the encoder than the features at which
                gradients are taken.
        """
        if not step.labelled:
            return step.without_labels(self.reduce)
        losses = step.parts(self.reduce, self.fixed)
        gradients = SharedGradients(step, losses, self.options.at)
        gradients.refuse_bypass()
        weights = self.weights(gradients)
        self.factors = dict(zip(losses, weights, strict=True))
        heads = [1.0] * len(losses)
        if self.options.heads == "weighted":
            heads = weights.tolist()
        return gradients.weigh(weights, heads)

    def weights(self, gradients: SharedGradients) -> Tensor:
        """Compute the weights of the tasks, [t]."""
        rows = gradients.rows
        values = torch.stack(list(gradients.losses.values())).detach().to(rows)
        norms = rows.norm(dim=1)
        sizes = {
            "none": torch.ones_like(norms),
            "l2": norms,
            "loss": values,
            "loss+": values * norms,
        }
        size = sizes[self.options.normalise].clamp(min=torch.finfo(rows.dtype).tiny)
        scaled = rows / size[:, None]
        products = (scaled @ scaled.T).double().cpu().numpy()
        return torch.from_numpy(least_norm(products)).to(rows)


def build(weights: Weights, reduce: Reduce, options: Options) -> MultipleGradientDescent:
    """Build the balancer."""
    return MultipleGradientDescent(weights, reduce, options)


def least_norm(products: Floats) -> Floats:
    """Compute the weights [t], at least 0 with sum 1, of the combination of least norm.

    Up to `MOST_ENUMERATED` vectors the solution of each support is computed; more are a problem of
    non-negative least squares, which is solved by an active set.

    Args:
        products: the vectors' inner products [t, t], positive semi-definite.

    Returns:
        The weights; all equal if the products are 0 or not finite.

    Example:
        >>> least_norm(np.array([[1.0, 0.0], [0.0, 4.0]]))
        array([0.8, 0.2])
    """
    count = len(products)
    largest = np.abs(products).max()
    if not np.isfinite(largest) or largest == 0:
        return np.full(count, 1 / count)
    scaled = products.astype(np.float64) / largest
    if count <= MOST_ENUMERATED:
        return _solve_by_supports(scaled)
    # The x >= 0 with the least |Vx|² + (sum x - 1)² is a multiple of the weights.
    values, vectors = np.linalg.eigh(scaled)
    roots = np.sqrt(values.clip(min=0))[:, None] * vectors.T
    system = np.vstack([roots, np.ones(count)])
    solution, _ = nnls(system, np.append(np.zeros(count), 1.0))
    return solution / solution.sum()


def _solve_by_supports(products: Floats) -> Floats:
    """Return the best solution of all supports; a best one has affinely independent vectors."""
    count = len(products)
    solutions = []
    for size in range(1, count + 1):
        for rows in combinations(range(count), size):
            weights = _solve_on_support(products, list(rows))
            if weights is not None:
                solutions.append(weights)
    return min(solutions, key=lambda weights: float(weights @ products @ weights))


def _solve_on_support(products: Floats, rows: list[int]) -> Floats | None:
    """Return the best weights with sum 1, 0 outside `rows`; None if negative or not unique."""
    size = len(rows)
    weights = np.zeros(len(products))
    system = np.ones((size + 1, size + 1))
    system[:size, :size] = products[np.ix_(rows, rows)]
    system[size, size] = 0
    try:
        solution = np.linalg.solve(system, np.append(np.zeros(size), 1.0))[:size]
    except np.linalg.LinAlgError:
        return None
    if not np.isfinite(solution).all() or solution.min() < 0:
        return None
    weights[rows] = solution / solution.sum()
    return weights
