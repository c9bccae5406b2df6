"""Compares a ledger in PostgreSQL with one in a file: the time of its main operations.

Both hold the same images and labels, on the same disk, and flush every commit to it. The server is this machine's own
and listens on a socket. Times are seconds of a clock, as a server's work is not this process's: run it on a quiet
machine. Each operation is timed on both in turn, three times, and the fastest counts. The bar is a ratio of 3 for
each operation that takes longer than 50 ms in PostgreSQL.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from labelgrid.ledger.grid import Cell, ImageRow, Move, State, TaskRow
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.ledger.store import Store
from tests import postgres

MOST = 3.0
SHORT = 0.05
TASKS = 5
SINGLE = 100


def names(count: int) -> Iterator[str]:
    return (f"scene_{number // 100:05d}/frame_{number:07d}.png" for number in range(count))


def add(store: Store, images: int) -> None:
    store.add_images(ImageRow(image_id=name, root="photos") for name in names(images))


def label(store: Store, images: int) -> None:
    moves = []
    for name in names(images // 4):
        for number in range(TASKS):
            cell = Cell(name, f"task{number}")
            moves.append(Move(cell=cell, to=State.LABELLED, path=f"{name}.png", cost=1.0))
    with store.transaction("import"):
        store.move(moves)


def single(store: Store, images: int) -> None:
    for name in list(names(images))[-SINGLE:]:
        store.move([Move(cell=Cell(name, "task0"), to=State.LABELLED, path="a", cost=1.0)])


def undo(store: Store, images: int) -> None:
    with store.transaction("import"):
        cells = [Cell(name, "task1") for name in list(names(images))[-images // 8 :]]
        store.move([Move(cell=cell, to=State.REQUESTED, request_id="r") for cell in cells])
    last = store.last_operation()
    assert last is not None
    store.undo(last.operation)


def find(store: Store, images: int) -> None:
    store.find([Cell(name, "task0") for name in list(names(images))[: images // 8]])


#: The operations: those that are done once, in their order, then those that are repeated.
ONCE: dict[str, Callable[[Store, int], object]] = {
    "add images": add,
    "import labels": label,
    f"{SINGLE} imports of one label": single,
    "request and undo": undo,
}
OFTEN: dict[str, Callable[[Store, int], object]] = {
    "status: counts": lambda store, _: store.counts(),
    "query: grid": lambda store, _: store.grid(),
    "query: pool hash": lambda store, _: store.pool_hash(),
    "cells of a task": lambda store, _: sum(1 for _ in store.cells(task="task0")),
    "events of a task": lambda store, _: sum(1 for _ in store.events(task="task0")),
    "find labels of an import": find,
    "images": lambda store, _: sum(1 for _ in store.images()),
    "page of images": lambda store, images: store.image_page(
        ImageFilter(task="task1", state=State.LABELLED), first=images // 8
    ),
    "verify: differing cells": lambda store, _: store.differing_cells(),
}


def seconds(act: Callable[[Store, int], object], store: Store, images: int) -> float:
    start = time.perf_counter()
    act(store, images)
    return time.perf_counter() - start


def compare(
    images: int, folder: Path, server: postgres.PostgresServer
) -> dict[str, tuple[float, float]]:
    """The seconds of each operation, in a file and in PostgreSQL."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in {**ONCE, **OFTEN}}
    for number in range(3):
        with Store.create(folder / f"{number}.db") as file, Store.create(server.place()) as there:
            for store in (file, there):
                for task in range(TASKS):
                    store.add_task(TaskRow(f"task{task}", "depth", 1.0))
            for name, act in {**ONCE, **OFTEN}.items():
                times = [seconds(act, store, images) for store in (file, there)]
                found[name].append((times[0], times[1]))
            assert file.counts() == there.counts()
    return {
        name: (min(t[0] for t in each), min(t[1] for t in each)) for name, each in found.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    images = parser.parse_args().images
    if postgres.programs() is None:
        print(f"Not run: {postgres.ABSENT}. `./dev postgres` installs it.")
        return 0
    with tempfile.TemporaryDirectory() as folder, postgres.running() as server:
        found = compare(images, Path(folder), server)
    print(f"{images:,} images x {TASKS} tasks, a quarter labelled")
    print(f"{'operation':28} {'file':>10} {'PostgreSQL':>12} {'ratio':>7}")
    kept = True
    for name, (file, there) in found.items():
        kept &= there <= SHORT or there / file <= MOST
        print(f"{name:28} {file:8.3f} s {there:10.3f} s {there / file:7.2f}")
    print(f"The bar {'holds' if kept else 'DOES NOT HOLD'}: a ratio of {MOST:g}.")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
