"""Queries and next steps where labels follow from others: what follows is not paid for, all else is picked as before."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labelgrid.basics import plugins
from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.progress import Silent
from labelgrid.operations.next_step import next_step
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.rounds.query import query
from labelgrid.select.strategy import Budget, skips_following
from tests.projects import Said, answer, make_project
from tests.support import Made

#: The strategies that spread a budget by no score of cells, and need no network.
OWN = ("joint", "random_cells", "random_images", "random_tasks")
#: The picks of each without a relation, and with one that is trusted by half, as before cells that follow mostly were left out.
BEFORE = {
    "joint": ["6331333a8d2b1971", "4f906be575f3df73", "4f906be575f3df73"],
    "random_cells": ["11e8c6bc2a93661b", "79d3479290992869", "366a93ab501764bb"],
    "random_images": ["b28813de33b81e2d"] * 3,
    "random_tasks": ["01d7064815b6979f"] * 3,
}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[tuple[ProjectFolder, Made]]:
    found, data = make_project(tmp_path, n=60, holdout=0, tasks=("depth", "normals"))
    with found:
        yield found, data


def believe(project: ProjectFolder, strategy: str, **relation: Any) -> None:
    changes = {**project.settings.changes}
    changes["relations"] = {"depth_normals": relation} if relation else {}
    project.settings = replace(
        project.settings, changes=changes, strategy=PluginChoice(strategy), costs="declared"
    )


def price(project: ProjectFolder, **costs: float) -> None:
    for row in project.store.tasks():
        project.store.update_task(replace(row, cost=costs[row.name]))


def picked(
    project: ProjectFolder, budget: Budget, said: Silent | None = None, **options: Any
) -> Any:
    """The picks of a query that requests nothing."""
    return query(project, budget, said or Silent(), dry_run=True, **options).picks


def digest_of(project: ProjectFolder) -> str:
    text = ""
    for budget in (Budget(17), Budget(9, "images"), Budget(31, "cost")):
        for pick in picked(project, budget):
            text += f"{pick.cell} {pick.score} {pick.weight} {pick.why}\n"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize("strategy", OWN)
def test_without_a_relation_or_with_little_trust_the_picks_are_those_of_before(
    made: tuple[ProjectFolder, Made], strategy: str
) -> None:
    project, _ = made
    found = []
    for relation in ({}, {"trust": 0.5}, {"trust": 0.9, "coverage": 0.8}):
        believe(project, strategy, **relation)
        found.append(digest_of(project))
    assert found == BEFORE[strategy]


@pytest.mark.parametrize("strategy", OWN)
def test_what_follows_wholly_is_not_bought_for_what_a_budget_leaves_over(
    made: tuple[ProjectFolder, Made], strategy: str
) -> None:
    """For 130, one label of depth (90) was bought, and for the rest 40 of normals, all of which follow."""
    project, _ = made
    price(project, depth=90.0, normals=1.0)
    believe(project, strategy)
    assert {pick.cell.task for pick in picked(project, Budget(130, "cost"))} >= {"normals"}
    believe(project, strategy, trust=1.0)
    said = Said()
    picks = picked(project, Budget(130, "cost"), said)
    assert [pick.cell.task for pick in picks] == ["depth"]
    assert any("are not asked for: 60 of normals. `--task NAME`" in line for line in said.lines)


def test_what_follows_mostly_is_bought_for_the_share_that_does_not(
    made: tuple[ProjectFolder, Made],
) -> None:
    project, _ = made
    believe(project, "random_tasks", trust=0.9)
    bought = Counter(pick.cell.task for pick in picked(project, Budget(120)))
    assert bought["depth"] == 60 and 0 < bought["normals"] < 15


def test_strategies_of_publications_are_offered_all_cells() -> None:
    """Not so random images: they are what begins every campaign, whatever picks later."""
    skipping = set()
    for name in plugins.names("strategies"):
        if skips_following(build_plugin("strategies", PluginChoice(name))):
            skipping.add(name)
    assert skipping == {*OWN, "stratified", "like"}


def test_a_search_by_an_example_buys_no_label_that_follows(
    made: tuple[ProjectFolder, Made],
) -> None:
    project, _ = made
    believe(project, "joint", trust=1.0)
    image = next(iter(project.store.images())).image_id
    found = picked(project, Budget(6), like=image)
    assert Counter(pick.cell.task for pick in found) == {"depth": 6}
    named = picked(project, Budget(6), like=image, tasks=["normals"])
    assert Counter(pick.cell.task for pick in named) == {"normals": 6}


def test_what_follows_can_be_asked_for_by_name_and_as_pairs(
    made: tuple[ProjectFolder, Made],
) -> None:
    project, _ = made
    believe(project, "joint", trust=1.0)
    named = picked(project, Budget(9), tasks=["normals"])
    assert Counter(pick.cell.task for pick in named) == {"normals": 9}
    said = Said()
    assert len(picked(project, Budget(9), said, tasks=["depth"])) == 9
    assert not any("are not asked for" in line for line in said.lines)  # nobody would expect them
    pairs = picked(project, None, pairs=4)
    assert Counter(pick.cell.task for pick in pairs) == {"depth": 4, "normals": 4}


def test_a_project_whose_rest_follows_has_nothing_left_to_buy(
    made: tuple[ProjectFolder, Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, data = made
    believe(project, "joint", trust=1.0)
    assert next_step(project).why == "Choose which of the 60 missing labels to buy next."
    query(project, Budget(60), Silent(), prelabels=False)
    answer(project, data)
    with pytest.raises(LabelgridError, match=r"or it follows from others \(60\)"):
        picked(project, Budget(10))
    monkeypatch.setattr("labelgrid.operations.next_step._why_train", lambda *_: "")  # is trained
    step = next_step(project)
    assert step.command == "report"
    assert step.why == "Every cell has an answer, or follows from others: see the report."
    project.settings = replace(project.settings, strategy=PluginChoice("core_set"))
    assert next_step(project).command == "query"  # it may pick them
