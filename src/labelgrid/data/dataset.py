"""What a source of images and labels offers, and how it is cut down."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labelgrid.labels.codec import LabelArray
from labelgrid.tasks.task import TaskDef


class Source(Protocol):
    """Images and their labels; nothing is held in memory, every call reads."""

    def images(self) -> Sequence[str]:
        """The image ids."""

    def image(self, name: str) -> NDArray[np.uint8]:
        """RGB [h, w, 3], upright; `ImageError` says what is wrong with the file."""

    def label(self, name: str, task: TaskDef) -> LabelArray | None:
        """The label of a cell, or None where it is missing."""

    def splits(self) -> Mapping[str, Sequence[str]]:
        """The ids of each named split, where the source has splits."""

    def weight(self, name: str, task: str) -> float:
        """The weight of a cell's label in training (1 unless a strategy said otherwise)."""


def labels_of(source: Source, tasks: Mapping[str, TaskDef], name: str) -> dict[str, LabelArray]:
    """The labels that a source has of an image, by task."""
    found = {task: source.label(name, definition) for task, definition in tasks.items()}
    return {task: label for task, label in found.items() if label is not None}
