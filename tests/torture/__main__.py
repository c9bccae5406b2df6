"""Attacks the program, counts how it ends, and prints the table: `python -m tests.torture [--scale N] [--write]`.

`--write` puts the table into docs/evidence.md. The same scale and seed make the same trials; only
the times of kills differ. Exits with 1 if a trial ended as none may.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.torture import (
    connections,
    hostile,
    inflated,
    kills,
    memory,
    neighbours,
    pool,
    races,
    read_only,
    together,
)
from tests.torture.bombs import Bombs
from tests.torture.counting import Row, table
from tests.torture.endless import Endless
from tests.torture.heads import Heads
from tests.torture.mutated import Mutated
from tests.torture.projects import STEPS, Stages, make_stages
from tests.torture.resources import Resources
from tests.torture.special import Special
from tests.torture.tools import Tools
from tests.torture.views import Views

PAGE = Path(__file__).resolve().parents[2] / "docs/evidence.md"
START, END = "<!-- table: ./dev torture --write -->\n", "<!-- end -->"
#: The trials of each class at scale 1.
MUTATED, FILES, SETTINGS, KILLS, TOGETHER, DISKS = 12_000, 600, 200, 14, 4, 35
#: With how many of the changes between the reads of a command it begins.
RACES = 2
#: The requests of another user of the machine: all that there are, at pages of three sorts.
NEIGHBOURS = 2000
#: The campaigns whose connections are killed.
COMMANDS = 5
COUNTS = {
    hostile.Recipes: FILES,
    hostile.Checkpoints: FILES,
    hostile.Schemas: 30,
    hostile.Threads: 6,
}
#: The attacks on what must be bounded, all of whose trials are done at scale 1, and the seconds of a hang.
BOUNDED = {Views: 60, Endless: 60, Resources: 1200}
BOUNDED_STEP = 0.4
#: Answers of labelling tools, of which seven in nine are JSON, XML or zip files.
ANSWERS = 3000
#: Commands that take long are killed less often.
SLOW = {"simulate": 3}


def files(folder: Path, scale: float, seed: int) -> Iterator[Row]:
    """The attacks by files that need no project of several stages."""
    mutated = Mutated(folder, seed)
    mutated.make()
    yield from pool.run(mutated, range(int(MUTATED * scale)))
    tools = Tools(folder / "tools", seed)
    tools.make()
    yield from pool.run(tools, range(max(90, int(ANSWERS * scale))), seconds=120)
    heads = Heads(folder / "heads", seed)
    numbers = range(0, len(heads.trials), max(1, round(0.2 / scale)))
    heads.make(numbers)
    yield from pool.run(heads, numbers, seconds=60)
    bombs = Bombs(folder)
    yield from pool.run(bombs, range(0, len(bombs.files), max(1, round(1 / scale))))


def projects(stages: Stages, scale: float, seed: int) -> Iterator[Row]:
    """The attacks by what lies in a project, or is given to a command."""
    special = Special(stages.folder, seed)
    yield from pool.run(
        special, range(0, len(special.trials), max(1, round(1 / scale))), seconds=60
    )
    memory.make(stages.folder / "memory")
    little = memory.Memory(stages.folder / "memory", seed)
    yield from pool.run(
        little, range(0, len(little.trials), max(1, round(0.2 / scale))), seconds=60
    )
    for kind, seconds in BOUNDED.items():
        bounded = kind(stages.folder, seed)
        numbers = range(0, len(bounded.trials), max(1, round(BOUNDED_STEP / scale)))
        yield from pool.run(bounded, numbers, seconds=seconds)
    for attack in hostile.attacks(stages.folder, seed):
        count = COUNTS.get(type(attack), SETTINGS)
        yield from pool.run(attack, range(max(8, int(count * scale))), seconds=60)
    hostile.clean(stages.folder)


def processes(
    stages: Stages, folder: Path, scale: float, seed: int, names: list[str]
) -> Iterator[Row]:
    """The attacks on running commands."""
    attacks = (
        lambda: together.at_once(stages, folder, max(1, int(TOGETHER * scale)), seed),
        lambda: together.inits(stages, folder, max(1, int(TOGETHER * scale))),
        lambda: together.small_disks(stages, folder, max(7, int(DISKS * scale)), seed),
        lambda: read_only.read_only_disks(stages, folder / "disks"),
        lambda: races.races(folder, min(len(races.CHANGES), max(1, int(RACES * scale))), seed),
        lambda: neighbours.loopback_neighbours(stages, max(30, int(NEIGHBOURS * scale))),
        lambda: inflated.four_at_once(stages, folder),
        lambda: connections.killed_connections(8, 200, kills=max(50, int(50 * scale)), seed=seed),
        lambda: connections.killed_commands(folder, max(2, int(COMMANDS * scale)), seed=seed),
        *(
            partial(
                kills.kills, stages, folder, name, max(1, int(SLOW.get(name, KILLS) * scale)), seed
            )
            for name in names
        ),
    )
    for one in attacks:
        yield one()


def each_told(rows: Iterable[Row], told: Callable[[Row], None]) -> list[Row]:
    """Tell each row once it is there."""
    found = []
    for row in rows:
        told(row)
        found.append(row)
    return found


def attack(
    folder: Path, scale: float, seed: int, names: list[str], told: Callable[[Row], None]
) -> list[Row]:
    """Run every class of attack below a folder; files and processes at the same time."""
    stages = make_stages(folder / "projects")
    groups = (
        chain(files(folder / "files", scale, seed), projects(stages, scale, seed)),
        processes(stages, folder, scale=scale, seed=seed, names=names),
    )
    with ThreadPoolExecutor(2) as threads:
        first, second = (threads.submit(each_told, rows, told) for rows in groups)
        return [*first.result(), *second.result()]


def tell(row: Row) -> None:
    print(
        time.strftime("%H:%M:%S"), row.name, dict(row.counts), row.not_run, *row.notes, flush=True
    )
    for failure in row.failures:
        print("   ", failure, flush=True)


def write(text: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(START)
    PAGE.write_text(f"{before}{START}\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev torture", description=__doc__)
    parser.add_argument(
        "--scale", type=float, default=1, help="1: about 15 minutes on two cores; 30: hours"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="put the table into docs/evidence.md")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        rows = attack(Path(folder), options.scale, seed=options.seed, names=list(STEPS), told=tell)
    text = (
        f"`./dev torture --scale {options.scale:g} --seed {options.seed} --write`:\n\n{table(rows)}"
    )
    print(text)
    if options.write:
        write(text)
    return 1 if any(row.failures for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
