"""Laws of initial label plans: seeded, keyed by image, whatever the order of the pool, and as many as they say."""

import random
from collections import Counter
from pathlib import Path

import pytest

from labelgrid.errors import RecipeError
from labelgrid.labels.grid import Cell
from labelgrid.simulation.arms import InitialLabels
from labelgrid.simulation.initial import initial_cells, most_labels, read_cells

IMAGES = [f"room/{number:04d}.jpg" for number in range(200)]
TASKS = ["semseg", "depth", "normals"]
PLANS = [
    InitialLabels("images"),
    InitialLabels("one"),
    InitialLabels("random"),
    InitialLabels("shares", shares={"semseg": 1, "depth": 9}),
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.plan)
def test_the_order_of_the_pool_changes_no_cell_and_another_seed_does(plan: InitialLabels) -> None:
    cells = initial_cells(plan, IMAGES, TASKS, seed=3)
    shuffled = random.Random(0).sample(IMAGES, len(IMAGES))
    assert initial_cells(plan, shuffled, TASKS, seed=3) == cells
    assert (initial_cells(plan, IMAGES, TASKS, seed=4) == cells) == (plan.plan == "images")
    assert {cell.image_id for cell in cells} == set(IMAGES) and len(set(cells)) == len(cells)
    assert len(cells) <= most_labels(plan, len(IMAGES), len(TASKS))


@pytest.mark.parametrize("plan", PLANS[1:3], ids=lambda plan: plan.plan)
def test_an_image_draws_the_same_in_any_company(plan: InitialLabels) -> None:
    whole = initial_cells(plan, IMAGES, TASKS, seed=0)
    few = initial_cells(plan, IMAGES[50:60], TASKS, seed=0)
    assert few == [cell for cell in whole if cell.image_id in IMAGES[50:60]]


def test_one_label_per_image_spreads_evenly_over_the_tasks() -> None:
    cells = initial_cells(InitialLabels("one"), IMAGES, TASKS, seed=0)
    assert len(cells) == len(IMAGES)
    assert all(45 < count < 90 for count in Counter(cell.task for cell in cells).values())


def test_random_labels_are_from_one_to_all_tasks_of_each_image() -> None:
    cells = initial_cells(InitialLabels("random"), IMAGES, TASKS, seed=0)
    sizes = Counter(Counter(cell.image_id for cell in cells).values())
    assert set(sizes) == {1, 2, 3} and all(45 < count < 90 for count in sizes.values())
    assert all(100 < count < 170 for count in Counter(cell.task for cell in cells).values())


def test_shares_are_exact_to_one_label() -> None:
    cells = initial_cells(InitialLabels("shares", shares={"depth": 9, "semseg": 1}), IMAGES, TASKS, seed=0)
    assert Counter(cell.task for cell in cells) == {"semseg": 20, "depth": 180}
    odd = initial_cells(InitialLabels("shares", shares={"depth": 2, "normals": 1}), IMAGES[:7], TASKS, seed=0)
    assert Counter(cell.task for cell in odd) == {"depth": 5, "normals": 2}


def test_a_file_lists_cells_and_one_that_lists_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text("image,task\nb.jpg,depth\na.jpg,semseg\nb.jpg,depth\n")
    assert read_cells(path) == [Cell("a.jpg", "semseg"), Cell("b.jpg", "depth")]
    for text, fault in (
        ("image,task\n", "lists no cell"),
        ("picture,task\na,b\n", "has no column 'image'"),
        ("image\na\n", "has no column 'task'"),
        ("", "has no column 'image'"),
        ("image,task\na.jpg,depth\nb.jpg\n", "Line 3 .* names no image or no task"),
        ("image,task\na.jpg,depth\n,depth\n", "Line 3 .* names no image or no task"),
        ("\udcff", "read"),
    ):
        path.write_text(text, errors="surrogateescape")
        with pytest.raises(RecipeError, match=fault):
            read_cells(path)
    with pytest.raises(RecipeError, match="cannot be read"):
        read_cells(tmp_path / "nowhere.csv")
