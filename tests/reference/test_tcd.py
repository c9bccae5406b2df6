"""TCD's selection (eqs. 1 to 3, sections 5 to 7, loss weights) against slow float64 versions of all its switches."""

from itertools import chain, product

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from labelgrid.basics.streams import image_key
from labelgrid.ledger.grid import Grid
from labelgrid.score.statistics.committee import COMBINE
from labelgrid.select.parts import draw_cells
from labelgrid.select.strategies.tcd import Options, build
from labelgrid.select.strategy import Budget, PoolView

COVERS = ["labelgrid.select.strategies.tcd"]
TASKS = ["depth", "normals", "semseg"]
LABELLED, REQUESTED = 2, 1


def pool_of(seed, *, labelled=True, unknown=False, n=10):
    rng = np.random.default_rng(seed)
    names = [f"image-{i}" for i in range(n)]
    state = np.zeros((n, 3), np.int8)
    if labelled:
        state[:3], state[3, 1], state[4, 0], state[5, 2] = LABELLED, LABELLED, REQUESTED, 3
    raw = rng.gamma(2.0, [0.1, 1.0, 30.0], (n, 3))
    if unknown:
        raw[:, 1], state[6] = np.nan, (LABELLED, 0, LABELLED)
    features = (rng.normal(size=(n, 5)) + 3).astype(np.float32)
    keys = np.array([image_key(name) for name in names], np.uint64)
    grid = Grid(images=names, keys=keys, tasks=TASKS, state=state, cost=np.array([1.0, 2.0, 5.0]))
    return PoolView(grid=grid, statistics={"committee": raw, "embedding": features}, seed=seed)


def slow_scores(pool, options):
    """The inconsistencies as they enter the score, [n][t]; NaN where unknown."""
    raw, grid = pool.statistics["committee"], pool.grid
    if options.score == "diversity":
        return np.ones(raw.shape)
    scores = raw.copy()
    if options.normalise == "each":
        for k in range(3):
            column = [raw[i, k] for i in range(len(raw)) if grid.state[i, k] == 0]
            scores[:, k] = (raw[:, k] - min(column)) / (max(column) - min(column))
    return scores


def slow_filled(pool, scores):
    """The scores of missing cells.

    An unknown one is the known score at the quantile that the cell draws.
    """
    draws, places = draw_cells(pool.grid, pool.seed), np.ndindex(scores.shape)
    missing = [place for place in places if pool.grid.state[place] == 0]
    known = sorted(float(scores[place]) for place in missing if not np.isnan(scores[place]))
    filled = {}
    for place in missing:
        if not np.isnan(scores[place]):
            filled[place] = scores[place]
        else:
            filled[place] = known[int(draws[place] * len(known))] if known else draws[place]
    return filled


def slow_items(pool, budget, options):
    """(image, column) -> (score, cost, cells) of all that can be picked."""
    scores, grid, items = slow_scores(pool, options), pool.grid, {}
    filled = slow_filled(pool, scores)
    missing = [[k for k in range(3) if grid.state[i, k] == 0] for i in range(len(grid.images))]
    for i, tasks in enumerate(missing):
        if options.unit == "cells":
            for k in tasks:
                items[i, k] = filled[i, k], grid.cost[k] if budget.unit == "cost" else 1, [k]
        elif tasks:
            known = [scores[i, k] for k in tasks if not np.isnan(scores[i, k])]
            known = known or [filled[i, k] for k in tasks]
            joined = max(known) if options.tasks == "max" else sum(known) / len(known)
            cost = {"labels": len(tasks), "images": 1, "cost": sum(grid.cost[k] for k in tasks)}[
                budget.unit
            ]
            items[i, 0] = joined, cost, tasks
    return items


def slow_distance(pool, options, item, picked):
    """Eq. 3: the distance to the nearest labelled or picked image, all distances computed again.

    A task without any such image counts as far as the largest distance to one of another task.
    """
    i, k = item
    features = pool.statistics["embedding"].astype(np.float64)
    state, cells = pool.grid.state, options.unit == "cells"
    by_task = [[j for j in range(len(state)) if state[j, task] in (1, 2)] for task in range(3)]
    every = [*chain(*by_task), *(j for j, _ in picked)]
    held = (by_task[k] if cells else every) + [j for j, other in picked if other == k]
    if not every:
        return 0.5 if options.distance == "cosine" else 1.0
    if not held:
        return cdist(features, features[every], options.distance).max()
    return cdist(features[[i]], features[held], options.distance).min()


