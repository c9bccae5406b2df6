"""Pages of images: the same images in the same order as a filter over the whole grid."""

import pytest

from labelgrid.basics.errors import LedgerError
from labelgrid.ledger.grid import Cell, ImageRow, Move, State, TaskRow
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.ledger.store import Store

TASKS = ("depth", "normals")
#: Image number -> the states of its cells.
STATES = {0: "lm", 1: "rm", 2: "ss", 3: "mm", 4: "lr", 5: "mm", 6: "ll"}
LETTERS = {"m": State.MISSING, "r": State.REQUESTED, "l": State.LABELLED, "s": State.SKIPPED}


@pytest.fixture
def store(place):
    with Store.create(place) as store:
        for task in TASKS:
            store.add_task(TaskRow(task, task, 1.0))
        rows = []
        for number in STATES:
            split = "heldout" if number == 6 else "train"
            rows.append(ImageRow(image_id=name(number), root="/", digest=str(number), split=split))
        store.add_images(rows)
        for number, states in STATES.items():
            for task, letter in zip(TASKS, states, strict=True):
                bring(store, Cell(name(number), task), LETTERS[letter], number % 2 + 1)
        yield store


def name(number):
    return f"rooms/{number}_%.jpg" if number == 3 else f"rooms/{number}.jpg"


def bring(store, cell, state, round):
    if state == State.MISSING:
        return
    steps = [State.REQUESTED] if state == State.REQUESTED else [State.REQUESTED, state]
    for step in steps:
        path = "labels/x.png" if step == State.LABELLED else ""
        by = "Ada" if step == State.LABELLED and cell.image_id > name(3) else ""
        move = Move(cell=cell, to=step, round=round, request_id=str(cell), path=path, annotator=by)
        store.move([move])


def matching(store, **wanted):
    found = store.image_page(ImageFilter(**wanted))
    assert found.total == len(found.images)
    return [int(image.digest) for image in found.images]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6]),
        ({"splits": ("heldout",)}, [6]),
        ({"state": State.LABELLED}, [0, 4, 6]),
        ({"state": State.LABELLED, "splits": ("train",)}, [0, 4]),
        ({"state": State.MISSING}, [0, 1, 3, 5]),
        ({"state": State.MISSING, "task": "depth"}, [3, 5]),
        ({"state": State.MISSING, "task": "normals"}, [0, 1, 3, 5]),
        ({"state": State.REQUESTED, "task": "normals"}, [4]),
        ({"state": State.SKIPPED}, [2]),
        ({"round": 1}, [0, 2, 4, 6]),
        ({"round": 2}, [1]),
        ({"round": 2, "state": State.LABELLED}, []),
        ({"round": 2, "state": State.MISSING}, []),
        ({"task": "depth"}, [0, 1, 2, 3, 4, 5, 6]),
        ({"annotator": "Ada"}, [4, 6]),
        ({"annotator": "Ada", "state": State.MISSING}, []),
        ({"annotator": "Ada", "splits": ("train",)}, [4]),
        ({"name": "4"}, [4]),
        ({"name": "_%"}, [3]),
        ({"name": "ROOMS/5.JPG"}, [5]),
    ],
)
def test_images_with_a_matching_cell_are_listed_in_order(store, wanted, numbers):
    assert matching(store, **wanted) == numbers


def test_a_page_says_the_states_of_all_cells_and_how_many_images_match(store):
    page = store.image_page(ImageFilter(state=State.LABELLED), first=1, count=1)
    assert page.total == 3 and len(page.images) == 1
    image = page.images[0]
    assert image.image_id == name(4) and image.split == "train"
    assert image.states == {"depth": State.LABELLED, "normals": State.REQUESTED}


def test_the_neighbours_of_an_image_are_the_nearest_matching_ones(store):
    wanted = ImageFilter(state=State.LABELLED)
    assert store.neighbours(wanted, name(4)) == (name(0), name(6))
    assert store.neighbours(wanted, name(5)) == (name(4), name(6))
    assert store.neighbours(wanted, name(0)) == ("", name(4))
    assert store.neighbours(wanted, name(6)) == (name(4), "")


def test_the_last_changed_images_are_first_and_unchanged_ones_last(store):
    store.move([Move(cell=Cell(name(3), "depth"), to=State.REQUESTED)])
    wanted = ImageFilter(splits=("train",))
    assert store.matching_names(wanted) == [name(number) for number in range(6)]
    assert store.matching_names(wanted, newest=True) == [name(n) for n in (3, 4, 2, 1, 0, 5)]
    assert store.last_event() == list(store.events())[-1].id


def test_images_come_with_the_content_of_one_label(store):
    labels = {row.cell: row.digest for row in store.cells(state=State.LABELLED)}
    for wanted in (ImageFilter(), ImageFilter(state=State.REQUESTED, task="normals")):
        rows = store.matching_names_and_labels(wanted, "depth")
        assert [image_id for image_id, _ in rows] == store.matching_names(wanted)
        assert rows == [(image_id, labels.get(Cell(image_id, "depth"))) for image_id, _ in rows]
        assert any(content is not None for _, content in rows)
    with pytest.raises(LedgerError, match="no task 'edges'"):
        store.matching_names_and_labels(ImageFilter(), "edges")


def test_images_are_listed_in_the_order_that_is_asked_for(store):
    asked = [name(5), "unknown", name(0)]
    assert [image.image_id for image in store.listed_images(asked)] == [name(5), name(0)]
    assert store.listed_images([]) == []


def test_who_made_labels_is_listed_once(store):
    assert store.annotators() == ["Ada"]


def test_one_image_is_listed_with_the_states_of_its_cells(store):
    image = store.listed_image(name(1))
    assert image.states == {"depth": State.REQUESTED, "normals": State.MISSING}
    store.remove("images", [name(1)])
    for wrong in (name(1), "nothing"):
        with pytest.raises(LedgerError, match="has no image"):
            store.listed_image(wrong)


def test_removed_images_and_dropped_tasks_are_not_listed(store):
    store.remove("images", [name(0)])
    store.remove("tasks", ["normals"])
    page = store.image_page(ImageFilter(state=State.LABELLED))
    assert [image.image_id for image in page.images] == [name(4), name(6)]
    assert set(page.images[0].states) == {"depth"}
    assert matching(store, state=State.MISSING) == [3, 5]


def test_an_unknown_task_is_refused(store):
    with pytest.raises(LedgerError, match=r"no task 'edges'"):
        store.image_page(ImageFilter(task="edges"))
