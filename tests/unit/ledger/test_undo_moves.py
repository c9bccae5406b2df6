"""Laws of undoing: all is as before, nothing is deleted, and what was built upon is not undone."""

from dataclasses import replace

import pytest

from labelgrid.basics.errors import LedgerError, StateError
from labelgrid.ledger.grid import LEGAL, Cell, Move, State
from labelgrid.ledger.store import Store
from tests.databases import change

A = Cell("a", "depth")
B = Cell("b", "depth")
#: A way from missing to each state.
WAYS: dict[State, list[State]] = {
    State.MISSING: [],
    State.REQUESTED: [State.REQUESTED],
    State.LABELLED: [State.REQUESTED, State.LABELLED],
    State.SKIPPED: [State.REQUESTED, State.SKIPPED],
}


def a_move(to: State) -> Move:
    return Move(
        cell=A,
        to=to,
        round=3,
        request_id="r3-1",
        path="a.png",
        digest="0f",
        cost=2.0,
        score=0.5,
        weight=0.25,
        why="why",
        seconds=9.0,
        annotator="Ada",
        classes=("near", "far"),
    )


def undo(store: Store) -> None:
    last = store.last_operation()
    assert last
    store.undo(last.operation)


def seen(store: Store) -> tuple[object, ...]:
    """All that follows from the history but the history itself."""
    rows = list(store.cells())
    return rows, store.counts(), store.spent(), store.pool_hash(), store.rounds(), store.get("note")


@pytest.mark.parametrize(("before", "after"), sorted(LEGAL))
def test_after_every_move_all_is_as_before_it_and_the_events_stay(
    store: Store, before: State, after: State
) -> None:
    with store.transaction("first"):
        store.move([a_move(state) for state in WAYS[before]])
    was, events = seen(store), list(store.events())
    with store.transaction("second"):
        store.move([a_move(after)])
    moved = list(store.events())
    undo(store)
    assert seen(store) == was
    assert list(store.events())[: len(moved)] == moved
    assert list(store.events(in_effect=True)) == events
    assert store.rebuild() == 0


def test_an_undo_after_an_undo_goes_one_operation_further_back(store: Store) -> None:
    states = [seen(store)]
    for command, to in (("query", State.REQUESTED), ("import", State.LABELLED)):
        with store.transaction(command):
            store.move([a_move(to)])
        states.append(seen(store))
    undo(store)
    assert seen(store) == states[1]
    undo(store)
    assert seen(store) == states[0]
    assert store.last_operation() is None
    names = [summary.operation.command for summary in store.operations(9)]
    assert names == ["undo 1", "undo 2", "import", "query"]
    assert [summary.undone for summary in store.operations(9)] == [False, False, True, True]


def test_what_is_done_after_an_undo_is_undone_first(store: Store) -> None:
    for command in ("one", "two"):
        with store.transaction(command):
            store.move([a_move(State.REQUESTED), a_move(State.MISSING)])
    undo(store)
    with store.transaction("three"):
        store.move([Move(cell=B, to=State.LABELLED)])
    undo(store)
    last = store.last_operation()
    assert last and last.operation.command == "one" and not list(store.cells())


def test_an_operation_that_is_not_the_last_one_is_not_undone(store: Store) -> None:
    with store.transaction("one"):
        store.move([a_move(State.REQUESTED)])
    one = store.last_operation()
    assert one
    with store.transaction("two"):
        store.move([Move(cell=B, to=State.REQUESTED)])
    was = seen(store)
    with pytest.raises(LedgerError, match="Another command changed the ledger"):
        store.undo(one.operation)
    assert seen(store) == was


def test_an_error_in_an_undo_takes_all_of_it_back(store: Store) -> None:
    with store.transaction("query"):
        store.move([a_move(State.REQUESTED)])
    was, events = seen(store), list(store.events())
    with pytest.raises(RuntimeError), store.transaction("undo 1"):
        undo(store)
        raise RuntimeError
    assert (seen(store), list(store.events())) == (was, events)
    undo(store)
    assert not list(store.cells())


