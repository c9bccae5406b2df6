from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from sqlalchemy import Engine, event

from labelgrid.ledger import roster
from labelgrid.ledger.grid import Cell, ImageRow, Move, Split, State, TaskRow
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.ledger.place import LedgerPlace
from labelgrid.ledger.store import Store, TaskCount
from tests.databases import rows

COVERS = ["labelgrid.ledger.grid"]


def fill(store: Store) -> None:
    """Images c, a, b (held out), d (no cell touched).

    Tasks depth (2.0 a label) and normals (0.5).
    """
    splits: dict[str, Split] = {"c": "train", "a": "train", "b": "heldout", "d": "train"}
    store.add_images(
        ImageRow(image_id=name, root="photos", split=split) for name, split in splits.items()
    )
    store.add_task(TaskRow("depth", "depth", 2.0))
    store.add_task(TaskRow("normals", "normals", 0.5))
    store.move(
        [
            Move(cell=Cell("b", "depth"), to=State.LABELLED, path="b.png", cost=2.0),
            Move(cell=Cell("c", "normals"), to=State.LABELLED, round=1, cost=0.5),
            Move(
                cell=Cell("a", "depth"),
                to=State.REQUESTED,
                round=2,
                request_id="r2-1",
                cost=2.0,
            ),
            Move(
                cell=Cell("c", "depth"),
                to=State.REQUESTED,
                round=2,
                request_id="r2-2",
                cost=2.0,
            ),
            Move(cell=Cell("c", "depth"), to=State.SKIPPED, cost=0.25),
        ]
    )


@pytest.fixture
def store(place: LedgerPlace) -> Iterator[Store]:
    with Store.create(place) as store:
        fill(store)
        yield store


@pytest.fixture
def in_file(tmp_path: Path) -> Iterator[Store]:
    """The same on SQLite alone, whose plans are read."""
    with Store.create(tmp_path / "ledger.db") as store:
        fill(store)
        yield store


def test_the_grid_has_the_train_images_in_name_order_and_their_states(store: Store) -> None:
    grid = store.grid()
    assert (grid.images, grid.tasks, grid.cost.tolist()) == (
        ["a", "c", "d"],
        ["depth", "normals"],
        [2.0, 0.5],
    )
    assert grid.state.tolist() == [[1, 0], [3, 2], [0, 0]]
    assert (grid.state.dtype, grid.keys.dtype, grid.cost.dtype) == (np.int8, np.uint64, np.float64)


def test_a_strategy_may_pick_exactly_the_missing_cells(store: Store) -> None:
    grid = store.grid()
    eligible = [grid.cell(row, column) for row, column in np.argwhere(grid.eligible)]
    assert eligible == [Cell("a", "normals"), Cell("d", "depth"), Cell("d", "normals")]


def test_the_grid_of_other_splits_has_only_their_images(store: Store) -> None:
    grid = store.grid(("heldout", "val"))
    assert (grid.images, grid.state.tolist()) == (["b"], [[2, 0]])
    assert store.grid(("test",)).state.shape == (0, 2)


def test_a_grid_without_tasks_or_images_is_empty(tmp_path: Path) -> None:
    with Store.create(tmp_path / "other.db") as store:
        assert store.grid().state.shape == (0, 0)
        store.add_images([ImageRow(image_id="a", root="photos")])
        assert store.grid().state.shape == (1, 0)
        assert store.counts() == {}


def test_counts_add_up_and_tell_what_was_spent_and_what_is_promised(store: Store) -> None:
    assert store.counts() == {
        "depth": TaskCount(missing=1, requested=1, labelled=1, skipped=1, spent=2.25, promised=2.0),
        "normals": TaskCount(
            missing=3, requested=0, labelled=1, skipped=0, spent=0.5, promised=0.0
        ),
    }


def test_the_last_time_of_a_state_is_that_of_the_last_operation_with_it(store: Store) -> None:
    times = {event.move.to: event.operation.at for event in store.events()}
    assert store.last_time(State.REQUESTED) == times[State.REQUESTED]
    with store.transaction("import"):
        store.move([Move(cell=Cell("d", "depth"), to=State.LABELLED)])
    assert store.last_time(State.REQUESTED) == times[State.REQUESTED]
    assert store.last_time(State.LABELLED) == list(store.events())[-1].operation.at


