"""Kills workers and `labelgrid score` itself at random moments: the scores equal those of an undisturbed run.

A pool of 2,048 images in 16 shards is scored by two processes, then on Ray with two workers, of which
three are killed (SIGKILL), and the command once. It is run again, and does only what is left.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from _made import make_files
from _measure import machine

from labelgrid import Project
from labelgrid.executors.job import JobFolder
from labelgrid.score.shards import ENDING
from labelgrid.score.table import FILE

IMAGES, PER_SHARD = 2048, 128
SHARDS = IMAGES // PER_SHARD
SIZE = (192, 256)
#: Its features need no training.
STRATEGY = "typiclust"
#: Deaths of workers; the command is killed, too, when half of the shards are done.
DEATHS = 3
#: Seconds for a command to end.
LIMIT = 600.0
#: How a line ends that says what became of a death.
AGAIN = "It is tried again."


def make_project(folder: Path) -> Path:
    """A project with the images as its pool, and a network with random weights."""
    make_files(folder, IMAGES, SIZE, every=0)
    changes = {"backbone": {"pretrained": False}}
    project = folder / "flat"
    with Project.create(
        project, [folder / "images"], ["depth"], changes=changes, strategy=STRATEGY
    ):
        pass
    return project


def score(project: Path, on: str) -> subprocess.Popen[str]:
    """Start the command that scores what is left."""
    words = ["score", str(project), "--on", on, "--workers", "2", "--shard", str(PER_SHARD)]
    return subprocess.Popen(
        [sys.executable, "-m", "labelgrid", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> list[str]:
    """The lines that a command printed until its end."""
    said, _ = process.communicate(timeout=LIMIT)
    return said.splitlines()


def scores_folder(project: Path) -> Path:
    """The folder of the scores; it need not be there yet."""
    return project / "rounds" / "0001" / "scores"


def shards(project: Path) -> dict[str, int]:
    """The finished shards' files, and when each was written."""
    paths = scores_folder(project).glob(f"scores-*{ENDING}")
    return {path.name: path.stat().st_mtime_ns for path in paths}


def wait_for_shards(project: Path, count: int, command: subprocess.Popen[str]) -> None:
    """Wait until so many shards are done, or the command has ended."""
    while len(shards(project)) < count and command.poll() is None:
        time.sleep(0.02)


def busy_workers(project: Path) -> Iterator[int]:
    """The processes that work on a shard."""
    for path in (scores_folder(project) / "jobs").glob("*/"):
        folder = JobFolder(path)
        owner = folder.owner
        if owner and folder.state == "running":
            yield owner.pid


def kill_worker(project: Path, rng: random.Random, command: subprocess.Popen[str]) -> None:
    """Kill a worker at a random moment."""
    time.sleep(rng.uniform(0, 2))
    while command.poll() is None:
        workers = list(busy_workers(project))
        if workers:
            os.kill(rng.choice(workers), signal.SIGKILL)
            return
        time.sleep(0.01)


def disturbed(project: Path, on: str, rng: random.Random) -> tuple[list[str], int]:
    """Score with deaths; returns what the two commands printed, and how many shards were repeated."""
    command = score(project, on)
    for death in range(DEATHS - 1):
        wait_for_shards(project, 2 + 3 * death, command)
        kill_worker(project, rng, command)
    wait_for_shards(project, SHARDS // 2, command)
    time.sleep(rng.uniform(0, 1))
    command.kill()
    said = finished(command)
    kept = shards(project)
    print(f"the command was killed when {len(kept)} of {SHARDS} shards were done", flush=True)
    begin = time.monotonic()
    command = score(project, on)
    wait_for_shards(project, len(kept) + 2, command)
    kill_worker(project, rng, command)
    wait_for_shards(project, SHARDS - 1, command)
    now = shards(project)
    said += finished(command)
    print(
        f"the second command took {time.monotonic() - begin:.1f} s, and ended with {command.returncode}"
    )
    return said, sum(now[name] != kept[name] for name in now.keys() & kept.keys())


def main() -> int:
    """Print the table, and return the exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--on", default="ray")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="labelgrid-deaths-") as text:
        project = make_project(Path(text))
        there = Path(text) / "there"
        shutil.copytree(project, there)
        begin = time.monotonic()
        finished(score(project, "processes"))
        print(f"two processes: {time.monotonic() - begin:.1f} s", flush=True)
        said, repeated = disturbed(there, chosen.on, random.Random(chosen.seed))
        local = (scores_folder(project) / FILE).read_bytes()
        equal = local == (scores_folder(there) / FILE).read_bytes()
    print(*(line for line in said if line.endswith(AGAIN) or "rror" in line), sep="\n")
    deaths = sum(line.endswith(AGAIN) for line in said)
    print(
        f"the scores are {'equal byte for byte' if equal else 'OTHERS'}; {repeated} finished shards "
        f"were repeated; {deaths} lines for {DEATHS} deaths; {machine()}"
    )
    return int(not equal or repeated > 0 or deaths < DEATHS)


if __name__ == "__main__":
    raise SystemExit(main())
