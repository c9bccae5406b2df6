"""Computes distances of features to a centre exactly and block by block, for greedy selection."""

import numpy as np
from numpy.typing import NDArray

#: The number of values that are subtracted at once; they fit a processor's cache.
VALUES = 2**16


def squared_distances(features: NDArray[np.float32], row: int) -> NDArray[np.float64]:
    """Squared Euclidean distances [n] of all rows to one row of features [n, d].

    They are sums of squared differences, so features with a large mean lose no precision. A distance depends on its two
    rows only, bit for bit, and no copy of the features is made.

    Example:
        >>> squared_distances(np.array([[0, 0], [3, 4]], np.float32), 0)
        array([ 0., 25.])
    """
    n, d = features.shape
    found, step = np.empty(n), max(1, VALUES // max(d, 1))
    difference, centre = np.empty((min(step, n), d), np.float32), features[row]
    for start in range(0, n, step):
        block = features[start : start + step]
        part = np.subtract(block, centre, out=difference[: len(block)])
        found[start : start + step] = np.einsum("ij,ij->i", part, part)
    return found


def unit_rows(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy of features [n, d] with rows of length 1; rows of zeros stay.

    Half the squared distance of two such rows is 1 - cosine of the angle between them.

    Example:
        >>> unit_rows(np.array([[3, 4], [0, 0]], np.float32)).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", features, features, dtype=np.float64))
    return features / np.where(lengths > 0, lengths, 1).astype(np.float32)[:, None]