def test_the_seconds_are_those_of_the_labels_there_are(store: Store) -> None:
    assert store.seconds() == {"depth": [], "normals": []}
    first, second = Cell("d", "depth"), Cell("d", "normals")
    store.move(
        [
            Move(cell=first, to=State.LABELLED, seconds=60.0),
            Move(cell=second, to=State.LABELLED, seconds=4.0),
        ]
    )
    assert store.seconds() == store.seconds(("train",)) == {"depth": [60.0], "normals": [4.0]}
    assert store.seconds(("heldout",)) == {"depth": [], "normals": []}
    store.move(
        [
            Move(cell=first, to=State.MISSING),
            Move(cell=first, to=State.LABELLED, seconds=90.0),
            Move(cell=second, to=State.MISSING),
        ]
    )
    assert store.seconds() == {"depth": [90.0], "normals": []}
    store.remove("images", ["d"])
    assert store.seconds() == {"depth": [], "normals": []}
    store.restore("images", ["d"])
    store.remove("tasks", ["depth"])
    assert store.seconds() == {"normals": []}


def test_counts_of_splits_are_those_of_their_images(store: Store) -> None:
    assert store.counts(("heldout",)) == {
        "depth": TaskCount(missing=0, requested=0, labelled=1, skipped=0, spent=2.0, promised=0.0),
        "normals": TaskCount(
            missing=1, requested=0, labelled=0, skipped=0, spent=0.0, promised=0.0
        ),
    }
    assert store.counts(("train", "heldout")) == store.counts()
    assert store.counts(("test",))["depth"] == TaskCount(
        missing=0, requested=0, labelled=0, skipped=0, spent=0.0, promised=0.0
    )


def test_what_a_label_taken_back_has_cost_stays_spent(store: Store) -> None:
    store.move([Move(cell=Cell("b", "depth"), to=State.MISSING)])
    assert store.counts()["depth"].spent == 2.25
    store.move([Move(cell=Cell("b", "depth"), to=State.LABELLED, cost=2.0)])
    assert store.counts()["depth"].spent == 4.25


def test_what_a_dropped_task_and_a_removed_image_have_cost_stays_spent(store: Store) -> None:
    assert (store.spent(), store.spent(("train", "val")), store.spent(("test",))) == (
        2.75,
        0.75,
        0.0,
    )
    store.remove("tasks", ["depth"])
    store.remove("images", ["c"])
    assert (store.spent(), store.spent(("train", "val")), store.spent(("heldout",))) == (
        2.75,
        0.75,
        2.0,
    )


def test_a_cancelled_request_is_neither_spent_nor_promised(store: Store) -> None:
    store.move([Move(cell=Cell("a", "depth"), to=State.MISSING, cost=2.0)])
    assert (store.counts()["depth"].spent, store.counts()["depth"].promised) == (2.25, 0.0)


@pytest.mark.parametrize(
    ("wanted", "cells"),
    [
        ({}, ["a depth", "b depth", "c depth", "c normals"]),
        ({"state": State.LABELLED}, ["b depth", "c normals"]),
        ({"task": "depth"}, ["a depth", "b depth", "c depth"]),
        ({"image_id": "c"}, ["c depth", "c normals"]),
        ({"round": 2}, ["a depth", "c depth"]),
        ({"round": 0}, ["b depth"]),
        ({"request_id": "r2-2"}, ["c depth"]),
        ({"splits": ("heldout",)}, ["b depth"]),
        ({"task": "depth", "state": State.LABELLED, "splits": ("train",)}, []),
    ],
)
def test_cells_are_those_that_fit_all_that_is_given(
    store: Store, wanted: dict[str, object], cells: list[str]
) -> None:
    found = store.cells(**wanted)  # type: ignore[arg-type]
    assert [f"{row.cell.image_id} {row.cell.task}" for row in found] == cells


def test_events_come_in_their_order_and_can_be_followed_from_any(store: Store) -> None:
    events = list(store.events())
    assert [(event.id, event.move.to.name) for event in events] == [
        (1, "LABELLED"),
        (2, "LABELLED"),
        (3, "REQUESTED"),
        (4, "REQUESTED"),
        (5, "SKIPPED"),
    ]
    assert list(store.events(after=3)) == events[3:]
    assert list(store.events(round=2, task="depth", image_id="c")) == events[3:]
    assert list(store.events(round=1)) == events[1:2]
    assert store.history(Cell("c", "depth")) == tuple(events[3:])


