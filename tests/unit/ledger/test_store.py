import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from labelgrid.basics.errors import LedgerError
from labelgrid.ledger.grid import Cell, ImageRow, Move, State, TaskRow
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.ledger.place import LedgerPlace
from labelgrid.ledger.store import Store
from tests.jobs import wait_until
from tests.started import Started

CELLS = [Cell(f"{number:04d}", "depth") for number in range(2000)]
HEAD = """
import sys
from labelgrid.basics.errors import LedgerError
from labelgrid.ledger.grid import Cell, ImageRow, Move, State
from labelgrid.ledger.place import read_place
from labelgrid.ledger.store import Store
store = Store.open(read_place(sys.argv[1]))
cells = [Cell(f"{number:04d}", "depth") for number in range(2000)]
"""


@pytest.fixture
def store(place: LedgerPlace) -> Iterator[Store]:
    with Store.create(place) as store:
        store.add_task(TaskRow("depth", "depth", 1.0))
        store.add_images(ImageRow(image_id=cell.image_id, root="photos") for cell in CELLS)
        yield store


def start(store: Store, script: str, *arguments: str) -> Started:
    return Started(sys.executable, "-u", "-c", HEAD + script, store.place, *arguments)


def killed(started: Started, lines: int, later: float = 0.0) -> list[str]:
    """What the process had printed when it was killed, some time after its first `lines` lines."""
    with started as process:
        said = [process.next_line() for _ in range(lines)]
        time.sleep(later)
        process.kill()
        rest, _ = process.communicate()
        assert process.returncode == -9, f"it tests nothing: {process.last_words()}"
    return "".join([*said, rest]).splitlines()


LABEL_ALL = """
for cell in cells:
    store.move([Move(cell=cell, to=State.LABELLED, path=cell.image_id)])
    print(cell.image_id)
"""


def test_kill_9_loses_no_move_that_was_acknowledged(store: Store) -> None:
    said = killed(start(store, LABEL_ALL), lines=40)
    store.close()
    with Store.open(store.place) as again:
        kept = [row.path for row in again.cells(state=State.LABELLED)]
        assert len(said) >= 40
        assert kept[: len(said)] == said
        assert len(kept) <= len(said) + 1  # one may be written and not yet acknowledged
        assert again.rebuild() == 0


ADD_MANY = """
def rows():
    for number in range(10_000_000):
        if number == 30_000:
            print("at work")
        yield ImageRow(image_id=f"new/{number:08d}", root="photos")
store.add_images(rows())
"""


def test_kill_9_in_the_middle_of_a_step_leaves_nothing_of_it(store: Store) -> None:
    killed(start(store, ADD_MANY), lines=1)
    assert store.count_images() == len(CELLS)
    store.move([Move(cell=CELLS[0], to=State.LABELLED)])  # the lock died with the process


ROUNDS = """
for number in range(1, 2000):
    row = store.current_round() or store.open_round()
    store.close_round(row, [Move(cell=cell, to=State.REQUESTED, round=number) for cell in cells[number * 4 - 4 : number * 4]])
    print(number)
"""


@pytest.mark.parametrize("later", [0.0, 0.003, 0.007])
def test_kill_9_leaves_every_round_closed_with_its_picks_or_open_without(
    store: Store, later: float
) -> None:
    killed(start(store, ROUNDS), lines=3, later=later)
    for row in store.rounds():
        picks = len(list(store.cells(round=row.number)))
        assert (row.state, picks) in {("closed", 4), ("open", 0)}


COUNT = """
for _ in range(20):
    with store.transaction():
        store.put("count", store.get("count", 0) + 1)
won = 0
for cell in cells[:20]:
    try:
        store.move([Move(cell=cell, to=State.REQUESTED, request_id=sys.argv[2])])
        won += 1
    except LedgerError as error:
        assert "is requested and cannot become requested" in str(error), error
print(won)
"""


