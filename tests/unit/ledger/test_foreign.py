"""A ledger from somebody else: any type may be in any column.

Every reader answers with a sentence.
"""

import sqlite3
from contextlib import closing, suppress

import pytest

from labelgrid.errors import LabelgridError, LedgerError
from labelgrid.ledger.database import check_name, check_values, foreign_value_errors
from labelgrid.ledger.grid import Cell, ImageRow, Move, State, TaskRow
from labelgrid.ledger.store import Store
from labelgrid.tasks.task import definitions
from tests.databases import changing, drop_triggers

STRANGE = ("'../../x'", "x'00ff'", "1e999", "-7", "9e18", "'{'", "'[[]]'", "''")
COLUMNS = {
    "images": ("name", "key", "root", "digest", "height", "width", "split", "grp"),
    "tasks": ("name", "kind", "cost", "options"),
    "cells": (
        *("state", "round", "request_id", "path", "digest", "cost", "weight", "seconds"),
        *("annotator", "class_list_id"),
    ),
    "events": (
        "operation_id",
        "from_state",
        "to_state",
        "round",
        "request_id",
        "path",
        "cost",
        "score",
        "weight",
        "why",
        "seconds",
        "annotator",
        "class_list_id",
    ),
    "operations": ("command", "at"),
    "class_lists": ("names",),
    "rounds": ("state", "seed", "budget", "unit", "note"),
    "notes": ("value",),
}
READERS = [
    lambda store: list(store.images()),
    lambda store: definitions(store.tasks()),
    lambda store: list(store.cells()),
    lambda store: list(store.events()),
    lambda store: store.find([Cell("a.png", "depth")]),
    lambda store: store.grid(("train", "val", "test", "heldout")),
    lambda store: store.counts(),
    lambda store: store.seconds(),
    lambda store: store.pool_hash(),
    lambda store: (store.rounds(), store.current_round(), store.get("note")),
    lambda store: store.move([Move(cell=Cell("a.png", "depth"), to=State.MISSING)]),
]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """The content of a ledger whose events can be changed; it is copied."""
    path = tmp_path_factory.mktemp("foreign") / "ledger.db"
    with Store.create(path) as store:
        store.add_task(TaskRow("depth", "depth", 2.0))
        store.add_images([ImageRow(image_id="a.png", root="photos")])
        store.open_round()
        store.move(
            [
                Move(
                    cell=Cell("a.png", "depth"),
                    to=State.LABELLED,
                    round=1,
                    path="labels/a.png",
                    cost=2.0,
                    seconds=9.0,
                    annotator="Ada",
                    classes=("near", "far"),
                )
            ]
        )
        store.put("note", {"a": 1})
    with changing(path) as connection:
        drop_triggers(connection)
    with closing(sqlite3.connect(path)) as content:
        yield content


@pytest.fixture(scope="module")
def other(ledger, tmp_path_factory):
    """A copy of it, opened once; its path."""
    path = tmp_path_factory.mktemp("foreign") / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        ledger.backup(connection)
    with Store.open(path) as store, closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        connection.execute("PRAGMA synchronous = 0")
        yield store, connection, path


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table in COLUMNS for column in COLUMNS[table]]
)
def test_any_value_in_any_column_is_read_or_refused(ledger, other, table, column):
    store, connection, path = other
    for value in STRANGE:
        ledger.backup(connection)
        connection.execute(f"UPDATE {table} SET {column} = {value}")
        connection.commit()
        for read in READERS:
            try:
                read(store)
            except LabelgridError as error:
                assert str(error)
    with suppress(LabelgridError), Store.open(path):
        pass


def test_types_names_and_unreadable_values_are_refused():
    check_values(("a", 1, 0.5), (str, int, float), "a row")
    for row in (("a", "1", 0.5), ("a", 1, float("nan")), ("a", 1)):
        with pytest.raises(LedgerError, match="a row has"):
            check_values(row, (str, int, float), "a row")
    for name in ("", "..", "a/b", "a\0", b"a", None):
        with pytest.raises(LedgerError, match="a task has the name"):
            check_name(name, "a task")
    with pytest.raises(LedgerError, match="cannot be read"), foreign_value_errors():
        State(9)
