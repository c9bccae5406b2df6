from collections.abc import Iterator

import pytest

from labelgrid.basics.errors import LedgerError
from labelgrid.ledger import roster
from labelgrid.ledger.grid import LEGAL, Cell, ImageRow, Move, State, TaskRow
from labelgrid.ledger.moves import cell_row
from labelgrid.ledger.place import LedgerPlace
from labelgrid.ledger.store import CellRow, Store
from tests.databases import rows

A = Cell("a", "depth")
#: A way from missing to each state.
WAYS = {
    State.MISSING: [],
    State.REQUESTED: [State.REQUESTED],
    State.LABELLED: [State.LABELLED],
    State.SKIPPED: [State.REQUESTED, State.SKIPPED],
}


@pytest.fixture
def store(place: LedgerPlace) -> Iterator[Store]:
    with Store.create(place) as store:
        for name in ("depth", "normals"):
            store.add_task(TaskRow(name, name, 1.0))
        store.add_images(
            [ImageRow(image_id="a", root="photos"), ImageRow(image_id="b", root="photos")]
        )
        yield store


def state(store: Store, cell: Cell = A) -> State:
    return store.find([cell])[cell].state


def refusal(store: Store, *moves: Move) -> str:
    before = list(store.cells()), list(store.events())
    with pytest.raises(LedgerError) as caught:
        store.move(moves)
    assert (list(store.cells()), list(store.events())) == before
    return str(caught.value)


@pytest.mark.parametrize("old", State)
@pytest.mark.parametrize("new", State)
def test_a_move_is_made_if_it_is_legal_and_otherwise_changes_nothing(
    store: Store, old: State, new: State
) -> None:
    store.move([Move(cell=A, to=step) for step in WAYS[old]])
    if (old, new) in LEGAL:
        store.move([Move(cell=A, to=new)])
        assert state(store) == new
        assert [(event.before, event.move.to) for event in store.history(A)][-1] == (old, new)
    else:
        assert f"is {old.name.lower()} and cannot become {new.name.lower()}" in refusal(
            store, Move(cell=A, to=new)
        )
    assert store.rebuild() == 0


def test_a_refused_move_names_the_cell_its_state_and_what_is_allowed(store: Store) -> None:
    store.move([Move(cell=A, to=State.REQUESTED)])
    assert refusal(store, Move(cell=A, to=State.REQUESTED)) == (
        "The cell (a, depth) is requested and cannot become requested.\n"
        "  It may become missing or labelled or skipped. Nothing was changed."
    )


def test_one_refused_move_among_many_refuses_all(store: Store) -> None:
    good = [Move(cell=A, to=State.LABELLED), Move(cell=Cell("b", "depth"), to=State.REQUESTED)]
    assert "cannot become skipped" in refusal(
        store, *good, Move(cell=Cell("b", "normals"), to=State.SKIPPED)
    )


def test_a_move_of_an_unknown_image_or_task_is_refused(store: Store) -> None:
    assert "The ledger has no image 'x'" in refusal(
        store, Move(cell=Cell("x", "depth"), to=State.LABELLED)
    )
    assert refusal(store, Move(cell=Cell("a", "edges"), to=State.LABELLED)) == (
        "The ledger has no task 'edges'.\n  Its tasks are: depth, normals. Nothing was changed."
    )


@pytest.mark.parametrize(
    "numbers",
    [
        {"cost": -1.0},
        {"cost": float("nan")},
        {"score": float("nan")},
        {"weight": float("inf")},
        {"seconds": 0.0},
        {"seconds": 1e6},
    ],
)
def test_a_move_with_numbers_that_are_none_is_refused(
    store: Store, numbers: dict[str, float]
) -> None:
    assert "All must be finite numbers, the cost not below 0, the seconds above 0" in refusal(
        store, Move(cell=A, to=State.LABELLED, **numbers)
    )  # type: ignore[arg-type]


def test_a_move_with_an_unknown_hint_is_refused(store: Store) -> None:
    text = refusal(store, Move(cell=A, to=State.LABELLED, hint="all"))  # type: ignore[arg-type]
    assert text == (
        "The cell (a, depth) has the hint 'all'.\n  A hint is one of nothing, model, supplier, or None where "
        "it is not known. Nothing was changed."
    )


