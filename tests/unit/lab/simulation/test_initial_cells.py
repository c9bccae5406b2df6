"""Laws of initial label plans: seeded, keyed by image, whatever the order of the pool, and as many as they say."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelgrid.lab.simulation.arms import InitialLabels
from labelgrid.lab.simulation.initial_cells import initial_cells, most_labels

IMAGES = [f"room/{number:04d}.jpg" for number in range(200)]
TASKS = ["semseg", "depth", "normals"]
PLANS = [
    InitialLabels(plan="images"),
    InitialLabels(plan="one"),
    InitialLabels(plan="random"),
    InitialLabels(plan="shares", shares={"semseg": 1, "depth": 9}),
]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.plan)
def test_the_order_of_the_pool_changes_no_cell_and_another_seed_does(plan: InitialLabels) -> None:
    cells = initial_cells(plan, IMAGES, TASKS, seed=3)
    shuffled = random.Random(0).sample(IMAGES, len(IMAGES))
    assert initial_cells(plan, shuffled, TASKS, seed=3) == cells
    assert (initial_cells(plan, IMAGES, TASKS, seed=4) == cells) == (plan.plan == "images")
    assert {cell.image_id for cell in cells} == set(IMAGES) and len(set(cells)) == len(cells)
    assert len(cells) <= most_labels(plan, len(IMAGES), len(TASKS))


def test_whole_images_may_have_the_labels_of_some_tasks() -> None:
    plan = InitialLabels(tasks=("depth", "semseg"))
    cells = initial_cells(plan, ["b", "a"], TASKS, seed=0)
    assert [(cell.image_id, cell.task) for cell in cells] == [
        ("a", "depth"),
        ("a", "semseg"),
        ("b", "depth"),
        ("b", "semseg"),
    ]
    assert not plan.may_have("normals")
    assert most_labels(plan, images=2, tasks=3) == len(cells)
    with pytest.raises(ValueError, match="only the plans 'images' and 'regions' use"):
        InitialLabels(plan="one", tasks=("depth",))


def test_the_random_labels_of_an_image_are_the_same_in_any_company() -> None:
    whole = initial_cells(InitialLabels(plan="random"), IMAGES, TASKS, seed=0)
    few = initial_cells(InitialLabels(plan="random"), IMAGES[50:60], TASKS, seed=0)
    assert few == [cell for cell in whole if cell.image_id in IMAGES[50:60]]


SOME_IMAGES = st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=40, unique=True)
SOME_TASKS = st.lists(st.sampled_from("abcdef"), min_size=1, unique=True)


@given(SOME_IMAGES, SOME_TASKS, st.integers(0, 2**31), st.randoms())
def test_one_label_per_image_is_balanced_over_the_tasks(
    images: list[str], tasks: list[str], seed: int, shuffler: random.Random
) -> None:
    cells = initial_cells(InitialLabels(plan="one"), images, tasks, seed)
    assert [cell.image_id for cell in cells] == sorted(images)
    counts = [sum(cell.task == task for cell in cells) for task in tasks]
    assert max(counts) - min(counts) <= 1
    for names in (images, tasks):
        shuffler.shuffle(names)
    assert initial_cells(InitialLabels(plan="one"), images, tasks, seed) == cells


def test_one_label_per_image_has_the_counts_of_the_published_split() -> None:
    images = [f"{number}.png" for number in range(795)]
    assert set(
        Counter(c.task for c in initial_cells(InitialLabels(plan="one"), images, TASKS, 0)).values()
    ) == {265}


def test_seeds_differ_in_the_tasks_that_get_the_remainder() -> None:
    largest = Counter()
    for seed in range(300):
        counts = Counter(
            cell.task for cell in initial_cells(InitialLabels(plan="one"), IMAGES[:4], TASKS, seed)
        )
        largest.update(task for task, count in counts.items() if count == 2)
    assert set(largest) == set(TASKS) and all(70 < count < 130 for count in largest.values())


@given(SOME_IMAGES, SOME_TASKS, st.integers(0, 2**31), st.randoms())
def test_random_labels_are_from_one_to_one_less_than_all_tasks_of_each_image(
    images: list[str], tasks: list[str], seed: int, shuffler: random.Random
) -> None:
    plan = InitialLabels(plan="random")
    cells = initial_cells(plan, images, tasks, seed)
    sizes = Counter(cell.image_id for cell in cells)
    assert set(sizes) == set(images) and set(sizes.values()) <= set(range(1, max(len(tasks), 2)))
    assert len(set(cells)) == len(cells) <= most_labels(plan, len(images), len(tasks))
    for names in (images, tasks):
        shuffler.shuffle(names)
    assert initial_cells(plan, images, tasks, seed) == cells


def test_random_labels_have_each_number_and_each_task_equally_often() -> None:
    images = [f"{number}.png" for number in range(3000)]
    cells = initial_cells(InitialLabels(plan="random"), images, ["a", "b", "c", "d"], seed=0)
    sizes = Counter(Counter(cell.image_id for cell in cells).values())
    assert all(
        900 < sizes[number] < 1100 for number in (1, 2, 3)
    )  # 1000 expected, a deviation of 26
    assert all(1400 < count < 1600 for count in Counter(cell.task for cell in cells).values())


def test_shares_are_exact_to_one_label() -> None:
    cells = initial_cells(
        InitialLabels(plan="shares", shares={"depth": 9, "semseg": 1}), IMAGES, TASKS, seed=0
    )
    assert Counter(cell.task for cell in cells) == {"semseg": 20, "depth": 180}
    odd = initial_cells(
        InitialLabels(plan="shares", shares={"depth": 2, "normals": 1}), IMAGES[:7], TASKS, seed=0
    )
    assert Counter(cell.task for cell in odd) == {"depth": 5, "normals": 2}