def slow_greedy(pool, budget, options):
    found, value = slow_picks(pool, budget, options, None)
    if budget.unit != "cost":
        return found
    each = {
        item: slow_picks(pool, budget, options, item) for item in slow_items(pool, budget, options)
    }
    each = {item: one for item, one in each.items() if one}
    best = min(each, key=lambda item: (-each[item][2], pool.grid.keys[item[0]], item[1]))
    return each[best][0] if each[best][2] > value else found


def slow_picks(pool, budget, options, first):
    """The picks and their total value.

    With a first pick also its value, None if it costs too much.
    """
    items, picked, found, gained = slow_items(pool, budget, options), [], [], []
    left = budget.amount * (3 if options.unit == "cells" and budget.unit == "images" else 1)
    while True:
        payable = {item: value for item, value in items.items() if value[1] <= left + 1e-9}
        if first and not picked and first not in payable:
            return None
        if not payable:
            return (found, sum(gained)) if first is None else (found, sum(gained), gained[0])
        values = {item: value[0] for item, value in payable.items()}
        if options.score != "inconsistency":
            values = {
                item: score * slow_distance(pool, options, item, picked)
                for item, score in values.items()
            }
        rates = {
            item: values[item] / (payable[item][1] if budget.unit == "cost" else 1)
            for item in payable
        }
        best = min(values, key=lambda item: (-rates[item], pool.grid.keys[item[0]], item[1]))
        best = first if first and not picked else best
        gained.append(values[best])
        _, cost, tasks = items.pop(best)
        picked.append(best)
        left -= cost
        found += [(best[0], k, values[best]) for k in tasks]


def slow_weights(pool, options, picks):
    raw, grid = pool.statistics["committee"], pool.grid
    weights = []
    for i, k, _ in picks:
        if options.weigh == "picks":
            others = [raw[a, b] for a, b, _ in picks if b == k]
        else:
            others = [raw[a, k] for a in range(len(raw)) if grid.state[a, k] == 0]
        weight = raw[i, k] / np.mean(others)
        weights.append(
            1.0 if options.weigh == "none" or np.isnan(weight) else min(max(weight, 0.5), 2.0)
        )
    return weights


NAMES = ("score", "tasks", "normalise", "distance", "unit")
SWITCHES = list(
    product(
        ("product", "inconsistency", "diversity"),
        ("max", "mean"),
        ("each", "none"),
        ("euclidean", "cosine"),
        ("images", "cells"),
    )
)


@pytest.mark.parametrize("switches", SWITCHES, ids="-".join)
def test_the_picks_are_those_of_the_slow_greedy_selection(switches):
    for weigh, budget in (
        ("picks", Budget(9, "labels")),
        ("pool", Budget(3, "images")),
        ("none", Budget(21, "cost")),
    ):
        options = Options(**dict(zip(NAMES, switches, strict=True)), weigh=weigh)
        if options.score == "inconsistency" and budget.unit == "cost":
            continue  # without diversity, the most value is bought: tests/unit/select/strategies/test_tcd.py
        for pool in (pool_of(1), pool_of(2, unknown=True), pool_of(3, labelled=False)):
            if options.score != "inconsistency" and pool.seed == 3 and options.unit == "cells":
                budget = Budget(
                    len(pool.grid.images) * 3
                )  # all of it: each task's first centre is found on the way
            found = build(options).select(pool, budget).picks
            expected = slow_greedy(pool, budget, options)
            assert [(p.cell.image_id, p.cell.task) for p in found] == [
                (f"image-{i}", TASKS[k]) for i, k, _ in expected
            ]
            np.testing.assert_allclose(
                [p.score for p in found], [score for *_, score in expected], rtol=1e-4, atol=1e-6
            )
            weights = (
                slow_weights(pool, options, expected)
                if options.score != "diversity"
                else np.ones(len(found))
            )
            np.testing.assert_allclose([p.weight for p in found], weights, rtol=1e-12)


def test_equation_one_takes_the_committees_largest():
    members = np.random.default_rng(0).random((4, 5))
    for name, slow in (
        ("max", max),
        ("min", min),
        ("mean", lambda column: sum(column) / len(column)),
    ):
        np.testing.assert_allclose(
            COMBINE[name](list(members), axis=0), [slow(column) for column in members.T]
        )
    assert build(Options()).options == Options(
        score="product",
        tasks="max",
        normalise="each",
        distance="euclidean",
        unit="images",
        weigh="picks",
    )
