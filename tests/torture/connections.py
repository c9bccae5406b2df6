"""Writers of several processes on one ledger in PostgreSQL, whose connections are killed at random moments.

Each writer labels cells of its own, one by one, and takes every eighth label back. A move is repeated if its error
says that nothing was changed. In the end the events must be exactly the moves that were acknowledged, once each.
"""

import random
import subprocess
import sys
import time
from pathlib import Path

from labelgrid.ledger.grid import ImageRow, State, TaskRow
from labelgrid.ledger.store import Store
from tests import postgres
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
        running = [
            subprocess.Popen(
                [*command, str(writer), str(moves)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            for writer in range(writers)
        ]
        done = _kill(server, running, kills, seed=seed)
        ends = [process.communicate(timeout=300) for process in running]
        for process, (_, error) in zip(running, ends, strict=True):
            if process.returncode:
                row.count("traceback", error[-1500:])
        if done < kills:
            row.count("wrong", f"only {done} connections were killed")
        with Store.open(place) as store:
            _judge(row, store, [out.split() for out, _ in ends])
    return row


def _kill(
    server: postgres.PostgresServer,
    running: "list[subprocess.Popen[str]]",
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
    from labelgrid.errors import LostConnectionError
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


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
