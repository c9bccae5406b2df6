"""Finds the convex combination of least norm of a few vectors, exactly, from inner products.

Source: Désidéri 2012; the weights of MGDA (Sener & Koltun 2018, equation 3), which they approach by
Frank-Wolfe steps.
"""

from itertools import combinations

import numpy as np
from scipy.optimize import nnls

from labelgrid.basics.array_types import Floats

#: The largest number of vectors whose supports are enumerated: 63 small linear systems.
MOST_ENUMERATED = 6


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
    return _solve_by_active_set(scaled)


def _solve_by_supports(products: Floats) -> Floats:
    """Return the best of the solutions of all supports.

    The optimum has a support of affinely independent vectors.
    """
    count = len(products)
    solutions = []
    for size in range(1, count + 1):
        for rows in combinations(range(count), size):
            weights = _solve_on_support(products, list(rows))
            if weights is not None:
                solutions.append(weights)
    return min(solutions, key=lambda weights: float(weights @ products @ weights))


def _solve_on_support(products: Floats, rows: list[int]) -> Floats | None:
    """Return the best weights with sum 1 that are 0 outside `rows`.

    None if one is negative or they are not unique.
    """
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


def _solve_by_active_set(products: Floats) -> Floats:
    """Minimise |Vx|² + (sum x - 1)² over x >= 0: its solution is a multiple of the weights."""
    values, vectors = np.linalg.eigh(products)
    roots = np.sqrt(values.clip(min=0))[:, None] * vectors.T
    system = np.vstack([roots, np.ones(len(products))])
    solution, _ = nnls(system, np.append(np.zeros(len(products)), 1.0))
    return solution / solution.sum()
