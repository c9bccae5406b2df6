"""Measures the distances from a pool to its labelled images, as TCD and core-set start with, against SciPy's.

All sides get the same features and give the same distances. The other sides are one pass over the
pool for each labelled image, and blocks of `scipy.spatial.distance.cdist`, which has one thread:
run it with OMP_NUM_THREADS=1.
"""

import argparse
import sys

import numpy as np
from _measure import check_limit, interleaved, machine, show
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from labelgrid.select.centres import nearest_centre

BAR = 3.0
BLOCK = 1024


def one_by_one(features: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """One pass for each labelled image."""
    exact = features.astype(np.float64)
    nearest = np.full(len(features), np.inf)
    for row in rows:
        nearest = np.minimum(nearest, ((exact - exact[row]) ** 2).sum(1))
    return nearest


def blocks(features: NDArray[np.float32], rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """All distances of some images at a time."""
    parts = [features[start : start + BLOCK] for start in range(0, len(features), BLOCK)]
    return np.concatenate([cdist(part, features[rows], "sqeuclidean").min(1) for part in parts])


SIDES = {"ours": nearest_centre, "one by one": one_by_one, "SciPy": blocks}


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--width", type=int, default=512, help="of the features")
    parser.add_argument("--labelled", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(words)
    features = (
        np.random.default_rng(0).standard_normal((options.images, options.width), np.float32) + 5
    )
    rows = np.arange(options.labelled)
    print(machine())
    print(f"{options.images:,} images x {options.width}, {options.labelled:,} labelled")
    ours = nearest_centre(features, rows)
    for name in list(SIDES)[1:]:
        np.testing.assert_allclose(SIDES[name](features, rows), ours, rtol=1e-12, err_msg=name)
    times = interleaved(
        {name: lambda side=side: side(features, rows) for name, side in SIDES.items()},
        options.repeats,
    )
    show(times)
    for name in list(SIDES)[1:]:
        print(f"{name} / ours: {times[name].over(times['ours']):.3g} x by wall time")
    return (
        0
        if check_limit("SciPy / ours", times["SciPy"].work_over(times["ours"]), BAR, least=True)
        else 1
    )


if __name__ == "__main__":
    sys.exit(main())
