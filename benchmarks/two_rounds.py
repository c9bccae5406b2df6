"""Measures k-centre in two rounds against the exact greedy algorithm: time, memory and how well each covers a pool.

Both get the same features and labelled images, on one thread and in processes of their own. The
radius is the largest distance of an image to the nearest labelled or picked one.
"""

import argparse
import json
import os
import time

import numpy as np
from _measure import check_limit, machine, peak_mib, run_isolated

from labelgrid.select.centres import Candidates, farthest_first
from labelgrid.select.two_rounds import cover_in_parts

#: How much larger the radius of two rounds may be.
BAR = 1.1
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def pool_of(images: int, width: int, labelled: int, *, uniform: bool) -> Candidates:
    """Features around 200 centres, or spread evenly."""
    rng = np.random.default_rng(0)
    features = rng.random((images, width), np.float32)
    if not uniform:
        centres = rng.normal(size=(200, width)).astype(np.float32) * 2
        features = features - 0.5 + centres[rng.integers(0, 200, images)]
    first = np.zeros(images, np.bool_)
    first[:labelled] = True
    return Candidates(
        features=features,
        centres=first,
        costs=np.where(first, np.inf, 1.0),
        keys=rng.permutation(images).astype(np.uint64),
        draws=np.zeros(images),
    )


def run_side(pool: Candidates, picks: int, parts: int) -> None:
    before = peak_mib()
    start = time.perf_counter(), time.process_time()
    bound = 2.0
    if parts:
        cover = cover_in_parts(pool, float(picks), -(-len(pool.keys) // parts))
        radius = cover.radius
        bound = cover.bound
    else:
        rows, distances = farthest_first(pool, float(picks))
        left = np.isfinite(pool.costs)
        left[rows] = False
        radius = float(distances[left].max())
    seconds = time.perf_counter() - start[0]
    processor = time.process_time() - start[1]
    values = {"seconds": seconds, "processor": processor, "peak": peak_mib() - before}
    print(json.dumps(values | {"radius": radius, "bound": bound}))


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--width", type=int, default=64, help="of the features")
    parser.add_argument("--labelled", type=int, default=100)
    parser.add_argument("--picks", type=int, default=500)
    parser.add_argument("--parts", type=int, default=8)
    parser.add_argument("--uniform", action="store_true", help="features without clusters")
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    sizes = options.images, options.width, options.labelled
    if options.side is not None:
        run_side(pool_of(*sizes, uniform=options.uniform), options.picks, options.side)
        return 0
    os.environ.update(ONE_THREAD)  # of the sides' processes
    print(machine())
    print(f"{sizes[0]:,} images x {sizes[1]}, {sizes[2]} labelled, {options.picks} picks")
    line: list[str | int] = ["--images", sizes[0], "--width", sizes[1], "--labelled", sizes[2]]
    line += ["--picks", options.picks, *(["--uniform"] if options.uniform else [])]
    runs = {}
    for name, parts in {"exact": 0, f"{options.parts} parts": options.parts}.items():
        run = runs[name] = run_isolated(__file__, *line, "--side", parts)
        print(
            f"  {name:10} {run['seconds']:7.2f} s (processor {run['processor']:7.2f} s, adds "
            f"{run['peak']:5.0f} MiB), radius {run['radius']:.4g}, at most {run['bound']:.2f} x the best",
            flush=True,
        )
    exact, rounds = runs.values()
    print(f"two rounds / exact: {rounds['processor'] / exact['processor']:.3g} x by processor time")
    return 0 if check_limit("radius", rounds["radius"] / exact["radius"], BAR) else 1


if __name__ == "__main__":
    raise SystemExit(main())
