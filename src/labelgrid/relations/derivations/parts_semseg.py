"""Derives classes from parts, such as parts of people: a pixel of a part has the owner's class.

The other pixels are unknown, and not valid. Any classes may take the place of parts: `relate` finds
on true labels of both which class each lies in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

#: A part is tried as one of a class if at least this share of its pixels is.
SHARES = (0.9, 0.5, 0.99)


@dataclass(frozen=True)
class Options:
    """Which class the parts belong to.

    Args:
        person: the class, of the derived label, that parts belong to; "": only `owners` says it.
        background: the class, of parts, of the pixels without parts; "": there is none.
        owners: part -> the class that owns the part, for parts that are not a person's.
    """

    person: str = "person"
    background: str = "background"
    owners: Mapping[str, str] = field(default_factory=dict)


def build(options: Options) -> Relation:
    """The relation from parts to classes."""

    def between(reads: Sequence[TaskDef], gives: TaskDef) -> Derive:
        (parts,) = reads
        return partial(derive_by_table, _owners(options, parts, gives))

    return Relation(reads=("semseg",), gives="semseg", between=between, finder=_finder)


def _finder(reads: Sequence[TaskDef], gives: TaskDef) -> OptionFinder:
    """Finds the owner of each part: the class of most pixels of the part."""
    (parts,) = reads

    def propose(readings: Sequence[Ints]) -> list[Values]:
        counts = sum_counts(readings)
        owner = counts.argmax(1)
        fractions = counts.max(1) / np.maximum(counts.sum(1), 1)
        proposals: list[Values] = []
        for least in SHARES:
            owners = {}
            for part in np.flatnonzero(fractions >= least):
                owners[parts.class_names[part]] = gives.class_names[owner[part]]
            options = {"person": "", "background": "", "owners": owners}
            if owners and options not in proposals:
                proposals.append(options)
        return proposals

    return OptionFinder(
        finds=("person", "background", "owners"),
        read=partial(count_pairs, parts, gives),
        propose=propose,
    )


def _owners(options: Options, parts: TaskDef, semseg: TaskDef) -> Ints:
    """Int64 [parts]: the class that each belongs to."""
    person = class_index(semseg, options.person, "person") if options.person else NOTHING
    owner = np.full(len(parts.class_names), person, np.int64)
    for part, name in options.owners.items():
        owner[class_index(parts, part, "owners")] = class_index(semseg, name, "owners")
    if options.background:
        owner[class_index(parts, options.background, "background")] = NOTHING
    return owner
