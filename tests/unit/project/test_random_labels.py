"""Which labels of training images are a random sample."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from labelgrid.ledger.grid import Cell, Move, State, request_id
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.pairs import note_pairs
from labelgrid.project.random_labels import DRAWN, NOT_PICKED, RandomLabels
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
