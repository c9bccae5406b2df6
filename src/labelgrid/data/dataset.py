"""What a source of images and labels offers: images, labels, splits and weights are protocols of their own."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from labelgrid.labels.codec import LabelArray
from labelgrid.tasks.task import TaskDef


class ImageSource(Protocol):
    """Images by id; nothing is held in memory, every call reads."""

    def images(self) -> Sequence[str]:
        """The image ids."""

    def image(self, image_id: str) -> NDArray[np.uint8]:
        """RGB [h, w, 3], upright; `ImageError` says what is wrong with the file."""


class Source(ImageSource, Protocol):
    """Images and their labels: what a network is trained and measured on."""

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """The label of a cell at its image's size, or None where it is missing."""


class Dataset(Source, Protocol):
    """A published data set: images, labels and named splits (what a plug-in of `labelgrid.data` builds from a root)."""

    def splits(self) -> Mapping[str, Sequence[str]]:
        """The ids of each named split; empty where the data set has none."""


@runtime_checkable
class Weighted(Protocol):
    """A source whose cells have weights in training, as a strategy may have chosen them."""

    def weight(self, image_id: str, task: str) -> float:
        """The weight of a cell's label in training."""


def weight_of(source: Source | ImageSource, image_id: str, task: str) -> float:
    """The weight of a cell's label in training: the source's own if it is `Weighted`, else 1."""
    return source.weight(image_id, task) if isinstance(source, Weighted) else 1.0


def labels_of(source: Source, tasks: Mapping[str, TaskDef], image_id: str) -> dict[str, LabelArray]:
    """The labels that a source has of an image, by task."""
    found = {task: source.label(image_id, definition) for task, definition in tasks.items()}
    return {task: label for task, label in found.items() if label is not None}