CHANGES: dict[str, Callable[[Store], object]] = {
    "a move": lambda s: s.move([Move(cell=Cell("d", "depth"), to=State.REQUESTED)]),
    "there and back": lambda s: s.move(
        [
            Move(cell=Cell("d", "depth"), to=State.LABELLED),
            Move(cell=Cell("d", "depth"), to=State.MISSING),
        ]
    ),
    "an image": lambda s: s.add_images([ImageRow(image_id="e", root="photos")]),
    "another split": lambda s: s.update_images([replace(s.image("d"), split="val")]),
    "splits exchanged": lambda s: s.update_images(
        [replace(s.image("b"), split="train"), replace(s.image("d"), split="heldout")]
    ),
    "a task": lambda s: s.add_task(TaskRow("edges", "edges", 1.0)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_pool_hash_changes_with_states_images_splits_and_tasks(
    store: Store, change: str
) -> None:
    before = store.pool_hash()
    CHANGES[change](store)
    assert store.pool_hash() != before


def test_the_pool_hash_stays_when_a_pool_image_is_only_read(store: Store) -> None:
    before = store.pool_hash()
    store.update_images([replace(store.image("d"), digest="0f", height=4, width=6)])
    store.put("note", 1)
    store.open_round()
    assert store.pool_hash() == before


@pytest.mark.parametrize("splits", [None, ("train",), ("heldout", "val")])
def test_images_are_counted_by_an_index_without_reading_their_rows(
    in_file: Store, tmp_path: Path, splits: tuple[Split, ...] | None
) -> None:
    asked: list[str] = []
    with in_file._database.reading() as connection:
        driver = cast("Any", connection.connection).driver_connection
        driver.set_trace_callback(asked.append)  # gets each statement with its values
        roster.count_images(connection, splits)
        driver.set_trace_callback(None)
    (statement,) = (text for text in asked if "count" in text)
    plan = rows(tmp_path / "ledger.db", f"EXPLAIN QUERY PLAN {statement}")
    assert "COVERING INDEX images_by_split" in plan[0][-1]


def plans(store: Store, read: Callable[[Store], object], table: str) -> list[str]:
    """How the statements on a table that a function executes are carried out, with its parameters."""
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        asked.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        read(store)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    found = []
    with store._database.reading() as connection:
        for statement, parameters in asked:
            if f"FROM {table}" in statement:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                found += [row[-1] for row in plan]
    return found


@pytest.mark.parametrize(
    ("read", "table"),
    [
        (lambda store: store.find([Cell(f"{n}", "depth") for n in range(500)]), "images"),
        (lambda store: store.neighbours(ImageFilter(splits=("train",)), "d"), "images"),
        (lambda store: list(store.cells(request_id="r1")), "cells"),
    ],
    ids=["find", "neighbours", "cells of a request"],
)
def test_a_few_cells_or_images_are_found_without_reading_all_images(
    in_file: Store, read: Callable[[Store], object], table: str
) -> None:
    found = plans(in_file, read, table)
    assert found
    assert not any("images_by_split" in step or step == "SCAN images" for step in found)


@pytest.mark.parametrize("undone", [False, True])
@pytest.mark.parametrize(
    "read",
    [Store.spent, Store.counts, lambda store: store.counts(("heldout",))],
    ids=["spent", "counts", "held out"],
)
def test_what_was_spent_is_summed_by_an_index_without_reading_events_also_after_an_undo(
    in_file: Store, read: Callable[[Store], object], undone: bool
) -> None:
    with in_file.transaction("import"):
        in_file.move([Move(cell=Cell("d", "depth"), to=State.LABELLED, cost=1.0)])
    if undone:
        last = in_file.last_operation()
        assert last
        with in_file.transaction(last.operation.undo_command):
            in_file.undo(last.operation)
    found = plans(in_file, read, "events")
    assert found
    for plan in found:
        assert "events" not in plan or "COVERING INDEX events_paid" in plan, plan


def test_what_was_spent_is_the_same_before_and_after_an_undo(store: Store) -> None:
    before = (store.spent(), store.counts(), store.counts(("heldout",)))
    with store.transaction("import"):
        store.move([Move(cell=Cell("d", "depth"), to=State.LABELLED, cost=0.1)])
    assert store.spent() == before[0] + 0.1
    last = store.last_operation()
    assert last
    with store.transaction(last.operation.undo_command):
        store.undo(last.operation)
    assert (store.spent(), store.counts(), store.counts(("heldout",))) == before
