"""Gathers numbers of a task's labels for a person to check, label by label.

Only sums and counts stay in memory. Loads no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelgrid.basics.array_types import Array, Bools, Bytes
from labelgrid.basics.type_names import Json
from labelgrid.basics.words import count_text
from labelgrid.formats.codec import LabelArray, known_numbers

#: The values at the ends of a picture's scale.
Range = tuple[float, float]
BLACK = (0, 0, 0)
WHITE = (255, 255, 255)
#: How many of a number's 32 bits a bin of `LogHistogram` leaves out.
_DROPPED = 16
_BINS = 2 ** (31 - _DROPPED)


@dataclass(frozen=True, kw_only=True)
class Legend:
    """The meaning of the colours in a task's pictures.

    Args:
        swatches: colours (RGB), and the meaning of each.
        scale: a picture of the colours, RGB, uint8 [h, w, 3]; None if swatches say it all.
        ends: what is at the left and at the right of `scale`.
    """

    swatches: Sequence[tuple[tuple[int, int, int], str]] = ()
    scale: Bytes | None = None
    ends: tuple[str, str] = ("", "")


class Overview:
    """Counts and describes the labels of a task; a kind of task overrides methods.

    The base class counts pixels, and describes nothing.

    Args:
        options: the options of the task's label files.
    """

    #: Whether pictures keep lines of a pixel, as the edges of things are.
    lines: bool = False
    #: The colours [k, 3] of the classes, which the task sets.
    class_colours: Bytes = np.empty((0, 3), np.uint8)
    #: Whether the label that was added last shows each class; None: `names` alone can tell.
    latest: Bools | None = None
    #: How a supplier's numbers differ from the task's, and so have no unit; empty: not at all.
    unlike: str = ""
    #: Whether these numbers shrink where the task's grow.
    inverted: bool = False
    #: Whether labels answer yes or no with 1 and 0; over a photograph only what is yes is shown.
    yes_or_no: bool = False

    def __init__(self, options: Any) -> None:
        self.options = options
        self.labels = 0
        self.pixels = 0
        self.valid = 0

    @property
    def unit(self) -> str:
        """The unit after a number of the labels, with a space before it."""
        return ""

    @property
    def share_valid(self) -> float:
        """The share of valid pixels; 0 without pixels."""
        return self.valid / max(self.pixels, 1)

    def add(self, image_id: str, label: LabelArray) -> None:
        """Count the label of an image, and add up its numbers."""
        self.labels += 1
        self.pixels += label.valid.size
        self.valid += int(np.count_nonzero(label.valid))

    def text(self) -> str:
        """The content of the labels, as a part of a sentence; empty if there is nothing to say."""
        return ""

    def values(self) -> Json:
        """The same numbers, for programs."""
        return {}

    def names(self) -> Mapping[str, bool]:
        """The names of all possible content, such as classes, and whether the labels have some."""
        return {}

    def remarks(self) -> Iterator[str]:
        """Yield sentences on unusual content that may be right."""
        yield from ()

    def doubts(self) -> Iterator[str]:
        """Yield sentences on impossible content, for which an import stops."""
        yield from ()

    def limits(self) -> Range | None:
        """The ends of the scale for pictures of the labels, for `Render`."""
        return None

    def legend(self, limits: Range | None) -> Legend:
        """Explain the colours in pictures of the labels, with these ends of the scale."""
        del limits
        return Legend()


class BinaryOverview(Overview):
    """The share of positive pixels in binary labels, and the number of labels without any."""

    lines = True
    yes_or_no = True

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.total = 0.0
        self.without = 0

    def add(self, image_id: str, label: LabelArray) -> None:
        """Count the positive pixels, too."""
        super().add(image_id, label)
        total = float(known_numbers(label.value[..., 0], label.valid).sum(dtype=np.float64))
        self.total += total
        self.without += total == 0

    @property
    def share(self) -> float:
        """The share of valid pixels that are positive."""
        return self.total / max(self.valid, 1)

    def text(self) -> str:
        """The share of yes, and the number of labels without."""
        none = f"{self.without:,} of {count_text(self.labels, 'label')} have none"
        return f"{percent(self.share)} of pixels are yes, {none}{without_label(self)}"

    def values(self) -> Json:
        """The shares of yes and of pixels without a label."""
        return {
            "yes": self.share,
            "labels_without": self.without,
            "not_labelled": 1 - self.share_valid,
        }

    def remarks(self) -> Iterator[str]:
        """Remark that all pixels have the same answer."""
        if self.share in (0.0, 1.0):
            answer = "yes" if self.share else "no"
            yield f"all pixels of the new labels are {answer}."

    def legend(self, limits: Range | None) -> Legend:
        """White is yes, black is no."""
        del limits
        return Legend(swatches=[(WHITE, "yes"), (BLACK, "no")])


class LogHistogram:
    """Counts positive numbers in bins of fixed relative width, for quantiles of any number of them.

    A bin holds the floating-point numbers (32 bits) with the same first 15 bits after the sign. So
    its relative width is at most 1/128, and a quantile, the middle of a bin, is wrong by at most
    0.4 %. The 32,768 bins reach from 1e-38 to 3e38.

    Example:
        >>> histogram = LogHistogram()
        >>> histogram.add(np.linspace(1, 3, 1001))
        >>> [round(value, 2) for value in histogram.quantiles((0.05, 0.5, 0.95))]
        [1.1, 2.01, 2.9]
    """

    def __init__(self) -> None:
        self.counts = np.zeros(_BINS, np.int64)

    def add(self, values: Array) -> None:
        """Add numbers; those below 0 count as 0."""
        bits = np.maximum(values, 0).astype(np.float32).view(np.uint32)
        self.counts += np.bincount(bits >> _DROPPED, minlength=_BINS)

    def quantiles(self, fractions: Sequence[float]) -> list[float]:
        """The smallest numbers above which no more than the rest lies; NaN without numbers."""
        sums = np.cumsum(self.counts)
        if not sums[-1]:
            return [float("nan")] * len(fractions)
        ranks = np.maximum(np.ceil(np.array(fractions) * sums[-1]), 1)
        bits = np.searchsorted(sums, ranks).astype(np.uint32) << _DROPPED
        middles = bits | np.uint32(1 << (_DROPPED - 1))
        return [float(value) for value in middles.view(np.float32)]


def percent(fraction: float) -> str:
    """A share in words; what is not quite nothing or all is never said to be.

    Example:
        >>> [percent(fraction) for fraction in (0, 0.0004, 0.243, 0.999, 1)]
        ['0 %', 'under 1 %', '24 %', 'over 99 %', '100 %']
    """
    if 0 < fraction < 0.01:
        return "under 1 %"
    if 0.99 < fraction < 1:
        return "over 99 %"
    return f"{100 * fraction:.0f} %"


def two_digits(value: float) -> str:
    """A number with two digits that count.

    Example:
        >>> two_digits(1.6931), two_digits(12640.0), two_digits(0.00431)
        ('1.7', '13,000', '0.0043')
    """
    rounded = float(f"{value:.2g}")
    if 100 <= rounded < 1e9:
        return f"{rounded:,.0f}"
    return f"{rounded:g}"


def without_label(overview: Overview) -> str:
    """The end of a text: the share of pixels without a label, if any."""
    if overview.valid == overview.pixels:
        return ""
    return f"; {percent(1 - overview.share_valid)} not labelled"
