"""Represents evidence about one label, and doubts about several labels."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labelgrid.evidence.part_grid import PartBox
from labelgrid.ledger.grid import Cell


@dataclass(frozen=True)
class Evidence:
    """The finding of one comparison of a label.

    Args:
        value: how much it speaks against the label, in any unit; higher is worse.
        text: what was found, in words.
        others: further labels behind the evidence; once such a label changes, the evidence is void.
        part: the part of the label that it speaks against; None: all of it.
    """

    value: float
    text: str
    others: Sequence[Cell] = ()
    part: PartBox | None = None


#: The evidence of one sort, by label.
OfLabels = dict[Cell, Evidence]


@dataclass(frozen=True)
class Doubt:
    """A reason to take a set of labels for wrong.

    Args:
        task: the task of the labels.
        what: a sentence with the numbers.
        notes: image -> the evidence about this image, in a few words. Images that the doubt
            compares with each other are neighbours. Empty: it is about all labels.
        next_step: what to do about it; empty: to check unit, axes and classes.
    """

    task: str
    what: str
    notes: Mapping[str, str] = field(default_factory=dict)
    next_step: str = ""

    @property
    def brief(self) -> str:
        """The first part of the text.

        Example:
            >>> Doubt("depth", "the median depth is 0.003 m; expected 0.05 to 200 m.").brief
            'the median depth is 0.003 m'
        """
        return re.split(r"[;:]|\.(?:\s|$)", self.what, maxsplit=1)[0]
