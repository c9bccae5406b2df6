"""Clusters the features of a pool, the same whatever the order of its images."""

import warnings

import numpy as np
from numpy.typing import NDArray

from labelgrid.select.centres import squared_distances
from labelgrid.streams import stream

#: Lloyd's iterations.
ITERATIONS = 20


def k_means(
    features: NDArray[np.floating], keys: NDArray[np.uint64], count: int, seed: int
) -> NDArray[np.intp]:
    """The cluster of each row, [n], by k-means from k-means++ seeds.

    Args:
        features: [n, d], finite.
        keys: uint64 [n], distinct; the draws depend on the order of the keys, not on that of the
            rows.
        count: the number of clusters; fewer where fewer rows differ.
        seed: of the draws.

    Source: Lloyd 1982; Arthur & Vassilvitskii 2007 (k-means++).

    Example:
        >>> found = k_means(np.array([[0.0], [9.0], [0.1]]), np.arange(3, dtype=np.uint64), 2, 0)
        >>> bool(found[0] == found[2] != found[1])
        True
    """
    from scipy.cluster.vq import kmeans2

    if not len(features):
        return np.empty(0, np.intp)
    order = np.argsort(keys)
    ordered = features[order]
    ordered = ordered - ordered.mean(0, dtype=np.float64)  # products of a large mean are not exact
    ordered = np.ldexp(ordered, -np.frexp(np.abs(ordered).max())[1]).astype(
        np.float32
    )  # nor do squares overflow
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # a cluster may lose its last row; its centre stays
        _, labels = kmeans2(
            ordered, _seeds(ordered, count, seed), iter=ITERATIONS, minit="matrix", missing="warn"
        )
    found = np.empty(len(features), np.intp)
    found[order] = labels
    return found


def _seeds(features: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
    """Rows [k, d] drawn one after the other, each with a probability proportional to the squared distance to them."""
    generator = stream(seed, "clusters")
    rows = [int(generator.integers(len(features)))]
    nearest = squared_distances(features, features[rows[0]])
    while len(rows) < count and (total := nearest.sum()) > 0:
        place = int(np.searchsorted(np.cumsum(nearest), generator.random() * total, side="right"))
        rows.append(min(place, len(features) - 1))
        np.minimum(nearest, squared_distances(features, features[rows[-1]]), out=nearest)
    return features[rows]