def test_what_a_move_says_is_kept(store: Store) -> None:
    asked = Move(
        cell=A,
        to=State.REQUESTED,
        round=3,
        request_id="r3-1",
        path="depth/a.png",
        digest="",
        cost=1.5,
        score=-0.25,
        weight=0.5,
        why="far from all",
        seconds=12.5,
        annotator="Ada",
        classes=("near", "far"),
        hint="model",
    )
    store.move([asked])
    assert store.find([A])[A] == CellRow(
        cell=A,
        state=State.REQUESTED,
        round=3,
        request_id="r3-1",
        path="depth/a.png",
        digest="",
        cost=1.5,
        weight=0.5,
        seconds=12.5,
        annotator="Ada",
        classes=("near", "far"),
    )
    assert list(store.cells()) == [store.find([A])[A]]
    (event,) = store.history(A)
    assert event.move == asked
    assert event.operation.at.endswith("+00:00")


def test_the_moves_of_a_transaction_are_one_operation_with_its_command(store: Store) -> None:
    b = Cell("b", "depth")
    with store.transaction("import"):
        store.move([Move(cell=A, to=State.REQUESTED)])
        with store.transaction("inner"):
            store.move([Move(cell=b, to=State.REQUESTED)])
    with store.transaction("nothing"):
        store.move([])
    store.move([Move(cell=A, to=State.LABELLED)])
    operations = [event.operation for event in store.events()]
    assert [(one.id, one.command) for one in operations] == [(1, "import"), (1, "import"), (2, "")]


def test_an_operation_lives_on_when_its_first_moves_are_refused(store: Store) -> None:
    with store.transaction("import"):
        with pytest.raises(LedgerError):
            store.move([Move(cell=A, to=State.LABELLED), Move(cell=A, to=State.SKIPPED)])
        with pytest.raises(RuntimeError), store.transaction():
            store.move([Move(cell=A, to=State.LABELLED)])
            raise RuntimeError
        store.move([Move(cell=A, to=State.REQUESTED)])
    (event,) = store.events()
    assert (event.operation.command, event.move.to) == ("import", State.REQUESTED)


def test_a_class_list_is_kept_once_and_labels_name_theirs(store: Store) -> None:
    b, lists = Cell("b", "depth"), [("near", "far"), ("near", "far", "sky")]
    store.move([Move(cell=A, to=State.LABELLED, classes=lists[0])])
    store.move([Move(cell=A, to=State.MISSING), Move(cell=b, to=State.LABELLED, classes=lists[0])])
    store.move([Move(cell=A, to=State.LABELLED, classes=lists[1])])
    assert [row.classes for row in store.cells()] == [lists[1], lists[0]]
    assert [event.move.classes for event in store.events()] == [lists[0], (), lists[0], lists[1]]
    assert rows(store.place, "SELECT names FROM class_lists") == [
        ('["near", "far"]',),
        ('["near", "far", "sky"]',),
    ]


@pytest.mark.parametrize("answer", [State.LABELLED, State.SKIPPED])
def test_an_answer_keeps_its_requests_round_id_and_weight(store: Store, answer: State) -> None:
    store.move([Move(cell=A, to=State.REQUESTED, round=3, request_id="r3-1", weight=0.5, cost=2.0)])
    store.move([Move(cell=A, to=answer, round=4, path="labels/a.png", digest="0f", cost=1.0)])
    assert store.find([A])[A] == CellRow(
        cell=A,
        state=answer,
        round=3,
        request_id="r3-1",
        path="labels/a.png",
        digest="0f",
        cost=1.0,
        weight=0.5,
    )
    assert store.history(A)[-1].move.weight == 0.5


def test_an_unasked_label_has_the_round_and_weight_of_its_move(store: Store) -> None:
    store.move([Move(cell=A, to=State.LABELLED, round=4, weight=0.5)])
    assert store.find([A])[A] == CellRow(cell=A, state=State.LABELLED, round=4, weight=0.5)


