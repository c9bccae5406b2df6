"""Derives parts from classes: what is no person has no parts of one.

Where there is none, this is the whole label. Pixels of a person are not valid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.camera import Camera
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.class_tables import NOTHING, class_index, look_up_classes
from labelgrid.relations.relation import Derive, Relation
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True)
class Options:
    """What has parts.

    Args:
        classes: the classes, of the labels that are read, whose pixels have parts.
        background: the class, of parts, of the pixels without parts.
    """

    classes: tuple[str, ...] = ("person",)
    background: str = "background"

    def __post_init__(self) -> None:
        if not self.classes:
            raise ValueError("classes must name at least one class")


def build(options: Options) -> Relation:
    """The relation from classes to parts."""

    def between(reads: Sequence[TaskDef], gives: TaskDef) -> Derive:
        (semseg,) = reads
        background = class_index(gives, options.background, "background")
        part = np.full(len(semseg.class_names), background, np.int64)
        for name in options.classes:
            part[class_index(semseg, name, "classes")] = NOTHING

        def derive(labels: Sequence[LabelArray], _camera: Camera | None) -> LabelArray:
            (label,) = labels
            return look_up_classes(label, part)

        return derive

    return Relation(reads=("semseg",), gives="semseg", between=between)
