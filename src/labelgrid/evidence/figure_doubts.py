"""Judges a set of labels of one task by figures and slopes.

Figures are compared with the figures of other labels, slopes with the slopes of other maps. Medians
over the set are compared, so one odd label raises no doubt. Loads no torch.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median

import numpy as np

from labelgrid.basics.array_types import Floats
from labelgrid.basics.words import count_text, join_names
from labelgrid.evidence.doubts import Doubt
from labelgrid.evidence.label_summary import Figures, Pair, Summary, sparse, summary_agreement
from labelgrid.tasks.figures import LabelFigure

#: Fewer labels say nothing about what is normal for a task.
FEW = 8
#: A figure is compared if more than this share of the labels on both sides have it, as not every
#: label has each class.
COMMON = 0.5
#: The most spreads of single labels by which two medians may differ: for large sets, and in
#: addition for small ones.
SPREADS = 1.0
MORE = 3.0
#: The least spread of a figure, as a share of its tolerance.
TOLERANCE = 0.25
#: An option is named if it brings the median this near, as a factor, to the expected one.
NEAR = 1.6
#: Slopes contradict each other below this agreement: -1 is opposite, and 1 equal, everywhere.
AGREEMENT = -0.2
#: The least agreement along both axes by which another option explains slopes, and the least gain
#: in the mean. Right normals of NYUv2 agree with depth by .6 to .75 in the median of 16 labels,
#: exchanged ones by -.09 to .01.
EXPLAINED = 0.4
BETTER = 0.3
#: Fewer predictions say nothing.
PREDICTIONS = 3
AXES = ("x (right)", "y (up)")

FigureSet = Sequence[Figures]


def compare_with_ranges(task: str, labels: FigureSet) -> list[Doubt]:
    """Compare the figures with the ranges that labels of the kind have.

    The middle half of the labels lies inside.
    """
    doubts = []
    for name, figures in _group_by_name(labels).items():
        low, high = figures[0].range
        if len(figures) < figures[0].least:
            continue
        first, third = np.quantile([figure.value for figure in figures], (0.25, 0.75))
        if first < low or third > high:
            unit = figures[0].unit
            values = f"{first:.3g} to {third:.3g}{unit} in the middle half of"
            if len(figures) == 1:
                values = f"{first:.3g}{unit} in"
            count = count_text(len(figures), "label")
            text = f"{name} is {values} {count}; expected {low:g} to {high:g}{unit}."
            text += _other_options(figures, low, high)
            if figures[0].cause:
                text += f" {figures[0].cause}"
            doubts.append(Doubt(task, text))
    return doubts


def _other_options(figures: Sequence[LabelFigure], low: float, high: float) -> str:
    """A sentence, after a space, with the options that bring the median into a range; or nothing.

    The nearest to the middle of the range, by its ratio if that counts, is named first.
    """
    middle = (low + high) / 2
    if figures[0].ratio:
        middle = math.sqrt(low * high)
    fitting: list[tuple[float, str]] = []
    for option in figures[0].others:
        value = median(figure.others.get(option, math.nan) for figure in figures)
        if low <= value <= high:
            distance = abs(value - middle)
            if figures[0].ratio:
                distance = abs(math.log(value / middle))
            fitting.append((distance, f"{value:.3g}{figures[0].unit} with `{option}`"))
    if not fitting:
        return ""
    return f" It would be {join_names([text for _, text in sorted(fitting)], between=' or ')}."


def _near(figure: LabelFigure, expected: float) -> tuple[float, float]:
    if figure.ratio:
        return expected / NEAR, expected * NEAR
    return expected - figure.tolerance / 2, expected + figure.tolerance / 2


def compare_with_earlier(task: str, labels: FigureSet, earlier: FigureSet) -> list[Doubt]:
    """Compare the medians of the figures with the medians of earlier labels, given their spread."""
    earlier_by_name = _group_by_name(earlier)
    doubts = []
    for name, figures in _group_by_name(labels).items():
        before = earlier_by_name.get(name, [])
        if min(len(figures) / len(labels), len(before) / max(len(earlier), FEW)) <= COMMON:
            continue
        values = [scale_value(figure) for figure in figures]
        values_before = [scale_value(figure) for figure in before]
        limit = _limit(figures[0], values, values_before)
        if abs(median(values) - median(values_before)) > limit:
            now = f"{_median_text(figures)} (median of {count_text(len(figures), 'label')})"
            then = f"{_median_text(before)} in {count_text(len(before), 'label')}"
            text = f"{name} is {now}, but {then} imported before."
            usual = median(figure.value for figure in before)
            text += _other_options(figures, *_near(figures[0], usual))
            low, high = figures[0].range
            if figures[0].cause and not low <= median(f.value for f in figures) <= high:
                text += f" {figures[0].cause}"
            doubts.append(Doubt(task, text))
    return doubts


def compare_emptiness(
    task: str, labels: Sequence[Summary], earlier: Sequence[Summary]
) -> list[Doubt]:
    """Doubt labels that all are the same everywhere, where no earlier label is.

    Only of kinds without slopes: sparse depth has no outlines either.
    """
    if min(len(labels), len(earlier)) < FEW:
        return []
    if any(label.outline is not None or label.slope is not None for label in labels):
        return []
    if any(label.outline is None for label in earlier):
        return []
    text = (
        f"{count_text(len(labels), 'label')} show nothing: each is the same everywhere, and none "
        f"of {count_text(len(earlier), 'label')} imported before is. Export them again."
    )
    return [Doubt(task, text)]


def compare_with_predictions(
    task: str, pairs: Sequence[Pair], earlier: Sequence[Pair]
) -> list[Doubt]:
    """Compare labels with the model's predictions of the same cells.

    A poor model is no evidence: earlier labels show how far its predictions usually are from
    labels. Only a larger distance is doubted, and only opposite slopes where they were the same
    before.
    """
    if len(pairs) < PREDICTIONS or len(earlier) < FEW:
        return []
    doubts = []
    usual = _gaps(earlier)
    for name, entries in _gaps(pairs).items():
        before = usual.get(name, [])
        if min(len(entries) / len(pairs), len(before) / len(earlier)) <= COMMON:
            continue
        gaps = [gap for _, gap in entries]
        gaps_before = [gap for _, gap in before]
        limit = _limit(entries[0][0], gaps, gaps_before)
        if abs(median(gaps)) - abs(median(gaps_before)) > limit:
            figures = [figure for figure, _ in entries]
            guesses = [guess.figures[name] for _, guess in pairs if name in guess.figures]
            text = (
                f"{name} is {_median_text(figures)}, but {_median_text(guesses)} in the model's "
                "predictions (medians)."
            )
            guessed = median(guess.value for guess in guesses)
            text += _other_options(figures, *_near(figures[0], guessed))
            doubts.append(Doubt(task, text))
    for agreements in _agreements(earlier):
        if not agreements or median(agreements) <= -AGREEMENT:
            return doubts
    return doubts + compare_slopes(task, "the model's predictions", pairs)


def compare_with_labels(task: str, pairs: Iterable[Pair]) -> list[Doubt]:
    """Compare predictions, the second of each pair, with labels.

    Compared are the figures that show another unit or other axes. Another unit changes all ratios
    by more than the figure's tolerance; a poor model changes only some. Other figures lie in the
    range of labels, unless the labels do not.
    """
    doubts = []
    ratios = []
    for name, entries in _gaps(pairs).items():
        figure, _ = entries[0]
        if figure.ratio:
            gap = median(gap for _, gap in entries)
            text = f"{name} of the predictions is {math.exp(-gap):.3g} times that of the labels."
            ratios.append((abs(gap) > math.log(figure.tolerance), text))
            continue
        low, high = figure.range
        unit = figure.unit
        of_labels = median(label.value for label, _ in entries)
        of_predictions = median(label.value - gap for label, gap in entries)
        if low <= of_labels <= high and not low <= of_predictions <= high:
            text = (
                f"{name} of the predictions is {of_predictions:.3g}{unit}, that of the labels "
                f"{of_labels:.3g}{unit}."
            )
            doubts.append(Doubt(task, f"{text} Check the axes."))
    if ratios and all(differs for differs, _ in ratios):
        doubts.append(Doubt(task, f"{ratios[0][1]} Check the unit."))
    return doubts


def compare_slopes(task: str, other: str, pairs: Iterable[Pair]) -> list[Doubt]:
    """Compare the slopes of labels with the slopes of other maps of the same images, axis by axis.

    If all axes would agree with another option of a task, it is named, also where slopes neither
    agree nor contradict.
    """
    pairs = list(pairs)
    doubts = []
    explained = _explanation(task, pairs)
    if not explained:
        explained = _explanation(other, [(second, first) for first, second in pairs])
    for axis, agreements in zip(AXES, _agreements(pairs), strict=True):
        if not agreements:
            continue
        contradicts = median(agreements) < AGREEMENT
        if contradicts or (explained and median(agreements) < EXPLAINED):
            images = count_text(len(agreements), "image")
            verb = "contradict" if contradicts else "do not follow"
            text = (
                f"the slopes {verb} {other} of the same {images} along {axis}: agreement "
                f"{median(agreements):.2f} (1: equal signs, -1: opposite).{explained}"
            )
            doubts.append(Doubt(task, text))
    return doubts


def _explanation(task: str, pairs: Sequence[Pair]) -> str:
    options = {option for label, _ in pairs for option in label.other_slopes}
    usual = _agreements(pairs)
    if not options or not all(usual):
        return ""
    tried: dict[str, tuple[float, float]] = {}
    for option in options:
        turned = []
        for label, other in pairs:
            if option in label.other_slopes and other.slope is not None:
                slope = label.other_slopes[option]
                turned.append((Summary(slope=slope), Summary(slope=sparse(other.slope))))
        along = _agreements(turned)
        if min(map(len, along)) > COMMON * len(pairs):
            tried[option] = (median(along[0]), median(along[1]))
    best = max(tried, key=lambda option: sum(tried[option]), default="")
    before = sum(median(agreements) for agreements in usual)
    if not best or min(tried[best]) < EXPLAINED or sum(tried[best]) < before + 2 * BETTER:
        return ""
    x, y = tried[best]
    return f" They would agree ({x:.2f} and {y:.2f}) with `{best}` of '{task}'."


def figure_differences(before: FigureSet, after: FigureSet) -> list[str]:
    """The figures whose medians differ between two readings of the same labels, in words.

    Example:
        >>> old = LabelFigure(value=2500, tolerance=2.0, ratio=True, unit=" m")
        >>> new = LabelFigure(value=2.5, tolerance=2.0, ratio=True, unit=" m")
        >>> figure_differences([{"the median depth": old}], [{"the median depth": new}])
        ['the median depth was 2.5e+03 m and is 2.5 m now (1 label).']
    """
    old = _group_by_name(before)
    differences = []
    for name, figures in _group_by_name(after).items():
        if name not in old:
            continue
        was = _median_text(old[name])
        now = _median_text(figures)
        if was != now:
            count = count_text(len(figures), "label")
            differences.append(f"{name} was {was} and is {now} now ({count}).")
    return differences


def _agreements(pairs: Iterable[Pair]) -> tuple[list[float], list[float]]:
    along_x = []
    along_y = []
    for first, second in pairs:
        agreements = summary_agreement(first, second)
        if agreements is not None:
            along_x.append(agreements[0])
            along_y.append(agreements[1])
    return _without_nan(along_x), _without_nan(along_y)


def _without_nan(values: Sequence[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _gaps(pairs: Iterable[Pair]) -> dict[str, list[tuple[LabelFigure, float]]]:
    """The figures of labels with the differences from the predictions' figures, by name."""
    gaps: dict[str, list[tuple[LabelFigure, float]]] = defaultdict(list)
    for label, predicted in pairs:
        for name, figure in label.figures.items():
            if name not in predicted.figures:
                continue
            gap = scale_value(figure) - scale_value(predicted.figures[name])
            gaps[name].append((figure, gap))
    return gaps


