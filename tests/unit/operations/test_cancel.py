"""Laws of taking requests back."""

from pathlib import Path

import pytest

from labelgrid.basics.errors import LedgerError, UsageError
from labelgrid.ledger.grid import Cell, ImageRow, Move, State, request_id
from labelgrid.operations.cancel import cancel, unlabel
from labelgrid.project.folder import ProjectFolder
from tests.campaigns import ask, cells_of, ledger, make_project, states
from tests.support import Made


def test_cells_and_request_ids_name_what_is_taken_back(project: ProjectFolder, data: Made) -> None:
    cells = cells_of(data)
    ask(project, cells, number=1)
    names = ["0000.jpg:semseg", request_id(1, cells[1]), request_id(1, cells[0])]
    assert len(cancel(project, names)) == 2
    assert set(states(project)) == set(cells[2:])
    assert project.store.history(cells[0])[-1].move.why == "cancelled"


def test_a_name_with_colons_is_a_cell_of_the_part_after_the_last_one(
    project: ProjectFolder,
) -> None:
    project.store.add_images([ImageRow(image_id="a:b.jpg", root="x")])
    ask(project, [Cell("a:b.jpg", "depth")], number=1)
    assert len(cancel(project, ["a:b.jpg:depth"])) == 1


def test_one_wrong_name_and_nothing_is_cancelled(project: ProjectFolder, data: Made) -> None:
    cells = cells_of(data)
    ask(project, cells[:2], number=1)
    project.store.move([Move(cell=cells[1], to=State.SKIPPED)])
    before = ledger(project)
    names = ["0000.jpg:semseg", "0009.jpg:depth", "r9-no", "0000.jpg:depth", "0001.jpg:depth", ""]
    with pytest.raises(LedgerError) as caught:
        cancel(project, names)
    unknown = "is neither a cell (IMAGE:TASK) of the project nor the id of a request"
    assert str(caught.value) == (
        f"'0009.jpg:depth' {unknown}; 'r9-no' {unknown}; '0000.jpg:depth' is skipped, not requested; "
        f"'0001.jpg:depth' is missing, not requested; '' {unknown} ({project.folder}).\n"
        "  A requested cell is, for example, '0000.jpg:semseg'. Nothing was cancelled."
    )
    with pytest.raises(LedgerError, match="; and 5 more"):
        cancel(project, [f"x{i}" for i in range(25)])
    assert ledger(project) == before


def test_without_a_name_all_but_the_held_out_images_requests_go(data: Made, tmp_path: Path) -> None:
    with make_project(tmp_path / "project", data, {"0000.jpg": "heldout"}) as project:
        cells = cells_of(data)
        ask(project, cells[:2], number=0)
        ask(project, cells[2:4], number=1)
        ask(project, cells[4:], number=2)
        assert len(cancel(project, round=1)) == 2
        assert len(cancel(project)) == 2
        assert set(states(project)) == set(cells[:2])
        assert len(cancel(project, round=0)) == 2
        assert len(cancel(project)) == 0


def test_names_and_a_round_at_once_are_refused(project: ProjectFolder) -> None:
    with pytest.raises(UsageError, match="Give cells or a round, not both"):
        cancel(project, ["a:depth"], round=1)


def test_skipped_cells_may_be_asked_for_again(project: ProjectFolder, data: Made) -> None:
    cells = cells_of(data)
    ask(project, cells[:2], number=1)
    project.store.move([Move(cell=cells[0], to=State.SKIPPED)])
    assert len(cancel(project, requeue=True)) == 1
    assert states(project) == {cells[1]: "requested"}
    with pytest.raises(LedgerError, match="is requested, not skipped"):
        cancel(project, [request_id(1, cells[1])], requeue=True)


