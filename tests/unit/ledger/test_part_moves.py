"""Laws of parts: regions of cells move as cells do, and cells stay whole beside them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest

from labelgrid.basics.errors import LedgerError, StateError
from labelgrid.ledger.grid import LEGAL, Cell, Move, Part, State
from labelgrid.ledger.part_moves import PartitionRow
from labelgrid.ledger.store import CellRow, PartCount, Store
from tests.databases import change
from tests.unit.ledger.test_undo_moves import WAYS, undo

CELL = Cell("a", "depth")


@pytest.fixture
def parted(store: Store) -> Store:
    """The ledger with two partitions of `a` and one of `b`."""
    store.add_partitions(
        [
            PartitionRow(image_id="a", digest="p", maker="squares", options={"side": 8}, count=9),
            PartitionRow(image_id="a", digest="q", maker="superpixels", version="1", count=4),
            PartitionRow(image_id="b", digest="p", maker="squares", count=1),
        ]
    )
    return store


def part(region: int = 1, image: str = "a") -> Part:
    return Part(image, "depth", region)


def a_move(to: State, region: int = 1, **values: object) -> Move:
    move = Move(
        cell=part(region),
        to=to,
        round=3,
        request_id="r3-1",
        value=1 if to == State.LABELLED else None,
        cost=0.5,
        score=0.5,
        weight=0.25,
        why="why",
        seconds=9.0,
        annotator="Ada",
        classes=("near", "far"),
        hint="model",
        partition="p",
    )
    return replace(move, **values)


def seen(store: Store) -> tuple[object, ...]:
    """All that follows from the history but the history itself."""
    rows = list(store.parts())
    return rows, store.part_counts(), store.counts(), store.spent(), store.pool_hash()


def test_partitions_are_kept_once_as_they_were_given(parted: Store) -> None:
    before = parted.partitions(["a", "b"])
    parted.add_partitions([replace(before[0], maker="other")])
    assert parted.partitions(["a", "b"]) == before
    assert before[0].options == {"side": 8} and before[1].version == "1"
    with pytest.raises(LedgerError, match="no image 'c'"):
        parted.add_partitions([PartitionRow(image_id="c", digest="p", maker="files", count=1)])
    for count in (0, 65_536):
        row = PartitionRow(image_id="b", digest="r", maker="files", count=count)
        with pytest.raises(LedgerError, match=f"has {count:,} regions"):
            parted.add_partitions([row])


@pytest.mark.parametrize("table", ["partitions", "part_events"])
@pytest.mark.parametrize("change", ["UPDATE {} SET id = 9", "DELETE FROM {}"])
def test_partitions_and_events_are_only_ever_added(parted: Store, table: str, change: str) -> None:
    parted.move([a_move(State.REQUESTED)])
    refused = pytest.raises(LedgerError, match=f"{table} are only ever added")
    with refused, parted._database.writing() as connection:
        connection.exec_driver_sql(change.format(table))


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_a_part_moves_as_a_cell_does(parted: Store, before: State, after: State) -> None:
    parted.move([a_move(state) for state in WAYS[before]])
    if (before, after) not in LEGAL:
        with pytest.raises(StateError, match=r"Region 1 of the cell \(a, depth\) is"):
            parted.move([a_move(after)])
        return
    events = len(list(parted.part_events()))
    parted.move([a_move(after)])
    rows = {row.cell: row for row in parted.parts()}
    assert (part() in rows) == (after != State.MISSING)
    if after != State.MISSING:
        expected = CellRow(
            cell=part(),
            state=after,
            round=3,
            request_id="r3-1",
            cost=0.5,
            weight=0.25,
            seconds=9.0,
            annotator="Ada",
            classes=("near", "far"),
            partition="p",
            value=1 if after == State.LABELLED else None,
        )
        assert rows[part()] == expected
    (newest,) = list(parted.part_events())[events:]
    assert (newest.before, newest.move) == (before, a_move(after))
    assert parted.rebuild() == 0 and not list(parted.cells()) and not list(parted.events())


@pytest.mark.parametrize(("before", "after"), sorted(LEGAL))
def test_after_every_move_undo_restores_all_and_the_events_stay(
    parted: Store, before: State, after: State
) -> None:
    with parted.transaction("first"):
        parted.move([a_move(state) for state in WAYS[before]])
    was, events = seen(parted), list(parted.part_events())
    with parted.transaction("second"):
        parted.move([a_move(after), a_move(State.REQUESTED, 2)])
    last = parted.last_operation()
    moved = [(before, after), (State.MISSING, State.REQUESTED)]
    assert last and last.parts == Counter(moved)
    assert last.rounds == [3] and not last.moves
    assert seen(parted) != was
    undo(parted)
    assert seen(parted) == was
    assert list(parted.part_events())[: len(events)] == events
    assert parted.rebuild() == 0


def test_costs_of_parts_are_promised_and_spent_beside_those_of_cells(parted: Store) -> None:
    parted.move([Move(cell=Cell("b", "depth"), to=State.LABELLED, path="x", cost=4.0)])
    parted.move([a_move(State.REQUESTED, n) for n in (1, 2, 3, 4)])
    assert parted.counts()["depth"].promised == 2.0 and parted.spent() == 4.0
    parted.move([a_move(State.LABELLED, 1), a_move(State.SKIPPED, 2)])
    counts = parted.counts()["depth"]
    assert (counts.promised, counts.spent, counts.labelled, counts.missing) == (1.0, 5.0, 1, 1)
    assert parted.spent() == parted.spent(("train",)) == 5.0 and parted.spent(("val",)) == 0.0
    expected = PartCount(requested=2, labelled=1, skipped=1, cells=1)
    assert parted.part_counts() == {"depth": expected} and not parted.part_counts(("val",))


def test_answers_in_any_order_leave_the_same_parts(store: Store, parted: Store) -> None:
    parted.move([a_move(State.REQUESTED, n) for n in (1, 2, 3)])
    answers = [a_move(State.LABELLED, 1), a_move(State.SKIPPED, 2), a_move(State.LABELLED, 3)]
    left = []
    for order in permutations(answers):
        with parted.transaction("answer"):
            for answer in order:
                parted.move([answer])
        left.append(list(parted.parts()))
        undo(parted)
    assert all(rows == left[0] for rows in left)


@pytest.mark.parametrize(
    ("steps", "fault"),
    [
        ([a_move(State.REQUESTED, 10)], "Region 10 .* is unknown: its partition has 9 regions"),
        ([a_move(State.REQUESTED, 0)], "Region 0 .* is unknown"),
        ([a_move(State.REQUESTED, partition="z")], "its partition has 0 regions.*Add the"),
        (
            [a_move(State.REQUESTED), a_move(State.REQUESTED, 2, partition="q")],
            "another partition than the 1 regions",
        ),
        ([a_move(State.LABELLED, value=-1)], "has the class -1, and its task has 2"),
        ([a_move(State.LABELLED, value=2, classes=("near", "far"))], "has the class 2"),
        ([a_move(State.LABELLED, value=None)], "has 0 labels as labelled"),
        ([a_move(State.LABELLED, path="x.png")], "has 2 labels as labelled"),
        ([a_move(State.REQUESTED, value=1)], "has 1 labels as requested"),
        (
            [a_move(State.REQUESTED), a_move(State.LABELLED, request_id="r9")],
            "waits for request 'r3-1'",
        ),
        ([a_move(State.REQUESTED, cost=-1.0)], "has cost -1.0"),
        ([a_move(State.REQUESTED, cell=Part("z", "depth", 1))], "no image 'z'"),
        ([a_move(State.REQUESTED, cell=Part("a", "mood", 1))], "no task 'mood'"),
    ],
)
def test_wrong_moves_are_refused_and_nothing_is_changed(
    parted: Store, steps: Sequence[Move], fault: str
) -> None:
    was = seen(parted)
    with pytest.raises(LedgerError, match=rf"(?s){fault}.*Nothing was changed"):
        parted.move(steps)
    assert seen(parted) == was and not list(parted.part_events())


def test_what_is_asked_for_is_not_paid_twice(parted: Store) -> None:
    whole = Move(cell=CELL, to=State.REQUESTED)
    parted.move([a_move(State.REQUESTED)])
    with pytest.raises(StateError, match="has requested regions"):
        parted.move([whole])
    parted.move([a_move(State.LABELLED)])
    parted.move([whole])
    with pytest.raises(StateError, match="is requested, and so are its regions"):
        parted.move([a_move(State.REQUESTED, 2)])


def test_a_whole_label_hides_its_parts_which_stay_and_are_there_again(parted: Store) -> None:
    parted.move([a_move(State.REQUESTED, 1), a_move(State.REQUESTED, 2)])
    parted.move([a_move(State.LABELLED, 1)])
    parted.move([Move(cell=CELL, to=State.LABELLED, path="whole.png", cost=2.0)])
    parted.move([a_move(State.LABELLED, 2)])  # paid work is not lost
    assert [row.value for row in parted.parts()] == [1, 1] and parted.spent() == 3.0
    parted.move([Move(cell=CELL, to=State.MISSING)])
    assert [row.state for row in parted.parts()] == [State.LABELLED] * 2


def test_another_partition_may_be_used_once_no_part_stands(parted: Store) -> None:
    parted.move([a_move(State.REQUESTED), a_move(State.MISSING, value=None)])
    parted.move([a_move(State.REQUESTED, 4, partition="q")])
    assert [row.partition for row in parted.parts()] == ["q"]


def test_parts_of_removed_images_and_dropped_tasks_are_left_out_and_come_back(
    parted: Store,
) -> None:
    parted.move([a_move(State.REQUESTED)])
    was = seen(parted)
    for kind, name in (("images", "a"), ("tasks", "depth")):
        parted.remove(kind, [name])  # type: ignore[arg-type]
        assert not list(parted.parts()) and not parted.part_counts()
        parted.restore(kind, [name])  # type: ignore[arg-type]
    assert seen(parted) == was


def test_parts_are_recomputed_from_their_events(parted: Store) -> None:
    parted.move([a_move(State.REQUESTED, n) for n in (1, 2)])
    was = seen(parted)
    change(parted.place, "DELETE FROM parts WHERE region = 1", "UPDATE parts SET round = 7")
    assert parted.differing_cells() == [CELL]
    assert parted.rebuild() == 1 and seen(parted) == was


def test_values_of_another_origin_are_refused(parted: Store) -> None:
    parted.move([a_move(State.REQUESTED)])
    change(parted.place, "UPDATE parts SET annotator = 'x', state = 2, value = 3")
    assert [row.value for row in parted.parts()] == [3]
    with pytest.raises(LedgerError, match=r"(?i)check constraint"):
        change(parted.place, "UPDATE parts SET value = NULL")


def test_parts_are_found_by_image_task_state_and_request(parted: Store) -> None:
    parted.move([a_move(State.REQUESTED, n) for n in (1, 2)])
    of_b = replace(a_move(State.REQUESTED, request_id="r4"), cell=part(image="b"))
    parted.move([a_move(State.LABELLED), of_b])
    rows = list(parted.parts())
    assert [row.cell for row in rows] == [part(1), part(2), part(1, "b")]
    assert list(parted.parts(image_ids=["b"])) == rows[2:]
    assert list(parted.parts(request_id="r3-1")) == rows[:2]
    assert list(parted.parts(state=State.LABELLED, task="depth")) == rows[:1]
    assert not list(parted.parts(task="mood"))
    assert [event.move.cell for event in parted.part_events(image_id="b")] == [part(1, "b")]


@pytest.mark.parametrize(
    ("states", "counted"),
    [
        ([State.REQUESTED], State.REQUESTED),
        ([State.LABELLED], State.MISSING),
        ([State.LABELLED, State.REQUESTED], State.REQUESTED),
        ([State.SKIPPED, State.LABELLED, State.LABELLED, State.LABELLED], State.LABELLED),
        ([State.SKIPPED] * 4, State.SKIPPED),
    ],
)
def test_a_cell_in_part_counts_as_what_is_left_to_buy(
    parted: Store, states: list[State], counted: State
) -> None:
    steps = []
    for region, state in enumerate(states, 1):
        ways = WAYS[state]
        steps += [a_move(way, region, partition="q", round=0) for way in ways]
    parted.move(steps)
    assert parted.cells_in_part() == {CELL: counted}
    assert not parted.cells_in_part(("val",))
    parted.move([Move(cell=CELL, to=State.LABELLED, path="x.png")])
    assert not parted.cells_in_part()  # it has a label


@pytest.mark.parametrize("first_asked", ["whole", "part"])
def test_undo_restores_what_was_asked_for_in_another_way(parted: Store, first_asked: str) -> None:
    whole = Move(cell=CELL, to=State.REQUESTED, request_id="r1", round=1)
    asked = [whole, a_move(State.REQUESTED)]
    before, after = asked if first_asked == "whole" else reversed(asked)
    parted.move([before])
    was = seen(parted), list(parted.cells())
    with parted.transaction("query"):
        parted.move([replace(before, to=State.MISSING)])
        parted.move([after])
    undo(parted)
    assert (seen(parted), list(parted.cells())) == was
    assert parted.rebuild() == 0


def test_an_event_of_a_part_is_no_event_of_a_cell_but_a_change(parted: Store) -> None:
    before = parted.change_count()
    parted.move([a_move(State.REQUESTED)])
    assert parted.last_event() == 0 and parted.change_count() == before + 1


@pytest.mark.parametrize("after", [State.LABELLED, State.SKIPPED, State.MISSING])
def test_what_happened_to_a_region_under_a_whole_label_is_undone(
    parted: Store, after: State
) -> None:
    parted.move([a_move(State.REQUESTED)])
    parted.move([Move(cell=CELL, to=State.LABELLED, path="whole.png")])
    was = seen(parted)
    with parted.transaction("import"):
        parted.move([a_move(after)])
    undo(parted)
    assert seen(parted) == was
