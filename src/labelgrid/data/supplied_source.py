"""Reads labels of suppliers, which cost nearly nothing and are not true."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from labelgrid.formats.codec import LabelArray, check_digest
from labelgrid.tasks.alignment import Align, Extent, align_to, invert
from labelgrid.tasks.task import TaskDef, TaskDefs


class SuppliedFile(NamedTuple):
    """The file of a supplied label, the hash of its content, and the task's classes at import.

    `classes` is their number; None if the task has none.
    """

    path: Path
    digest: str
    classes: int | None = None


@dataclass(frozen=True, kw_only=True)
class SuppliedLabels:
    """The labels of a task from a supplier; a filler of `labelgrid.data.derived`.

    Args:
        supplier: its name.
        trust: see `SupplierChoice`.
        files: the files by image.
        inverted: the files hold the inverse of what the task's labels hold.
        align: what is fitted, in the files' own numbers.
        usual: the usual extent of the task's labels, in the files' own numbers; None: nothing is
            fitted.
    """

    supplier: str
    trust: float
    files: Mapping[str, SuppliedFile]
    inverted: bool = False
    align: Align = "none"
    usual: Extent | None = None

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """The label of an image in the task's numbers; None if there is none.

        Raises:
            LabelError: its file is missing or changed, or is not a label of the task.
        """
        file = self.files.get(image_id)
        if file is None:
            return None
        check_digest(file.path, file.digest)
        label = task.read(file.path)
        if file.classes is not None:
            label = task.limit_classes(label, file.classes)
        if self.usual:
            label = align_to(label, self.usual, self.align)
        if self.inverted:
            return invert(label)
        return label


@dataclass(frozen=True)
class MostTrusted:
    """Reads the most trusted supplied label of each cell without a true label.

    Args:
        by_task: the labels of all suppliers.
        tasks: the tasks by name.
        labelled: the tasks of which each image has a true label.
    """

    by_task: Mapping[str, Sequence[SuppliedLabels]]
    tasks: TaskDefs
    labelled: Mapping[str, Collection[str]]

    def labels(self, image_id: str) -> dict[str, LabelArray]:
        """The labels of an image, by task.

        Raises:
            LabelError: as by `SuppliedLabels.label`.
        """
        supplied = {}
        for task, several in self.by_task.items():
            if task in self.labelled.get(image_id, ()):
                continue
            for labels in sorted(several, key=lambda labels: -labels.trust):
                label = labels.label(image_id, self.tasks[task])
                if label is not None:
                    supplied[task] = label
                    break
        return supplied
