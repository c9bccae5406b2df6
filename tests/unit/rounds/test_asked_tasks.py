"""A query of the tasks that a user names: nothing else is picked, and what it leaves nothing of is said."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from labelgrid.basics.errors import LabelgridError, UsageError
from labelgrid.basics.progress import Silent
from labelgrid.cli import app
from labelgrid.operations.task_change import TaskChange, change_task
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds.query import QueryResult, query
from labelgrid.select.strategy import Budget
from tests.projects import Said, make_project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ProjectFolder]:
    made, _ = make_project(tmp_path, n=10, strategy="joint")
    with made:
        yield made


def counts(result: QueryResult) -> dict[str, int]:
    return dict(Counter(pick.cell.task for pick in result.picks))


@pytest.mark.parametrize("strategy", ["joint", "random_cells", "random_images", "random_tasks"])
@pytest.mark.parametrize(
    ("budget", "expected"),
    [(Budget(3), 3), (Budget(3, "images"), 3), (Budget(3, "cost"), 3)],
)
def test_only_cells_of_the_named_tasks_are_picked(
    project: ProjectFolder, strategy: str, budget: Budget, expected: int
) -> None:
    asked = query(project, budget, Silent(), strategy=strategy, tasks=["depth"])
    assert counts(asked) == {"depth": expected}


def test_several_tasks_can_be_named_and_an_image_is_worth_one_label_of_each(
    project: ProjectFolder,
) -> None:
    asked = query(project, Budget(3, "images"), Silent(), tasks=["depth", "normals"])
    assert counts(asked) == {"depth": 3, "normals": 3}


def test_a_query_of_other_tasks_is_another_query(project: ProjectFolder) -> None:
    first = query(project, Budget(2), Silent(), tasks=["depth"])
    again = query(project, Budget(2), Silent(), tasks=["depth"])
    other = query(project, Budget(2), Silent(), tasks=["normals"])
    assert again.repeated and again.picks == first.picks
    assert not other.repeated and counts(other) == {"normals": 2}


def test_an_unknown_task_is_refused_with_those_that_there_are(project: ProjectFolder) -> None:
    with pytest.raises(UsageError, match="has no task 'dept'") as no:
        query(project, Budget(2), Silent(), tasks=["dept"])
    assert "semseg, depth, normals" in str(no.value) and "Nothing was requested" in str(no.value)
    assert project.round_number == 1


def test_a_pool_without_a_label_of_the_task_is_empty(project: ProjectFolder) -> None:
    query(project, Budget(8), Silent(), tasks=["depth"])
    with pytest.raises(LabelgridError, match="lacks a label of depth, or it is asked for"):
        query(project, Budget(1), Silent(), tasks=["depth"], new=True)


def test_a_query_that_takes_all_it_was_asked_for_does_not_warn_of_it(
    project: ProjectFolder,
) -> None:
    said = Said()
    query(project, Budget(10), said, tasks=["depth", "normals"], dry_run=True)
    query(project, Budget(16), said, tasks=["depth", "normals"], dry_run=True)
    assert not any("every missing label" in line for line in said.lines)


def test_a_budget_in_cost_first_evens_out_what_tasks_cost_and_says_which_it_uses_up(
    project: ProjectFolder,
) -> None:
    change_task(project, "semseg", TaskChange({"cost": 10}), Silent())
    query(project, Budget(4), Silent(), tasks=["semseg"])
    said = Said()
    asked = query(project, Budget(26, "cost"), said, new=True, dry_run=True)
    assert counts(asked) == {"depth": 8, "normals": 8, "semseg": 1}
    line = next(line for line in said.lines if "every missing label" in line)
    assert line.startswith(
        "This takes every missing label of depth, normals; left are 3 of semseg."
    )
    assert "semseg 40, depth 0, normals 0" in line and "--task" in line


def test_the_command_takes_tasks_and_shows_no_score_of_a_draw(project: ProjectFolder) -> None:
    words = ["query", str(project.folder), "--budget", "4", "--task", "depth", "--task", "normals"]
    shown = CliRunner().invoke(app, [*words, "--dry-run"]).output
    assert "2 depth" in shown and "2 normals" in shown and "score" not in shown
    picked = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)["picks"]
    assert {pick["score"] for pick in picked} == {None}
    assert {pick["why"] for pick in picked} == {"random image"}
