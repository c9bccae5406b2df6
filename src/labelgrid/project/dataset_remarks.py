"""Remarks on the labels of a data set that may be right, but are unusual."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.figures import LabelFigure
from labelgrid.tasks.task import TaskDef
from labelgrid.words import count_text


@dataclass(frozen=True)
class LabelFacts:
    """The numbers of one label.

    Args:
        pixels, valid: of the label; both 0 of an empty one, which has no valid pixel.
        lowest, highest, total: of the valid values, and their sum.
        counts: valid pixels by class; None of a label without classes.
        some: whether only some of the classes were annotated in it.
        figures: those that have a usual range, by name.
    """

    pixels: int = 0
    valid: int = 0
    lowest: float = np.inf
    highest: float = -np.inf
    total: float = 0.0
    counts: NDArray[np.int64] | None = None
    some: bool = False
    figures: Mapping[str, LabelFigure] = field(default_factory=dict)


def label_facts(label: LabelArray, task: TaskDef) -> LabelFacts:
    """The numbers of a label."""
    values = label.value[label.valid]
    if not values.size:
        return LabelFacts()
    names = getattr(task.options, "names", None)
    counts = None if names is None else np.bincount(values[:, 0], minlength=len(names))
    figures = {
        name: figure
        for name, figure in task.figures(label).items()
        if np.isfinite(figure.range).any()
    }
    return LabelFacts(
        label.valid.size, len(values), *_range(values), counts, label.annotated is not None, figures
    )


def task_remarks(task: str, facts: Mapping[str, LabelFacts]) -> Iterator[str]:
    """Remarks on a task: labels that say nothing or of some classes alone, unusual figures.

    Ratios, such as a depth, are judged label by label, other figures, such as the mean of a normal,
    by their median.

    Args:
        task: its name.
        facts: of its labels, by image.
    """
    filled = [one for one in facts.values() if one.valid]
    yield from _uniform(task, filled)
    if some := sum(one.some for one in facts.values()):
        yield f"{task}: in {some:,} of {count_text(len(facts), 'label')} only some of the classes were annotated."
    for name in {
        name: None for one in filled for name, figure in one.figures.items() if not figure.ratio
    }:
        found = [one.figures[name] for one in filled if name in one.figures]
        (low, high) = found[0].range
        middle = median(figure.value for figure in found)
        if not low <= middle <= high:
            yield (
                f"{task}: {name} is {middle:.3g}{found[0].unit} in the median of {count_text(len(found), 'label')}; "
                f"{low:g} to {high:g}{found[0].unit} is usual. Check the axes of the files."
            )
    for name in {
        name: None
        for one in facts.values()
        for name, figure in one.figures.items()
        if _is_odd(figure)
    }:
        named = {
            image_id: one.figures[name] for image_id, one in facts.items() if name in one.figures
        }
        odd = {image_id: figure for image_id, figure in named.items() if _is_odd(figure)}
        first, figure = next(iter(odd.items()))
        low, high = figure.range
        yield (
            f"{task}: {name} is {figure.value:.4g}{figure.unit} in '{first}'; {low:g} to {high:g}{figure.unit} is "
            f"usual. So in {len(odd):,} of {count_text(len(facts), 'label')}. Check the unit of the files."
        )


def _uniform(task: str, filled: Sequence[LabelFacts]) -> Iterator[str]:
    """A remark if no image has a valid label of a task, or if all valid pixels of all labels say the same."""
    counts = [one.counts for one in filled if one.counts is not None]
    if not filled:
        yield f"{task}: no image that was read has a label with a valid pixel."
    elif counts and np.count_nonzero(np.sum(counts, 0)) == 1:
        yield f"{task}: all valid pixels of the labels that were read are of one class."
    elif not counts and len({value for one in filled for value in (one.lowest, one.highest)}) == 1:
        yield f"{task}: all valid pixels of the labels that were read are {filled[0].lowest:g}."


def _is_odd(figure: LabelFigure) -> bool:
    """Whether a figure that compares by its ratio is outside the range of labels of its kind."""
    return figure.ratio and not figure.range[0] <= figure.value <= figure.range[1]


def _range(values: NDArray[Any]) -> tuple[float, float, float]:
    return float(values.min()), float(values.max()), float(values.sum(dtype=np.float64))
