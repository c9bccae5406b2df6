"""Defines the laws of strategies, functions that raise AssertionError for a breach."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from labelgrid.basics.streams import image_key
from labelgrid.ledger.grid import Grid, Pick, State
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.select.budget import check_picks
from labelgrid.select.explain import explain_picks
from labelgrid.select.strategy import Budget, PoolView, Strategy
from labelgrid.testing.laws import Subject

TASKS = ["depth", "normals", "semseg"]
SEVEN = [*TASKS, "edges", "saliency", "parts", "far"]
law = settings(
    max_examples=40, report_multiple_bugs=False, deadline=None, database=None
)  # a first call may import libraries


def grid_of(
    images: list[str],
    state: Any,
    tasks: list[str] = TASKS,
    cost: tuple[float, ...] = (1.0, 2.0, 10.0),
) -> Grid:
    keys = np.array([image_key(name) for name in images], np.uint64)
    return Grid(
        images=images,
        keys=keys,
        tasks=tasks,
        state=np.asarray(state, np.int8),
        cost=np.array(cost[: len(tasks)]),
    )


def statistics_of(
    strategy: Strategy, grid: Grid, draw: Callable[[str, tuple[int, ...]], NDArray[Any]]
) -> dict[str, Any]:
    """Synthetic statistics for a strategy, by the declared scope and axis of each.

    The arrays are read-only.

    Args:
        strategy: its `needs` say which.
        grid: the grid, which gives the rows.
        draw: axis and shape -> values.
    """
    statistics = {}
    for name in sorted(strategy.needs):
        statistic = build_plugin("statistics", PluginChoice(name), 0)
        n, t = grid.state.shape
        shape = {"cell": (n, t), "image": (n,), "feature": (n, 3 * t)}[statistic.axis]
        values = draw(statistic.axis, shape).astype(
            np.float32 if statistic.axis == "feature" else np.float64
        )
        if statistic.scope == "pool":
            values[~grid.eligible.any(1)] = np.nan
        values.flags.writeable = False
        statistics[name] = values
    return statistics


def pools(strategy: Strategy) -> st.SearchStrategy[PoolView]:
    """Pools with the strategy's statistics."""
    for (
        name
    ) in strategy.needs:  # imports torch here, not while hypothesis measures how long a draw takes
        build_plugin("statistics", PluginChoice(name), 0)
    return _pools(strategy)