def test_cells_that_are_not_as_the_operation_left_them_stay(store: Store) -> None:
    with store.transaction("import"):
        store.move([a_move(State.LABELLED), Move(cell=B, to=State.LABELLED)])
    change(store.place, "UPDATE cells SET path = 'other.png' WHERE path = 'a.png'")
    was = seen(store)
    with pytest.raises(StateError, match="'a:depth' was changed since"):
        undo(store)
    assert seen(store) == was


@pytest.mark.parametrize(("kind", "name"), [("images", "a"), ("tasks", "depth")])
def test_cells_of_removed_images_and_tasks_are_undone_after_their_return(
    store: Store, kind: str, name: str
) -> None:
    was = seen(store)
    with store.transaction("import"):
        store.move([a_move(State.LABELLED)])
    store.remove(kind, [name])  # type: ignore[arg-type]
    with pytest.raises(LedgerError, match="'a:depth' was removed since"):
        undo(store)
    store.restore(kind, [name])  # type: ignore[arg-type]
    undo(store)
    assert seen(store) == was


def test_notes_splits_and_the_round_are_restored(store: Store) -> None:
    store.put("note", [1])
    store.update_round(replace(store.open_round(), recipe="r", model="m"))
    was = seen(store)
    with store.transaction("query"):
        store.keep(notes=["note", "new"], images=["a"], round=1)
        store.put("note", [1, 2])
        store.put("new", None)
        store.update_images([replace(store.image("a"), split="val")])
        current = store.current_round()
        assert current
        store.close_round(replace(current, strategy="s"), [a_move(State.REQUESTED)])
    undo(store)
    assert seen(store) == was
    assert store.get("new", "absent") == "absent" and store.image("a").split == "train"


def test_a_round_that_a_query_opened_itself_is_gone(store: Store) -> None:
    with store.transaction("query"):
        store.keep(round=1)
        store.close_round(store.open_round(), [a_move(State.REQUESTED)])
    undo(store)
    assert store.rounds() == ()


def test_a_round_that_another_one_followed_stays_closed(store: Store) -> None:
    with store.transaction("query"):
        store.keep(round=1)
        store.close_round(store.open_round(), [a_move(State.REQUESTED)])
    store.open_round()
    was = seen(store)
    with pytest.raises(LedgerError, match="Round 2 was begun since round 1 was closed") as caught:
        undo(store)
    assert "cancel DIR --round 1" in caught.value.next_step and seen(store) == was


def test_an_operation_without_moves_is_undone_too(store: Store) -> None:
    with store.transaction("import"):
        store.keep(images=["a"])
        store.update_images([replace(store.image("a"), split="val")])
    undo(store)
    assert store.image("a").split == "train" and store.last_operation() is None


def test_what_an_operation_replaced_twice_is_as_before_the_first_time(store: Store) -> None:
    store.put("note", 1)
    with store.transaction("import"):
        for image_id, value in (("a", 2), ("b", 3)):
            store.keep(notes=["note"], images=[image_id])
            store.put("note", value)
            store.update_images([replace(store.image(image_id), split="val")])
    undo(store)
    assert store.get("note") == 1
    assert [row.split for row in store.images()] == ["train", "train"]


def test_an_undo_is_no_part_of_another_operation(store: Store) -> None:
    with store.transaction("query"):
        store.move([a_move(State.REQUESTED)])
    was = seen(store)
    with (
        pytest.raises(LedgerError, match="an operation of its own"),
        store.transaction("script"),
    ):
        undo(store)
    assert seen(store) == was


@pytest.mark.parametrize(
    "note",
    [
        "3",
        '{"surplus": 1}',
        '{"round": "1"}',
        '{"notes": {"note": 1}}',
        '{"splits": {"a": "half"}}',
        '{"round": 1, "row": {"number": "1"}}',
        '{"round": 1, "row": {"surplus": 1}}',
    ],
)
def test_a_note_of_another_program_restores_nothing(store: Store, note: str) -> None:
    with store.transaction("query"):
        store.keep(round=1)
        store.close_round(store.open_round(), [a_move(State.REQUESTED)])
    change(store.place, f"UPDATE notes SET value = '{note}'")
    was = seen(store)
    with pytest.raises(LedgerError, match=r"which labelgrid does not write|cannot be read"):
        undo(store)
    assert seen(store) == was
