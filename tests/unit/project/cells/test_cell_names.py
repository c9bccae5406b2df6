"""Laws of naming cells: by whole ids, or by an end of one that is the only one."""

import pytest

from labelgrid.basics.errors import LedgerError
from labelgrid.ledger.grid import Cell, ImageRow, State
from labelgrid.operations.by_hand import request
from labelgrid.operations.cancel import find_rows
from labelgrid.project.cells.cell_names import named_cells
from labelgrid.project.folder import ProjectFolder


@pytest.fixture
def rooms(project: ProjectFolder) -> ProjectFolder:
    ids = ("a/7001.png", "a/7002.png", "b/7002.png", "b/c/7004.png", "x:y/0005.tar.gz")
    project.store.add_images(ImageRow(image_id=name, root="x") for name in ids)
    return project


@pytest.mark.parametrize(
    ("name", "image_id"),
    [
        ("a/7001.png:depth", "a/7001.png"),
        ("a/7001:depth", "a/7001.png"),
        ("7004.png:depth", "b/c/7004.png"),
        ("7004:depth", "b/c/7004.png"),
        ("c/7004:depth", "b/c/7004.png"),
        ("b/7002:depth", "b/7002.png"),
        ("0000.jpg:depth", "0000.jpg"),
        ("0000:depth", "0000.jpg"),
        ("x:y/0005.tar.gz:depth", "x:y/0005.tar.gz"),
        ("004:depth", "004"),
        ("/7004:depth", "/7004"),
        ("nothing:depth", "nothing"),
    ],
)
def test_an_image_is_named_by_its_id_or_by_an_end_of_it_from_a_folder_on(
    rooms: ProjectFolder, name: str, image_id: str
) -> None:
    assert named_cells(rooms, [name]) == {name: Cell(image_id, "depth")}


def test_a_whole_id_is_never_the_end_of_another_one(rooms: ProjectFolder) -> None:
    rooms.store.add_images([ImageRow(image_id="7004.png", root="y")])
    found = named_cells(rooms, ["7004.png:depth", "c/7004.png:depth"])
    assert [cell.image_id for cell in found.values()] == ["7004.png", "b/c/7004.png"]


def test_an_end_of_several_ids_is_refused_with_these(rooms: ProjectFolder) -> None:
    with pytest.raises(LedgerError) as caught:
        request(rooms, ["a/7001.png:depth", "7002:depth"])
    assert str(caught.value) == (
        f"'7002' may be 2 images: a/7002.png, b/7002.png ({rooms.folder}).\n"
        "  Name the image with its folder. Nothing was requested."
    )
    assert not list(rooms.store.cells())
    rooms.store.add_images(ImageRow(image_id=f"{n:02d}/0009.png", root="x") for n in range(12))
    with pytest.raises(LedgerError, match=r"may be 12 images: .*09/0009\.png, and 2 more"):
        named_cells(rooms, ["0009:depth"])


def test_words_that_are_no_cells_are_left_out(rooms: ProjectFolder) -> None:
    assert named_cells(rooms, ["", ":depth", "r1-00", "a\udcff:depth"]) == {}


def test_commands_take_short_names(rooms: ProjectFolder) -> None:
    assert request(rooms, ["7001:depth"]) == [Cell("a/7001.png", "depth")]
    (row,) = find_rows(rooms, ["7001:depth", "a/7001.png:depth"], State.REQUESTED, "changed")
    assert row.cell == Cell("a/7001.png", "depth")


def test_removed_images_are_named_only_where_that_is_wanted(rooms: ProjectFolder) -> None:
    rooms.store.remove("images", ["a/7001.png", "b/7002.png"])
    assert named_cells(rooms, ["7001:depth"])["7001:depth"].image_id == "7001"
    found = named_cells(rooms, ["7001:depth"], removed=True)
    assert found["7001:depth"].image_id == "a/7001.png"
    assert named_cells(rooms, ["7002:depth"])["7002:depth"].image_id == "a/7002.png"
