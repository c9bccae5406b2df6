"""Finds single labels of an import with another unit, or with odd figures.

Only numbers stay in memory. Loads no torch.
"""

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from labelgrid.basics.array_types import Floats
from labelgrid.basics.words import count_text, join_names
from labelgrid.evidence.doubts import Doubt
from labelgrid.evidence.figure_doubts import (
    FEW,
    FigureSet,
    least_spread,
    middle_and_spread,
    scale_value,
)
from labelgrid.evidence.label_summary import Figures
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.figures import LabelFigure

#: A label in another unit is farther off the others than this factor, and than so many times their
#: spread. Right depths of NYUv2 are at most 2.8 times off.
FACTOR = 10.0
SPREADS = 4.0
#: Fewer other labels do not say what is usual for a unit.
OTHERS = 3
#: A label is unlike the others if its two farthest figures are this far off in all, in spreads:
#: after an exchange of two classes both are elsewhere, a single odd thing is not.
FAR = 9.0
#: So many images, or labels, are named.
SHOWN = 5
ODDEST = 3


@dataclass
class _Values:
    """One figure of the labels of a task: an example, and the scaled value of each label."""

    figure: LabelFigure
    images: list[str] = field(default_factory=list)
    scaled: "array[float]" = field(default_factory=lambda: array("d"))

    def array(self) -> Floats:
        return np.frombuffer(self.scaled, np.float64) if self.scaled else np.zeros(0)

    def text(self, scaled: float) -> str:
        value = math.exp(scaled) if self.figure.ratio else scaled
        return f"{value:.2g}{self.figure.unit}"


class SingleDoubts:
    """The figures of all labels of an import.

    Add each label, and earlier ones to compare with, then ask for doubts and remarks.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, dict[str, _Values]] = {}
        self._earlier: dict[str, FigureSet] = {}

    def add(self, cell: Cell, figures: Figures) -> None:
        """Keep the figures of a label."""
        of_task = self._tasks.setdefault(cell.task, {})
        for name, figure in figures.items():
            if name not in of_task:
                of_task[name] = _Values(figure)
            of_task[name].images.append(cell.image_id)
            of_task[name].scaled.append(scale_value(figure))

    def compare_with(self, task: str, earlier: FigureSet) -> None:
        """Keep the figures of earlier labels of a task."""
        self._earlier[task] = earlier

    def _before(self, task: str, name: str) -> Floats:
        earlier = self._earlier.get(task, ())
        return np.array([scale_value(figures[name]) for figures in earlier if name in figures])

    def doubts(self, task: str) -> list[Doubt]:
        """The labels in another unit than most: those whose first figure is some factor off."""
        for name, values in self._tasks.get(task, {}).items():
            if values.figure.ratio:
                return _another_unit(task, name, values, self._before(task, name))
        return []

    def remarks(self) -> list[str]:
        """Remarks on the oddest labels of each task."""
        lines = []
        for task, of_task in self._tasks.items():
            before = {name: self._before(task, name) for name in of_task}
            odd = sorted(_unlike(of_task, before), key=lambda row: -row[0])
            for _, image_id, text in odd[:ODDEST]:
                lines.append(f"{task}: {image_id} is unlike the other labels: {text}.")
            if len(odd) > ODDEST:
                more = count_text(len(odd) - ODDEST, "more label is", "more labels are")
                lines.append(f"{task}: {more}, too.")
        return lines


def _another_unit(task: str, name: str, values: _Values, before: Floats) -> list[Doubt]:
    figures = values.array()
    every = np.concatenate([figures, before])
    middle, spread = middle_and_spread(every)
    limit = max(math.log(FACTOR), SPREADS * spread)
    off = np.flatnonzero(np.abs(figures - middle) > limit)
    others = every[np.abs(every - middle) <= limit]
    if not len(off) or len(others) < OTHERS:
        return []
    odd = {values.images[index]: values.text(float(figures[index])) for index in off}
    images = list(odd)
    texts = dict.fromkeys(odd.values())
    usual = values.text(float(np.median(others)))
    statement = (
        f"{name} of {join_names(images, SHOWN)} is {join_names(list(texts), SHOWN)}, but "
        f"{usual} in {count_text(len(others), 'other label')} "
        f"(median). Check the unit of {'this file' if len(images) == 1 else 'these files'}."
    )
    notes = {image: f"{name} is {text}, usually {usual}" for image, text in odd.items()}
    return [Doubt(task, statement, notes)]


def _unlike(
    of_task: Mapping[str, _Values], before: Mapping[str, Floats]
) -> list[tuple[float, str, str]]:
    """The distance of each odd label, its image, and two figures in words."""
    far: dict[str, list[tuple[float, str]]] = {}
    for name, values in of_task.items():
        figures = values.array()
        every = np.concatenate([figures, before[name]])
        if len(every) < FEW:
            continue
        middle, spread = middle_and_spread(every)
        distances = np.abs(figures - middle) / max(spread, least_spread(values.figure))
        for index in np.flatnonzero(distances > 1):
            now = values.text(float(figures[index]))
            text = f"{name} is {now} (usually {values.text(middle)})"
            far.setdefault(values.images[index], []).append((float(distances[index]), text))
    odd = []
    for image_id, entries in far.items():
        two = sorted(entries, reverse=True)[:2]
        total = sum(distance for distance, _ in two)
        if len(two) == 2 and total > FAR:
            odd.append((total, image_id, " and ".join(text for _, text in two)))
    return odd
