"""Measures odsF's counts of one image, 99 thresholds, against scikit-image and SciPy a threshold at a time.

Thinning and matching included. The other side thins each thresholded map with
`skimage.morphology.thin`, finds the pairs within the distance by a KD-tree, and matches them with
SciPy's `maximum_bipartite_matching`. Both give the same counts. One core: run it with
OMP_NUM_THREADS=1.
"""

import argparse
import sys
from importlib.util import find_spec

import numpy as np
from _measure import check_limit, interleaved, machine, show
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import KDTree

from labelgrid.pixel.boundaries import THRESHOLDS, boundary_counts, precision_recall_f

BAR = 2.0


def drawn(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Boundaries between 30 regions, and a blurred, noisy prediction of them."""
    rng = np.random.default_rng(0)
    seeds = rng.random((30, 2)) * (height, width)
    points = np.stack(np.mgrid[:height, :width], -1).reshape(-1, 2)
    regions = KDTree(seeds).query(points)[1].reshape(height, width)
    truth = np.zeros((height, width), np.bool_)
    truth[:-1] |= regions[:-1] != regions[1:]
    truth[:, :-1] |= regions[:, :-1] != regions[:, 1:]
    soft = gaussian_filter(truth.astype(float), 2) + 0.15 * gaussian_filter(
        rng.standard_normal(truth.shape), 1.5
    )
    return np.clip((soft - soft.min()) / np.ptp(soft), 0, 1), truth


def one_by_one(
    soft: NDArray[np.float64], truth: NDArray[np.bool_], distance: float
) -> NDArray[np.int64]:
    """The counts, one threshold after the other."""
    from skimage.morphology import thin

    lines = np.argwhere(thin(truth))
    tree = KDTree(lines)
    radius = distance * np.hypot(*soft.shape)
    rows = []
    for threshold in THRESHOLDS:
        points = np.argwhere(thin(soft >= threshold))
        near = tree.query_ball_point(points, radius) if len(points) else []
        ends = np.concatenate([[0], np.cumsum([*map(len, near)])]).astype(int)
        partners = np.concatenate([*near, []]).astype(int)
        graph = csr_array(
            (np.ones(len(partners), np.bool_), partners, ends), (len(points), len(lines))
        )
        pairs = (maximum_bipartite_matching(graph.T.tocsr(), perm_type="column") >= 0).sum()
        rows.append((pairs, len(lines), pairs, len(points)))
    return np.array(rows).T


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--distance", type=float, default=0.0075)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(words)
    soft, truth = drawn(options.height, options.width)
    print(machine())
    ours = boundary_counts(soft, [truth], options.distance)
    best = precision_recall_f(ours)[2].max()
    print(f"{options.height} x {options.width}, {ours[1, 0]} true pixels, best F {best:.3f}")
    if find_spec("skimage") is None:
        print("  scikit-image is not installed: whether the bar holds is not checked.")
        return 0
    np.testing.assert_array_equal(ours, one_by_one(soft, truth, options.distance))
    sides = {
        "ours": lambda: boundary_counts(soft, [truth], options.distance),
        "scikit-image and SciPy": lambda: one_by_one(soft, truth, options.distance),
    }
    times = interleaved(sides, options.repeats)
    show(times)
    ratio = times["scikit-image and SciPy"].work_over(times["ours"])
    return 0 if check_limit("scikit-image and SciPy / ours", ratio, BAR, least=True) else 1


if __name__ == "__main__":
    sys.exit(main())
