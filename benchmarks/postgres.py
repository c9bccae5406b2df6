"""Compares a ledger in PostgreSQL with one in a file: the time of its main operations.

Both hold the same images and labels, on the same disk, and flush every commit to it. The server is this machine's own
and listens on a socket. Each operation is timed on both in turn, several times, and the fastest counts: seconds of
processors, of this process and of the server's, which other work disturbs little, and of a clock, which counts
waiting for the disk. The bar is a ratio of 3 of each, for operations that take longer than 50 ms in PostgreSQL.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _measure import machine, processor_of

from labelgrid.ledger.creation import discard
from labelgrid.ledger.grid import Cell, ImageRow, Move, State, TaskRow
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.ledger.store import Store
from tests import postgres

MOST = 3.0
SHORT = 0.05
TASKS = 5
SINGLE = 100


@dataclass(frozen=True)
class Size:
    """How many images there are, how many have labels, and how many are asked for at once."""

    images: int
    labelled: int
    some: int


@dataclass(frozen=True)
class Seconds:
    """How long an operation took, by a clock and by the processors, the server's included."""

    wall: float
    processor: float


def names(count: int) -> Iterator[str]:
    return (f"scene_{number // 100:05d}/frame_{number:07d}.png" for number in range(count))


def add(store: Store, size: Size) -> None:
    store.add_images(ImageRow(image_id=name, root="photos") for name in names(size.images))


def label(store: Store, size: Size) -> None:
    moves = []
    for name in names(size.labelled):
        for number in range(TASKS):
            cell = Cell(name, f"task{number}")
            moves.append(Move(cell=cell, to=State.LABELLED, path=f"{name}.png", cost=1.0))
    with store.transaction("import"):
        store.move(moves)


def single(store: Store, size: Size) -> None:
    for name in list(names(size.images))[-SINGLE:]:
        store.move([Move(cell=Cell(name, "task0"), to=State.LABELLED, path="a", cost=1.0)])


def undo(store: Store, size: Size) -> None:
    with store.transaction("import"):
        cells = [Cell(name, "task1") for name in list(names(size.images))[-size.some :]]
        store.move([Move(cell=cell, to=State.REQUESTED, request_id="r") for cell in cells])
    last = store.last_operation()
    assert last is not None
    store.undo(last.operation)


def find(store: Store, size: Size) -> None:
    store.find([Cell(name, "task0") for name in list(names(size.images))[: size.some]])


#: The operations: those that are done once, in their order, then those that are repeated.
ONCE: dict[str, Callable[[Store, Size], object]] = {
    "add images": add,
    "import labels": label,
    f"{SINGLE} imports of one label": single,
    "request and undo": undo,
}
OFTEN: dict[str, Callable[[Store, Size], object]] = {
    "status: counts": lambda store, _: store.counts(),
    "query: grid": lambda store, _: store.grid(),
    "query: pool hash": lambda store, _: store.pool_hash(),
    "cells of a task": lambda store, _: sum(1 for _ in store.cells(task="task0")),
    "events of a task": lambda store, _: sum(1 for _ in store.events(task="task0")),
    "find labels of an import": find,
    "images": lambda store, _: sum(1 for _ in store.images()),
    "page of images": lambda store, size: store.image_page(
        ImageFilter(task="task1", state=State.LABELLED), first=size.labelled // 2
    ),
    "page of many images": lambda store, size: store.image_page(
        ImageFilter(task="task1", state=State.MISSING), first=size.images // 2
    ),
    "verify: differing cells": lambda store, _: store.differing_cells(),
}


def seconds(
    act: Callable[[Store, Size], object],
    store: Store,
    size: Size,
    server: postgres.PostgresServer,
) -> Seconds:
    """The time of an operation."""
    start = time.perf_counter()
    worked = time.process_time() + processor_of(server.process.pid)
    act(store, size)
    done = time.process_time() + processor_of(server.process.pid)
    return Seconds(time.perf_counter() - start, done - worked)


def compare(
    size: Size, folder: Path, server: postgres.PostgresServer, repeats: int
) -> dict[str, list[tuple[Seconds, Seconds]]]:
    """The times of each operation, in a file and in PostgreSQL, in each repetition."""
    times_of: dict[str, list[tuple[Seconds, Seconds]]] = {name: [] for name in {**ONCE, **OFTEN}}
    for number in range(repeats):
        path = folder / f"{number}.db"
        url = server.place()
        with Store.create(path) as file, Store.create(url) as there:
            for store in (file, there):
                for task in range(TASKS):
                    store.add_task(TaskRow(f"task{task}", "depth", 1.0))
            for name, act in {**ONCE, **OFTEN}.items():
                times = [seconds(act, store, size, server) for store in (file, there)]
                times_of[name].append((times[0], times[1]))
            assert file.counts() == there.counts()
        path.unlink()
        discard(url)
    return times_of


def shown(name: str, times: list[tuple[Seconds, Seconds]]) -> bool:
    """Print an operation's row; whether it keeps to the bar."""
    kept = True
    row = f"{name:28}"
    for unit in ("processor", "wall"):
        file = min(getattr(both[0], unit) for both in times)
        there = min(getattr(both[1], unit) for both in times)
        kept &= there <= SHORT or there / file <= MOST
        row += f" {file:8.3f} s {there:8.3f} s {there / max(file, 1e-6):6.2f} "
    print(row, flush=True)
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--labelled", type=int, help="images with a label of every task")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    images = options.images
    labelled = options.labelled or images // 4
    if postgres.programs() is None:
        print(f"Not run: {postgres.ABSENT}. `./dev postgres` installs it.")
        return 0
    size = Size(images, labelled, min(labelled, images // 8))
    print(machine())
    with tempfile.TemporaryDirectory() as folder, postgres.running() as server:
        times_of = compare(size, Path(folder), server, options.repeats)
    print(f"{images:,} images x {TASKS} tasks, {labelled:,} of them labelled")
    columns = f"{'file':>10} {'PostgreSQL':>10}  ratio"
    print(f"{'processors, then clock':28} {columns} {columns}")
    kept = [shown(name, times) for name, times in times_of.items()]
    print(f"The bar {'holds' if all(kept) else 'DOES NOT HOLD'}: a ratio of {MOST:g}.")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
