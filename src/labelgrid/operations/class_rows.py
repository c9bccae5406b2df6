"""Lists how well each class is predicted, the worst first, with the change since the round before.

Loads no torch.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelgrid.basics.results import ClassScore
from labelgrid.operations.headlines import comparable_round
from labelgrid.project.records import Measurement


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """A class of a task.

    Args:
        name: the name of the class.
        iou: the IoU on the held-out labels, in percent; NaN if the class is neither there nor
            predicted.
        change: the change of the IoU since the measured round before; None without one on the same
            labels.
        area: the area of the held-out labels' pixels, in percent.
        pixels: their number.
    """

    name: str
    iou: float
    change: float | None
    area: float
    pixels: int


def class_rows(measured: Sequence[Measurement]) -> dict[str, list[ClassRow]]:
    """The classes of each task in the newest measured round, the worst first.

    `measured` is ordered by number.
    """
    if not measured:
        return {}
    previous = comparable_round(measured)
    earlier = previous.classes if previous else {}
    rows = {}
    for task, scores in measured[-1].classes.items():
        rows[task] = _rows(scores, earlier.get(task, {}))
    return rows


def _rows(scores: Mapping[str, ClassScore], earlier: Mapping[str, ClassScore]) -> list[ClassRow]:
    total = max(sum(score.pixels for score in scores.values()), 1)
    rows = []
    for name, score in scores.items():
        change = None
        if name in earlier and math.isfinite(score.iou - earlier[name].iou):
            change = score.iou - earlier[name].iou
        row = ClassRow(
            name=name,
            iou=score.iou,
            change=change,
            area=100 * score.pixels / total,
            pixels=score.pixels,
        )
        rows.append(row)
    return sorted(rows, key=lambda row: (math.isnan(row.iou), row.iou, -row.pixels))
