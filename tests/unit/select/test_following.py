"""Values of cells with what follows from them, and cells that are left out because they follow."""

from dataclasses import replace

import numpy as np

from labelgrid.basics.streams import image_keys
from labelgrid.ledger.grid import Grid, State, TaskRow
from labelgrid.relations.bound import BoundRelation, bind
from labelgrid.relations.choice import RelationChoice
from labelgrid.select.following import (
    STILL_BOUGHT,
    brings_of,
    known_labels,
    leave_out_following,
    left_out_text,
    mostly_following,
    value_with_following,
)
from labelgrid.select.parts import draw_cells
from labelgrid.select.strategies.random_cells import Options, build
from labelgrid.select.strategy import Budget, PoolView
from labelgrid.tasks.task import definitions

TASKS = definitions(
    [TaskRow(name, kind, 1.0) for name, kind in (("depth", "depth"), ("normals", "normals"))]
)
MISSING, REQUESTED, LABELLED, SKIPPED = map(int, State)


def relation(**choice: float | bool) -> BoundRelation:
    return bind("depth_normals", RelationChoice(**choice), TASKS)  # type: ignore[arg-type]


def grid_of(*states: tuple[int, int]) -> Grid:
    images = [f"{number}.jpg" for number in range(len(states))]
    return Grid(
        images=images,
        keys=np.asarray(image_keys(images), np.uint64),
        tasks=list(TASKS),
        state=np.array(states, np.int8),
        cost=np.ones(2),
    )


def test_a_label_brings_along_its_trust_times_its_coverage() -> None:
    weak, strong = relation(trust=0.4), relation(trust=0.9, coverage=0.5)
    assert brings_of([weak, strong]) == {"depth": {"normals": 0.45}}
    assert brings_of([]) == {}


def test_cells_that_follow_exactly_are_left_out_but_for_a_share_at_random() -> None:
    states = [(MISSING, MISSING), (LABELLED, MISSING), (REQUESTED, MISSING)] * 2000
    grid = leave_out_following(grid_of(*states), [relation(trust=1.0, exact=True)], 0)
    kept = grid.eligible[:, 1].mean()
    assert abs(kept - STILL_BOUGHT) < 0.01
    assert grid.eligible[:, 0].sum() == 2000


def test_where_the_source_was_skipped_nothing_follows() -> None:
    grid = leave_out_following(grid_of((SKIPPED, MISSING)), [relation(trust=1.0, exact=True)], 0)
    assert grid.eligible.tolist() == [[False, True]]


def test_nothing_is_left_out_for_a_relation_that_is_not_exact() -> None:
    grid = grid_of((LABELLED, MISSING))
    assert leave_out_following(grid, [relation(trust=1.0)], 0) is grid


def test_cells_that_follow_mostly_are_left_out_but_for_the_share_that_does_not() -> None:
    states = [(MISSING, MISSING), (LABELLED, MISSING), (REQUESTED, MISSING)] * 2000
    for trust, coverage, share in ((1.0, 1.0, 0.0), (0.95, 0.9, 0.145)):
        believed = [relation(trust=trust, coverage=coverage)]
        grid = leave_out_following(grid_of(*states), believed, 0, mostly=True)
        assert abs(grid.eligible[:, 1].mean() - share) < 0.01
        assert grid.eligible[:, 0].sum() == 2000
    skipped = leave_out_following(grid_of((SKIPPED, MISSING)), believed, 0, mostly=True)
    assert skipped.eligible.tolist() == [[False, True]]


def test_what_is_asked_for_by_name_or_trusted_little_is_not_left_out() -> None:
    grid = grid_of(*[(LABELLED, MISSING)] * 9)
    assert (
        leave_out_following(grid, [relation(trust=1.0)], 0, mostly=True, asked=["normals"]) is grid
    )
    for low in (relation(trust=0.79), relation(trust=1.0, coverage=0.79)):
        assert leave_out_following(grid, [low], 0, mostly=True) is grid
    assert leave_out_following(grid, [relation(trust=1.0)], 0) is grid
    assert leave_out_following(grid, [], 0, mostly=True) is grid


def test_of_tasks_that_follow_from_each_other_one_is_bought() -> None:
    there = replace(relation(trust=0.9), name="there")
    back = replace(there, name="back", reads=("normals",), gives="depth", trust=0.85)
    onward = replace(there, name="onward", reads=("normals",), gives="edges", trust=0.82)
    assert mostly_following([there, back, onward]) == [there]
    assert mostly_following([replace(back, trust=0.95), there]) == [replace(back, trust=0.95)]
    assert mostly_following([replace(there, exact=True), back]) == []


def test_what_is_left_out_is_said() -> None:
    grid = grid_of(*[(MISSING, MISSING)] * 3)
    believed = [relation(trust=1.0)]
    left = leave_out_following(grid, believed, 0, mostly=True)
    assert left_out_text(left, believed, 0) == (
        "Labels that follow from others are not asked for: 3 of normals. `--task NAME` asks for "
        "them all the same."
    )
    assert left_out_text(grid, believed, 0) == ""
    exact = [relation(trust=1.0, exact=True)]
    assert left_out_text(leave_out_following(grid, exact, 0, mostly=True), exact, 0) == ""


def test_the_cells_left_out_do_not_depend_on_the_pool() -> None:
    exact = [relation(trust=1.0, exact=True)]
    whole = leave_out_following(grid_of(*[(MISSING, MISSING)] * 500), exact, 3)
    part = leave_out_following(whole.without(whole.images[:200]), exact, 3)
    np.testing.assert_array_equal(whole.eligible[200:], part.eligible)


def test_a_cell_that_follows_loses_its_share_and_its_source_gains_it() -> None:
    grid = grid_of((MISSING, MISSING), (LABELLED, MISSING), (SKIPPED, MISSING))
    scores = np.array([[1.0, 4.0], [np.nan, 4.0], [np.nan, 4.0]])
    found = value_with_following(scores, grid, {"depth": {"normals": 0.5}})
    assert found[0].tolist() == [1.5, 1.5] and found[1, 1] == 1.5
    assert found[2, 1] == 3.0  # above the pool's lowest, as all
    assert value_with_following(scores, grid, {}) is scores


def test_strategies_see_what_a_label_brings() -> None:
    grid = grid_of(*[(MISSING, MISSING)] * 400)
    strategy = build(Options())
    plain = strategy.select(PoolView(grid=grid), Budget(100, "labels"))
    related = PoolView(grid=grid, brings={"depth": {"normals": 1.0}})
    picks = strategy.select(related, Budget(100, "labels")).picks
    assert {pick.cell.task for pick in plain.picks} == {"depth", "normals"}
    assert {pick.cell.task for pick in picks} == {"depth"}
    scores = draw_cells(grid, 0).sum(1)
    rows = np.argsort(-scores)[:100]
    assert {pick.cell.image_id for pick in picks} == {grid.images[row] for row in rows}


def test_a_missing_label_is_known_where_all_that_is_read_is_labelled() -> None:
    grid = grid_of((LABELLED, MISSING), (LABELLED, LABELLED), (REQUESTED, MISSING))
    found = known_labels(grid, [relation(trust=0.5)])
    assert found.tolist() == [[False, True], [False, False], [False, False]]
