"""Kills workers and the command itself at random moments: the files equal those of an undisturbed run.

A pool of 2,048 images in 16 shards is scored by two processes, then on Ray with two workers, of which
three are killed (SIGKILL), and the command once. It is run again, and does only what is left.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from _measure import machine
from _shards import IMAGES, PER_SHARD, make_pool

from labelgrid.executors.job import JobFolder

SHARDS = IMAGES // PER_SHARD
#: Deaths of workers; the command is killed, too, when half of the shards are done.
DEATHS = 3
#: Seconds for a command to end.
LIMIT = 600.0


def score(pool: Path, out: Path, on: str) -> subprocess.Popen[str]:
    """Start the command that scores what is left."""
    out.mkdir(exist_ok=True)
    words = ["-c", "import _shards; _shards.main()", str(pool), str(out), "--on", on]
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=Path(__file__).parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> list[str]:
    """The lines that a command printed until its end."""
    said, _ = process.communicate(timeout=LIMIT)
    return said.splitlines()


def files(out: Path) -> dict[str, bytes]:
    """The content of each shard's file."""
    return {path.name: path.read_bytes() for path in sorted(out.glob("*.npy"))}


def wait_for_files(out: Path, count: int, command: subprocess.Popen[str]) -> None:
    """Wait until so many shards are done, or the command has ended."""
    while len(files(out)) < count and command.poll() is None:
        time.sleep(0.02)


def busy_workers(out: Path) -> Iterator[int]:
    """The processes that work on a shard."""
    for path in (out / "jobs").glob("*/"):
        folder = JobFolder(path)
        owner = folder.owner
        if owner and folder.state == "running":
            yield owner.pid


def kill_worker(out: Path, draws: random.Random, command: subprocess.Popen[str]) -> None:
    """Kill a worker at a random moment."""
    time.sleep(draws.uniform(0, 2))
    while command.poll() is None:
        workers = list(busy_workers(out))
        if workers:
            os.kill(draws.choice(workers), signal.SIGKILL)
            return
        time.sleep(0.01)


def disturbed(pool: Path, out: Path, on: str, draws: random.Random) -> list[list[str]]:
    """Score with deaths; returns what each of the two commands printed."""
    command = score(pool, out, on)
    for death in range(DEATHS - 1):
        wait_for_files(out, 2 + 3 * death, command)
        kill_worker(out, draws, command)
    wait_for_files(out, SHARDS // 2, command)
    time.sleep(draws.uniform(0, 1))
    command.kill()
    said = [finished(command)]
    kept = len(files(out))
    print(f"the command was killed when {kept} of {SHARDS} files were there", flush=True)
    begin = time.monotonic()
    command = score(pool, out, on)
    wait_for_files(out, kept + 2, command)
    kill_worker(out, draws, command)
    said.append(finished(command))
    print(f"the second command took {time.monotonic() - begin:.1f} s")
    return said


def main() -> int:
    """Print the table, and return the exit status."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--on", default="ray")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="labelgrid-deaths-") as text:
        folder = Path(text)
        make_pool(folder / "pool")
        begin = time.monotonic()
        assert not finished(score(folder / "pool", folder / "local", "processes"))
        print(f"two processes: {time.monotonic() - begin:.1f} s", flush=True)
        draws = random.Random(chosen.seed)
        said = disturbed(folder / "pool", folder / "there", chosen.on, draws)
        local = files(folder / "local")
        there = files(folder / "there")
        made = Counter(
            line.split()[0] for line in (folder / "there/made.txt").read_text().splitlines()
        )
    print(*(line for lines in said for line in lines), sep="\n")
    equal = sum(local[name] == there.get(name) for name in local)
    twice = sum(count > 1 for count in made.values())
    print(
        f"{equal} of {len(local)} files are equal bit by bit; {twice} shards were made twice; {machine()}"
    )
    strange = [line for lines in said for line in lines if not line.endswith("It is tried again.")]
    return int(equal < SHARDS or len(there) > SHARDS or bool(strange))


if __name__ == "__main__":
    raise SystemExit(main())
