from collections.abc import Iterator
from dataclasses import replace

import pytest

from labelgrid.basics.errors import LedgerError
from labelgrid.basics.streams import image_key
from labelgrid.ledger import roster
from labelgrid.ledger.grid import ImageRow, TaskRow
from labelgrid.ledger.place import LedgerPlace
from labelgrid.ledger.store import Store


@pytest.fixture
def store(place: LedgerPlace) -> Iterator[Store]:
    with Store.create(place) as store:
        yield store


def image(name: str, root: str = "photos") -> ImageRow:
    return ImageRow(image_id=name, root=root)


def test_an_image_comes_back_as_it_was_given(store: Store) -> None:
    row = ImageRow(
        image_id="küche/ä b.png",
        root="/data/photos",
        digest="0f" * 16,
        height=480,
        width=640,
        split="heldout",
        group="küche",
    )
    assert store.add_images([row]) == 1
    assert store.image("küche/ä b.png") == row
    assert list(store.images()) == [row]


def test_images_come_in_the_order_of_their_names_code_points(store: Store) -> None:
    names = [
        "b.png",
        "a/10.png",
        "a/9.png",
        "Z.png",
        "ä.png",
        "a.png",
        "\U0001f600.png",
        "\uffee.png",
    ]
    store.add_images(map(image, names))
    assert [row.image_id for row in store.images()] == sorted(names)
    assert store.grid().images == sorted(names)


def test_images_are_listed_and_counted_by_split(store: Store) -> None:
    store.add_images(
        [image("a"), replace(image("b"), split="heldout"), replace(image("c"), split="val")]
    )
    assert [row.image_id for row in store.images(("heldout", "val"))] == ["b", "c"]
    assert (store.count_images(), store.count_images(("train",)), store.count_images(())) == (
        3,
        1,
        0,
    )


def test_the_roots_are_those_of_images_that_are_not_removed(store: Store) -> None:
    assert store.image_roots() == set()
    store.add_images([replace(image(name), root=f"s3://{name}") for name in "ab"])
    store.add_images([replace(image("c"), root="/photos")])
    assert store.image_roots() == {"s3://a", "s3://b", "/photos"}
    store.remove("images", ["b"])
    assert store.image_roots() == {"s3://a", "/photos"}


def test_images_are_found_by_their_names_in_their_order_without_removed_ones(store: Store) -> None:
    rows = [image(f"{number:05d}") for number in range(2 * roster.BATCH + 1)]
    store.add_images([*rows, replace(image("held"), split="heldout")])
    store.remove("images", ["00001"])
    names = ["held", *(row.image_id for row in reversed(rows)), "00002", "none", "caf\udce9.png"]
    assert [row.image_id for row in store.images(names=names)] == [
        *(row.image_id for row in rows if row.image_id != "00001"),
        "held",
    ]
    assert [row.image_id for row in store.images(("heldout",), names)] == ["held"]
    assert list(store.images(names=[])) == []


def test_an_image_given_again_is_counted_once_and_stays_as_it_is(store: Store) -> None:
    assert store.add_images([image("a"), image("a"), image("b")]) == 2
    assert store.add_images([replace(image("a"), split="test"), image("c")]) == 1
    assert [(row.image_id, row.split) for row in store.images()] == [
        ("a", "train"),
        ("b", "train"),
        ("c", "train"),
    ]


def test_known_images_among_many_new_ones_take_none_of_their_places(store: Store) -> None:
    rows = [image(f"{number:05d}") for number in range(3 * roster.BATCH)]
    store.add_images(rows[::7])
    added = store.add_images([*rows, *rows[:5]])
    assert added == len(rows) - len(rows[::7])
    assert list(store.images()) == rows


@pytest.mark.parametrize("known", [True, False])
def test_two_images_of_one_name_are_refused_with_both_roots_and_nothing_is_added(
    store: Store, known: bool
) -> None:
    rows = [image(f"{number:05d}") for number in range(roster.BATCH + 1)]
    twin = image("00000", "other")
    if known:
        store.add_images(rows[:1])
    with pytest.raises(LedgerError) as caught:
        store.add_images([*rows[known:], twin])
    assert str(caught.value) == (
        "Two images have the id '00000': one in photos, one in other.\n"
        "  Rename one of them, or give the folder above both. Nothing was added."
    )
    assert store.count_images() == known


def test_a_name_that_is_not_text_is_refused_and_nothing_is_added(store: Store) -> None:
    with pytest.raises(LedgerError, match=r"The image name 'caf\\udce9.png' is not Unicode text"):
        store.add_images([image("a"), image("caf\udce9.png")])
    assert store.count_images() == 0


def test_an_update_replaces_what_is_known_of_an_image_and_of_no_other(store: Store) -> None:
    store.add_images([image("a"), image("b")])
    read = ImageRow(
        image_id="a",
        root="moved",
        digest="0f" * 16,
        height=480,
        width=640,
        split="val",
        group="kitchen",
    )
    assert store.update_images([read]) == 1
    assert list(store.images()) == [read, image("b")]


def test_an_update_of_an_unknown_image_changes_nothing(store: Store) -> None:
    store.add_images([image("a")])
    with pytest.raises(LedgerError, match="The ledger has no image 'x'"):
        store.update_images([replace(image("a"), split="val"), image("x")])
    assert store.image("a").split == "train"


def test_asking_for_an_unknown_image_says_so(store: Store) -> None:
    with pytest.raises(LedgerError, match="The ledger has no image 'x'"):
        store.image("x")


def test_tasks_come_back_as_they_were_given_in_their_order(store: Store) -> None:
    rows = [
        TaskRow("parts", "semseg", 2.5, {"classes": ["kopf", "fuß"], "ignore": 255}),
        TaskRow("depth", "depth", 0),
    ]
    for row in rows:
        store.add_task(row)
    assert store.tasks() == tuple(rows)


def test_a_second_task_of_one_name_is_refused(store: Store) -> None:
    store.add_task(TaskRow("depth", "depth", 1.0))
    with pytest.raises(LedgerError, match="There is already a task 'depth'"):
        store.add_task(TaskRow("depth", "normals", 1.0))
    assert store.tasks() == (TaskRow("depth", "depth", 1.0),)


@pytest.mark.parametrize("cost", [-1.0, float("nan"), float("inf")])
def test_a_cost_that_is_no_price_is_refused(store: Store, cost: float) -> None:
    with pytest.raises(LedgerError, match="it must be a number from 0 up"):
        store.add_task(TaskRow("depth", "depth", cost))
    assert store.tasks() == ()


def test_the_grid_has_the_keys_that_draws_go_by(store: Store) -> None:
    store.add_images([image("b"), image("a")])
    assert store.grid().keys.tolist() == [image_key("a"), image_key("b")]
