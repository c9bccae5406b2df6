"""Reads class maps of a supplier with other classes or class numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelgrid.annotate.class_names import ClassNames
from labelgrid.basics.config import check_tasks
from labelgrid.basics.errors import LabelError
from labelgrid.formats.codec import LabelArray, codec, options_of
from labelgrid.formats.regions import UNCOVERED
from labelgrid.tasks.task import TaskDef, TaskDefs


@dataclass(frozen=True)
class OtherClasses:
    """The classes of a supplier's class maps, by their numbers from 0.

    Args:
        task: whose labels they are for.
        names: the names of the classes.
        numbers: the number of the task's class for each of the names; below 0: not labelled.
    """

    task: TaskDef
    names: tuple[str, ...]
    numbers: NDArray[np.int32]

    def read(self, path: Path) -> LabelArray | None:
        """The label that a file holds; None if no pixel is labelled.

        Classes of the task that the supplier does not have are not annotated.

        Raises:
            LabelError: the file holds no class map of the supplier's classes.
        """
        format = self.task.spec.codec
        options = options_of(format, {"classes": list(self.names)}, "classes")
        given: LabelArray = codec(format).read(path, options)
        regions = np.where(given.valid, self.numbers[given.value[..., 0]], UNCOVERED)
        label = self.task.from_regions(regions.astype(np.int32))
        if not label.valid.any():
            return None
        annotated = np.zeros(len(self.task.region_names), np.bool_)
        annotated[self.numbers[self.numbers >= 0]] = True
        if not annotated.all():
            label = replace(label, annotated=annotated)
        return self.task.form.upsample(label)


def other_classes(
    declared: Mapping[str, Sequence[str]], tasks: TaskDefs, class_names: ClassNames
) -> dict[str, OtherClasses]:
    """The classes of a supplier, by task.

    `declared` has the names by task; `class_names` the names that the tasks know, and other names'
    meanings.

    Raises:
        RecipeError: a task is unknown.
        LabelError: a task has no classes, or a name is of none of its classes.
    """
    check_tasks("supplier.toml: classes", declared, tasks)
    by_task = {}
    for name, classes in declared.items():
        if not tasks[name].classes:
            raise LabelError(
                f"The supplier declares classes of '{name}', whose labels have none.",
                next_step="Leave them out of supplier.toml.",
            )
        targets = class_names.targets(classes, name)
        numbers = np.array([targets[class_name].number for class_name in classes], np.int32)
        by_task[name] = OtherClasses(tasks[name], tuple(classes), numbers)
    return by_task
