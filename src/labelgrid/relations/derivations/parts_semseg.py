"""Derives classes from parts, such as those of people: a pixel of a part is its owner's.

Of the other pixels nothing is known: they are not valid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from labelgrid.camera import Camera
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.class_tables import NOTHING, class_index, look_up_classes
from labelgrid.relations.relation import Derive, Relation
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True)
class Options:
    """Which class the parts belong to.

    Args:
        person: the class, of the derived label, that parts belong to.
        background: the class, of parts, of the pixels without parts.
        owners: part -> the class that it belongs to, of those that are not a person's.
    """

    person: str = "person"
    background: str = "background"
    owners: Mapping[str, str] = field(default_factory=dict)


def build(options: Options) -> Relation:
    """The relation from parts to classes."""

    def between(reads: Sequence[TaskDef], gives: TaskDef) -> Derive:
        (parts,) = reads
        owner = _owners(options, parts, gives)

        def derive(labels: Sequence[LabelArray], _camera: Camera | None) -> LabelArray:
            (label,) = labels
            return look_up_classes(label, owner)

        return derive

    return Relation(reads=("semseg",), gives="semseg", between=between)


def _owners(options: Options, parts: TaskDef, semseg: TaskDef) -> NDArray[np.int64]:
    """Int64 [parts]: the class that each belongs to."""
    person = class_index(semseg, options.person, "person")
    owner = np.full(len(parts.class_names), person, np.int64)
    for part, name in options.owners.items():
        owner[class_index(parts, part, "owners")] = class_index(semseg, name, "owners")
    owner[class_index(parts, options.background, "background")] = NOTHING
    return owner
