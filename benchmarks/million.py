"""Measures the time and memory of commands on a grid of 1,000,000 images x 5 tasks.

Runs the real commands, each in a separate process: `init` from a list with `--check none`,
`status`, a query that only shows its picks, and `report`. The baseline of `init` copies the same ids into a
bare SQLite table: one transaction, one unique id per row, no keys, no checks.
"""

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from _measure import Measurement, check_limit, command, labelgrid, machine, run_isolated
from PIL import Image

#: The limits, in seconds and MiB.
INIT = 60.0
STATUS = 1.0
QUERY = 5.0
REPORT = 60.0
MIB = 1536
TASKS = ("depth", "normals", "edges", "saliency", "semseg:classes.txt")


def write_list(folder: Path, images: int) -> None:
    names = (f"scene_{number // 100:05d}/frame_{number:07d}.png\n" for number in range(images))
    with (folder / "list.txt").open("w", encoding="utf-8") as file:
        file.writelines(names)
    picture = folder / "picture.png"
    Image.new("RGB", (64, 48)).save(picture)
    for number in range(images):  # a query sets images without a file aside
        path = folder / f"scene_{number // 100:05d}/frame_{number:07d}.png"
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(picture)
    (folder / "classes.txt").write_text(
        "".join(f"class {number}\n" for number in range(40)), encoding="utf-8"
    )


def bare(folder: Path) -> float:
    """The seconds to read the list into a bare table."""
    start = time.perf_counter()
    names = (folder / "list.txt").read_text(encoding="utf-8").splitlines()
    with sqlite3.connect(folder / "bare.db") as connection:
        connection.execute("CREATE TABLE images (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        connection.executemany("INSERT INTO images (name) VALUES (?)", ((name,) for name in names))
    connection.close()
    return time.perf_counter() - start


def shown(name: str, run: Measurement) -> None:
    print(
        f"  {name:28} {run.seconds:7.2f} s  (processor {run.processor:7.2f} s, peak {run.peak:5.0f} MiB)",
        flush=True,
    )


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--holdout", type=int, default=100)
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.bare:
        print(json.dumps(bare(options.bare)))
        return 0
    print(machine())
    print(f"{options.images:,} images x {len(TASKS)} tasks")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_list(folder, options.images)
        tasks = [word for task in TASKS for word in ("--task", task)]
        line = labelgrid(
            "init",
            "grid",
            "--images",
            "list.txt",
            "--check",
            "none",
            "--holdout",
            options.holdout,
            *tasks,
        )
        made = command(line, folder)
        shown("init", made)
        print(f"  {'names into a bare table':28} {run_isolated(__file__, '--bare', folder):7.2f} s")
        first, again = (command(labelgrid("status", "grid", "--json"), folder) for _ in range(2))
        shown("status", first)
        shown("status again", again)
        assert json.loads(first.text)["images"] == options.images
        line = labelgrid(
            "query", "grid", "--budget", options.budget, "--strategy", "random_cells", "--dry-run"
        )
        asked = command(line, folder)
        shown("query --dry-run", asked)
        told = command(labelgrid("report", "grid", "--out", "report.html"), folder)
        shown("report", told)
        database = sum(file.stat().st_size for file in (folder / "grid").glob("labelgrid.db*"))
        print(f"  the project's database: {database / 2**20:.0f} MiB")
    peak = max(run.peak for run in (made, first, asked, told))
    kept = [
        check_limit("init", made.seconds, INIT, "s"),
        check_limit("status", min(first.seconds, again.seconds), STATUS, "s"),
        check_limit("query --dry-run, processor", asked.processor, QUERY, "s"),
        check_limit("report", told.seconds, REPORT, "s"),
        check_limit("peak memory", peak, MIB, "MiB"),
    ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
