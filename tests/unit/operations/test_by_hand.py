"""Laws of requests and skips by hand."""

from dataclasses import replace

import pytest

from labelgrid.basics.errors import LedgerError, ProjectError, StateError, UsageError
from labelgrid.ledger.grid import Cell, ImageRow
from labelgrid.operations.by_hand import hold_out, request, skip
from labelgrid.project.folder import ProjectFolder
from tests.campaigns import ledger, states
from tests.projects import Said
from tests.support import Made


def test_a_cell_that_was_chosen_is_requested_at_the_cost_of_its_task(
    project: ProjectFolder, data: Made
) -> None:
    assert request(project, ["0001.jpg:depth"]) == [Cell("0001.jpg", "depth")]
    move = project.store.history(Cell("0001.jpg", "depth"))[-1].move
    costs = {task.name: task.cost for task in project.store.tasks()}
    assert (move.round, move.why, move.cost) == (0, "chosen by hand", costs["depth"])
    assert project.store.find([move.cell])[move.cell].request_id


def test_a_skip_says_why_and_costs_nothing(project: ProjectFolder, data: Made) -> None:
    request(project, ["0001.jpg:depth", "0002.jpg:depth"])
    assert skip(project, ["0001.jpg:depth"], "too dark") == [Cell("0001.jpg", "depth")]
    assert states(project)[Cell("0001.jpg", "depth")] == "skipped"
    assert project.store.history(Cell("0001.jpg", "depth"))[-1].move.why == "too dark"
    assert project.store.spent() == 0


def test_one_cell_in_another_state_and_nothing_changes(project: ProjectFolder, data: Made) -> None:
    request(project, ["0001.jpg:depth"])
    before = ledger(project)
    with pytest.raises(StateError, match=r"'0001\.jpg:depth' is requested, not missing"):
        request(project, ["0000.jpg:depth", "0001.jpg:depth"])
    with pytest.raises(StateError, match=r"'0000\.jpg:depth' is missing, not requested"):
        skip(project, ["0001.jpg:depth", "0000.jpg:depth"])
    for why in ("x" * 501, "two\nlines"):
        with pytest.raises(UsageError, match="one line"):
            skip(project, ["0001.jpg:depth"], why)
    assert ledger(project) == before


def test_images_whose_names_hold_colons_are_requested(project: ProjectFolder, data: Made) -> None:
    project.store.add_images([ImageRow(image_id="a:b.jpg", root="x")])
    assert request(project, ["a:b.jpg:depth"]) == [Cell("a:b.jpg", "depth")]


def test_held_out_images_take_their_copies_along_and_their_labels_are_requested(
    project: ProjectFolder,
) -> None:
    rows = [ImageRow(image_id=name, root="x", digest=name[0]) for name in ("a1", "a2", "b", "c")]
    project.store.add_images(rows)
    assert hold_out(project, ["a1"]) == ["a1", "a2"]
    assert hold_out(project, ["a2"]) == []
    assert states(project)[Cell("a2", "depth")] == "requested"


def test_images_that_were_trained_on_and_the_last_ones_are_not_held_out(
    project: ProjectFolder, data: Made
) -> None:
    before = ledger(project)
    with pytest.raises(LedgerError):
        hold_out(project, ["0000.jpg", "nothing.jpg"])
    with pytest.raises(ProjectError, match="All images"):
        hold_out(project, data.names)
    project.store.update_images([replace(project.store.image("0000.jpg"), split="val")])
    with pytest.raises(ProjectError, match=r"may have used 0000\.jpg"):
        hold_out(project, ["0000.jpg", "0001.jpg"])
    assert ledger(project) == before


def test_holding_out_most_of_what_is_left_to_buy_by_hand_is_warned_of(
    project: ProjectFolder, data: Made
) -> None:
    said = Said()
    images = sorted(row.image_id for row in project.store.images(("train",)))
    hold_out(project, images[:-1], said)
    (warning,) = said.lines
    assert "training images are held out now, and cannot be picked" in warning
