"""Writers of several processes on one ledger in PostgreSQL, whose connections are killed at random moments.

Each writer labels cells of its own, one by one, and takes every eighth label back. A move is repeated if its error
says that nothing was changed. In the end the events must be exactly the moves that were acknowledged, once each.
"""

import json
import random
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from labelgrid.ledger.grid import ImageRow, State, TaskRow
from labelgrid.ledger.store import Store
from tests import postgres
from tests.e2e.commands import typed
from tests.started import Started
from tests.support import Made, make_dataset
from tests.torture.counting import Row

ROOT = Path(__file__).resolve().parents[2]
TASK = "depth"
OURS = "FROM pg_stat_activity WHERE application_name = 'labelgrid'"


def image_id(writer: int, number: int) -> str:
    return f"{writer:02d}/{number:05d}.png"


def killed_connections(writers: int, moves: int, *, kills: int, seed: int) -> Row:
    """Let writers make their moves while connections are killed; a trial is a move."""
    row = Row(f"{kills} killed connections of {writers} writers to PostgreSQL")
    if postgres.programs() is None:
        row.not_run = postgres.ABSENT
        return row
    with postgres.running() as server:
        place = server.place()
        with Store.create(place) as store:
            store.add_task(TaskRow(TASK, "depth", 1.0))
            store.add_images(
                ImageRow(image_id=image_id(writer, number), root="photos")
                for writer in range(writers)
                for number in range(moves)
            )
        command = [sys.executable, "-m", "tests.torture.connections", str(place)]
        said = []
        with ExitStack() as stack:
            running = [
                stack.enter_context(Started(*command, writer, moves, cwd=ROOT))
                for writer in range(writers)
            ]
            done = _kill(server, running, kills, seed=seed)
            for process in running:
                said.append(process.communicate(timeout=300)[0].split())
                if process.returncode:
                    row.count("traceback", process.complaints[-1500:])
        if done < kills:
            row.count("wrong", f"only {done} connections were killed")
        with Store.open(place) as store:
            _judge(row, store, said)
    return row


def _kill(
    server: postgres.PostgresServer,
    running: list[Started],
    kills: int,
    *,
    seed: int,
) -> int:
    """Kill connections one by one while the writers run; returns their number."""
    draw = random.Random(f"connections {seed}")
    done = 0
    with server.connect() as connection:
        while done < kills and any(process.poll() is None for process in running):
            time.sleep(draw.uniform(0.0, 0.03))
            found = connection.execute(f"SELECT pid {OURS}").fetchall()
            if found:
                pid = draw.choice(found)
                done += int(
                    connection.execute("SELECT pg_terminate_backend(%s)", pid).fetchone()[0]
                )
    return done


def _judge(row: Row, store: Store, said: list[list[str]]) -> None:
    """Count the moves: each that was acknowledged must be there once, and none beside."""
    expected = [move for moves in said for move in moves]
    found = [f"{event.move.cell.image_id}={event.move.to.name}" for event in store.events()]
    for move in set(expected) | set(found):
        known, there = expected.count(move), found.count(move)
        row.count("right" if known == there == 1 else "lost", f"{move}: {there} times, not {known}")
    ids = [event.id for event in store.events()]
    if ids != list(range(1, len(ids) + 1)) or store.rebuild():
        row.count("wrong", "the events have gaps, or the cells are not theirs")
    labels = sum(move.endswith(State.LABELLED.name) for move in expected)
    missing = sum(move.endswith(State.MISSING.name) for move in expected)
    if store.counts()[TASK].labelled != labels - missing:
        row.count("wrong", "the counts are not those of the moves")


def write(place: str, writer: int, moves: int) -> None:
    """Make the moves of a writer; prints each that was acknowledged."""
    from labelgrid.basics.errors import LostConnectionError
    from labelgrid.ledger.grid import Cell, Move
    from labelgrid.ledger.place import read_place

    with Store.open(read_place(place)) as store:
        for number in range(moves):
            cell = Cell(image_id(writer, number), TASK)
            for to in (State.LABELLED, State.MISSING)[: 2 if number % 8 == 7 else 1]:
                while True:
                    try:
                        store.move([Move(cell=cell, to=to, path=cell.image_id)])
                    except LostConnectionError as error:
                        assert error.unchanged == "Nothing was changed.", error
                    else:
                        break
                print(f"{cell.image_id}={to.name}", flush=True)


#: Commands on a project in PostgreSQL, in their order.
COMMANDS = (
    "init FLAT --images IMAGES --task depth --task normals --holdout 1 --ledger URL",
    "status FLAT",
    "query FLAT --budget 3 --no-prelabels --strategy random_cells",
    "export FLAT --out OUT",
    "cancel FLAT --round 1",
    "import FLAT LABELS",
    "undo FLAT",
    "report FLAT --out OUT.html",
)


def killed_commands(folder: Path, count: int, *, seed: int) -> Row:
    """Run commands while connections are killed; one that is refused must do the same when it is run again."""
    row = Row("commands whose connections to PostgreSQL are killed")
    if postgres.programs() is None:
        row.not_run = postgres.ABSENT
        return row
    made = make_dataset(folder / "made", n=4, tasks=("depth", "normals"))
    with postgres.running("-c", "fsync=off") as server:
        expected = _campaign(row, server, folder, words=_words(server, folder, made), draw=None)
        for number in range(count):
            draw = random.Random(f"commands {seed} {number}")
            words = _words(server, folder, made)
            found = _campaign(row, server, folder, words=words, draw=draw)
            if found != expected:
                row.count("wrong", f"trial {number}: {found} in place of {expected}")
    return row


def _words(server: postgres.PostgresServer, folder: Path, made: Made) -> list[list[str]]:
    """The commands on a new project."""
    places = {
        "FLAT": folder / "flat",
        "IMAGES": made.images,
        "LABELS": made.labels,
        "OUT": folder / "out",
        "URL": server.place(),
    }
    lines = []
    for line in COMMANDS:
        for name, place in places.items():
            line = line.replace(name, str(place))
        lines.append(line.split())
    return lines


def _campaign(
    row: Row,
    server: postgres.PostgresServer,
    folder: Path,
    *,
    words: list[list[str]],
    draw: random.Random | None,
) -> Any:
    """Run the commands, each again if it was refused; returns what the ledger says in the end."""
    for line in words:
        with _killing(server, draw):
            end = typed(*line)
        row.count("refused" if end.code else "right", end.err)
        if end.code:
            again = typed(*line)
            if again.code:
                row.count("lost", f"{line}: {end.err} then {again.err}")
    flat = words[0][1]
    found = [json.loads(typed(what, flat, "--json").out) for what in ("cells", "log")]
    for operation in found[1]:
        del operation["at"]
    shutil.rmtree(flat)
    shutil.rmtree(folder / "out", ignore_errors=True)
    return found


@contextmanager
def _killing(server: postgres.PostgresServer, draw: random.Random | None) -> Iterator[None]:
    """Kill connections at random moments, some tens of milliseconds apart, or none."""
    over = threading.Event()

    def kill() -> None:
        assert draw is not None
        with server.connect() as connection:
            while not over.wait(draw.uniform(0, 0.15)):
                connection.execute(f"SELECT pg_terminate_backend(pid) {OURS}")

    killer = threading.Thread(target=kill)
    if draw is not None:
        killer.start()
    try:
        yield
    finally:
        over.set()
        if draw is not None:
            killer.join()


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
