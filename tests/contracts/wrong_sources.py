"""Data sets that each break one law: a plain folder with one fault."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labelgrid.basics.errors import LabelgridError
from labelgrid.data.dataset import Dataset
from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.task import TaskDef


class Wrapped:
    """The data set itself."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def images(self) -> Sequence[str]:
        return self.dataset.images()

    def image(self, image_id: str) -> Any:
        return self.dataset.image(image_id)

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        return self.dataset.label(image_id, task)

    def splits(self) -> Mapping[str, Sequence[str]]:
        return self.dataset.splits()


class Twice(Wrapped):
    """Lists its first image twice."""

    def images(self) -> Sequence[str]:
        return [*self.dataset.images()[:1], *self.dataset.images()]


class Floats(Wrapped):
    """Images from 0 to 1."""

    def image(self, image_id: str) -> Any:
        return self.dataset.image(image_id) / 255


class Crops(Wrapped):
    """Labels without their last row."""

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        found = super().label(image_id, task)
        return LabelArray(found.value[:-1], found.valid[:-1]) if found else None


class FillsIn(Wrapped):
    """Returns a label without valid pixels for a missing label."""

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        height, width = self.dataset.image(image_id).shape[:2]
        nothing = LabelArray(
            np.zeros((height, width, 1), np.float32), np.zeros((height, width), np.bool_)
        )
        return super().label(image_id, task) or nothing


class OffByOne(Wrapped):
    """Class numbers, and depths, that are one too high."""

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        found = super().label(image_id, task)
        return LabelArray(found.value + 1, found.valid) if found else None


class Overlaps(Wrapped):
    """Every split has every image."""

    def splits(self) -> Mapping[str, Sequence[str]]:
        return dict.fromkeys(self.dataset.splits(), self.dataset.images())


class Unpicklable(Wrapped):
    """Holds an object that cannot be pickled."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        self.own = lambda: None


class BlackOut(Wrapped):
    """Returns a black image for an image that cannot be read."""

    def image(self, image_id: str) -> Any:
        try:
            return super().image(image_id)
        except LabelgridError:
            return np.zeros((16, 24, 3), np.uint8)


BREAKS: dict[str, type[Wrapped]] = {
    "ids_are_stable_and_unique": Twice,
    "images_are_upright_rgb": Floats,
    "a_label_has_its_image_s_size": Crops,
    "a_missing_label_is_none": FillsIn,
    "labels_are_those_that_were_laid_out": OffByOne,
    "splits_are_disjoint_and_of_the_images": Overlaps,
    "it_is_the_same_in_another_process": Unpicklable,
    "a_damaged_image_is_an_error_of_its_own": BlackOut,
}