def _group_by_name(labels: FigureSet) -> dict[str, list[LabelFigure]]:
    figures: dict[str, list[LabelFigure]] = defaultdict(list)
    for label in labels:
        for name, figure in label.items():
            figures[name].append(figure)
    return figures


def scale_value(figure: LabelFigure) -> float:
    """A figure's value; as a logarithm if its ratio counts."""
    if figure.ratio:
        return math.log(max(figure.value, 1e-30))
    return figure.value


def least_spread(figure: LabelFigure) -> float:
    """The least spread of a figure's scaled values."""
    return TOLERANCE * _tolerance(figure)


def _tolerance(figure: LabelFigure) -> float:
    return math.log(figure.tolerance) if figure.ratio else figure.tolerance


def _limit(figure: LabelFigure, one: Sequence[float], other: Sequence[float]) -> float:
    """The largest usual distance between the medians of two sets of values.

    It is larger if the first set is one label.
    """
    spread = max(middle_and_spread(one)[1], middle_and_spread(other)[1])
    return max(
        _tolerance(figure) * (1 + 1 / len(one) ** 2),
        spread * (SPREADS + MORE * math.sqrt(1 / len(one) + 1 / len(other))),
    )


def middle_and_spread(values: Sequence[float] | Floats) -> tuple[float, float]:
    """The median, and the standard deviation by the median absolute deviation."""
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(np.asarray(values) - middle)))


def _median_text(figures: Sequence[LabelFigure]) -> str:
    return f"{median(figure.value for figure in figures):.3g}{figures[0].unit}"
