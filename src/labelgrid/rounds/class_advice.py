"""Says which classes of a task are worst, and which one the last labels helped most."""

import math
from collections.abc import Mapping, Sequence

from labelgrid.drawings.wording import number, rough_number
from labelgrid.project.class_rows import ClassRow
from labelgrid.rounds.advised import Advice
from labelgrid.words import count_text, join_names

#: The metric of a class.
METRIC = "IoU"
#: The worst classes that are named.
MOST = 3
#: The points of IoU that a class moves by, to be told from one that stands still.
MOVES = 1.0


def class_advice(tables: Mapping[str, Sequence[ClassRow]]) -> list[Advice]:
    """Advice on the classes of each task, from the newest measured round and the one before.

    The change of one class between two rounds has no interval: it is a hint where to look.

    Args:
        tables: of `class_rows`.
    """
    rows = []
    for task, classes in tables.items():
        known = [row for row in classes if math.isfinite(row.iou)]
        if len(known) > 1:
            rows.append(_worst(task, known))
            rows += _risen(task, known)
    return rows


def _worst(task: str, classes: Sequence[ClassRow]) -> Advice:
    worst = sorted(classes, key=lambda row: row.iou)[:MOST]
    words = [f"{row.name} {number(row.iou)} % ({row.share:.1f} % of the pixels)" for row in worst]
    count = count_text(len(classes), "class", "classes")
    return Advice(
        topic="classes",
        text=f"{task}: of its {count}, the lowest {METRIC} have {join_names(words)}.",
        task=task,
        metric=METRIC,
        unit="%",
    )


def _risen(task: str, classes: Sequence[ClassRow]) -> list[Advice]:
    """The class that gained most since the round before, if one did."""
    changes = {row.name: row.change for row in classes if row.change is not None}
    if not changes or max(changes.values()) < MOVES:
        return []
    name = max(changes, key=lambda name: changes[name])
    (row,) = [row for row in classes if row.name == name]
    text = (
        f"{task}: the last labels helped {name} most, {rough_number(changes[name])} points of "
        f"{METRIC}: photographs that show it may help again."
    )
    return [Advice(topic="classes", text=text, task=task, metric=METRIC, unit="%", now=row.iou)]
