"""For each strategy, a pool with planted cells that are the right picks, and how these are recognised."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from labelgrid.ledger.grid import Cell, Grid, State
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.select.strategy import Budget, PoolView, TrainedRound
from labelgrid.testing.strategies import TASKS, grid_of

#: The tasks' scores have these scales, so that scores of different tasks do not compare as they
#: are.
SCALES = np.array([1.0, 10.0, 1000.0])


@dataclass(frozen=True)
class Planted:
    """A pool with a known answer.

    Args:
        view: the pool; the answer is the same for every seed.
        budget: pays for the answer and nothing more.
        is_answer: whether picked cells are the answer.
    """

    view: PoolView
    budget: Budget
    is_answer: Callable[[frozenset[Cell]], bool]


def high_in_all_tasks(statistic: str) -> Planted:
    """Each of sixty images is the highest in one task and lowest in the others.

    Four are rather high in all.
    """
    values = np.zeros((64, 3))
    rows = np.arange(60)
    values[rows, rows % 3] = 1 + rows / 100
    values[60:] = 0.9
    grid = _grid(64)
    return Planted(
        PoolView(grid=grid, statistics={statistic: values * SCALES}),
        Budget(4, "images"),
        _images(grid, range(60, 64)),
    )


def high_in_one_task(statistic: str) -> Planted:
    """Four images are the highest in depth; the others are higher in the other tasks."""
    values = np.random.default_rng(0).uniform(0.5, 1, (40, 3))
    values[:4], values[4:, TASKS.index("depth")] = 0.1, 0.2
    values[:4, TASKS.index("depth")] = 0.9
    grid = _grid(40)
    return Planted(
        PoolView(grid=grid, statistics={statistic: values * SCALES}),
        Budget(4, "images"),
        _images(grid, range(4)),
    )


def best_of_each_task(statistic: str) -> Planted:
    """Two cells of each task are far above its others.

    Without normalisation the last task is far above all.
    """
    values, best = (
        np.random.default_rng(0).uniform(0, 0.5, (40, 3)),
        [(3 + row, row % 3) for row in range(6)],
    )
    for row, column in best:
        values[row, column] = 0.9 + row / 100
    grid = _grid(40)
    return Planted(
        PoolView(grid=grid, statistics={statistic: values * SCALES}), Budget(6), _cells(grid, best)
    )


def best_of_each_class(statistic: str) -> Planted:
    """A task without classes: its six most uncertain cells.

    A task of four: the best of each class, and two over all.

    It needs the last exponent, with which the noise is small beside the differences.
    """
    by_class = np.full((60, 2, 4), 0.01)
    by_class[:, 0] = 0
    by_class[10:14, 1] = np.eye(4)
    by_class[14:16, 1] = 0.5  # less about a class, more in all
    by_class[16:20, 1] = (
        0.3  # more than the first four in all, but the best neither there nor of a class
    )
    unsure = np.stack([np.random.default_rng(0).normal(-2, 0.1, 60), by_class[:, 1].sum(1)], 1)
    unsure[20:26, 0] = 3
    grid, done = (
        _grid(60, TASKS[:2]),
        [TrainedRound(round=number, labels={}, cost=0.0, val={}) for number in range(9)],
    )
    statistics = {statistic: unsure, "class_entropy": by_class.reshape(60, 8).astype(np.float32)}
    view = PoolView(grid=grid, statistics=statistics, read_history=lambda: done)
    best = [*((row, 0) for row in range(20, 26)), *((row, 1) for row in range(10, 16))]
    return Planted(view, Budget(12), _cells(grid, best))


def far_from_what_is_labelled(statistic: str) -> Planted:
    """Five images lie far from the labelled one and from each other; thirty lie beside it."""
    features = np.random.default_rng(0).normal(0, 0.1, (36, 5)).astype(np.float32)
    features[1:6] += 10 * np.eye(5)
    grid = _grid(36, labelled=[0])
    return Planted(
        PoolView(grid=grid, statistics={statistic: features}),
        Budget(5, "images"),
        _images(grid, range(1, 6)),
    )


def inconsistent_and_far() -> Planted:
    """Five far groups of five inconsistent images, of which one each is the most inconsistent: the answer.

    Ten images beside the labelled one are more inconsistent, ten in far places of their own are
    sure.
    """
    places = [0] * 11 + list(range(1, 11)) + [11 + row % 5 for row in range(25)]
    scores = np.array([9.0] * 11 + [0.1] * 10 + [7.0] * 20 + [8.0] * 5)
    features = 50 * np.eye(16)[places] + np.random.default_rng(0).normal(0, 0.1, (46, 16))
    grid = _grid(46, labelled=[0])
    statistics = {"committee": scores[:, None] * SCALES, "embedding": features.astype(np.float32)}
    return Planted(
        PoolView(grid=grid, statistics=statistics),
        Budget(5, "images"),
        _images(grid, range(41, 46)),
    )


def inconsistent() -> Planted:
    """As `inconsistent_and_far`, by inconsistency alone: the ten images beside the labelled one."""
    planted = inconsistent_and_far()
    return replace(
        planted, budget=Budget(10, "images"), is_answer=_images(planted.view.grid, range(1, 11))
    )


def typical_of_new_clusters() -> Planted:
    """Six clusters of eight images, one of them in the middle of the others.

    The two densest clusters have a label.
    """
    around = np.vstack([np.eye(6), -np.eye(6)[:1], np.zeros((1, 6))])  # the last is the middle
    features = np.vstack([1000 * np.eye(6)[c] + around * (0.5 if c < 2 else 1) for c in range(6)])
    grid = _grid(48, labelled=[0, 8])
    view = PoolView(grid=grid, statistics={"features": features.astype(np.float32)})
    return Planted(view, Budget(4, "images"), _images(grid, range(23, 48, 8)))


def rare_classes() -> Planted:
    """Two classes are seen in three images each, a little.

    A third of the budget is for each stratum.
    """
    shares = np.zeros((100, 3, 3), np.float32)
    shares[:, 2, 0] = 1
    for images, rare in ((slice(40, 43), 1), (slice(70, 73), 2)):
        shares[images, 2] = 0.95 * np.eye(3)[0] + 0.05 * np.eye(3)[rare]
    grid = _grid(100)
    wanted = _whole(grid, [*range(40, 43), *range(70, 73)])
    view = PoolView(
        grid=grid,
        statistics={"classes": shares.reshape(100, 9), "features": np.zeros((100, 2), np.float32)},
    )
    return Planted(view, Budget(9, "images"), lambda picked: wanted < picked)


def rare_places() -> Planted:
    """Two clusters of features have three images each.

    Each cluster gets a third of the budget, three cells a task.
    """
    features = np.zeros((100, 3), np.float32)
    features[40:43, 0] = features[70:73, 1] = 10
    grid = _grid(100)
    wanted = _whole(grid, [*range(40, 43), *range(70, 73)])
    return Planted(
        PoolView(grid=grid, statistics={"features": features}),
        Budget(27),
        lambda picked: wanted < picked,
    )


def labels_for_equal_costs() -> Planted:
    """A task costs four times as much as each of two others, so it gets a quarter of their labels."""
    grid = replace(_grid(60), cost=np.array([4.0, 1.0, 1.0]))
    equal = dict(zip(TASKS, (4, 16, 16), strict=True))
    return Planted(
        PoolView(grid=grid),
        Budget(36),
        lambda picked: Counter(cell.task for cell in picked) == equal,
    )


def a_task_that_is_nearly_done() -> Planted:
    """One task lacks few labels, the others all; each gets a third."""
    state = np.zeros((60, 3))
    state[:45, 0] = State.LABELLED
    grid = grid_of([f"i{row}" for row in range(60)], state)
    equal = dict.fromkeys(TASKS, 12)
    return Planted(
        PoolView(grid=grid),
        Budget(36),
        lambda picked: Counter(cell.task for cell in picked) == equal,
    )


def _grid(count: int, tasks: Sequence[str] = TASKS, labelled: Sequence[int] = ()) -> Grid:
    """Images without any label, but for those that have all."""
    state = np.zeros((count, len(tasks)))
    state[list(labelled)] = State.LABELLED
    return grid_of([f"i{row}" for row in range(count)], state, list(tasks))


def _cells(grid: Grid, cells: Iterable[tuple[int, int]]) -> Callable[[frozenset[Cell]], bool]:
    wanted = frozenset(grid.cell(row, column) for row, column in cells)
    return lambda picked: picked == wanted


def _images(grid: Grid, rows: Iterable[int]) -> Callable[[frozenset[Cell]], bool]:
    wanted = _whole(grid, rows)
    return lambda picked: picked == wanted


def _whole(grid: Grid, rows: Iterable[int]) -> frozenset[Cell]:
    return frozenset(grid.cell(row, column) for row in rows for column in range(len(grid.tasks)))


#: By strategy.
PLANTED: Mapping[str, Planted] = {
    "bald": best_of_each_task("dropout"),
    "clasp_pe": best_of_each_class("dropout"),
    "core_set": far_from_what_is_labelled("features"),
    "equal": high_in_all_tasks("flips"),
    "learning_loss": high_in_all_tasks("learning_loss"),
    "least_confidence": best_of_each_task("dropout"),
    "margin": best_of_each_task("dropout"),
    "partal": best_of_each_task("dropout"),
    "random_tasks": a_task_that_is_nearly_done(),
    "rbal": high_in_all_tasks("dropout"),
    "stratified": rare_classes(),
    "tcd": inconsistent_and_far(),
    "typiclust": typical_of_new_clusters(),
}

#: By strategy and options that pick by other code than the defaults.
WITH_OPTIONS: Sequence[tuple[PluginChoice, Planted]] = [
    (PluginChoice("clasp_pe", {"statistic": "ensemble"}), best_of_each_class("ensemble")),
    (PluginChoice("equal", {"task": "depth"}), high_in_one_task("flips")),
    (PluginChoice("learning_loss", {"unit": "cells"}), best_of_each_task("learning_loss")),
    (PluginChoice("margin", {"statistic": "confidence"}), best_of_each_task("confidence")),
    (PluginChoice("partal", {"unit": "images"}), high_in_all_tasks("dropout")),
    (PluginChoice("partal", {"statistic": "ensemble"}), best_of_each_task("ensemble")),
    (PluginChoice("random_tasks", {"shares": "cost"}), labels_for_equal_costs()),
    (PluginChoice("stratified", {"unit": "cells", "by": "features", "clusters": 3}), rare_places()),
    (PluginChoice("tcd", {"unit": "cells"}), replace(inconsistent_and_far(), budget=Budget(15))),
    (PluginChoice("tcd", {"score": "inconsistency"}), inconsistent()),
    (PluginChoice("tcd", {"score": "diversity"}), far_from_what_is_labelled("embedding")),
]
