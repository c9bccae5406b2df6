"""Finds distances that were cut off, or changed in storage. Loads no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Array, Bools
from labelgrid.basics.words import count_text
from labelgrid.tasks.checks import MANY, LabelCheck

#: Distances are cut off where most labels end at one value that more than this share of their
#: pixels holds: it is under 0.006 in every frame of NYUv2. More than the share `BELOW` lies in the
#: last tenth below it; far behind other things, as the sky, is none.
AT_END = 0.05
BELOW = 0.01
TENTH = 0.9
#: Numbers are looked at in at most so many rows. Fewer labels, or different numbers, say nothing.
ROWS = 64
LABELS = 3
NUMBERS = 16
#: Numbers in steps of a power of two from this on were moved to the left.
STEP = 4
#: Two neighbours differ strongly by more than this factor. In right labels few do; with exchanged
#: bytes more than this share does, and so many times more than with the right ones.
STRONG = 1.25
ROUGH = 0.02
TIMES = 3.0


@dataclass(frozen=True)
class End:
    """The largest value of a label, and the shares of pixels at it and in the tenth below."""

    highest: float
    at: float
    below: float


def end_of(value: Array, valid: Bools, _options: object) -> End:
    """The largest number of a label [h, w, 1], and the shares of pixels there and below."""
    numbers = value[..., 0][valid]
    highest = float(numbers.max())
    at = np.count_nonzero(numbers == numbers.max())
    near = np.count_nonzero(numbers >= TENTH * highest)
    return End(highest, at / numbers.size, (near - at) / numbers.size)


def judge_ends(ends: Sequence[End], options: Any) -> str:
    """Doubt distances that were cut off.

    Example:
        >>> cut = [End(2.55, 0.3, 0.08)] * 10
        >>> judge_ends(cut, None)[:61]
        'the distances look cut off at 2.55: 10 of 10 labels end there'
        >>> judge_ends([End(655.35, 0.3, 0.0)] * 10, None)  # the sky
        ''
    """
    highest, count = Counter(end.highest for end in ends).most_common(1)[0]
    if count < MANY or 2 * count <= len(ends):
        return ""
    there = [end for end in ends if end.highest == highest]
    at = median(end.at for end in there)
    if at < AT_END or median(end.below for end in there) < BELOW:
        return ""
    return (
        f"the distances look cut off at {highest:.4g}: {count} of "
        f"{count_text(len(ends), 'label')} end there, with {at:.0%} of their pixels (median). "
        "Store what is farther as 0, which is not measured, or export it whole."
    )


@dataclass(frozen=True)
class Stored:
    """The whole numbers that a label is stored as.

    Args:
        step: their greatest common divisor.
        rough: the share of neighbours that differ strongly.
        rough_swapped: as `rough`, with the two bytes of each number exchanged.
    """

    step: int
    rough: float
    rough_swapped: float


def stored_of(value: Array, valid: Bools, options: Any) -> Stored | None:
    """The traits of a label's whole numbers [h, w, 1]; None for other numbers."""
    thin = slice(None, None, -(-len(valid) // ROWS))
    scale = options.step or 0.001
    exact = value[thin, :, 0] / scale
    shown = valid[thin]
    numbers = np.rint(exact)
    if not shown.any() or numbers.max() > 65535 or np.abs(exact - numbers)[shown].max() > 0.01:
        return None
    whole = numbers.astype(np.uint16)
    different = np.unique(whole[shown])
    if len(different) < NUMBERS:
        return None
    both = shown[:, 1:] & shown[:, :-1]
    step = int(np.gcd.reduce(different))
    return Stored(step, _roughness(whole, both), _roughness(whole.byteswap(), both))


def _roughness(numbers: NDArray[np.uint16], both: Bools) -> float:
    """The share of neighbours [h, w - 1], `both` measured, that differ strongly."""
    left, right = (half[both].astype(np.float32) for half in (numbers[:, :-1], numbers[:, 1:]))
    strong = np.maximum(left, right) > STRONG * np.minimum(left, right)
    return float(strong.mean()) if strong.size else 0.0


def judge_stored(measurements: Sequence[Stored | None], options: Any) -> str:
    """Doubt numbers whose bits or bytes were moved.

    Example:
        >>> from types import SimpleNamespace
        >>> options = SimpleNamespace(scale=None)
        >>> judge_stored([Stored(8, 0.01, 0.4)] * 3, options)[:53]
        'all stored numbers in 3 labels are multiples of 8, as'
        >>> judge_stored([Stored(1, 0.5, 0.01)] * 3, options)[:57]
        'with the two bytes of each stored number exchanged, 3 lab'
    """
    measured = [stored for stored in measurements if stored is not None]
    if len(measured) < LABELS or len(measured) < len(measurements):
        return ""
    labels = count_text(len(measured), "label")
    rough = median(stored.rough for stored in measured)
    smooth = median(stored.rough_swapped for stored in measured)
    if rough > max(ROUGH, TIMES * smooth):
        return (
            f"with the two bytes of each stored number exchanged, {labels} would be smooth: "
            f"{smooth:.1%} of neighbours would differ by a quarter or more, and {rough:.0%} do. "
            "Exchange the bytes of each number (its other byte order)."
        )
    step = int(np.gcd.reduce([stored.step for stored in measured]))
    if step >= STEP and step & (step - 1) == 0 and options.scale is None:
        bits = step.bit_length() - 1
        return (
            f"all stored numbers in {labels} are multiples of {step}, as if their bits were moved "
            f"to the left by {bits}. Divide them by {step}; or declare `scale` if it is right."
        )
    return ""


CUT_OFF = LabelCheck(end_of, judge_ends, sampled=True)
STORED_NUMBERS = LabelCheck(stored_of, judge_stored, sampled=True)
