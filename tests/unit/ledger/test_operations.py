"""Laws of the list of operations: what each did to its cells, the last one first."""

from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.ledger.store import Store

A = Cell("a", "depth")
B = Cell("b", "depth")


def test_a_ledger_without_moves_has_no_operations(store: Store) -> None:
    with store.transaction("nothing"):
        store.put("note", 1)
    assert store.operations(5) == []


def test_an_operation_counts_its_cells_by_their_first_and_last_states(store: Store) -> None:
    with store.transaction("query"):
        store.move([Move(cell=cell, to=State.REQUESTED, round=2) for cell in (A, B)])
    with store.transaction("import"):
        store.move([Move(cell=A, to=State.LABELLED)])
        store.move([Move(cell=A, to=State.MISSING), Move(cell=A, to=State.LABELLED, round=1)])
        store.move([Move(cell=B, to=State.SKIPPED)])
    last, first = store.operations(5)
    assert (first.operation.command, first.rounds, first.undone) == ("query", [2], False)
    assert first.moves == {(State.MISSING, State.REQUESTED): 2}
    assert (last.operation.id, last.rounds) == (2, [1, 2])
    assert last.moves == {
        (State.REQUESTED, State.LABELLED): 1,
        (State.REQUESTED, State.SKIPPED): 1,
    }
    assert store.operations(1) == [last]


def test_operations_count_cells_of_removed_images_and_dropped_tasks(store: Store) -> None:
    store.move([Move(cell=A, to=State.LABELLED)])
    store.remove("images", ["a"])
    store.remove("tasks", ["depth"])
    (only,) = store.operations(5)
    assert only.moves == {(State.MISSING, State.LABELLED): 1}
