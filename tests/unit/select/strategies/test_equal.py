"""EquAL: by one task or by all, on pools with a known answer."""

import numpy as np
import pytest

from labelgrid.basics.errors import PluginError
from labelgrid.select.strategies.equal import Options, build
from labelgrid.select.strategy import Budget, PoolView
from labelgrid.testing.strategies import TASKS, grid_of


@pytest.fixture
def planted():
    """Forty images; the sixth is mirrored worst in normals, the eighth in all tasks together."""
    values = np.random.default_rng(0).random((40, 3)) * [1, 10, 1000]
    values[6] = [0, 11, 0]
    values[8] = [0.99, 9.9, 990]
    return grid_of([f"i{n}" for n in range(40)], np.zeros((40, 3))), values


def picked(planted, task, count=1):
    grid, values = planted
    return build(Options(task)).select(
        PoolView(grid=grid, statistics={"flips": values}), Budget(count, "images")
    )


def test_with_a_task_whole_images_come_in_the_order_of_its_scores(planted):
    grid, values = planted
    for column, task in enumerate(TASKS):
        found = picked(planted, task, 10).picks
        rows = sorted(range(40), key=lambda row: -values[row, column])[:10]
        assert [pick.cell.image_id for pick in found[::3]] == [grid.images[row] for row in rows]
        assert len(found) == 30 and found[0].score == pytest.approx(values[rows[0], column])
    assert picked(planted, "normals").picks[0].cell.image_id == "i6"


def test_over_all_tasks_it_is_the_mean_of_scores_between_0_and_1(planted):
    _, values = planted
    found = picked(planted, "", 3).picks
    low, high = values.min(0), values.max(0)
    mean = ((values - low) / (high - low)).mean(1)
    assert [pick.cell.image_id for pick in found[::3]] == [
        f"i{row}" for row in np.argsort(-mean)[:3]
    ]
    assert found[0].cell.image_id == "i8" and found[0].score == pytest.approx(mean[8])


def test_a_labelled_cell_of_the_task_keeps_its_image_in_the_pool(planted):
    _, values = planted
    state = np.zeros((40, 3))
    state[6, 1] = 2
    found = picked((grid_of([f"i{n}" for n in range(40)], state), values), "normals").picks
    assert [(pick.cell.image_id, pick.cell.task) for pick in found] == [
        ("i6", "depth"),
        ("i6", "semseg"),
    ]


def test_an_unknown_task_is_named(planted):
    with pytest.raises(PluginError, match="picks by the task 'normal', which does not exist"):
        picked(planted, "normal")


def test_the_inconsistency_of_every_task_is_kept_with_the_picks(planted):
    np.testing.assert_array_equal(picked(planted, "depth").terms["flips"], planted[1])