@st.composite
def _pools(draw: Any, strategy: Strategy) -> PoolView:
    n = draw(st.integers(1, 12))
    images = [f"image-{i}" for i in draw(st.permutations(range(n)))]
    states = st.lists(st.integers(0, 3), min_size=3, max_size=3)
    grid = grid_of(images, draw(st.lists(states, min_size=n, max_size=n)))

    def values(axis: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Random values; hypothesis draws a few for none, half or all, as drawing each takes long."""
        unknown = (
            [st.just(float("nan"))] if axis == "cell" else []
        )  # a task whose head never learnt
        seen = st.one_of(st.floats(-5, 5), st.just(1.0), *unknown)
        few = draw(st.lists(seen, min_size=1, max_size=6))
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        share = draw(st.sampled_from([0.5, 0.0, 1.0]))
        others = rng.uniform(-5, 5, shape)
        return np.where(rng.random(shape) < share, rng.choice(few, shape), others)

    return PoolView(
        grid=grid, statistics=statistics_of(strategy, grid, values), seed=draw(st.integers(0, 3))
    )


def spent(picks: list[Pick], grid: Grid, unit: str) -> float:
    if unit == "labels":
        return len(picks)
    if unit == "images":
        return len({pick.cell.image_id for pick in picks})
    return sum(grid.cost[list(grid.tasks).index(pick.cell.task)] for pick in picks)


def at_most_the_budget_is_spent_and_on_missing_cells_alone(strategy: Strategy) -> None:
    @law
    @given(
        pool=pools(strategy),
        amount=st.floats(0.5, 40),
        unit=st.sampled_from(["labels", "cost", "images"]),
    )
    def check(pool: PoolView, amount: float, unit: Any) -> None:
        picks = strategy.select(pool, Budget(amount, unit)).picks
        grid = pool.grid
        if unit == "images" and strategy.unit == "cells":  # worth the labels of as many images
            most = amount * len(TASKS)
            used = float(len(picks))
        else:
            most = amount
            used = spent(list(picks), grid, unit)
        assert used <= most + 1e-6, (
            f"`select` must spend at most the budget, here {most:g} {unit}; it spent {used:g}. "
            "`best_cells` and `best_images` of labelgrid.select.parts keep it."
        )
        missing = {
            (i, t)
            for r, i in enumerate(grid.images)
            for c, t in enumerate(TASKS)
            if grid.state[r, c] == 0
        }
        cells = [(p.cell.image_id, p.cell.task) for p in picks]
        assert set(cells) <= missing, (
            f"Only missing cells (`grid.eligible`) may be picked; {set(cells) - missing} are not."
        )
        assert len(set(cells)) == len(cells), f"A cell may be picked once; the picks are {cells}."

    check()


def the_same_cells_are_picked_in_any_pool_order(strategy: Strategy) -> None:
    @law
    @given(pool=pools(strategy), order=st.randoms(use_true_random=False))
    def check(pool: PoolView, order: Any) -> None:
        grid = pool.grid
        rows = list(range(len(pool.grid.images)))
        order.shuffle(rows)
        shuffled = Grid(
            images=[grid.images[r] for r in rows],
            keys=grid.keys[rows],
            tasks=TASKS,
            state=grid.state[rows],
            cost=grid.cost,
        )
        other = PoolView(
            grid=shuffled,
            statistics={name: values[rows] for name, values in pool.statistics.items()},
            seed=pool.seed,
        )
        for budget in (Budget(5, "labels"), Budget(2, "images"), Budget(7.5, "cost")):
            same = list(strategy.select(pool, budget).picks) == list(
                strategy.select(other, budget).picks
            )
            assert same, (
                "The picks must be the same for any order of the pool's images: break ties by "
                "`grid.keys` or `draw_cells(grid, seed)`, never by the row."
            )

    check()


def a_budget_of_the_whole_pool_buys_the_whole_pool(strategy: Strategy) -> None:
    grid = grid_of([f"i{n}" for n in range(4)], [[0, 2, 0], [0, 0, 0], [1, 1, 3], [0, 2, 2]])
    pool = PoolView(
        grid=grid,
        statistics=statistics_of(
            strategy, grid, lambda _, shape: np.arange(np.prod(shape)).reshape(shape)
        ),
    )
    worth = float((grid.eligible * grid.cost).sum())
    for budget in (Budget(6, "labels"), Budget(3, "images"), Budget(worth, "cost")):
        bought = len(strategy.select(pool, budget).picks)
        assert bought == 6, (
            f"A budget that pays for all 6 missing cells, {budget}, must buy them; it bought {bought}."
        )
    # So does a sum of many prices that no float holds exactly, and no check refuses it.
    many = grid_of([f"i{n}" for n in range(300)], np.zeros((300, 3)), cost=(1234.56, 99.99, 310.1))
    pool = PoolView(
        grid=many,
        statistics=statistics_of(
            strategy, many, lambda _, shape: np.arange(np.prod(shape)).reshape(shape)
        ),
    )
    half = float((many.eligible[:150] * many.cost).sum())
    for amount in (half, 2 * half):
        picks = strategy.select(pool, Budget(amount, "cost")).picks
        check_picks("any", picks, grid=many, budget=Budget(amount, "cost"), unit=strategy.unit)
        spent = sum(many.cost[TASKS.index(pick.cell.task)] for pick in picks)
        enough = spent > amount - 1234.56 if amount == half else len(picks) == 900
        assert enough, (
            f"A budget of {amount:g} must be spent until no cell can be paid for; {spent:g} was "
            f"spent, on {len(picks)} of 900 cells."
        )


def a_task_nobody_knows_about_and_a_pool_of_one_task_are_picked_from(strategy: Strategy) -> None:
    grid = grid_of(["a", "b"], [[0, 2, 2], [0, 2, 2]])

    def unknown(axis: str, shape: tuple[int, ...]) -> NDArray[Any]:
        return np.full(shape, np.nan if axis == "cell" else 0.0)

    pool = PoolView(grid=grid, statistics=statistics_of(strategy, grid, unknown))
    picked = len(strategy.select(pool, Budget(2)).picks)
    assert picked == 2, (
        f"Cells whose statistics are NaN (a task whose head never learnt) must be picked, too, if "
        f"there are no others; {picked} of 2 were."
    )
    one = grid_of(["a"], [[0]], ["depth"])
    ones = statistics_of(strategy, one, lambda _, shape: np.ones(shape))
    picked = len(strategy.select(PoolView(grid=one, statistics=ones), Budget(1)).picks)
    assert picked == 1, f"The one cell of a pool of one task must be picked; {picked} were."


def a_task_without_any_label_is_picked_beside_the_others(strategy: Strategy) -> None:
    for unknown in range(len(TASKS)):
        nothing = np.zeros((40, 3))
        apart = np.full((40, 3), State.LABELLED)
        apart[::2, unknown] = (
            State.MISSING
        )  # every other image lacks this task alone; the rest lacks one other task
        apart[1::2, unknown] = State.SKIPPED
        apart[1::4, unknown - 1] = apart[3::4, unknown - 2] = State.MISSING
        for state in (nothing, apart):
            pool = pool_of(strategy, state, unknown=unknown)
            picks = strategy.select(pool, Budget(20)).picks
            assert TASKS[unknown] in {pick.cell.task for pick in picks}, (
                f"{TASKS[unknown]} has no label, so its statistics are NaN; a strategy must pick some "
                f"of its cells among 20 picks of {len(pool.grid.images)} images, whatever they cost, or the task "
                "would never get a first label: the normalisers of labelgrid.select.parts mix such "
                "cells in."
            )


def what_is_kept_of_a_choice_can_be_kept(strategy: Strategy) -> None:
    @law
    @given(pool=pools(strategy))
    def check(pool: PoolView) -> None:
        choice = strategy.select(pool, Budget(6))
        assert json.loads(json.dumps(dict(choice.calibration))) == dict(choice.calibration), (
            f"`calibration` must be plain JSON values; it is {choice.calibration}."
        )
        bad = [p for p in choice.picks if not (_is_finite(p.score) and p.why)]
        assert not bad, f"Each pick must have a finite score and a reason `why`; {bad} have not."
        n, t = pool.grid.state.shape
        shapes = {name: values.shape for name, values in choice.terms.items()}
        assert {*shapes.values()} <= {(n, t), (n,)}, (
            f"`terms` must have a number for each cell, {(n, t)}, or image, {(n,)}: {shapes}."
        )
        ordered = [*choice.without.values(), *([] if choice.scores is None else [choice.scores])]
        kept = {values.shape for values in ordered}
        assert len(kept) <= 1 and kept <= {(n, t), (n,)}, (
            f"`scores` and each of `without` must all be of cells, {(n, t)}, or all of images, {(n,)}; "
            f"they are {kept}."
        )
        assert all(
            why.rank <= pool.grid.eligible.sum() for _, why in explain_picks(choice, pool.grid)
        ), "`scores` must be NaN where a cell is not eligible, so that no rank counts it."

    check()


def _is_finite(score: float | None) -> bool:
    return score is not None and bool(np.isfinite(score))


def pool_of(strategy: Strategy, state: Any, seed: int = 0, unknown: int | None = None) -> PoolView:
    """A pool with the given states.

    Its statistics differ from row to row, and have no value for the task `unknown`.
    """
    n, t = np.asarray(state).shape
    grid = grid_of([f"i{row}" for row in range(n)], state, SEVEN[:t], (1.0, 2.0, 10.0, 1, 3, 4, 5))
    rng = np.random.default_rng(seed)

    def draw(axis: str, shape: tuple[int, ...]) -> NDArray[Any]:
        values = rng.random(shape)
        if axis == "cell" and unknown is not None:
            values[:, unknown] = np.nan
        return values

    return PoolView(grid=grid, statistics=statistics_of(strategy, grid, draw), seed=seed)


def pools_at_the_edge_are_picked_from(strategy: Strategy) -> None:
    missing = 0
    labelled = 2
    for tasks in (1, 2, 7):
        empty = {
            "a pool without images": np.zeros((0, tasks), np.int8),
            "a pool without a missing cell": np.full((3, tasks), labelled),
        }
        for subject, state in empty.items():
            picks = list(strategy.select(pool_of(strategy, state), Budget(3)).picks)
            assert picks == [], (
                f"Nothing can be picked of {subject}, {tasks} tasks; it picked {picks}."
            )
        one_left = np.full((5, tasks), labelled)
        one_left[3, tasks - 1] = missing
        for budget in (Budget(1), Budget(1, "images"), Budget(99), Budget(99, "cost")):
            picks = list(strategy.select(pool_of(strategy, one_left), budget).picks)
            cells = [(pick.cell.image_id, pick.cell.task) for pick in picks]
            last = ("i3", SEVEN[tasks - 1])
            assert cells == [last], (
                f"{last} is the only cell left: pick it for {budget}, not {cells}."
            )
        for rows in (1, 6):  # no label anywhere
            budget = Budget(rows * tasks + 5)  # more than the pool holds
            unlabelled = pool_of(strategy, np.full((rows, tasks), missing))
            picks = list(strategy.select(unlabelled, budget).picks)
            assert len({pick.cell for pick in picks}) == len(picks) == rows * tasks, (
                f"A budget above the pool's worth must buy all its {rows * tasks} cells, each once, "
                f"before there is any label; it bought {len(picks)}."
            )


def case_of(subject: Subject, _place: Path) -> Strategy:
    """A strategy with the author's `OPTIONS`, or with the defaults."""
    options = subject.says("OPTIONS", {})
    strategy: Strategy = build_plugin("strategies", PluginChoice(subject.name, options))
    return strategy


LAWS: tuple[Callable[[Strategy], None], ...] = (
    at_most_the_budget_is_spent_and_on_missing_cells_alone,
    the_same_cells_are_picked_in_any_pool_order,
    a_budget_of_the_whole_pool_buys_the_whole_pool,
    a_task_nobody_knows_about_and_a_pool_of_one_task_are_picked_from,
    a_task_without_any_label_is_picked_beside_the_others,
    what_is_kept_of_a_choice_can_be_kept,
    pools_at_the_edge_are_picked_from,
)
