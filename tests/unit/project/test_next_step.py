"""The next step says its command and why; the lines of all steps are tested with the status."""

from labelgrid.ledger.grid import Move, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.next_step import first_query, next_step
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
