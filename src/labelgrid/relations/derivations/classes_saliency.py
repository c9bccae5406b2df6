"""Derives the salient object from classes: the pixels of some classes, such as people, are it.

In an image without these, something else may be salient: nothing is valid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.camera import Camera
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.class_tables import class_index, look_up_classes
from labelgrid.relations.relation import Derive, Relation
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True)
class Options:
    """What is salient.

    Args:
        classes: the classes whose pixels are salient; where there are some, those of all others are
            not.
    """

    classes: tuple[str, ...] = ("person",)

    def __post_init__(self) -> None:
        if not self.classes:
            raise ValueError("classes must name at least one class")


def build(options: Options) -> Relation:
    """The relation from classes to saliency."""

    def between(reads: Sequence[TaskDef], _gives: TaskDef) -> Derive:
        (semseg,) = reads
        salient = np.zeros(len(semseg.class_names), np.int64)
        for name in options.classes:
            salient[class_index(semseg, name, "classes")] = 1

        def derive(labels: Sequence[LabelArray], _camera: Camera | None) -> LabelArray:
            (label,) = labels
            found = look_up_classes(label, salient)
            valid = found.valid & bool(found.value[found.valid].any())
            return LabelArray(found.value.astype(np.float32), valid)

        return derive

    return Relation(reads=("semseg",), gives="saliency", between=between)
