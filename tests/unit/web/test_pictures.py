"""The kept pictures never take more than their share of the memory; what says nothing is transparent."""

import io

import numpy as np
from PIL import Image

from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.task import TaskDef
from labelgrid.web.pictures import LARGE, KeptPictures, draw_label, picture_key


def test_background_and_what_is_not_labelled_are_transparent():
    row = TaskRow("semseg", "semseg", 1.0, {"classes": ["background", "shirt"]})
    clothes = TaskDef.of(row)
    label = LabelArray(np.array([[[0], [1], [1]]]), np.array([[True, True, False]]))
    picture = np.asarray(Image.open(io.BytesIO(draw_label(clothes, label, LARGE))))
    assert picture[0, :, 3].tolist() == [0, 255, 0]
    assert np.array_equal(picture[0, 1, :3], clothes.region_colours[1])


def test_the_pictures_that_were_not_asked_for_the_longest_are_dropped():
    pictures = KeptPictures(most=10)
    for name in "abc":
        pictures.keep(name, b"1234")
        assert pictures.get("a") == (b"1234" if name != "d" else None)
    assert pictures.get("b") is None and pictures.get("c") == b"1234"
    pictures.keep("c", b"12345678")
    assert pictures.get("a") is None and pictures.get("c") == b"12345678"
    pictures.keep("huge", b"x" * 11)
    assert pictures.get("huge") is None and pictures.get("c") is None
    pictures.keep("d", b"1234567890")
    assert pictures.get("d") == b"1234567890"


def test_a_key_changes_with_each_part():
    keys = {picture_key("a", "b"), picture_key("ab"), picture_key("a", "c"), picture_key("a", 1)}
    assert len(keys) == 4
