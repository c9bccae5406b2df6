"""Laws of building makers of partitions, and of the tasks whose labels are bought by regions."""

from contextlib import nullcontext

import numpy as np
import pytest

from labelgrid.basics import plugins
from labelgrid.basics.errors import ImageError, LabelError, PluginError, RecipeError
from labelgrid.ledger.grid import TaskRow
from labelgrid.regions.maker import ImageToDivide, build_maker, check_task, divide
from labelgrid.regions.partition import Partition
from labelgrid.tasks.task import TaskDef

CLASSES = {"classes": ["floor", "chair"]}
#: The kinds, with the makers by whose regions their labels are bought.
TAKEN = {
    "semseg": {"superpixels", "squares"},
    "saliency": {"superpixels", "squares"},
    "edges": {"squares"},
    "depth": set(),
    "normals": set(),
}


def task(kind: str) -> TaskDef:
    return TaskDef.of(TaskRow("mine", kind, 1.0, CLASSES if kind == "semseg" else {}))


def test_the_kinds_are_known():
    assert set(TAKEN) == set(plugins.names("kinds"))


@pytest.mark.parametrize("name", ["superpixels", "squares"])
@pytest.mark.parametrize("kind", TAKEN)
def test_labels_are_bought_by_the_regions_that_suit_them(kind, name):
    refused = pytest.raises(RecipeError, match="'mine'")
    with nullcontext() if name in TAKEN[kind] else refused:
        check_task(task(kind), name, build_maker(name, {}))


def test_maps_of_others_may_follow_the_image(tmp_path):
    with pytest.raises(RecipeError, match="end where the image changes"):
        check_task(task("edges"), "files", build_maker("files", {"folder": str(tmp_path)}))


def test_an_unknown_maker_and_an_unknown_option_are_refused():
    with pytest.raises(PluginError, match="superpixels"):
        build_maker("superpixel", {})
    with pytest.raises(RecipeError, match="cells"):
        build_maker("squares", {"cells": 3})


class Wrong:
    follows_image = False
    version = "1"

    def make(self, image: ImageToDivide) -> Partition:
        return Partition.of(np.ones((2, 2), int))


def test_a_partition_of_another_size_is_refused():
    image = ImageToDivide(image_id="a.jpg", size=(2, 3), read=lambda: np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(LabelError, match="2x2 pixels, the image has 2x3"):
        divide(Wrong(), image)


def test_a_file_of_an_image_stays_in_the_folder(tmp_path):
    image = ImageToDivide(
        image_id="../a.jpg", size=(2, 3), read=lambda: np.zeros((2, 3, 3), np.uint8)
    )
    with pytest.raises(ImageError, match="leads out"):
        image.path(tmp_path, ".png")
