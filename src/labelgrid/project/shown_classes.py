"""Counts how many of the labels that a project trains on show each class. Loads no torch."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from heapq import nsmallest

from labelgrid.basics.errors import LabelError, ProjectError
from labelgrid.ledger.grid import State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.stored_labels import read_stored_label
from labelgrid.tasks.task import TaskDef

#: At most so many labels of a task are read, drawn at random.
MOST = 200


@dataclass(frozen=True)
class ShownClasses:
    """How many labels show each class.

    Args:
        labels: the number of labels that were read.
        counts: the number of such labels, by the name of each class.
    """

    labels: int
    counts: Mapping[str, int]


def shown_classes(project: ProjectFolder, task: TaskDef) -> ShownClasses:
    """The classes in the labels of a task's training images, of `MOST` of them at most."""
    rows = project.store.cells(state=State.LABELLED, task=task.name, splits=("train",))
    counts = Counter(dict.fromkeys(task.class_names, 0))
    labels = 0
    for row in nsmallest(MOST, rows, key=lambda row: row.digest):  # a digest is random
        with suppress(LabelError, ProjectError, OSError):  # other commands report damage
            overview = task.overview()
            overview.add(row.cell.image_id, read_stored_label(project, row, task))
            counts.update(name for name, shown in overview.names().items() if shown)
            labels += 1
    return ShownClasses(labels, counts)