def test_processes_that_write_at_once_lose_nothing_and_never_both_win(store: Store) -> None:
    won = []
    with ExitStack() as stack:
        names = ("one", "two", "three")
        for process in [stack.enter_context(start(store, COUNT, name)) for name in names]:
            wait_until(process.has_ended, by=process)
            assert process.returncode == 0, process.last_words()
            won.append(int(process.communicate()[0]))
    assert store.get("count") == 60
    assert sum(won) == store.counts()["depth"].requested == 20
    assert won == [len(list(store.cells(request_id=name))) for name in ("one", "two", "three")]
    assert len(list(store.events())) == 20
    assert store.rebuild() == 0


def test_threads_may_share_a_store(store: Store) -> None:
    def work() -> None:
        for _ in range(10):
            with store.transaction():
                store.put("count", store.get("count", 0) + 1)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get("count") == 30


def test_a_transaction_is_done_whole_or_not_at_all(store: Store) -> None:
    with pytest.raises(RuntimeError), store.transaction():
        store.put("note", 1)
        store.move([Move(cell=CELLS[0], to=State.LABELLED)])
        store.open_round()
        assert (store.get("note"), store.counts()["depth"].labelled) == (1, 1)
        raise RuntimeError
    assert (store.get("note"), store.counts()["depth"].labelled, store.rounds()) == (None, 0, ())


def test_a_step_refused_inside_a_transaction_is_undone_alone(store: Store) -> None:
    with store.transaction():
        store.put("note", 1)
        with pytest.raises(LedgerError):
            store.add_images(
                [ImageRow(image_id="new", root="photos"), ImageRow(image_id="0000", root="other")]
            )
        store.put("other", 2)
    assert (store.get("note"), store.get("other"), store.count_images()) == (1, 2, len(CELLS))


def test_what_is_not_committed_is_seen_by_nobody_else(store: Store) -> None:
    with Store.open(store.place) as other, store.transaction():
        store.put("note", 1)
        assert other.get("note") is None
    assert store.get("note") == 1


def all_readings(store: Store) -> dict[str, object]:
    """What a store says of tasks and images."""
    return {
        "tasks": store.tasks(),
        "dropped": store.removed("tasks"),
        "removed": store.removed("images"),
        "counts": {name: count.missing for name, count in store.counts().items()},
        "of training": {name: count.missing for name, count in store.counts(("train",)).items()},
        "grid": (store.grid().images, store.grid().tasks),
        "images": [row.image_id for row in store.images()],
        "count": store.count_images(),
        "matching": store.matching_names(ImageFilter()),
        "cells": [row.cell for row in store.cells()],
        "found": sorted(store.find([*CELLS[:3], Cell("new", "depth"), Cell("0000", "new")])),
        "seconds": sorted(store.seconds()),
        "listed": store.listed_images(["0000", "0001", "new"]),
        "neighbours": store.neighbours(ImageFilter(), "0001"),
        "image": store.image("0002"),
    }


ROSTER_CHANGES: dict[str, Callable[[Store], object]] = {
    "drop": lambda store: store.remove("tasks", ["depth"]),
    "restore": lambda store: store.restore("tasks", ["edges"]),
    "add": lambda store: store.add_task(TaskRow("new", "depth", 1.0)),
    "declare": lambda store: store.update_task(TaskRow("depth", "depth", 7.0)),
    "remove images": lambda store: store.remove("images", ["0000", "0005"]),
    "restore images": lambda store: store.restore("images", ["0001"]),
    "swap images": lambda store: (
        store.remove("images", ["0000"]),
        store.restore("images", ["0001"]),
    ),
    "add images": lambda store: store.add_images([ImageRow(image_id="new", root="photos")]),
}


