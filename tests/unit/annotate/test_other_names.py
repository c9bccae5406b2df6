"""Laws of what is said about labels that are not named after their images."""

from labelgrid.annotate.other_names import images_misspelt, match_other_names, unknown_faults
from labelgrid.ledger.grid import Cell

IMAGES = ["Küche/image_0001.jpg", "bath/0004.jpg", "kitchen/0004.jpg", "photo-7.jpg"]


def steps(*names: str) -> list[str]:
    return [fault.next_step for fault in unknown_faults(names, ["semseg"], IMAGES, {})]


def test_each_task_is_matched_by_itself_and_the_way_is_said() -> None:
    names = ["depth/mask_1.png", "depth/mask_2.png", "semseg/1.png", "semseg/3.png", "x.png"]
    found = match_other_names(names, ["depth", "semseg"], ["image_1.jpg", "image_2.jpg"])
    assert found.cells == {
        "depth/mask_1.png": Cell("image_1.jpg", "depth"),
        "depth/mask_2.png": Cell("image_2.jpg", "depth"),
    }
    assert found.notes == ["depth: names matched without 'image_' and 'mask_'."]
    assert "without its" not in found.tried["semseg"] and "Tried" in found.tried["semseg"]


def test_where_most_files_are_matched_the_others_are_told_how() -> None:
    names = [f"semseg/{i}_m.png" for i in (1, 2, 3, 9)]
    found = match_other_names(names, ["semseg"], ["1.jpg", "2.jpg", "3.jpg"])
    assert len(found.cells) == 3
    assert not found.notes
    assert found.tried["semseg"] == (
        "Of 3 other files of semseg, names matched without '_m'; not this one."
    )


def test_no_hint_names_another_photograph() -> None:
    for name in ("semseg/bath/0005.png", "semseg/hall/0004.png", "semseg/photo-8.png"):
        (step,) = steps(name)
        assert "Did you mean" not in step
        assert "labels.csv" in step


def test_a_name_spelt_otherwise_is_told_the_name_that_the_file_needs() -> None:
    assert steps("semseg/Photo 7.png", "labels/semseg/ku\u0308che/image_0001.npy") == [
        "Did you mean 'photo-7.jpg'? Then name the file 'semseg/photo-7.jpg.png'.",
        "Did you mean 'Küche/image_0001.jpg'? Then name the file 'semseg/Küche/image_0001.jpg.npy'.",
    ]


def test_a_name_of_several_images_is_told_them_all() -> None:
    assert steps("semseg/0004.png") == [
        "It could be of 'bath/0004.jpg' or 'kitchen/0004.jpg': name it after its image, such as "
        "'semseg/bath/0004.jpg.png'."
    ]


def test_a_name_with_one_mistake_is_told_the_image_that_waits_for_such_a_label() -> None:
    waiting = {"semseg": [["0481.jpg", "0811.jpg"], ["0401.jpg"]]}
    (fault,) = unknown_faults(
        ["semseg/04O1.png"],
        ["semseg"],
        ["0401.jpg", "0481.jpg", "0811.jpg"],
        {},
        waiting=waiting.get,
    )
    assert fault.next_step == (
        "Did you mean '0481.jpg'? Then name the file 'semseg/0481.jpg.png'. If not: say whose it is "
        "in labels.csv, a table of image,task,path; or add the image with `labelgrid add`, or remove "
        "the file."
    )


def test_of_a_mistake_an_image_is_told_and_of_another_number_none() -> None:
    images = ["hall/0481.jpg", "kitchen-window.png", "photo-7.jpg"]
    assert images_misspelt("kitchen-windwo", images) == ["kitchen-window.png"]
    assert images_misspelt("kitchen-windo", images) == ["kitchen-window.png"]
    assert images_misspelt("481", images) == ["hall/0481.jpg"]
    assert images_misspelt("hall/O481", images) == ["hall/0481.jpg"]
    for name in ("photo-8", "photo-77", "hall/0482", "hall/0418", "bath/0481", "kitchen-1", "p"):
        assert not images_misspelt(name, images), name
