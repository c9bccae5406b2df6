"""Remarks on the labels of a data set that may be right, but are unusual."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from labelgrid.basics.array_types import Ints
from labelgrid.basics.words import count_text
from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.figures import LabelFigure
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True, kw_only=True)
class LabelFacts:
    """The numbers of one label.

    Args:
        pixels, valid: the number of pixels and of valid pixels; both 0 for a label without a valid
            pixel.
        lowest, highest, total: the smallest and largest valid value, and the sum.
        counts: valid pixels by class; None of a label without classes.
        some: whether only some of the classes were annotated in it.
        figures: the figures with a usual range, by name.
        measured: the value of each check of the kind.
    """

    pixels: int = 0
    valid: int = 0
    lowest: float = np.inf
    highest: float = -np.inf
    total: float = 0.0
    counts: Ints | None = None
    some: bool = False
    figures: Mapping[str, LabelFigure] = field(default_factory=dict)
    measured: tuple[Any, ...] = ()


def label_facts(label: LabelArray, task: TaskDef) -> LabelFacts:
    """Read the numbers of one label for remarks."""
    values = label.value[label.valid]
    if not values.size:
        return LabelFacts()
    names = getattr(task.options, "names", None)
    counts = None
    if names is not None:
        counts = np.bincount(values[:, 0], minlength=len(names))
    figures = {**task.figures(label), **task.fine_figures(label)}
    figures = {name: f for name, f in figures.items() if np.isfinite(f.range).any()}
    return LabelFacts(
        pixels=label.valid.size,
        valid=len(values),
        lowest=float(values.min()),
        highest=float(values.max()),
        total=float(values.sum(dtype=np.float64)),
        counts=counts,
        some=label.annotated is not None,
        figures=figures,
        measured=task.measured(label),
    )


def check_remarks(task: TaskDef, facts: Iterable[LabelFacts]) -> Iterator[str]:
    """Remarks of the checks of a task's kind on all labels."""
    measured = [label.measured for label in facts if label.valid]
    if not measured:
        return
    for place, check in enumerate(task.spec.checks):
        remark = check.judge([values[place] for values in measured], task.options)
        if remark:
            yield f"{task.name}: {remark}"


def task_remarks(task: str, facts: Mapping[str, LabelFacts]) -> Iterator[str]:
    """Remarks on a task: empty labels, labels of only some of the classes, unusual figures.

    Ratios such as depths are judged label by label, other figures such as mean normals by the
    median.
    """
    labels = count_text(len(facts), "label")
    filled = [label for label in facts.values() if label.valid]
    yield from _uniform_remark(task, filled)
    some = sum(label.some for label in facts.values())
    if some:
        yield f"{task}: in {some:,} of {labels} only some of the classes were annotated."
    plain, ratios = _figures_by_name(facts)
    for name, figures in plain.items():
        first = figures[0]
        low, high = first.range
        middle = median(figure.value for figure in figures)
        if not low <= middle <= high and len(figures) >= first.least:
            count = count_text(len(figures), "label")
            yield (
                f"{task}: {name} is {middle:.3g}{first.unit} in the median of {count}; {low:g} to "
                f"{high:g}{first.unit} is usual. {first.cause or 'Check the axes of the files.'}"
            )
    for name, odd in ratios.items():
        image_id, figure = next(iter(odd.items()))
        low, high = figure.range
        yield (
            f"{task}: {name} is {figure.value:.4g}{figure.unit} in '{image_id}'; {low:g} to "
            f"{high:g}{figure.unit} is usual. So in {len(odd):,} of {labels}. "
            f"{figure.cause or 'Check the unit of the files.'}"
        )


def _uniform_remark(task: str, filled: Sequence[LabelFacts]) -> Iterator[str]:
    if not filled:
        yield f"{task}: no image that was read has a label with a valid pixel."
        return
    counts = []
    values = set()
    for label in filled:
        values |= {label.lowest, label.highest}
        if label.counts is not None:
            counts.append(label.counts)
    if counts and np.count_nonzero(np.sum(counts, 0)) == 1:
        yield f"{task}: all valid pixels of the labels that were read are of one class."
    elif not counts and len(values) == 1:
        yield f"{task}: all valid pixels of the labels that were read are {filled[0].lowest:g}."


def _figures_by_name(
    facts: Mapping[str, LabelFacts],
) -> tuple[dict[str, list[LabelFigure]], dict[str, dict[str, LabelFigure]]]:
    """The figures that are no ratios, and the odd ratios of each image, by name."""
    plain: dict[str, list[LabelFigure]] = {}
    odd: dict[str, dict[str, LabelFigure]] = {}
    for image_id, label in facts.items():
        for name, figure in label.figures.items():
            low, high = figure.range
            if not figure.ratio:
                plain.setdefault(name, []).append(figure)
            elif not low <= figure.value <= high:
                odd.setdefault(name, {})[image_id] = figure
    return plain, odd