@pytest.mark.parametrize("change", ROSTER_CHANGES)
def test_a_steady_reader_sees_the_tasks_and_images_of_its_beginning(
    store: Store, change: str
) -> None:
    store.add_task(TaskRow("edges", "boundaries", 1.0))
    store.move([Move(cell=Cell("0003", "edges"), to=State.LABELLED)])
    store.move([Move(cell=CELLS[0], to=State.LABELLED), Move(cell=CELLS[4], to=State.REQUESTED)])
    store.remove("tasks", ["edges"])
    store.remove("images", ["0001"])
    before = all_readings(store)
    with Store.open(store.place) as other:
        with store.steady():
            ROSTER_CHANGES[change](other)
            with store.steady():  # inside another one, that one counts
                assert all_readings(store) == before
            with store.transaction():  # a writer sees the newest
                assert all_readings(store) == all_readings(other)
        after = all_readings(other)
        assert all_readings(store) == after
        assert after != before


@pytest.mark.parametrize("change", ROSTER_CHANGES)
def test_a_steady_reader_sees_what_it_changes_itself(store: Store, change: str) -> None:
    store.add_task(TaskRow("edges", "boundaries", 1.0))
    store.remove("tasks", ["edges"])
    store.remove("images", ["0001"])
    with store.steady(), store.transaction():
        ROSTER_CHANGES[change](store)
        with pytest.raises(RuntimeError), store.transaction():
            store.remove("images", ["0010"])
            raise RuntimeError
    assert "0010" in all_readings(store)["images"]  # type: ignore[operator]
    with Store.open(store.place) as other:
        assert all_readings(store) == all_readings(other)


@pytest.mark.parametrize("change", ["drop", "declare"])
def test_a_steady_writer_moves_no_cell_of_a_task_that_somebody_changed(
    store: Store, change: str
) -> None:
    step = [Move(cell=CELLS[0], to=State.REQUESTED)]
    with Store.open(store.place) as other, store.steady():
        ROSTER_CHANGES[change](other)
        with pytest.raises(LedgerError, match="changed the task 'depth' while this one worked"):
            store.move(step)
        row = store.open_round()
        with pytest.raises(LedgerError, match="changed the task 'depth' while this one worked"):
            store.close_round(row, step)
        assert store.current_round() == row
    assert store.last_event() == 0


def test_a_steady_writer_goes_on_beside_changes_of_other_tasks(store: Store) -> None:
    with Store.open(store.place) as other, store.steady():
        other.add_task(TaskRow("new", "depth", 1.0))
        store.move([Move(cell=CELLS[0], to=State.REQUESTED)])
    assert store.counts()["depth"].requested == 1


def test_removed_images_are_read_again_once_they_have_changed(store: Store) -> None:
    store.remove("images", ["0000", "0001"])
    with store.steady() as first:
        pass
    with store.steady() as second:
        assert second.removed is first.removed
    with Store.open(store.place) as other:
        other.restore("images", ["0001"])
    with store.steady() as third:
        assert len(third.removed) == 1


def test_an_iterator_shows_the_ledger_as_it_was_when_it_began(store: Store) -> None:
    store.move([Move(cell=cell, to=State.LABELLED) for cell in CELLS])
    rows = store.cells()
    seen = [next(rows)]
    store.move([Move(cell=cell, to=State.MISSING) for cell in CELLS])
    seen += rows
    assert len(seen) == len(CELLS)
    assert list(store.cells()) == []


def test_a_closed_store_leaves_one_file(tmp_path: Path) -> None:
    with Store.create(tmp_path / "ledger.db") as store:
        store.add_task(TaskRow("depth", "depth", 1.0))
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.db"]


def test_class_lists_come_in_the_order_in_which_labels_brought_them(store: Store) -> None:
    lists = [("wall", "floor"), ("floor", "wall", "bed")]
    for cell, classes in zip(CELLS[:2], lists, strict=True):
        move = Move(cell=cell, to=State.LABELLED, path="a.png", digest="0", classes=classes)
        store.move([move])
    assert store.class_lists() == tuple(lists)
