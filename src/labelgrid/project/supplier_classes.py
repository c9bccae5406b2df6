"""Reads files of a supplier as declared: class maps with other classes, grades, confidence."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelgrid.annotate.answers import Answer
from labelgrid.annotate.class_names import ClassNames
from labelgrid.basics.array_types import Floats32
from labelgrid.basics.config import check_tasks
from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import digest, digest_of
from labelgrid.basics.type_names import Size
from labelgrid.formats.arrays import save_png
from labelgrid.formats.codec import LabelArray, codec, options_of
from labelgrid.formats.confidence import (
    as_bytes,
    confidence_of,
    grades_confidence,
    read_confidence,
    read_grades,
)
from labelgrid.formats.naming import stem
from labelgrid.formats.regions import UNCOVERED
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.suppliers import Supplier
from labelgrid.tasks.task import TaskDef, TaskDefs

#: Reads the confidence [h, w] of a label of a size.
ReadConfidence = Callable[[Size], Floats32]


class Confidence(NamedTuple):
    """The file of a label's confidence in the project, and the hash of its content."""

    path: str
    digest: str


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


@dataclass(frozen=True, kw_only=True)
class DeclaredFiles:
    """How the files of a supplier are read.

    Args:
        classes: the supplier's classes, of tasks of which it has others.
        grades: the tasks whose files hold grades.
        relative: the tasks whose files hold maps that are true up to something.
        shift: whether these have a shift, too.
        by_hand: no maker wrote the files.
    """

    classes: Mapping[str, OtherClasses]
    grades: Collection[str]
    relative: TaskDefs
    shift: bool
    by_hand: bool

    @classmethod
    def of(
        cls, declared: Supplier, tasks: TaskDefs, class_names: Callable[[], ClassNames]
    ) -> "DeclaredFiles":
        """How a supplier's files are read.

        `class_names` gives the names that the tasks know, and other names' meanings.

        Raises:
            RecipeError: a task of declared classes is unknown.
            LabelError: it has no classes, or a name is of none of its classes.
        """
        classes = {}
        if declared.classes:
            classes = other_classes(declared.classes, tasks, class_names())
        return cls(
            classes=classes,
            grades=declared.grades,
            relative={name: task for name, task in tasks.items() if declared.is_relative(task)},
            shift=declared.up_to == "scale-shift",
            by_hand=not declared.settings,
        )

    def answer(self, answer: Answer, path: Path) -> Answer:
        """The answer whose label is in a file, with how that is read."""
        task = answer.cell.task
        if task in self.grades:
            return replace(answer, label=partial(read_grades, path))
        if task in self.classes:
            return replace(answer, label=partial(self.classes[task].read, path))
        if task in self.relative:
            read = partial(self.relative[task].read_relative, path, self.shift)
            return replace(answer, label=lambda: read() or path, suffix=".npy")
        return replace(answer, label=path)

    def confidence(self, task: str, path: Path) -> ReadConfidence | None:
        """A reader of the confidence of a file's label at a size; None without confidence."""
        file = confidence_of(path, task)
        if file is not None:
            return partial(read_confidence, file, no_mask=self.by_hand)
        if task in self.grades:
            return partial(grades_confidence, path, no_mask=self.by_hand)
        return None


def keep_confidence(
    project: ProjectFolder, path: str, read: ReadConfidence | None, size: Size
) -> Confidence | None:
    """Write the confidence of a label beside the label at `path`; None if there is none."""
    if read is None:
        return None
    numbers = as_bytes(read(size))
    name = f"{stem(path)}.{digest_of(numbers.tobytes())[:8]}.confidence.png"
    file = project.inside(name)
    save_png(file, numbers)
    return Confidence(name, digest(file))


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
