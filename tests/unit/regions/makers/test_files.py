"""Laws of maps from files: they are found as label files are."""

import numpy as np
import pytest

from labelgrid.basics.errors import LabelError, RecipeError
from labelgrid.formats.arrays import save_array, save_png
from labelgrid.regions.maker import ImageToDivide, build_maker, divide


def image(image_id: str = "room/a.jpg", whole: bool = False) -> ImageToDivide:
    return ImageToDivide(
        image_id=image_id, size=(1, 2), read=lambda: np.zeros((1, 2, 3), np.uint8), whole=whole
    )


def test_a_map_is_named_after_its_image(tmp_path):
    (tmp_path / "room").mkdir()
    save_png(tmp_path / "room/a.png", np.array([[0, 3]], np.uint8))
    save_array(tmp_path / "room/a.png.npy", np.array([[4, 3]]))
    maker = build_maker("files", {"folder": str(tmp_path)})
    assert divide(maker, image()).ids.tolist() == [[0, 1]]
    assert divide(maker, image("room/a.png", whole=True)).ids.tolist() == [[1, 2]]


def test_a_missing_map_is_named(tmp_path):
    maker = build_maker("files", {"folder": str(tmp_path)})
    with pytest.raises(LabelError, match=r"no map of regions of the image 'room/a.jpg'") as error:
        maker.make(image())
    assert error.value.where == str(tmp_path / "room/a")


def test_two_maps_of_an_image_are_refused(tmp_path):
    save_png(tmp_path / "a.png", np.array([[0, 3]], np.uint8))
    save_array(tmp_path / "a.npy", np.array([[4, 3]]))
    with pytest.raises(LabelError, match=r"has 2 maps of regions: a.png, a.npy"):
        build_maker("files", {"folder": str(tmp_path)}).make(image("a.jpg"))


def test_a_map_of_another_size_is_refused(tmp_path):
    save_png(tmp_path / "a.png", np.array([[1, 2, 3]], np.uint8))
    with pytest.raises(LabelError, match="1x3 pixels, the image has 1x2"):
        build_maker("files", {"folder": str(tmp_path)}).make(image("a.jpg"))


def test_the_folder_must_be_named():
    with pytest.raises(RecipeError, match="folder"):
        build_maker("files", {})
