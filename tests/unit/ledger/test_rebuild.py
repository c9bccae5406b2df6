from collections.abc import Iterator

import pytest

from labelgrid.ledger.grid import Cell, ImageRow, Move, State, TaskRow
from labelgrid.ledger.place import LedgerPlace
from labelgrid.ledger.store import CellRow, Store
from tests.databases import change


@pytest.fixture
def store(place: LedgerPlace) -> Iterator[Store]:
    """One cell of each state, and one label taken back."""
    with Store.create(place) as store:
        store.add_task(TaskRow("depth", "depth", 1.0))
        store.add_images(ImageRow(image_id=name, root="photos") for name in "abcde")
        asked = [
            Move(
                cell=Cell(name, "depth"),
                to=State.REQUESTED,
                round=1,
                request_id=f"r1-{name}",
                cost=0.1,
                weight=0.3,
            )
            for name in "abc"
        ]
        store.move(asked)
        store.move(
            [
                Move(
                    cell=Cell("b", "depth"),
                    to=State.LABELLED,
                    path="b.png",
                    digest="0f",
                    cost=0.2,
                    seconds=7.5,
                    annotator="Ada",
                    classes=("near", "far"),
                )
            ]
        )
        store.move(
            [
                Move(cell=Cell("c", "depth"), to=State.SKIPPED),
                Move(cell=Cell("d", "depth"), to=State.LABELLED),
            ]
        )
        store.move([Move(cell=Cell("d", "depth"), to=State.MISSING)])
        yield store


def test_a_sound_ledger_is_what_its_events_say(store: Store) -> None:
    before = list(store.cells())
    assert [row.cell.image_id for row in before] == ["a", "b", "c"]
    assert store.rebuild() == 0
    assert list(store.cells()) == before


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("DELETE FROM cells", 3),
        ("DELETE FROM cells WHERE state = 2", 1),
        ("UPDATE cells SET path = 'other.png' WHERE state = 2", 1),
        ("UPDATE cells SET weight = 1.0", 3),
        ("UPDATE cells SET image_id = 5 WHERE image_id = 1", 2),
        ("INSERT INTO cells VALUES (4, 1, 2, 0, '', '', '', 0.0, 1.0, NULL, '', NULL)", 1),
        ("UPDATE cells SET seconds = 8.0 WHERE state = 2", 1),
        ("UPDATE cells SET annotator = 'Bob' WHERE state = 2", 1),
        ("UPDATE cells SET class_list_id = NULL WHERE state = 2", 1),
    ],
)
def test_a_damaged_state_is_counted_and_made_anew_from_the_events(
    store: Store, statement: str, wrong: int
) -> None:
    before = list(store.cells())
    change(store.place, statement)
    assert list(store.cells()) != before
    assert store.rebuild() == wrong
    assert list(store.cells()) == before
    assert before[1] == CellRow(
        cell=Cell("b", "depth"),
        state=State.LABELLED,
        round=1,
        request_id="r1-b",
        path="b.png",
        digest="0f",
        cost=0.2,
        weight=0.3,
        seconds=7.5,
        annotator="Ada",
        classes=("near", "far"),
    )
