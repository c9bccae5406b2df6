"""Which labels of training images are a random sample."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from labelgrid.ledger.grid import Cell, Move, State, request_id
from labelgrid.project.cells.drawn_pairs import note_pairs
from labelgrid.project.cells.random_labels import DRAWN, NOT_PICKED, RandomLabels
from labelgrid.project.folder import ProjectFolder
from labelgrid.select.draws import CONTROL, SuppliedCells
from tests.projects import make_project

COUNT = 6


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ProjectFolder]:
    """A project of 6 training images with labels of all tasks: nobody picked them."""
    made, _ = make_project(tmp_path, n=COUNT + 2, tasks=("depth", "normals"))
    with made:
        yield made


def training(project: ProjectFolder) -> list[str]:
    return [row.image_id for row in project.store.images(("train",))]


def label(
    project: ProjectFolder, cells: list[Cell], *, score: float | None = None, why: str = ""
) -> None:
    """Label cells that were asked for: with neither score nor reason, by hand."""
    number = project.open_round().number if why or score is not None else 0
    for to, path in ((State.REQUESTED, ""), (State.LABELLED, "a.png")):
        moves = []
        for cell in cells:
            name = request_id(number, cell) if to == State.REQUESTED else ""
            move = Move(
                cell=cell, to=to, round=number, request_id=name, path=path, score=score, why=why
            )
            moves.append(move)
        project.store.move(moves)


def cells_of(project: ProjectFolder, task: str, rows: range) -> list[Cell]:
    return [Cell(training(project)[row], task) for row in rows]


def supplied(project: ProjectFolder, earlier: list[str]) -> SuppliedCells:
    return SuppliedCells(supplier="s", task="depth", images=training(project)[:5], earlier=earlier)


def test_images_need_all_labels_of_which_none_was_picked(project: ProjectFolder) -> None:
    label(project, cells_of(project, "depth", range(COUNT)))
    label(project, cells_of(project, "normals", range(4)))
    label(project, cells_of(project, "normals", range(4, 5)), score=0.5)
    found, which = RandomLabels(project).images(["depth", "normals"])
    assert set(found) == set(training(project)[:4]) and which == NOT_PICKED


def test_a_pick_of_another_task_does_not_matter(project: ProjectFolder) -> None:
    label(project, cells_of(project, "depth", range(COUNT)))
    label(project, cells_of(project, "normals", range(COUNT)), score=0.5)
    found, which = RandomLabels(project).audited(supplied(project, []))
    assert set(found) == set(training(project)[:5]) and which == NOT_PICKED


def test_drawn_cells_go_before_others_once_there_are_two(project: ProjectFolder) -> None:
    ids = training(project)
    label(project, cells_of(project, "depth", range(2)), score=0.5)
    label(project, cells_of(project, "depth", range(2, 3)), why=CONTROL)
    label(project, cells_of(project, "depth", range(3, 5)))
    label(project, cells_of(project, "normals", range(3, 4)), why=CONTROL)
    one = RandomLabels(project).audited(supplied(project, []))
    assert (set(one[0]), one[1]) == ({ids[2], ids[3], ids[4]}, NOT_PICKED)
    two = RandomLabels(project).audited(supplied(project, [ids[0]]))
    assert (set(two[0]), two[1]) == ({ids[0], ids[2]}, DRAWN)


def test_a_pair_says_nothing_of_a_task_that_it_was_not_drawn_for(project: ProjectFolder) -> None:
    ids = training(project)
    label(project, cells_of(project, "depth", range(4)))
    note_pairs(project, ids[:2], ["semseg", "edges"])
    assert RandomLabels(project).audited(supplied(project, []))[1] == NOT_PICKED
    assert RandomLabels(project).images(["depth"])[1] == NOT_PICKED
    note_pairs(project, ids[:2], ["depth", "normals"])
    found, which = RandomLabels(project).audited(supplied(project, []))
    assert (set(found), which) == (set(ids[:2]), DRAWN)


WHOLE = ["depth", "normals"]


def label_whole(
    project: ProjectFolder, rows: range, *, number: int, score: float | None = None, why: str = ""
) -> None:
    """Label both tasks of images, as round `number` asked for them; 0: by hand."""
    for to, path in ((State.REQUESTED, ""), (State.LABELLED, "a.png")):
        moves = []
        for task in WHOLE:
            for cell in cells_of(project, task, rows):
                name = request_id(number, cell) if to == State.REQUESTED else ""
                move = Move(
                    cell=cell,
                    to=to,
                    round=number,
                    request_id=name,
                    path=path,
                    score=score,
                    why=why,
                )
                moves.append(move)
        project.store.move(moves)


def test_images_that_a_strategy_drew_at_random_are_a_random_sample(project: ProjectFolder) -> None:
    ids = training(project)
    label_whole(project, range(2), number=1, why="random image")
    label_whole(project, range(2, 3), number=2, why="random image")
    found, which = RandomLabels(project).images(WHOLE)
    assert (set(found), which) == (set(ids[:3]), DRAWN)
    found, which = RandomLabels(project).audited(supplied(project, []))
    assert (set(found), which) == (set(ids[:3]), DRAWN)


def test_draws_are_no_sample_of_all_images_once_scores_picked_some(project: ProjectFolder) -> None:
    ids = training(project)
    label_whole(project, range(2), number=1, why="random image")
    label_whole(project, range(2, 3), number=2, score=0.5)
    label_whole(project, range(3, 4), number=2, why="drawn at random")
    label_whole(project, range(4, 6), number=3, why="random image")
    found, which = RandomLabels(project).images(WHOLE)
    assert (set(found), which) == (set(ids[:2]), DRAWN)


def test_a_draw_that_completes_what_a_user_began_is_none(project: ProjectFolder) -> None:
    label(project, cells_of(project, "depth", range(3)))
    label(project, cells_of(project, "normals", range(3)), why="completes an image")
    assert RandomLabels(project).images(WHOLE) == ([], NOT_PICKED)


def test_a_label_that_a_user_chose_in_a_drawn_image_is_no_draw(project: ProjectFolder) -> None:
    label(project, cells_of(project, "depth", range(4)), why="random image")
    label(project, cells_of(project, "normals", range(4)))
    assert RandomLabels(project).images(WHOLE) == ([], NOT_PICKED)
    found, which = RandomLabels(project).images(["depth"])
    assert (len(found), which) == (4, DRAWN)


def test_pairs_and_drawn_images_are_one_sample(project: ProjectFolder) -> None:
    ids = training(project)
    label_whole(project, range(1), number=1, why="random image")
    label(project, [Cell(ids[3], task) for task in WHOLE])
    note_pairs(project, [ids[3]], WHOLE)
    found, which = RandomLabels(project).images(WHOLE)
    assert (set(found), which) == ({ids[0], ids[3]}, DRAWN)
