"""Names the worst classes of a task, and a class that lacks labels."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from labelgrid.advice.advised import Advice
from labelgrid.basics.errors import command
from labelgrid.basics.words import count_text, join_names
from labelgrid.drawings.wording import number, rough_number
from labelgrid.operations.class_rows import ClassRow
from labelgrid.project.shown_classes import ShownClasses

#: The metric of a class.
METRIC = "IoU"
#: The worst classes that are named.
WORST = 3
#: The fewest classes with more labels that tell what labels do.
FEWEST = 3
#: The points of IoU by which these must be better.
BETTER = 1.0
#: An IoU below this, in percent, is none: the class is not learnt.
NONE = 0.5


def class_advice(
    task: str,
    rows: Sequence[ClassRow],
    shown: ShownClasses,
    *,
    folder: Path,
    pretrained: bool = True,
    budget: Sequence[str] = ("--budget", "N"),
) -> list[Advice]:
    """Advice on the classes of a task.

    A class lacks labels if classes that are no larger in the held-out labels, and that twice as
    many labels show, do better: then the class is not hard because of its size. There is no
    interval. A network that has not learnt most of the classes says nothing of single ones.

    Args:
        task: its name.
        rows: its classes, as of `class_rows`.
        shown: the labels that show them.
        folder: the folder of the project, for commands.
        pretrained: whether the network starts from pretrained weights, or cannot.
        budget: the options of a query's budget, for commands.
    """
    measured = [row for row in rows if math.isfinite(row.iou) and row.pixels]
    if len(measured) < 2:
        return []
    unlearnt = sum(row.iou < NONE for row in measured)
    if 2 * unlearnt > len(measured):
        count = f"{unlearnt} of its {len(measured)} classes"
        return [_not_learnt(task, count, folder=folder, pretrained=pretrained)]
    return [
        _worst(task, measured, shown),
        _lacking(task, measured, shown, folder=folder, budget=budget),
    ]


def _not_learnt(task: str, classes: str, *, folder: Path, pretrained: bool) -> Advice:
    longer = command("fit", folder, "--epochs", "N")
    helps = f"A longer training (`{longer}`) or more labels of all classes help first."
    if not pretrained:
        options = ["--set", "backbone.pretrained=true", "--keep"]
        weights = command("fit", folder, *options)
        helps = (
            f"A longer training (`{longer}`), more labels of all classes, or a pretrained backbone "
            f"(`{weights}`) help first."
        )
    text = (
        f"{task}: the {METRIC} of {classes} is 0 %: the network has not learnt yet, and no single "
        f"class is the cause. {helps}"
    )
    return Advice(topic="classes", answered=False, text=text, task=task, metric=METRIC, unit="%")


def _worst(task: str, rows: Sequence[ClassRow], shown: ShownClasses) -> Advice:
    words = []
    for row in sorted(rows, key=lambda row: row.iou)[:WORST]:
        labels = f"in {shown.counts[row.name]:,} of {count_text(shown.labels, 'label')}"
        words.append(f"{row.name} {number(row.iou)} % ({row.area:.1f} % of the pixels, {labels})")
    count = count_text(len(rows), "class", "classes")
    text = f"{task}: the lowest {METRIC} of its {count}: {join_names(words)}."
    return Advice(topic="classes", text=text, task=task, metric=METRIC, unit="%")


def _lacking(
    task: str,
    rows: Sequence[ClassRow],
    shown: ShownClasses,
    *,
    folder: Path,
    budget: Sequence[str],
) -> Advice:
    gaps = {}
    for row in rows:
        others = [other.iou for other in rows if _tells(other, row, shown)]
        if len(others) >= FEWEST and median(others) - row.iou >= BETTER:
            gaps[row.name] = (row, others)
    if not gaps:
        text = (
            f"{task}: too early to say which class more labels would help. That shows once a class "
            f"is predicted worse than {FEWEST} or more classes that are no larger, but are in at "
            "least twice as many labels. Later rounds may tell."
        )
        return Advice(topic="classes", answered=False, text=text, task=task)
    row, others = max(gaps.values(), key=lambda gap: median(gap[1]) - gap[0].iou)
    reached = median(others)
    mean_gain = rough_number((reached - row.iou) / len(rows)).lstrip("+")
    words = ["--class", f"{task}:{row.name}"]
    finds = "in which the model predicts most of it"
    if not shown.counts[row.name]:
        words = ["--like", "IMAGE", "--task", task]
        finds = "that are like one which you name"
    line = command("query", folder, *words, *budget)
    text = (
        f"{task}: photographs that show {row.name} may help most. Its {METRIC} is "
        f"{number(row.iou)} %, and it is in {shown.counts[row.name]:,} of "
        f"{count_text(shown.labels, 'label')}; {len(others)} classes that are no larger, but are "
        f"in at least twice as many labels, have {number(reached)} % (the median). If it became as "
        f"good, the mean of all classes would rise by {mean_gain} points. `{line}` asks for labels "
        f"of photographs {finds}."
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
        command=line,
    )


def _tells(other: ClassRow, row: ClassRow, shown: ShownClasses) -> bool:
    """Whether a class has more labels and no more pixels than another, and so tells of labels."""
    more = shown.counts[other.name] >= 2 * max(shown.counts[row.name], 1)
    return more and other.pixels <= row.pixels
