"""Judges a set of labels of one task: compares its figures with those of other labels, and its slopes with other maps.

Medians over the set are compared, so one odd label raises no doubt. Loads no torch.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from labelgrid.tasks.figures import LabelFigure
from labelgrid.words import count_text

#: Labels are thinned to at most so many rows and columns before figures are computed.
SIDE = 160
#: Fewer labels say nothing about what is normal for a task.
FEW = 8
#: A figure is compared if more than this share of the labels on both sides have it, as not every
#: label has each class.
COMMON = 0.5
#: How many times the spread of single labels two medians may differ: for large sets, and in
#: addition for small ones.
SPREADS = 1.0
MORE = 3.0
#: Slopes that agree less than this contradict each other; from -1 (opposite everywhere) to 1 (equal
#: everywhere).
AGREEMENT = -0.2
#: Fewer pixels with a slope in both maps say nothing, nor do fewer predictions.
PIXELS = 100
PREDICTIONS = 3
AXES = ("x (right)", "y (up)")

FigureSet = Sequence[Mapping[str, LabelFigure]]


@dataclass(frozen=True)
class Summary:
    """What is compared of a map: its figures, and the signs of its slopes [h, w, 2] if its kind has slopes."""

    figures: Mapping[str, LabelFigure]
    slope: NDArray[np.int8] | None


Pair = tuple[Summary, Summary]


@dataclass(frozen=True)
class Doubt:
    """A reason to take a set of labels for wrong: the task, and a sentence with the numbers."""

    task: str
    what: str


def compare_with_ranges(task: str, labels: FigureSet) -> list[Doubt]:
    """Compare the figures with the ranges that labels of the kind have.

    The middle half of the labels lies inside.
    """
    doubts = []
    for name, found in _by_name(labels).items():
        low, high = found[0].range
        first, third = np.quantile([figure.value for figure in found], (0.25, 0.75))
        if first < low or third > high:
            unit = found[0].unit
            one = len(found) == 1
            values = (
                f"{first:.3g}{unit} in"
                if one
                else f"{first:.3g} to {third:.3g}{unit} in the middle half of"
            )
            what = f"{name} is {values} {count_text(len(found), 'label')}; expected {low:g} to {high:g}{unit}."
            doubts.append(Doubt(task, what))
    return doubts


def compare_with_earlier(task: str, labels: FigureSet, earlier: FigureSet) -> list[Doubt]:
    """Compare the medians of the figures with those of earlier labels of the task, given their spread."""
    before = _by_name(earlier)
    doubts = []
    for name, found in _by_name(labels).items():
        known = before.get(name, [])
        if min(len(found) / len(labels), len(known) / max(len(earlier), FEW)) <= COMMON:
            continue
        mine = _scaled(found)
        its = _scaled(known)
        if abs(median(mine) - median(its)) > _limit(found[0], mine, its):
            now = count_text(len(found), "label")
            then = count_text(len(known), "label")
            what = f"{name} is {_median(found)} (median of {now}), but {_median(known)} in {then}"
            doubts.append(Doubt(task, f"{what} imported before."))
    return doubts


def compare_with_predictions(
    task: str, pairs: Sequence[Pair], earlier: Sequence[Pair]
) -> list[Doubt]:
    """Compare labels with the model's predictions of the same cells.

    A poor model is no evidence: earlier labels show how far its predictions usually are from
    labels. Only a larger distance is suspicious, and only opposite slopes where they were the same
    before.
    """
    if len(pairs) < PREDICTIONS or len(earlier) < FEW:
        return []
    doubts = []
    usual = _gaps(earlier)
    for name, found in _gaps(pairs).items():
        known = usual.get(name, [])
        if min(len(found) / len(pairs), len(known) / len(earlier)) <= COMMON:
            continue
        mine = [gap for _, gap in found]
        its = [gap for _, gap in known]
        if abs(median(mine)) - abs(median(its)) > _limit(found[0][0], mine, its):
            guesses = [
                predicted.figures[name] for _, predicted in pairs if name in predicted.figures
            ]
            both = _median([label for label, _ in found]), _median(guesses)
            doubts.append(
                Doubt(
                    task,
                    f"{name} is {both[0]}, but {both[1]} in the model's predictions (medians).",
                )
            )
    reliable = all(along and median(along) > -AGREEMENT for along in _agreements(earlier))
    return doubts + compare_slopes(task, "the model's predictions", pairs) if reliable else doubts


def compare_with_labels(task: str, pairs: Iterable[Pair]) -> list[Doubt]:
    """Compare predictions, the second of each pair, with labels by the figures that show another unit or other axes.

    Ratios may differ by the figure's tolerance; other figures lie in the range of labels, unless
    the labels do not.
    """
    doubts = []
    for name, found in _gaps(pairs).items():
        figure = found[0][0]
        gap = median(gap for _, gap in found)
        if figure.ratio and abs(gap) > math.log(figure.tolerance):
            what = f"{name} of the predictions is {math.exp(-gap):.3g} times that of the labels. Check the unit."
            doubts.append(Doubt(task, what))
        if figure.ratio:
            continue
        (low, high) = figure.range
        mine = median(label.value for label, _ in found)
        its = median(label.value - gap for label, gap in found)
        if low <= mine <= high and not low <= its <= high:
            what = f"{name} of the predictions is {its:.3g}{figure.unit}, that of the labels {mine:.3g}{figure.unit}."
            doubts.append(Doubt(task, f"{what} Check the axes."))
    return doubts


def compare_slopes(task: str, other: str, pairs: Iterable[Pair]) -> list[Doubt]:
    """Compare the slopes of labels with those of other maps of the same images, axis by axis."""
    doubts = []
    for name, found in zip(AXES, _agreements(pairs), strict=True):
        if found and median(found) < AGREEMENT:
            images = count_text(len(found), "image")
            what = f"the slopes contradict {other} of the same {images} along {name}: agreement {median(found):.2f}"
            doubts.append(Doubt(task, f"{what} (1: equal signs, -1: opposite)."))
    return doubts


def figure_differences(before: FigureSet, after: FigureSet) -> list[str]:
    """The figures whose medians differ between two readings of the same labels, in words.

    Example:
        >>> metres = [{"the median depth": LabelFigure(2.5, 2.0, ratio=True, unit=" m")}]
        >>> differences([{"the median depth": LabelFigure(2500, 2.0, ratio=True, unit=" m")}], metres)
        ['the median depth was 2.5e+03 m and is 2.5 m now (1 label).']
    """
    old = _by_name(before)
    new = _by_name(after)
    both = [(name, old[name], found) for name, found in new.items() if name in old]
    words = [
        (name, _median(was), _median(now), count_text(len(now), "label")) for name, was, now in both
    ]
    return [
        f"{name} was {was} and is {now} now ({count})."
        for name, was, now, count in words
        if was != now
    ]


def _agreements(pairs: Iterable[Pair]) -> tuple[list[float], list[float]]:
    """The agreements of slopes along both axes, where they are known."""
    slopes = [(mine.slope, its.slope) for mine, its in pairs]
    found = [
        slope_agreement(a, b)
        for a, b in slopes
        if a is not None and b is not None and a.shape == b.shape
    ]
    along = [[pair[axis] for pair in found if not math.isnan(pair[axis])] for axis in (0, 1)]
    return along[0], along[1]


def _gaps(pairs: Iterable[Pair]) -> dict[str, list[tuple[LabelFigure, float]]]:
    """By name, the figures of labels, and how much larger they are than those of the predictions."""
    gaps: dict[str, list[tuple[LabelFigure, float]]] = defaultdict(list)
    for label, predicted in pairs:
        for name in label.figures.keys() & predicted.figures.keys():
            mine, its = _scaled([label.figures[name], predicted.figures[name]])
            gaps[name].append((label.figures[name], mine - its))
    return gaps


def slope_agreement(one: NDArray[np.int8], other: NDArray[np.int8]) -> tuple[float, float]:
    """The mean product of the signs [h, w, 2] along each axis, where both are known.

    NaN if at too few pixels.

    Example:
        >>> right = np.ones((20, 20, 2), np.int8)
        >>> agreement(right, right * np.array([1, -1], np.int8))
        (1.0, -1.0)
    """
    products = one * other
    counts = np.count_nonzero(products, (0, 1))
    sums = products.sum((0, 1), dtype=np.int64)
    along = [
        float(sums[axis] / counts[axis]) if counts[axis] >= PIXELS else math.nan for axis in (0, 1)
    ]
    return along[0], along[1]


def _by_name(labels: FigureSet) -> dict[str, list[LabelFigure]]:
    figures: dict[str, list[LabelFigure]] = defaultdict(list)
    for label in labels:
        for name, figure in label.items():
            figures[name].append(figure)
    return figures


def _scaled(figures: Iterable[LabelFigure]) -> list[float]:
    """The values; as logarithms if their ratio counts."""
    return [
        math.log(max(figure.value, 1e-30)) if figure.ratio else figure.value for figure in figures
    ]


def _limit(figure: LabelFigure, one: Sequence[float], other: Sequence[float]) -> float:
    """How far the medians of two sets of values may be from each other.

    Farther if the first is one label.
    """
    tolerance = math.log(figure.tolerance) if figure.ratio else figure.tolerance
    spread = max(_spread(one), _spread(other))
    return max(
        tolerance * (1 + 1 / len(one) ** 2),
        spread * (SPREADS + MORE * math.sqrt(1 / len(one) + 1 / len(other))),
    )


def _spread(values: Sequence[float]) -> float:
    """The standard deviation, from the median absolute deviation, which a few odd labels do not change."""
    middle = median(values)
    return 1.4826 * median(abs(value - middle) for value in values)


def _median(figures: Sequence[LabelFigure]) -> str:
    return f"{median(figure.value for figure in figures):.3g}{figures[0].unit}"
