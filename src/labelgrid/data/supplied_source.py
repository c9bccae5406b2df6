"""Reads labels of suppliers, which cost nearly nothing and are not true."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from labelgrid.formats.codec import LabelArray, Unsure, UpTo, check_digest
from labelgrid.formats.confidence import read_confidence
from labelgrid.tasks.task import TaskDef, TaskDefs


class SuppliedFile(NamedTuple):
    """The file of a supplied label, and the hash of its content.

    `classes` is the number of the task's classes at import; None if the task has none.
    `confidence` is the file of the confidence, and the hash of its content; None if there is none.
    """

    path: Path
    digest: str
    classes: int | None = None
    confidence: tuple[Path, str] | None = None


@dataclass(frozen=True, kw_only=True)
class SuppliedLabels:
    """The labels of a task from a supplier; a filler of `labelgrid.data.derived`.

    Args:
        supplier: its name.
        trust: see `SupplierChoice`.
        files: the files by image.
        inverted: the files hold the inverse of what the task's labels hold.
        up_to: how the numbers differ from the task's; None: not, or by `inverted` alone.
    """

    supplier: str
    trust: float
    files: Mapping[str, SuppliedFile]
    inverted: bool = False
    up_to: UpTo | None = None

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """The label of an image; None if there is none.

        It is in the task's numbers; with `up_to` in those of the files.

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
        if file.confidence is not None:
            check_digest(*file.confidence)
            label = label.with_confidence(read_confidence(file.confidence[0], label.size))
        if self.up_to:
            return replace(label, unsure=Unsure(label.confidence, self.up_to))
        if self.inverted:
            return inverse_label(label)
        return label


def inverse_label(label: LabelArray) -> LabelArray:
    """Depth from inverse depth, and inverse depth from depth; valid above 0.

    Example:
        >>> label = LabelArray(np.float32([[[4], [0]]]), np.ones((1, 2), np.bool_))
        >>> inverse = inverse_label(label)
        >>> inverse.value[0, 0].item(), inverse.valid.tolist()
        (0.25, [[True, False]])
    """
    valid = label.valid & (label.value[..., 0] > 0)
    value = np.zeros_like(label.value)
    np.divide(1, label.value, out=value, where=valid[..., None])
    return replace(label, value=value, valid=valid)


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