def test_the_answer_to_another_request_is_refused(store: Store) -> None:
    store.move([Move(cell=A, to=State.REQUESTED, request_id="r2-1")])
    assert refusal(store, Move(cell=A, to=State.LABELLED, request_id="r1-1")) == (
        "The cell (a, depth) waits for request 'r2-1', but this answers request 'r1-1'.\n"
        "  Give the answer to 'r2-1', or cancel it first. Nothing was changed."
    )
    store.move([Move(cell=A, to=State.LABELLED, request_id="r2-1")])


def test_a_label_is_replaced_in_one_step_and_the_old_one_stays_in_the_history(store: Store) -> None:
    store.move([Move(cell=A, to=State.LABELLED, path="old.png", digest="1")])
    store.move(
        [
            Move(cell=A, to=State.MISSING, why="replaced"),
            Move(cell=A, to=State.LABELLED, path="new.png", digest="2"),
        ]
    )
    assert store.find([A])[A].path == "new.png"
    versions = [event.move.path for event in store.history(A) if event.move.to == State.LABELLED]
    assert versions == ["old.png", "new.png"]
    assert store.rebuild() == 0


def test_a_cell_taken_back_has_no_row(store: Store) -> None:
    store.move([Move(cell=A, to=State.LABELLED), Move(cell=Cell("b", "depth"), to=State.LABELLED)])
    store.move([Move(cell=A, to=State.MISSING)])
    assert [row.cell for row in store.cells()] == [Cell("b", "depth")]
    assert store.find([A]) == {A: CellRow(cell=A)}


def test_a_move_leaves_the_images_other_cells_and_the_tasks_other_images_alone(
    store: Store,
) -> None:
    others = [Cell("a", "normals"), Cell("b", "depth"), Cell("b", "normals")]
    store.move(
        [
            Move(cell=cell, to=State.LABELLED, path=f"{cell.image_id}-{cell.task}.png")
            for cell in (A, *others)
        ]
    )
    before = store.find(others)
    store.move([Move(cell=A, to=State.MISSING)])
    assert store.find(others) == before and [row.cell for row in store.cells()] == others
    store.move([Move(cell=A, to=State.REQUESTED), Move(cell=A, to=State.SKIPPED)])
    assert store.find(others) == before and state(store) == State.SKIPPED
    assert store.rebuild() == 0


def test_a_cell_of_values_of_other_types_is_refused_as_a_cell() -> None:
    values = [3, "r3-1", "depth/a.png", "0f", 1.5, 0.5, None, "Ada", 7]
    lists = {7: ("near", "far")}
    assert cell_row(A, 2, values, lists) == CellRow(
        cell=A,
        state=State.LABELLED,
        round=3,
        request_id="r3-1",
        path="depth/a.png",
        digest="0f",
        cost=1.5,
        weight=0.5,
        annotator="Ada",
        classes=("near", "far"),
    )
    for place, wrong in ((0, "3"), (2, None), (4, 1), (6, 1), (7, None)):
        with pytest.raises(LedgerError, match=": a cell has a value of another type"):
            cell_row(A, 2, [*values[:place], wrong, *values[place + 1 :]], lists)
    with pytest.raises(LedgerError, match=": a cell has the class list 8"):
        cell_row(A, 2, [*values[:-1], 8], lists)


def test_looking_for_cells_leaves_out_those_of_unknown_images_and_tasks(store: Store) -> None:
    store.move([Move(cell=A, to=State.LABELLED, path="a.png")])
    missing = Cell("b", "normals")
    found = store.find([A, missing, Cell("x", "depth"), Cell("a", "edges")])
    assert found == {
        A: CellRow(cell=A, state=State.LABELLED, path="a.png"),
        missing: CellRow(cell=missing),
    }


def test_more_moves_than_fit_a_statement_are_one_step(store: Store) -> None:
    names = [f"{number:05d}" for number in range(roster.BATCH + 1)]
    store.add_images(ImageRow(image_id=name, root="photos") for name in names)
    store.move([Move(cell=Cell(name, "depth"), to=State.LABELLED) for name in names])
    assert store.counts()["depth"].labelled == len(names)
    store.move([Move(cell=Cell(name, "depth"), to=State.MISSING) for name in names])
    assert list(store.cells()) == []


def test_no_moves_are_no_events(store: Store) -> None:
    store.move([])
    assert list(store.events()) == []
