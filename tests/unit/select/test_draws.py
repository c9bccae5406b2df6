"""Cells that a query draws at random beside the picks of its strategy."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelgrid.basics.errors import LabelgridError, UsageError
from labelgrid.ledger.grid import State
from labelgrid.select.budget import check_picks, payable_amount
from labelgrid.select.draws import (
    AUDIT,
    CONTROL,
    PAIR,
    RandomDraws,
    SuppliedCells,
    draw_beside,
    read_draws,
    read_share,
)
from labelgrid.select.strategy import Budget
from labelgrid.testing.strategies import grid_of

PAIRED = ("depth", "normals")
TWELVE = [f"image-{number}" for number in range(12)]
WHOLE = [State.LABELLED] * 3


def many(n, state=None):
    states = np.zeros((n, 3)) if state is None else state
    return grid_of([f"image-{number}" for number in range(n)], states)


@st.composite
def grids(draw):
    n = draw(st.integers(1, 12))
    states = st.lists(st.integers(0, 3), min_size=3, max_size=3)
    return many(n, draw(st.lists(states, min_size=n, max_size=n)))


@st.composite
def supplied(draw):
    images = draw(st.sets(st.sampled_from(TWELVE), min_size=1))
    return SuppliedCells(
        supplier=draw(st.sampled_from("ab")),
        task=draw(st.sampled_from(PAIRED)),
        images=images,
        earlier=draw(st.lists(st.sampled_from(sorted(images)))),
    )


@st.composite
def asked(draw):
    return RandomDraws(
        pairs=draw(st.integers(0, 4)),
        tasks=PAIRED,
        earlier=draw(st.lists(st.sampled_from(TWELVE))),
        audit=draw(st.integers(0, 4)),
        supplied=draw(st.lists(supplied(), max_size=3)),
        control=draw(st.sampled_from([0.0, 0.2, 0.5, 1.0])),
    )


def shuffled(grid, order):
    rows = list(range(len(grid.images)))
    order.shuffle(rows)
    images = [grid.images[row] for row in rows]
    return replace(grid, images=images, keys=grid.keys[rows], state=grid.state[rows])


units = st.sampled_from(["labels", "cost", "images"])


def drawn_by(draws, grid, budget, seed=0):
    """What is drawn, or None if the budget does not pay for the pairs."""
    try:
        return draw_beside(draws, grid, budget, seed=seed, round=1)
    except LabelgridError as error:
        assert "does not pay for" in error.what
        return None


@settings(deadline=None)
@given(draws=asked(), grid=grids(), amount=st.floats(0.5, 40), unit=units)
def test_missing_cells_alone_are_drawn_once_within_the_budget(draws, grid, amount, unit):
    drawn = drawn_by(draws, grid, Budget(amount, unit))
    if drawn is None:
        return
    scored = [replace(pick, score=0.0) for pick in drawn.picks]
    check_picks("drawn", scored, grid=grid, budget=Budget(amount, unit), unit="cells")
    cells = len(scored)
    used = {"labels": cells, "images": cells / 3, "cost": sum(pick.cost for pick in scored)}[unit]
    assert used == pytest.approx(drawn.spent) and drawn.spent <= payable_amount(amount)


@settings(deadline=None)
@given(draws=asked(), grid=grids(), unit=units, order=st.randoms(use_true_random=False))
def test_the_same_cells_are_drawn_in_any_pool_order(draws, grid, unit, order):
    budget = Budget(9, unit)
    one = drawn_by(draws, grid, budget)
    other = drawn_by(draws, shuffled(grid, order), budget)
    assert (one is None) == (other is None)
    if one and other:
        assert (one.images, one.picks) == (other.images, other.picks)
        assert one.audited == other.audited


@settings(deadline=None)
@given(draws=asked(), grid=grids())
def test_in_the_grid_that_is_left_the_drawn_cells_are_requested_and_all_others_as_before(
    draws, grid
):
    drawn = draw_beside(draws, grid, Budget(99), seed=0, round=1)
    picked = {(pick.cell.image_id, pick.cell.task) for pick in drawn.picks}
    changed = set()
    for row, column in np.argwhere(drawn.grid.state != grid.state):
        assert drawn.grid.state[row, column] == State.REQUESTED
        changed.add((grid.images[row], grid.tasks[column]))
    assert changed == picked


@settings(deadline=None)
@given(state=st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=9, max_size=9))
def test_the_images_of_pairs_do_not_depend_on_what_was_bought(state):
    draws = RandomDraws(pairs=4, tasks=PAIRED)
    bought = draw_beside(draws, many(9, state), Budget(99), seed=0, round=1)
    nothing = draw_beside(draws, many(9), Budget(99), seed=0, round=1)
    assert bought.images == nothing.images and len(bought.images) == 4


def test_every_image_is_drawn_as_often_as_every_other():
    counts = dict.fromkeys(many(8).images, 0)
    for seed in range(2000):
        draws = RandomDraws(pairs=2, tasks=PAIRED)
        for image_id in draw_beside(draws, many(8), Budget(9), seed=seed, round=1).images:
            counts[image_id] += 1
    assert all(abs(count - 500) < 5 * np.sqrt(500 * 0.75) for count in counts.values()), counts


def test_all_missing_cells_of_the_connected_tasks_are_drawn_and_no_others():
    grid = many(3, [[0, 0, 0], WHOLE, [0, State.REQUESTED, 0]])
    drawn = draw_beside(RandomDraws(pairs=5, tasks=PAIRED), grid, Budget(3), seed=0, round=7)
    cells = {(pick.cell.image_id, pick.cell.task) for pick in drawn.picks}
    assert cells == {("image-0", "depth"), ("image-0", "normals"), ("image-2", "depth")}
    assert sorted(drawn.images) == ["image-0", "image-1", "image-2"]
    assert {pick.why for pick in drawn.picks} == {PAIR}
    assert all(pick.score is None and pick.request_id.startswith("r7-") for pick in drawn.picks)
    assert sorted(pick.cost for pick in drawn.picks) == [1.0, 1.0, 2.0]


def test_draws_go_on_where_the_last_one_ended():
    grid = many(9)
    both = draw_beside(RandomDraws(pairs=6, tasks=PAIRED), grid, Budget(99), seed=3, round=1)
    first = draw_beside(RandomDraws(pairs=2, tasks=PAIRED), grid, Budget(99), seed=3, round=1)
    draws = RandomDraws(pairs=4, tasks=PAIRED, earlier=first.images)
    second = draw_beside(draws, first.grid, Budget(99), seed=3, round=2)
    assert [*first.images, *second.images] == both.images


def test_a_drawn_image_whose_request_was_cancelled_is_drawn_first_again():
    first = draw_beside(RandomDraws(pairs=2, tasks=PAIRED), many(9), Budget(99), seed=3, round=1)
    draws = RandomDraws(pairs=2, tasks=PAIRED, earlier=first.images)
    assert draw_beside(draws, many(9), Budget(99), seed=3, round=2).images == first.images


def test_a_budget_that_does_not_pay_for_the_pairs_is_refused_and_the_least_that_does_is_named():
    draws = RandomDraws(pairs=3, tasks=PAIRED)
    for unit, least in (("labels", 6), ("cost", 9), ("images", 2)):
        with pytest.raises(LabelgridError, match=rf"takes {least} {unit}(.|\n)*--budget {least}"):
            draw_beside(draws, many(5), Budget(least - 0.1, unit), seed=0, round=1)
        assert draw_beside(draws, many(5), Budget(least, unit), seed=0, round=1).spent == least


def audit(count, *cells):
    """Draw cells of suppliers: each a task, and the numbers of its images."""
    supplied = []
    for number, (task, images) in enumerate(cells):
        names = [f"image-{image}" for image in images]
        supplied.append(SuppliedCells(supplier=f"s{number}", task=task, images=names))
    return RandomDraws(audit=count, supplied=supplied)


def test_cells_with_a_supplied_label_alone_are_drawn_as_many_of_each_supplier_and_task():
    draws = audit(3, ("depth", range(8)), ("normals", range(4, 9)), ("depth", [1, 2]))
    drawn = draw_beside(draws, many(9), Budget(99), seed=0, round=7)
    found = {(cells.supplier, cells.task): set(cells.images) for cells in drawn.audited}
    assert [len(images) for images in found.values()] == [3, 3, 2]
    for cells in draws.supplied:
        assert found[cells.supplier, cells.task] <= set(cells.images)
    requested = {(pick.cell.image_id, pick.cell.task) for pick in drawn.picks}
    depth = found["s0", "depth"] | found["s2", "depth"]
    of_depth = {(image_id, "depth") for image_id in depth}
    assert requested == of_depth | {(image_id, "normals") for image_id in found["s1", "normals"]}
    assert len(drawn.picks) == len(requested) == drawn.spent
    assert {pick.why for pick in drawn.picks} == {AUDIT} and not drawn.images


def test_suppliers_of_the_same_images_share_their_audits():
    draws = audit(3, ("depth", range(9)), ("depth", range(9)))
    assert len(draw_beside(draws, many(9), Budget(99), seed=0, round=1).picks) == 3


@settings(deadline=None)
@given(state=st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=9, max_size=9))
def test_audited_cells_do_not_depend_on_what_was_bought(state):
    draws = audit(4, ("depth", range(7)))
    bought = draw_beside(draws, many(9, state), Budget(99), seed=0, round=1)
    nothing = draw_beside(draws, many(9), Budget(99), seed=0, round=1)
    assert bought.audited == nothing.audited and len(nothing.picks) == 4


def test_every_cell_is_audited_as_often_as_every_other():
    counts = dict.fromkeys(TWELVE[:8], 0)
    for seed in range(2000):
        drawn = draw_beside(audit(2, ("depth", range(8))), many(9), Budget(9), seed=seed, round=1)
        for image_id in drawn.audited[0].images:
            counts[image_id] += 1
    assert all(abs(count - 500) < 5 * np.sqrt(500 * 0.75) for count in counts.values()), counts


def test_audits_go_on_where_the_last_ones_ended():
    both = draw_beside(audit(6, ("depth", range(9))), many(9), Budget(99), seed=3, round=1)
    draws = audit(2, ("depth", range(9)))
    first = draw_beside(draws, many(9), Budget(99), seed=3, round=1)
    drawn = first.audited[0].images
    further = replace(draws, audit=4, supplied=[replace(draws.supplied[0], earlier=drawn)])
    second = draw_beside(further, first.grid, Budget(99), seed=3, round=2)
    assert [*drawn, *second.audited[0].images] == both.audited[0].images
    cancelled = draw_beside(further, many(9), Budget(99), seed=3, round=2)
    assert cancelled.audited[0].images == both.audited[0].images[:4]


def test_the_label_of_a_pair_audits_a_supplier_too():
    draws = replace(audit(3, ("depth", range(9))), pairs=3, tasks=PAIRED)
    drawn = draw_beside(draws, many(9), Budget(99), seed=3, round=1)
    assert drawn.audited[0].images == drawn.images
    assert [pick.why for pick in drawn.picks] == [PAIR] * 6


def test_a_budget_that_does_not_pay_for_the_audits_is_refused_and_the_least_that_does_is_named():
    draws = audit(3, ("normals", range(9)))
    for unit, least in (("labels", 3), ("cost", 6), ("images", 1)):
        with pytest.raises(LabelgridError, match=rf"takes {least} {unit}(.|\n)*fewer --audit"):
            draw_beside(draws, many(9), Budget(least - 0.1, unit), seed=0, round=1)
        assert draw_beside(draws, many(9), Budget(least, unit), seed=0, round=1).spent == least
    both = replace(audit(2, ("depth", [5, 6])), pairs=1, tasks=["semseg"])
    with pytest.raises(LabelgridError, match="1 label as pairs of semseg and 2 labels to audit"):
        draw_beside(both, many(9), Budget(2), seed=0, round=1)


@pytest.mark.parametrize(("unit", "count"), [("labels", 4), ("images", 12)])
def test_the_control_is_a_share_of_what_the_pairs_leave(unit, count):
    draws = RandomDraws(pairs=3, tasks=PAIRED, control=0.25)
    drawn = draw_beside(
        draws, many(40), Budget(22 if unit == "labels" else 18, unit), seed=0, round=1
    )
    reasons = [pick.why for pick in drawn.picks]
    assert reasons == [PAIR] * 6 + [CONTROL] * count


def test_the_control_is_drawn_anew_in_each_round_and_from_all_tasks():
    draws = RandomDraws(control=0.5)
    rounds = []
    for number in (1, 2):
        picks = draw_beside(draws, many(30), Budget(30), seed=0, round=number).picks
        rounds.append({pick.cell for pick in picks})
        assert {pick.cell.task for pick in picks} == {"depth", "normals", "semseg"}
    assert rounds[0] != rounds[1]


def test_without_draws_the_grid_is_the_same_object():
    grid = many(3)
    drawn = draw_beside(RandomDraws(), grid, Budget(3), seed=0, round=1)
    assert drawn.grid is grid and not drawn.picks and drawn.spent == 0.0


@pytest.mark.parametrize("share", ["many", "120%", "1.5", -0.1, float("nan"), "%"])
def test_a_wrong_share_is_refused(share):
    with pytest.raises(UsageError, match="a share of the budget from 0% to 100%"):
        read_share(share)


def test_a_number_of_pairs_or_audits_below_0_is_refused():
    with pytest.raises(UsageError, match=r"--pairs must be a number of images .* Found -1"):
        read_draws(-1, 0, 0)
    with pytest.raises(UsageError, match=r"--audit must be a number of cells .* Found -2"):
        read_draws(0, -2, 0)
