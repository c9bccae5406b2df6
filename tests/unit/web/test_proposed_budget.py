"""The budget that forms propose."""

import pytest

from labelgrid.operations.next_step import NextStep
from labelgrid.web.proposed_budget import ProposedBudget, proposed_budget

TASKS = {"semseg": {"cost": 10.0, "missing": 1}, "depth": {"cost": 1.0, "missing": 3}}


def test_the_last_query_is_proposed_again_in_its_unit():
    step = NextStep(command="query", typed=[""], why="", budget=8.5, unit="cost")
    assert proposed_budget([{"budget": 20.0, "unit": "images"}], step) == ProposedBudget(
        8.5, "cost"
    )
    step = NextStep(command="fit", typed=["labelgrid fit flat"], why="")
    rows = [
        {"budget": 20.0, "unit": "images"},
        {"budget": 10.0, "unit": "images"},
        {"budget": 0.0, "unit": "labels"},  # opened by requests
    ]
    assert proposed_budget(rows, step) == ProposedBudget(10.0, "images")
    assert proposed_budget(rows[2:], step) == proposed_budget([], step) == ProposedBudget(0)


@pytest.mark.parametrize(
    ("budget", "cost"),
    [
        (ProposedBudget(7, "cost"), 7),
        (ProposedBudget(2, "images"), 22),
        (ProposedBudget(4, "labels"), 13),
        (ProposedBudget(0), 0),
    ],
)
def test_a_budget_of_any_unit_costs_something(budget, cost):
    assert budget.cost(TASKS) == cost
    assert ProposedBudget(4).cost({}) == 0
