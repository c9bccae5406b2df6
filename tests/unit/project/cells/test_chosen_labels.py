"""Laws of who chose a label: as the ledger keeps it with the requests, whatever came after."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.operations.cancel import unlabel
from labelgrid.project.cells.chosen_labels import chosen_labels, draw_equal, equal_counts
from labelgrid.project.folder import ProjectFolder
from labelgrid.select.draws import CONTROL
from tests.rounds import with_control
from tests.support import Made


@pytest.fixture
def bought(tmp_path: Path) -> Iterator[tuple[ProjectFolder, Made]]:
    project, made = with_control(tmp_path)
    with project:
        yield project, made


def requested(project: ProjectFolder, number: int) -> dict[Cell, str]:
    """What a round requested, with the reasons."""
    moves = [event.move for event in project.store.events(round=number)]
    return {move.cell: move.why for move in moves if move.to == State.REQUESTED}


def test_picks_are_those_made_with_a_model_and_the_control_is_that_of_all_rounds(
    bought: tuple[ProjectFolder, Made],
) -> None:
    project, _ = bought
    chosen = chosen_labels(project)
    first, later = requested(project, 1), requested(project, 2)
    drawn = {cell for cell, why in (first | later).items() if why == CONTROL}
    assert set(chosen.control) == drawn and len(drawn) == 7
    assert chosen.picks == {cell: "random_tasks" for cell in later if cell not in drawn}


def test_a_label_that_was_drawn_for_another_reason_or_not_requested_is_neither(
    bought: tuple[ProjectFolder, Made],
) -> None:
    project, _ = bought
    before = chosen_labels(project)
    missing = project.store.grid()
    one, other = [missing.cell(*place) for place in zip(*missing.eligible.nonzero(), strict=True)][
        :2
    ]
    request = {"round": 2, "request_id": "r2-x", "why": "random (pair)"}
    path = next(project.store.cells(state=State.LABELLED)).path
    project.store.move(
        [
            Move(cell=one, to=State.REQUESTED, **request),
            Move(cell=one, to=State.LABELLED, path=path),
            Move(cell=other, to=State.LABELLED, path=path),
        ]
    )
    after = chosen_labels(project)
    assert (dict(after.picks), list(after.control)) == (dict(before.picks), list(before.control))


def test_a_label_that_was_replaced_is_still_a_pick_and_one_withdrawn_is_none(
    bought: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    project, _ = bought
    chosen = chosen_labels(project)
    replaced, withdrawn = sorted(chosen.picks)[:2]
    row = project.store.find([replaced])[replaced]
    target = (tmp_path / "again" / replaced.task / replaced.image_id).with_suffix(".png")
    target.parent.mkdir(parents=True)
    definition = project.tasks()[replaced.task]
    label = definition.read(project.inside(row.path))
    label.valid[:2] = False
    definition.write(target, label)
    import_labels(project, tmp_path / "again", replace=True, accept=True)
    assert project.store.find([replaced])[replaced].digest != row.digest
    unlabel(project, [f"{withdrawn.image_id}:{withdrawn.task}"])
    assert set(chosen_labels(project).picks) == set(chosen.picks) - {withdrawn}


def cells(count: int, task: str = "depth") -> list[Cell]:
    return [Cell(f"image-{number}", task) for number in range(count)]


def test_only_tasks_of_both_are_counted_and_the_smaller_count_counts() -> None:
    one = [*cells(5), *cells(2, "edges"), *cells(3, "normals")]
    assert equal_counts(one, [*cells(2), *cells(7, "edges")]) == {"depth": 2, "edges": 2}


def test_draws_have_the_counts_are_even_and_depend_on_seed_and_cells_alone() -> None:
    pool = [*cells(8), *cells(4, "edges")]
    counts = {"depth": 3, "edges": 4}
    drawn = draw_equal(pool, counts, seed=1)
    assert Counter(cell.task for cell in drawn) == counts and set(drawn) <= set(pool)
    assert set(draw_equal(pool[::-1], counts, seed=1)) == set(drawn)
    often = Counter(cell for seed in range(400) for cell in draw_equal(pool, counts, seed))
    assert all(often[cell] == 400 for cell in cells(4, "edges"))
    assert all(110 < often[cell] < 190 for cell in cells(8))
