"""Measures core-set selection (k-centre greedy) against scikit-activeml's and a plain NumPy version, on one thread.

All sides get the same features and labelled images, and must pick the same images in the same
order. scikit-activeml is in the extra `peers` (`pip install -e .[peers]`); without it, its bar is
not checked. Each side runs in a separate process, whose peak memory is measured. The other two
sides may be measured at fewer picks (`--peer-picks`), and are then compared with ours at as many:
what each does before its first pick would count more at fewer.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from _measure import check_limit, machine, peak_mib, run_isolated

from labelgrid.ledger.grid import Grid, State
from labelgrid.select.strategies.core_set import FEATURES, Options, build
from labelgrid.select.strategy import Budget, PoolView

BAR = 5.0
PEER = "scikit-activeml"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def pool_of(images: int, width: int, labelled: int) -> tuple[np.ndarray, Grid]:
    """Features around 200 centres, with a mean far from 0, and a grid of one task."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(200, width)) * 2
    spread = rng.gamma(4.0, 0.25, size=(images, 1)).astype(np.float32)
    features = rng.standard_normal((images, width), np.float32) * spread
    features += centres[rng.integers(0, 200, images)].astype(np.float32) + 5
    state = np.full((images, 1), State.MISSING, np.int8)
    state[:labelled] = State.LABELLED
    return features, Grid(
        images=[str(n) for n in range(images)],
        keys=np.arange(images, dtype=np.uint64),
        tasks=["a"],
        state=state,
        cost=np.ones(1),
    )


def ours(features: np.ndarray, grid: Grid, picks: int) -> list[int]:
    selection = build(Options()).select(
        PoolView(grid=grid, statistics={FEATURES: features}), Budget(picks, "images")
    )
    return [int(pick.cell.image_id) for pick in selection.picks]


def naive(features: np.ndarray, grid: Grid, picks: int) -> list[int]:
    """One pass over all images for each pick, by a matrix product."""
    centred = features - features.mean(0)
    norms = np.einsum("ij,ij->i", centred, centred)
    rows = list[int]()
    nearest = np.full(len(features), np.inf)
    labelled = np.flatnonzero(grid.state[:, 0] == State.LABELLED).tolist()
    for centre in labelled:
        nearest = np.minimum(nearest, norms - 2 * (centred @ centred[centre]) + norms[centre])
    nearest[labelled] = -np.inf
    for _ in range(picks):
        rows.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, norms - 2 * (centred @ centred[rows[-1]]) + norms[rows[-1]])
        nearest[rows[-1]] = -np.inf
    return rows


def peer(features: np.ndarray, grid: Grid, picks: int) -> list[int]:
    from skactiveml.pool import CoreSet

    labels = np.where(grid.state[:, 0] == State.LABELLED, 0.0, np.nan)
    indices: list[int] = CoreSet(random_state=0).query(features, labels, batch_size=picks).tolist()
    return indices


SIDES: dict[str, Callable[[np.ndarray, Grid, int], list[int]]] = {
    "ours": ours,
    "NumPy": naive,
    PEER: peer,
}


def run_side(side: str, images: int, width: int, labelled: int, picks: int) -> None:
    features, grid = pool_of(images, width, labelled)
    SIDES[side](features[:200], pool_of(200, width, 10)[1], 1)  # imports and warms up
    start = time.perf_counter(), time.process_time()
    rows = SIDES[side](features, grid, picks)
    seconds = time.perf_counter() - start[0]
    processor = time.process_time() - start[1]
    print(
        json.dumps({"seconds": seconds, "processor": processor, "peak": peak_mib(), "picks": rows})
    )


def run_of(side: str, options: argparse.Namespace, picks: int) -> dict[str, Any]:
    """Run a side in a process of its own, and print what it took."""
    sizes = ("--images", options.images, "--width", options.width, "--labelled", options.labelled)
    run: dict[str, Any] = run_isolated(__file__, *sizes, "--picks", picks, "--side", side)
    print(
        f"  {side:16} {picks} picks in {run['seconds']:8.2f} s "
        f"(processor {run['processor']:8.2f} s, peak {run['peak']:5.0f} MiB)",
        flush=True,
    )
    return run


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=512, help="of the features")
    parser.add_argument("--labelled", type=int, default=100)
    parser.add_argument("--picks", type=int, default=1000)
    parser.add_argument(
        "--peer-picks", type=int, default=0, help="picks of the other sides; 0: as many"
    )
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    sizes = options.images, options.width, options.labelled
    if options.side:
        run_side(options.side, *sizes, options.picks)
        return 0
    os.environ.update(ONE_THREAD)  # of the sides' processes
    print(machine())
    print(
        f"{sizes[0]:,} images x {sizes[1]}, {sizes[2]} labelled, {options.picks} picks, one thread"
    )
    sides = [side for side in SIDES if side != PEER or find_spec("skactiveml")]
    if PEER not in sides:
        print(f"  {PEER} is not installed: whether its bar holds is not checked.")
    picks = options.peer_picks or options.picks
    all_picks = run_of("ours", options, options.picks)["picks"]
    runs = {side: run_of(side, options, picks) for side in sides}
    for side, run in runs.items():
        assert all_picks[:picks] == run["picks"], f"{side} picks other images"
    kept = True
    for side in [side for side in sides if side != "ours"]:
        wall, work = (runs[side][key] / runs["ours"][key] for key in ("seconds", "processor"))
        print(
            f"{side} / ours, {picks} picks: {wall:.3g} x by wall time, {work:.3g} x by processor time"
        )
        if side == PEER:
            kept = check_limit(f"{side} / ours", work, BAR, least=True)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
