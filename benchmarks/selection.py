"""Measures the time and memory of PartAL's selection among 1,000,000 images x 5 tasks.

Covers the steps of a query between the score table and the picks: bounds, scores, selection. The
baseline is a
competent NumPy version in a few lines: the same min-max, then a full sort of all cells. Both must
pick the same cells. Each side runs in a separate process, whose peak memory is measured.
"""

import argparse
import json
import time
from statistics import median

import numpy as np
from _measure import check_limit, machine, peak_mib, run_isolated

from labelgrid.ledger.grid import Grid, State
from labelgrid.select.strategies.partal import Options, build
from labelgrid.select.strategy import Budget, PoolView

SECONDS = 2.0
MIB = 1536


def grid_of(images: int, tasks: int) -> Grid:
    """A grid with a label in every twentieth cell."""
    rng = np.random.default_rng(0)
    names = [f"scene_{number // 100:05d}/frame_{number:07d}.png" for number in range(images)]
    state = np.where(rng.random((images, tasks)) < 0.05, State.LABELLED, State.MISSING).astype(
        np.int8
    )
    keys = rng.permutation(images).astype(np.uint64)
    return Grid(
        images=names,
        keys=keys,
        tasks=[f"task{number}" for number in range(tasks)],
        state=state,
        cost=np.ones(tasks),
    )


def uncertainties(images: int, tasks: int) -> np.ndarray:
    """Random uncertainties of all cells, each task on its own scale."""
    return np.random.default_rng(1).gamma(2.0, size=(images, tasks)) * 10.0 ** np.arange(tasks) - 3


def ours(values: np.ndarray, grid: Grid, budget: int) -> list[tuple[str, str]]:
    selection = build(Options()).select(
        PoolView(grid=grid, statistics={"dropout": values}, seed=7), Budget(budget)
    )
    return [(pick.cell.image_id, pick.cell.task) for pick in selection.picks]


def naive(values: np.ndarray, grid: Grid, budget: int) -> list[tuple[str, str]]:
    missing = grid.state == State.MISSING
    pool = np.where(missing, values, np.nan)
    low = np.nanmin(pool, 0)
    high = np.nanmax(pool, 0)
    scores = (values - low) / (high - low)
    scores[~missing] = -np.inf
    best = np.argsort(-scores, axis=None, kind="stable")[:budget]
    return [
        (grid.images[row], grid.tasks[column])
        for row, column in zip(*np.unravel_index(best, scores.shape), strict=True)
    ]


SIDES = {"ours": ours, "naive": naive}


def run_side(side: str, images: int, tasks: int, budget: int) -> None:
    grid = grid_of(images, tasks)
    values = uncertainties(images, tasks)
    start = time.perf_counter(), time.process_time()
    picks = SIDES[side](values, grid, budget)
    seconds = time.perf_counter() - start[0]
    processor = time.process_time() - start[1]
    print(
        json.dumps({"seconds": seconds, "processor": processor, "peak": peak_mib(), "picks": picks})
    )


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument("--budget", type=int, default=1500, help="labels")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    sizes = options.images, options.tasks, options.budget
    if options.side:
        run_side(options.side, *sizes)
        return 0
    print(machine())
    print(f"{options.images:,} images x {options.tasks} tasks, {options.budget} labels")
    line = ("--images", sizes[0], "--tasks", sizes[1], "--budget", sizes[2], "--side")
    runs = [[run_isolated(__file__, *line, side) for side in SIDES] for _ in range(options.repeats)]
    for index, side in enumerate(SIDES):
        seconds, processor = (
            median(pair[index][key] for pair in runs) for key in ("seconds", "processor")
        )
        peak = max(pair[index]["peak"] for pair in runs)
        print(f"  {side:8} {seconds:7.3f} s  (processor {processor:7.3f} s, peak {peak:5.0f} MiB)")
    mine, its = runs[0]
    assert sorted(mine["picks"]) == sorted(its["picks"]), (
        "the two sides picked other cells"
    )  # ties in another order
    print(f"naive / ours: {median(its['seconds'] / mine['seconds'] for mine, its in runs):.3g} x")
    kept = check_limit("selection", median(mine["seconds"] for mine, _ in runs), SECONDS, "s")
    return (
        0
        if check_limit(
            "peak memory of selection", max(mine["peak"] for mine, _ in runs), MIB, "MiB"
        )
        and kept
        else 1
    )


if __name__ == "__main__":
    raise SystemExit(main())
