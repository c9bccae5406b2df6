from collections.abc import Iterator
from dataclasses import replace

import pytest

from labelgrid.basics.errors import LedgerError
from labelgrid.ledger.grid import Cell, ImageRow, Move, State, TaskRow
from labelgrid.ledger.place import LedgerPlace
from labelgrid.ledger.store import RoundRow, Store


@pytest.fixture
def store(place: LedgerPlace) -> Iterator[Store]:
    with Store.create(place) as store:
        store.add_task(TaskRow("depth", "depth", 1.0))
        store.add_images([ImageRow(image_id="a", root="photos")])
        yield store


def test_rounds_are_numbered_from_one_and_one_is_open_at_a_time(store: Store) -> None:
    assert (store.current_round(), store.rounds()) == (None, ())
    first = store.open_round()
    assert (first, store.current_round()) == (RoundRow(number=1), first)
    with pytest.raises(LedgerError, match="Round 1 is still open"):
        store.open_round()
    store.close_round(first)
    assert store.current_round() is None
    assert store.open_round().number == 2
    assert [(row.number, row.state) for row in store.rounds()] == [(1, "closed"), (2, "open")]


def test_a_round_keeps_what_it_is_given(store: Store) -> None:
    store.open_round()
    row = RoundRow(
        number=1,
        state="open",
        strategy="partal",
        seed=2**62,
        budget=240.5,
        unit="cost",
        recipe="recipe",
        model="model",
        pool="pool",
        note="première",
    )
    store.update_round(row)
    assert store.current_round() == row
    store.close_round(replace(row, note="done"))
    assert store.rounds() == (replace(row, note="done", state="closed"),)


def test_closing_a_round_and_requesting_its_picks_is_one_step(store: Store) -> None:
    row = store.open_round()
    illegal = Move(cell=Cell("a", "depth"), to=State.SKIPPED)
    with pytest.raises(LedgerError, match="cannot become skipped"):
        store.close_round(row, [illegal])
    assert store.current_round() == row
    store.close_round(row, [Move(cell=Cell("a", "depth"), to=State.REQUESTED, round=1)])
    assert (store.current_round(), store.counts()["depth"].requested) == (None, 1)


def test_a_round_that_is_not_open_is_neither_changed_nor_closed_again(store: Store) -> None:
    request = Move(cell=Cell("a", "depth"), to=State.REQUESTED)
    with pytest.raises(LedgerError, match="Round 1 is not open: no round is"):
        store.close_round(RoundRow(number=1), [request])
    store.close_round(store.open_round())
    store.open_round()
    with pytest.raises(LedgerError, match="Round 1 is not open: round 2 is"):
        store.update_round(RoundRow(number=1, note="late"))
    assert [row.note for row in store.rounds()] == ["", ""]
    assert list(store.events()) == []


@pytest.mark.parametrize(
    "value", [None, 0.1, "größe", [1, 2], {"depth": {"low": -1.5, "high": 3.0}}]
)
def test_a_note_comes_back_as_it_was_put(store: Store, value: object) -> None:
    store.put("normaliser", "older")
    store.put("other", 1)
    store.put("normaliser", value)
    assert store.get("normaliser", "default") == value
    assert store.get("other") == 1


def test_a_note_never_put_is_the_default(store: Store) -> None:
    assert store.get("normaliser") is None
    assert store.get("normaliser", 3) == 3
