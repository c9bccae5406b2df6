"""Measures the start-up time of the command line.

Runs `labelgrid --help`, and `labelgrid status` of a small project, in separate processes, in turns
with a Python that does nothing (the minimum for any Python program), with one that loads what
`status` cannot do without (the command line's parser, the database's library), and with one that
loads torch (the cost of every command if torch were loaded at the start), and one that loads what
commands with a network do.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median

from _measure import Measurement, check_limit, command, labelgrid, machine
from PIL import Image

#: Seconds: wall time of `--help`, processor time of `status`.
BAR = 0.5
#: Processor seconds of loading what commands with a network need.
NETWORK_BAR = 2.5
#: What `score` and `query` load, as the command line loads it.
NETWORK = (
    "from labelgrid.basics.processes import look_rarely_for_garbage; look_rarely_for_garbage();"
    "import labelgrid.rounds.models, labelgrid.rounds.query, labelgrid.rounds.score"
)
NEEDED = "import pydantic, rich.table, sqlalchemy.dialects.sqlite, typer"


def small_project(folder: Path) -> str:
    """A project of ten images and two tasks."""
    (folder / "images").mkdir()
    for number in range(10):
        Image.new("RGB", (64, 48), (number, 0, 0)).save(folder / "images" / f"{number}.png")
    path = str(folder / "small")
    command(
        labelgrid(
            "init", path, "--images", str(folder / "images"), "--task", "depth", "--task", "normals"
        )
    )
    return path


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args(words)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # users' modules are compiled once
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        return measure(small_project(Path(folder)), options.repeats)


def measure(project: str, repeats: int) -> int:
    sides = {
        "labelgrid --help": labelgrid("--help"),
        "labelgrid status": labelgrid("status", project),
        "python -c 'import (needed)'": [sys.executable, "-c", NEEDED],
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import torch'": [sys.executable, "-c", "import torch"],
        "what score and query load": [sys.executable, "-c", NETWORK],
    }
    runs_of: dict[str, list[Measurement]] = {name: [] for name in sides}
    for line in sides.values():
        command(line)  # once, so that the files are in memory and compiled
    for _ in range(repeats):
        for name, line in sides.items():
            runs_of[name].append(command(line))
    for name, runs in runs_of.items():
        wall, processor = (
            median(values) for values in zip(*((r.seconds, r.processor) for r in runs), strict=True)
        )
        print(
            f"  {name:28} {wall:7.3f} s  (processor {processor:7.3f} s, peak {max(r.peak for r in runs):5.0f} MiB)"
        )
    help_, _, _, nothing, torch, _ = (
        median(run.seconds for run in runs) for runs in runs_of.values()
    )
    status, needed, network = (
        median(run.processor for run in [*runs_of.values()][index]) for index in (1, 2, 5)
    )
    print(
        f"labelgrid --help / nothing: {help_ / nothing:.3g} x; / import torch: {help_ / torch:.3g} x"
    )
    print(f"labelgrid status / loading what it needs: {status / needed:.3g} x of processor time")
    held = [
        check_limit("labelgrid --help", help_, BAR, "s"),
        check_limit("labelgrid status, processor", status, BAR, "s"),
        check_limit("what score and query load, processor", network, NETWORK_BAR, "s"),
    ]
    return 0 if all(held) else 1


if __name__ == "__main__":
    raise SystemExit(main())
