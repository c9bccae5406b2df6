"""Derives parts from classes: pixels of classes without parts are background.

Where there is none, this is the whole label. Pixels of a person are not valid. `relate` finds on
true labels of both which classes have parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from labelgrid.basics.array_types import Ints
from labelgrid.basics.type_names import Values
from labelgrid.relations.class_tables import (
    NOTHING,
    class_index,
    count_pairs,
    derive_by_table,
    sum_counts,
)
from labelgrid.relations.relation import Derive, OptionFinder, Relation
from labelgrid.tasks.task import TaskDef

#: A class is tried as one without parts if at least this share of its pixels has none.
SHARES = (0.99, 0.9, 0.5)


@dataclass(frozen=True)
class Options:
    """The classes with parts.

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
        return partial(derive_by_table, part)

    return Relation(reads=("semseg",), gives="semseg", between=between, finder=_finder)


def _finder(reads: Sequence[TaskDef], gives: TaskDef) -> OptionFinder:
    """Finds the class of most pixels, the background, and the classes that are nothing else."""
    (semseg,) = reads

    def propose(readings: Sequence[Ints]) -> list[Values]:
        counts = sum_counts(readings)
        background = int(counts.sum(0).argmax())
        fractions = counts[:, background] / np.maximum(counts.sum(1), 1)
        proposals: list[Values] = []
        for least in SHARES:
            classes = [semseg.class_names[index] for index in np.flatnonzero(fractions < least)]
            options = {"classes": classes, "background": gives.class_names[background]}
            if 0 < len(classes) < len(semseg.class_names) and options not in proposals:
                proposals.append(options)
        return proposals

    return OptionFinder(
        finds=("classes", "background"), read=partial(count_pairs, semseg, gives), propose=propose
    )
