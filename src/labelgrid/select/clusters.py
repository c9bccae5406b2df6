"""Clusters the features of a pool, the same whatever the order of its images."""

import warnings

import numpy as np

from labelgrid.basics.array_types import AnyFloats, Floats32, Keys, Places
from labelgrid.basics.streams import stream
from labelgrid.select.centres import squared_distances

#: Lloyd's iterations.
ITERATIONS = 20


def k_means(features: AnyFloats, keys: Keys, count: int, seed: int) -> Places:
    """The cluster of each row, [n], by k-means from k-means++ seeds.

    Args:
        features: [n, d], finite.
        keys: uint64 [n], distinct; the draws depend on their order, not on the order of the rows.
        count: the number of clusters; fewer where fewer rows differ.
        seed: the seed of the draws.

    Source: Lloyd 1982; Arthur & Vassilvitskii 2007 (k-means++).

    Example:
        >>> clusters = k_means(np.array([[0.0], [9.0], [0.1]]), np.arange(3, dtype=np.uint64), 2, 0)
        >>> bool(clusters[0] == clusters[2] != clusters[1])
        True
    """
    from scipy.cluster.vq import kmeans2

    if not len(features):
        return np.empty(0, np.intp)
    order = np.argsort(keys)
    # Products of numbers with a large mean are not exact, and squares of large numbers overflow.
    centred = features[order] - features[order].mean(0, dtype=np.float64)
    exponent = np.frexp(np.abs(centred).max())[1]
    scaled = np.ldexp(centred, -exponent).astype(np.float32)
    seeds = _draw_seeds(scaled, count, seed)
    with warnings.catch_warnings():
        # A cluster may lose its last row; its centre stays.
        warnings.simplefilter("ignore", UserWarning)
        _, labels = kmeans2(scaled, seeds, iter=ITERATIONS, minit="matrix", missing="warn")
    clusters = np.empty(len(features), np.intp)
    clusters[order] = labels
    return clusters


def _draw_seeds(features: Floats32, count: int, seed: int) -> Floats32:
    generator = stream(seed, "clusters")
    rows = [int(generator.integers(len(features)))]
    nearest = squared_distances(features, features[rows[0]])
    while len(rows) < count:
        total = nearest.sum()
        if not total > 0:
            break
        index = int(np.searchsorted(np.cumsum(nearest), generator.random() * total, side="right"))
        rows.append(min(index, len(features) - 1))
        np.minimum(nearest, squared_distances(features, features[rows[-1]]), out=nearest)
    return features[rows]
