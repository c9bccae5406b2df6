"""Laws of the costs that are learned from how long labels took."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.operations.status import status_of
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.prices import (
    DECLARED_LABELS,
    MOST_MEDIANS,
    TaskTimes,
    learned_costs,
    times_of,
)
from labelgrid.project.prices import apply_learned_costs as priced
from labelgrid.report.project_data import project_report
from labelgrid.report.project_page import cells_figure
from tests.campaigns import cells_of, make_project
from tests.e2e.commands import done
from tests.projects import Said
from tests.support import Made

COSTS = st.floats(0.01, 1000)
TIMES = st.lists(st.floats(0.1, 80_000), max_size=6)
#: Declared costs and times of tasks.
TABLES = st.dictionaries(st.sampled_from("abcd"), st.tuples(COSTS, TIMES), min_size=1)
#: A cost has three digits.
ROUNDING = 6e-3


def split(
    table: dict[str, tuple[float, list[float]]],
) -> tuple[dict[str, float], dict[str, list[float]]]:
    return {name: cost for name, (cost, _) in table.items()}, {
        name: times for name, (_, times) in table.items()
    }


@given(TABLES)
def test_labels_with_a_time_cost_together_what_was_declared(
    table: dict[str, tuple[float, list[float]]],
) -> None:
    declared, seconds = split(table)
    learned = learned_costs(declared, seconds)
    paid, before = (
        sum(len(seconds[name]) * costs[name] for name in costs) for costs in (learned, declared)
    )
    assert paid == pytest.approx(before, rel=ROUNDING)
    for name, cost in declared.items():
        if not seconds[name] or sum(map(bool, seconds.values())) < 2:
            assert learned[name] == cost
        else:  # the declared cost keeps its share
            assert learned[name] >= cost * DECLARED_LABELS / (
                DECLARED_LABELS + len(seconds[name])
            ) * (1 - ROUNDING)


@settings(max_examples=50)
@given(TABLES, st.floats(0.01, 10), st.floats(0.1, 100))
def test_the_units_of_times_and_of_costs_do_not_matter(
    table: dict[str, tuple[float, list[float]]], clock: float, money: float
) -> None:
    declared, seconds = split(table)
    learned = learned_costs(declared, seconds)
    other = learned_costs(
        {name: cost * money for name, cost in declared.items()},
        {name: [value * clock for value in times] for name, times in seconds.items()},
    )
    assert other == pytest.approx(
        {name: cost * money for name, cost in learned.items()}, rel=2 * ROUNDING
    )


@settings(max_examples=50)
@given(COSTS, COSTS, st.floats(1, 1000), st.floats(1, 1000))
def test_with_more_labels_the_ratio_of_the_costs_goes_to_that_of_the_mean_times(
    one: float, two: float, first: float, second: float
) -> None:
    assume(0.01 < first / second < 100)
    ratios = []
    for labels in (1, 20, 10**5):
        learned = learned_costs(
            {"a": one, "b": two}, {"a": [first] * labels, "b": [second] * labels}
        )
        ratios.append(abs(np.log(learned["a"] / learned["b"] * second / first)))
    assert ratios[0] + ROUNDING >= ratios[1] and ratios[2] <= 2 * ROUNDING


def test_no_times_are_no_change_not_even_of_digits() -> None:
    declared = {"a": 1.23456, "b": 0.0}
    assert learned_costs(declared, {}) == learned_costs(declared, {"a": [], "b": []}) == declared
    assert learned_costs(declared, {"a": [3.0, 5.0], "b": []}) == declared


def test_means_count_and_a_break_counts_little() -> None:
    usual, skewed = [60.0] * 100, [30.0] * 80 + [180.0] * 20  # the same sum
    assert learned_costs({"a": 1, "b": 1}, {"a": usual, "b": skewed}) == {"a": 1.0, "b": 1.0}
    lunch = [60.0] * 99 + [80_000.0]
    cut = [60.0] * 99 + [60.0 * MOST_MEDIANS]
    found = learned_costs({"a": 1, "b": 1}, {"a": usual, "b": lunch})
    assert found == learned_costs({"a": 1, "b": 1}, {"a": usual, "b": cut}) and found["b"] < 1.05


def test_the_costs_of_the_shortest_times_are_finite() -> None:
    assert learned_costs({"a": 1, "b": 3}, {"a": [5e-324], "b": [5e-324]}) == {"a": 1.17, "b": 2.83}


def test_a_free_task_stays_free_and_teaches_nothing() -> None:
    times = {"a": [60.0] * 9, "b": [60.0] * 9, "c": [600.0] * 9}
    assert learned_costs({"a": 1, "b": 0}, times) == {"a": 1, "b": 0}
    assert learned_costs({"a": 5, "b": 0, "c": 5}, times) == {
        **learned_costs({"a": 5, "c": 5}, times),
        "b": 0,
    }


def test_few_times_move_a_cost_little() -> None:
    declared = {"a": 1.0, "b": 1.0}
    few, many = (learned_costs(declared, {"a": [10.0] * n, "b": [90.0] * n}) for n in (1, 1000))
    assert few == {"a": 0.867, "b": 1.13} and many == {"a": 0.204, "b": 1.8}


@pytest.fixture
def timed(data: Made, tmp_path: Path) -> Iterator[ProjectFolder]:
    """A project with a label of each task that took a minute, of semseg, and 10 s, of depth.

    One has no time.
    """
    with make_project(tmp_path / "flat", data, splits={data.names[0]: "val"}) as project:
        took = {"semseg": 60.0, "depth": 10.0}
        moves = [
            Move(cell=cell, to=State.LABELLED, seconds=took[cell.task])
            for cell in cells_of(data)[:4]
        ]
        project.store.move([*moves, Move(cell=cells_of(data)[4], to=State.LABELLED)])
        yield project


def test_the_status_and_the_report_show_times_and_what_is_learned_from_them(
    timed: ProjectFolder, data: Made
) -> None:
    semseg, depth = TaskTimes(2, 60.0, 60.0, 1.2), TaskTimes(2, 10.0, 10.0, 0.796)
    assert times_of(timed) == {"semseg": semseg, "depth": depth}
    assert times_of(timed, ("val",)) == {
        "semseg": replace(semseg, labels=1),
        "depth": replace(depth, labels=1),
    }
    assert times_of(timed, ("test",)) == {}
    tasks = status_of(timed)["tasks"]
    assert tasks["semseg"]["times"] == {"labels": 2, "median": 60.0, "mean": 60.0, "cost": 1.2}
    _, val = project_report(timed).parts
    numbers = cells_figure(val, "cells").numbers
    assert [column.name for column in numbers.columns][-4:] == [
        *("labels with a time", "median seconds", "mean seconds", "learned cost of one label")
    ]
    assert [list(row[-4:]) for row in numbers.rows] == [
        [1, 60.0, 60.0, 1.2],
        [1, 10.0, 10.0, 0.796],
    ]
    timed.store.move([Move(cell=cell, to=State.MISSING) for cell in cells_of(data)[:2]])
    assert (
        len(cells_figure(project_report(timed).parts[1], "cells").numbers.columns)
        == len(numbers.columns) - 4
    )


def test_the_status_says_from_how_few_labels_a_time_is_known(timed: ProjectFolder) -> None:
    said = done("status", timed.folder).out
    assert "semseg: its time and what follows from it are from 2 timed labels." in said


def test_a_grid_gets_learned_costs_and_it_is_said_what_they_mean(
    timed: ProjectFolder, data: Made
) -> None:
    said = Said()
    grid = timed.store.grid()
    found = priced(timed, grid, said)
    assert (found.tasks, found.cost.tolist()) == (["semseg", "depth"], [1.2, 0.796])
    assert grid.cost.tolist() == [1.0, 1.0] and found.state is grid.state
    assert said.lines == [
        "Costs are learned from the times of 4 labels: semseg 1.2 (declared 1, from 2 timed labels), depth 0.796 "
        "(declared 1, from 2 timed labels). Their unit is that of the declared costs: these labels cost as much together as declared."
    ]
    timed.store.move([Move(cell=Cell(name, "depth"), to=State.MISSING) for name in data.names[:2]])
    assert priced(timed, grid, said) is grid
    assert said.lines[1:] == [
        "Costs are as declared: they are learned once two tasks have labels with times."
    ]
    assert priced(timed, grid, Silent()).cost.tolist() == [1.0, 1.0]


def test_times_of_a_free_task_do_not_count_as_learned_from(timed: ProjectFolder) -> None:
    said = Said()
    timed.store.update_task(replace(timed.store.tasks()[1], cost=0.0))
    grid = timed.store.grid()
    assert priced(timed, grid, said) is grid
    assert said.lines == [
        "Costs are as declared: they are learned once two tasks have labels with times."
    ]
