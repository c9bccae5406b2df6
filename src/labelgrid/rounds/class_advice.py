"""Says which classes of a task are worst, and which one lacks labels."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from labelgrid.drawings.wording import number, rough_number
from labelgrid.errors import command
from labelgrid.project.class_rows import ClassRow
from labelgrid.project.shown_classes import ShownClasses
from labelgrid.rounds.advised import Advice
from labelgrid.words import count_text, join_names

#: The metric of a class.
METRIC = "IoU"
#: The worst classes that are named.
WORST = 3
#: The fewest classes with more labels that tell what labels do.
FEWEST = 3
#: The points of IoU by which these must be better.
BETTER = 1.0


def class_advice(
    task: str, rows: Sequence[ClassRow], shown: ShownClasses, *, folder: Path
) -> list[Advice]:
    """Advice on the classes of a task.

    A class lacks labels if others do better that are no larger in the held-out labels, and that
    twice as many labels show: then it is not its size that makes it hard. There is no interval.

    Args:
        task: its name.
        rows: its classes, as of `class_rows`.
        shown: the labels that show them.
        folder: of the project, for commands.
    """
    known = [row for row in rows if math.isfinite(row.iou) and row.pixels]
    if len(known) < 2:
        return []
    return [_worst(task, known, shown), _lacking(task, known, shown, folder)]


def _worst(task: str, rows: Sequence[ClassRow], shown: ShownClasses) -> Advice:
    words = []
    for row in sorted(rows, key=lambda row: row.iou)[:WORST]:
        labels = f"in {shown.counts[row.name]:,} of {count_text(shown.labels, 'label')}"
        words.append(f"{row.name} {number(row.iou)} % ({row.share:.1f} % of the pixels, {labels})")
    count = count_text(len(rows), "class", "classes")
    text = f"{task}: the lowest {METRIC} of its {count}: {join_names(words)}."
    return Advice(topic="classes", text=text, task=task, metric=METRIC, unit="%")


def _lacking(task: str, rows: Sequence[ClassRow], shown: ShownClasses, folder: Path) -> Advice:
    """The class that is furthest below those with more labels."""
    gaps = {}
    for row in rows:
        others = [other.iou for other in rows if _tells(other, row, shown)]
        if len(others) >= FEWEST and median(others) - row.iou >= BETTER:
            gaps[row.name] = (row, others)
    if not gaps:
        text = (
            f"{task}: which class lacks labels: too early to say. No class has {FEWEST} others "
            "that are no larger, that twice as many labels show, and that are better. Later rounds "
            "may tell."
        )
        return Advice(topic="classes", answered=False, text=text, task=task)
    row, others = max(gaps.values(), key=lambda found: median(found[1]) - found[0].iou)
    reached = median(others)
    by_hand = command("request", folder, f"IMAGE:{task}")
    text = (
        f"{task}: photographs that show {row.name} may help most: its {METRIC} is "
        f"{number(row.iou)} %, and {shown.counts[row.name]:,} of "
        f"{count_text(shown.labels, 'label')} show it; {len(others)} classes that are no larger, "
        f"and that twice as many show, have {number(reached)} % (the median). As good as these, "
        f"it adds {rough_number((reached - row.iou) / len(rows)).lstrip('+')} points to the mean "
        f"of all classes. Queries do not search for a class: `{by_hand}` asks for labels of "
        "photographs that you choose."
    )
    return Advice(
        topic="classes",
        text=text,
        task=task,
        class_name=row.name,
        metric=METRIC,
        unit="%",
        now=row.iou,
        value=reached,
    )


def _tells(other: ClassRow, row: ClassRow, shown: ShownClasses) -> bool:
    """Whether another class tells what more labels of a class do."""
    more = shown.counts[other.name] >= 2 * max(shown.counts[row.name], 1)
    return more and other.pixels <= row.pixels
