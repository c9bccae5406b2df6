"""Laws of open requests and the predictions that go with them."""

from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.requests import open_requests, prelabel
from tests.campaigns import ask, cells_of, copy
from tests.support import Made


def test_open_requests_come_by_round_and_best_first(project: ProjectFolder, data: Made) -> None:
    cells = cells_of(data)
    ask(project, [cells[4], cells[0]], number=2)
    ask(project, [cells[5]], number=0)
    ask(project, [cells[1], cells[3]], number=3)
    assert list(open_requests(project)) == [cells[5], cells[4], cells[0], cells[1], cells[3]]
    assert list(open_requests(project, 2)) == [cells[4], cells[0]]
    assert list(open_requests(project, 0)) == [cells[5]]
    assert open_requests(project, 3)[cells[3]].why == "it"


def test_a_cell_that_was_requested_again_counts_with_its_last_request(
    project: ProjectFolder, data: Made
) -> None:
    cell, other, third = cells_of(data)[:3]
    for round, request in ((1, "old"), (1, "old"), (2, "new")):
        project.store.move(
            [Move(cell=cell, to=State.REQUESTED, round=round, request_id=request, why=request)]
        )
        project.store.move([Move(cell=cell, to=State.MISSING)])
    project.store.move(
        [
            Move(cell=other, to=State.REQUESTED, round=1, request_id="other"),
            Move(cell=cell, to=State.REQUESTED, round=1, request_id="old", why="last"),
        ]
    )
    project.store.move([Move(cell=third, to=State.REQUESTED, round=2, request_id="third")])
    found = [(move.cell, move.why) for move in open_requests(project).values()]
    assert found == [(other, ""), (cell, "last"), (third, "")]


def test_an_answered_request_is_not_open(project: ProjectFolder, data: Made) -> None:
    cells = cells_of(data)
    ask(project, cells[:3], number=1)
    project.store.move(
        [Move(cell=cells[0], to=State.LABELLED, path="x"), Move(cell=cells[1], to=State.SKIPPED)]
    )
    assert list(open_requests(project)) == [cells[2]]


def test_a_prediction_is_found_under_both_names_of_its_image(
    project: ProjectFolder, data: Made
) -> None:
    cell, label = Cell("0000.jpg", "depth"), data.label("0000.jpg", "depth")
    asked, task = Move(cell=cell, to=State.REQUESTED, round=3), project.tasks()["depth"]
    folder = project.round_folder(3) / "prelabels" / "depth"
    assert prelabel(project, asked, task) is None
    replaced = copy(label, folder / "0000.png")
    assert prelabel(project, asked, task) == replaced
    assert prelabel(project, asked, task, whole=True) is None
    kept = copy(label, folder / "0000.jpg.npy")
    assert prelabel(project, asked, task) == prelabel(project, asked, task, whole=True) == kept
