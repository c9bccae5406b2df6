"""Measures the time and memory of commands on a grid of 1,000,000 images x 5 tasks.

Runs the real commands, each in a separate process: `init` from a list with `--check none`,
`status`, a query that only shows its picks, and `report`. The baseline of `init` copies the same ids into a
bare SQLite table: one transaction, one unique id per row, no keys, no checks.

`--postgres` runs the same commands on a ledger in PostgreSQL, too. The server is this machine's own; its processor
time is added to the command's, and no command may take more than three times that on the file.
"""

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _measure import (
    Measurement,
    check_limit,
    command,
    labelgrid,
    machine,
    processor_of,
    run_isolated,
)
from PIL import Image

from tests import postgres

#: The limits, in seconds and MiB.
INIT = 60.0
STATUS = 1.0
QUERY = 5.0
REPORT = 60.0
MIB = 1536
#: How much longer a command may take on PostgreSQL.
MOST = 3.0
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


def commands(
    folder: Path, options: argparse.Namespace, server: postgres.PostgresServer | None
) -> dict[str, Measurement]:
    """Run the commands on a new project, whose ledger is a file or on the server."""
    project = "there" if server else "grid"
    tasks = [word for task in TASKS for word in ("--task", task)]
    ledger = ["--ledger", str(server.place())] if server else []
    init = ["init", project, "--images", "list.txt", "--check", "none"]
    query = ["query", project, "--budget", options.budget, "--strategy", "random_cells"]
    lines = {
        "init": [*init, "--holdout", options.holdout, *tasks, *ledger],
        "status": ["status", project, "--json"],
        "status again": ["status", project, "--json"],
        "query --dry-run": [*query, "--dry-run"],
        "report": ["report", project, "--out", "report.html"],
        "query": query,
        "undo": ["undo", project],
    }
    runs = {}
    for name, words in lines.items():
        before = processor_of(server.process.pid) if server else 0.0
        run = command(labelgrid(*words), folder)
        worked = processor_of(server.process.pid) - before if server else 0.0
        runs[name] = replace(run, processor=run.processor + worked)
        shown(name, runs[name])
    assert json.loads(runs["status"].text)["images"] == options.images
    return runs


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--budget", type=int, default=1000)
    parser.add_argument("--holdout", type=int, default=100)
    parser.add_argument("--postgres", action="store_true", help="also on PostgreSQL")
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
        file = commands(folder, options, None)
        print(f"  {'names into a bare table':28} {run_isolated(__file__, '--bare', folder):7.2f} s")
        database = sum(file.stat().st_size for file in (folder / "grid").glob("labelgrid.db*"))
        print(f"  the project's database: {database / 2**20:.0f} MiB")
        kept = within_limits(file)
        if options.postgres:
            print("PostgreSQL: the server's processor time is part of a command's")
            with postgres.running() as server:
                kept &= within_ratio(file, commands(folder, options, server))
    return 0 if kept else 1


def within_limits(runs: dict[str, Measurement]) -> bool:
    """Whether the commands keep to the limits."""
    status = min(runs["status"].seconds, runs["status again"].seconds)
    peak = max(run.peak for run in runs.values())
    kept = [
        check_limit("init", runs["init"].seconds, INIT, "s"),
        check_limit("status", status, STATUS, "s"),
        check_limit("query --dry-run, processor", runs["query --dry-run"].processor, QUERY, "s"),
        check_limit("report", runs["report"].seconds, REPORT, "s"),
        check_limit("peak memory", peak, MIB, "MiB"),
    ]
    return all(kept)


def within_ratio(file: dict[str, Measurement], there: dict[str, Measurement]) -> bool:
    """Whether no command takes much longer than on the file."""
    kept = []
    for name, run in file.items():
        other = there[name]
        print(f"  {name:28} {other.seconds / run.seconds:7.2f} x by a clock")
        ratio = other.processor / run.processor
        kept.append(check_limit(f"{name} on PostgreSQL, processors", ratio, MOST))
    return all(kept)


if __name__ == "__main__":
    sys.exit(main())
