"""Defines checks over many labels of a task, for faults of no single label. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from labelgrid.basics.array_types import Array, Bools
from labelgrid.basics.words import count_text
from labelgrid.formats.codec import LabelArray

#: Fewer labels say nothing.
MANY = 8
#: Every so many rows and columns are looked at first.
SOME = 16

#: Values [h, w, c], valid [h, w], the label files' options -> what is compared of one label; None
#: if it says nothing.
Measure = Callable[[Array, Bools, Any], Any]
#: What was measured of some labels, the options -> a sentence if they look wrong; or "".
Judge = Callable[[Sequence[Any], Any], str]


@dataclass(frozen=True)
class LabelCheck:
    """A measure of each label of a sample in an import, and a judgement over the whole sample.

    Labels that look wrong raise no doubt if labels imported before look so, too.

    Args:
        measure: what is compared of one label.
        judge: a sentence about many labels.
        sampled: a large label is measured by a sample of its pixels (`LabelArray.sample`).
        settled: what a sample measures if all pixels do; None: a sample says nothing of them.
    """

    measure: Measure
    judge: Judge
    sampled: bool = False
    settled: Any = None

    def of(self, label: LabelArray, options: Any) -> Any:
        """The measurement of a label."""
        if self.sampled or self.settled is not None:
            sample = label.sample()
            measured = self.measure(sample.value, sample.valid, options)
            if self.sampled or measured == self.settled:
                return measured
        return self.measure(label.value, label.valid, options)


def single_value(value: Array, valid: Bools, _options: object) -> bytes:
    """The value [c] of all valid pixels, as bytes; empty if pixels differ."""
    for step in (SOME, 1):  # most labels differ at some pixels already
        rows = value[::step, ::step][valid[::step, ::step]]
        if len(rows) and not (rows == rows[0]).all():
            return b""
    return bytes(rows[0].tobytes()) if len(rows) else b""


def judge_single_values(values: Sequence[bytes], _options: object) -> str:
    """Doubt labels that hold nothing but the same value.

    Example:
        >>> judge_single_values([b"1"] * 8, None)[:57]
        '8 labels show nothing: all pixels of all of them hold one'
        >>> judge_single_values([b"1"] * 7 + [b""], None)
        ''
    """
    if len(values) < MANY or not values[0] or len(set(values)) > 1:
        return ""
    return (
        f"{count_text(len(values), 'label')} show nothing: all pixels of all of them hold one "
        "value. Images that differ do not look so. Export them again."
    )


#: For kinds whose labels show something in every image.
SHOWS_SOMETHING = LabelCheck(single_value, judge_single_values, settled=b"")
