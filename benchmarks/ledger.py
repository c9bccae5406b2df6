"""Measures the ledger's time and memory with 1,000,000 images × 5 tasks.

The baseline is what a competent user would write first: sqlite3 from the standard library, one
transaction, integer ids, and one row for every cell of the grid in any state. Both sides hold the
same images and the same labels. Every step runs in a separate process. Times are processor seconds,
so that other work on the machine does not count; memory is the peak of the process.

`add` adds the images. `label` imports labels; there the baseline is faster, because it checks no
moves and keeps no history. `counts` is the query of `labelgrid status`, `grid` that of a selection.
"""

import argparse
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from labelgrid.ledger.grid import Cell, ImageRow, Move, State, TaskRow
from labelgrid.ledger.store import Store

#: The limits for 1,000,000 × 5: seconds and MiB.
BARS = {"add": (60.0, 1536), "counts": (1.0, 1536), "grid": (2.0, 1536)}


def names(count: int) -> Iterator[str]:
    return (f"scene_{number // 100:05d}/frame_{number:07d}.png" for number in range(count))


def ours_add(path: Path, images: int, tasks: int) -> None:
    with Store.create(path) as store:
        for number in range(tasks):
            store.add_task(TaskRow(f"task{number}", "depth", 1.0))
        store.add_images(ImageRow(image_id=name, root="photos") for name in names(images))


def ours_label(path: Path, images: int, tasks: int) -> None:
    with Store.open(path) as store:
        cells = (Cell(name, f"task{number}") for name in names(images) for number in range(tasks))
        store.move(
            [
                Move(cell=cell, to=State.LABELLED, path=f"{cell.image_id}.png", cost=1.0)
                for cell in cells
            ]
        )


def ours_counts(path: Path, images: int, tasks: int) -> list[int]:
    with Store.open(path) as store:
        return [count.labelled for count in store.counts().values()]


def ours_grid(path: Path, images: int, tasks: int) -> list[int]:
    with Store.open(path) as store:
        grid = store.grid()
        assert len(grid.images) == images
        return [int(count) for count in (grid.state == State.LABELLED).sum(0)]


def naive_add(path: Path, images: int, tasks: int) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(
            "CREATE TABLE images (id INTEGER PRIMARY KEY, name TEXT UNIQUE, root TEXT, split TEXT)"
        )
        connection.execute("CREATE TABLE tasks (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        connection.execute(
            "CREATE TABLE cells (image_id INTEGER, task_id INTEGER, state INTEGER, path TEXT, cost REAL, "
            "PRIMARY KEY (image_id, task_id))"
        )
        connection.executemany(
            "INSERT INTO tasks (name) VALUES (?)", ((f"task{t}",) for t in range(tasks))
        )
        rows = ((name, "photos", "train") for name in names(images))
        connection.executemany("INSERT INTO images (name, root, split) VALUES (?, ?, ?)", rows)
        cells = ((i + 1, t + 1, 0, "", 0.0) for i in range(images) for t in range(tasks))
        connection.executemany("INSERT INTO cells VALUES (?, ?, ?, ?, ?)", cells)


def naive_label(path: Path, images: int, tasks: int) -> None:
    with sqlite3.connect(path) as connection:
        rows = (
            (2, f"{name}.png", 1.0, i + 1, t + 1)
            for i, name in enumerate(names(images))
            for t in range(tasks)
        )
        connection.executemany(
            "UPDATE cells SET state = ?, path = ?, cost = ? WHERE image_id = ? AND task_id = ?",
            rows,
        )


def naive_counts(path: Path, images: int, tasks: int) -> list[int]:
    query = "SELECT task_id, state, count(*), sum(cost) FROM cells GROUP BY task_id, state ORDER BY task_id"
    with sqlite3.connect(path) as connection:
        return [count for _, state, count, _ in connection.execute(query) if state == 2]


def naive_grid(path: Path, images: int, tasks: int) -> list[int]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute(
            "SELECT id, name FROM images WHERE split = 'train' ORDER BY name"
        ).fetchall()
        row_of = {image_id: row for row, (image_id, _) in enumerate(rows)}
        state = np.zeros((len(rows), tasks), np.int8)
        for image_id, task_id, value in connection.execute(
            "SELECT image_id, task_id, state FROM cells"
        ):
            state[row_of[image_id], task_id - 1] = value
    return [int(count) for count in (state == 2).sum(0)]


STEPS: dict[str, Callable[[Path, int, int], list[int] | None]] = {
    "ours_add": ours_add,
    "ours_label": ours_label,
    "ours_counts": ours_counts,
    "ours_grid": ours_grid,
    "naive_add": naive_add,
    "naive_label": naive_label,
    "naive_counts": naive_counts,
    "naive_grid": naive_grid,
}


def run_isolated(step: str, path: Path, images: int, tasks: int) -> dict[str, float]:
    """Run a step in a separate process.

    Return its answer, processor seconds without imports, and peak MiB.
    """
    command = [sys.executable, __file__, "--step", step, "--path", str(path)]
    command += ["--images", str(images), "--tasks", str(tasks)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run_step(step: str, path: Path, images: int, tasks: int) -> None:
    start = time.process_time()
    answer = STEPS[step](path, images, tasks)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"answer": answer, "seconds": seconds, "peak": peak}))


def compare(images: int, tasks: int, labelled: int) -> bool:
    kept = True
    print(f"{images:,} images x {tasks} tasks, {labelled * tasks:,} cells labelled")
    print(f"{'step':8} {'labelgrid':>22} {'one row a cell':>22} {'times faster':>13}")
    with tempfile.TemporaryDirectory() as folder:
        paths = {side: Path(folder, f"{side}.db") for side in ("ours", "naive")}
        for step in ("add", "label", "counts", "grid"):
            size = labelled if step == "label" else images
            ours, naive = (
                run_isolated(f"{side}_{step}", path, size, tasks) for side, path in paths.items()
            )
            assert ours["answer"] == naive["answer"], step
            shown = [f"{side['seconds']:8.2f} s {side['peak']:7.0f} MiB" for side in (ours, naive)]
            print(
                f"{step:8} {shown[0]:>22} {shown[1]:>22} {naive['seconds'] / ours['seconds']:12.1f}x",
                flush=True,
            )
            if step in BARS and (images, tasks) == (1_000_000, 5):
                seconds, peak = BARS[step]
                kept &= ours["seconds"] <= seconds and ours["peak"] <= peak
        ours_size, naive_size = (path.stat().st_size / 2**20 for path in paths.values())
        print(f"{'file':8} {ours_size:18.0f} MiB {naive_size:18.0f} MiB")
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument(
        "--labelled", type=int, default=50_000, help="images with a label of every task"
    )
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        run_step(options.step, options.path, options.images, options.tasks)
        return 0
    kept = compare(options.images, options.tasks, min(options.labelled, options.images))
    print(
        f"The bars {'hold' if kept else 'DO NOT HOLD'}: {BARS} (seconds, MiB; checked at 1,000,000 x 5)."
    )
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