def test_withdrawn_labels_are_missing_and_their_files_and_events_stay(
    project: ProjectFolder, data: Made
) -> None:
    cells = cells_of(data)
    ask(project, cells[:1], number=1)
    project.store.move(
        [
            Move(cell=cell, to=State.LABELLED, path="labels/x", digest="d", cost=1.0)
            for cell in cells[:3]
        ]
    )
    spent = project.store.counts()["semseg"].spent
    assert (
        len(unlabel(project, ["0000.jpg:semseg", request_id(1, cells[0]), "0000.jpg:depth"])) == 2
    )
    assert (
        states(project) == {cells[2]: "labelled"}
        and project.store.counts()["semseg"].spent == spent
    )
    *_, labelled, withdrawn = project.store.history(cells[0])
    assert (labelled.move.path, withdrawn.move.why, withdrawn.move.to) == (
        "labels/x",
        "withdrawn",
        State.MISSING,
    )
    project.store.move(
        [Move(cell=cells[0], to=State.LABELLED, path="labels/y", digest="e", cost=1.0)]
    )


def test_one_cell_without_a_label_and_nothing_is_withdrawn(
    project: ProjectFolder, data: Made
) -> None:
    cells = cells_of(data)
    project.store.move([Move(cell=cells[0], to=State.LABELLED, path="labels/x", digest="d")])
    before = ledger(project)
    with pytest.raises(LedgerError) as caught:
        unlabel(project, ["0000.jpg:semseg", "0001.jpg:semseg"])
    assert "'0001.jpg:semseg' is missing, not labelled" in str(caught.value)
    assert caught.value.unchanged == "Nothing was withdrawn." and ledger(project) == before


def test_a_withdrawn_label_of_a_held_out_image_is_requested_again(
    data: Made, tmp_path: Path
) -> None:
    with make_project(tmp_path / "held", data, splits={data.names[0]: "heldout"}) as project:
        cell = Cell(data.names[0], "depth")
        project.store.move([Move(cell=cell, to=State.LABELLED, path="labels/x", digest="d")])
        unlabel(project, [f"{cell.image_id}:depth"])
        (row,) = project.store.cells()
        assert (row.state, row.round, row.request_id) == (State.REQUESTED, 0, request_id(0, cell))


@pytest.mark.parametrize("name", ["0000.jpg:depth", "0000.jpg:height", "nobody.jpg:depth"])
def test_a_label_that_is_not_there_is_not_withdrawn_and_the_hint_names_one_that_is(
    project: ProjectFolder, data: Made, name: str
) -> None:
    with pytest.raises(LedgerError) as caught:
        unlabel(project, [name])
    assert (caught.value.next_step, caught.value.unchanged) == (
        "No cell is labelled.",
        "Nothing was withdrawn.",
    )
    project.store.move(
        [Move(cell=Cell(data.names[1], "depth"), to=State.LABELLED, path="x", digest="d")]
    )
    with pytest.raises(LedgerError) as caught:
        unlabel(project, [name])
    assert caught.value.next_step == f"A labelled cell is, for example, '{data.names[1]}:depth'."


def test_cancelled_and_skipped_cells_of_held_out_images_are_requested_again(
    data: Made, tmp_path: Path
) -> None:
    with make_project(tmp_path / "held", data, splits={data.names[0]: "heldout"}) as project:
        first, second = (Cell(data.names[0], task) for task in ("semseg", "depth"))
        ask(project, [first, second], number=0)
        cancel(project, round=0)
        assert len(cancel(project, [f"{first.image_id}:{first.task}"], requeue=True)) == 1
        assert states(project) == {first: "requested"}
        assert len(cancel(project, round=0, requeue=True)) == 1
        assert states(project) == {first: "requested", second: "requested"}
        project.store.move([Move(cell=first, to=State.SKIPPED)])
        assert len(cancel(project, round=0, requeue=True)) == 1
        assert states(project) == {first: "requested", second: "requested"}
        with pytest.raises(LedgerError, match="is missing, not skipped"):
            cancel(project, [f"{data.names[1]}:depth"], requeue=True)
