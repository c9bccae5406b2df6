"""The next step says its command and why, and follows the last budget; the lines of all steps are tested with the status."""

from dataclasses import replace

import pytest

from labelgrid.basics import files
from labelgrid.ledger.grid import Move, State
from labelgrid.operations.next_step import first_query, next_step
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.requests import ALONE, ASKED
from labelgrid.web.proposed_budget import ProposedBudget, proposed_budget
from tests.campaigns import ask, cells_of
from tests.support import Made


def test_the_next_step_is_a_command_with_a_reason(project: ProjectFolder, data: Made) -> None:
    cells = cells_of(data)
    step = next_step(project)
    assert (step.command, step.budget) == ("query", 6)
    assert step.why == "Choose which of the 6 missing labels to buy next."
    ask(project, cells[:2], number=1)
    step = next_step(project)
    assert (step.command, step.budget) == ("export", 0) and step.why.startswith("2 labels are")
    ask(project, cells[2:], number=1)
    project.store.move([Move(cell=cell, to=State.LABELLED, path="p", cost=1.0) for cell in cells])
    step = next_step(project)
    assert step.command == "fit" and step.line == f"labelgrid fit {project.folder}"
    assert step.why == "Train on the 6 labels, and measure."


def test_the_first_query_exports_what_it_requests_until_nothing_is_left(
    project: ProjectFolder, data: Made
) -> None:
    folder = project.folder
    assert first_query(project) == f"labelgrid query {folder} --budget 6 --export FOLDER"
    ask(project, cells_of(data), number=1)
    assert first_query(project) == ""


def test_without_networks_a_training_names_what_installs_them_first(
    project: ProjectFolder, data: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = [Move(cell=cell, to=State.LABELLED, path="p", cost=1.0) for cell in cells_of(data)]
    project.store.move(moves)
    monkeypatch.setattr(files, "TRAINING", ("labelgrid_has_no_such_package",))
    step = next_step(project)
    fit = f"labelgrid fit {project.folder}"
    assert step.command == "fit" and step.line == f"pip install 'labelgrid[train]', then {fit}"
    monkeypatch.undo()
    assert next_step(project).line == fit


def close(project: ProjectFolder, budget: float, unit: str, note: str = "") -> None:
    """A round whose query requested nothing more."""
    row = project.open_round()
    project.store.put(ASKED.format(row.number), note)
    closed = replace(row, strategy="joint", budget=budget, unit=unit)  # type: ignore[arg-type]
    project.store.close_round(closed)


def test_the_next_query_follows_the_budget_and_the_unit_of_the_last_one(
    project: ProjectFolder,
) -> None:
    start = f"labelgrid query {project.folder} --budget"
    close(project, 5.0, "labels")
    assert next_step(project).line == f"{start} 5"
    close(project, 2.0, "images")
    assert next_step(project).line == f"{start} 2 --unit images"
    close(project, 2.5, "cost")
    step = next_step(project)
    assert step.line == f"{start} 2.5 --unit cost" and (step.budget, step.unit) == (2.5, "cost")
    close(project, 40.0, "labels", f"fixed/joint/10 pairs{ALONE}")  # what pairs took, no budget
    assert next_step(project).line == step.line
    assert proposed_budget([], step) == ProposedBudget(2.5, "cost")  # the page's
    close(project, 900.0, "labels")
    assert next_step(project).line == f"{start} 6"  # no more than is left


def test_before_another_step_the_page_proposes_the_last_budget(
    project: ProjectFolder, data: Made
) -> None:
    ask(project, cells_of(data), number=1)
    step = next_step(project)
    rows = [{"budget": 7.0, "unit": "cost"}, {"budget": 0.0, "unit": "labels"}]
    assert proposed_budget(rows, step) == ProposedBudget(7.0, "cost")
    assert proposed_budget([], step) == ProposedBudget(0.0)
