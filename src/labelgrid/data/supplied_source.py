"""Reads labels of suppliers, which cost nearly nothing and are not true."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from labelgrid.formats.codec import LabelArray, Unsure, UpTo, check_digest
from labelgrid.formats.confidence import read_confidence
from labelgrid.pixel.map_fit import FEWEST_PIXELS, fit
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
        coverage: the share of a true label's pixels that its labels reach, as measured.
    """

    supplier: str
    trust: float
    files: Mapping[str, SuppliedFile]
    inverted: bool = False
    up_to: UpTo | None = None
    coverage: float = 1.0

    @property
    def is_shifted(self) -> bool:
        """Whether the maps are true up to a shift: no relation can read them alone."""
        return self.up_to is not None and self.up_to.shift

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
        label = task.read_supplied(file.path)
        if file.classes is not None:
            label = task.limit_classes(label, file.classes)
        if file.confidence is not None:
            check_digest(*file.confidence)
            label = label.with_confidence(read_confidence(file.confidence[0], label.size))
            label = label.where_confident()
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


def without_shift(label: LabelArray, truth: LabelArray | None) -> LabelArray | None:
    """A supplied label as a relation reads it: in the task's numbers, but for a scale.

    A map that is true up to a shift is fitted to the true label of the image, which may be valid in
    few pixels. None if there is none, or it says nothing.
    """
    label = label.where_confident()
    up_to = label.up_to
    if up_to is None:
        return label
    if up_to.shift:
        if truth is None:
            return None
        both = label.valid & truth.valid
        values = label.value[..., 0].astype(np.float64)
        if both.sum() < FEWEST_PIXELS:
            return None
        line = fit(values[both], up_to.in_map(truth.value[..., 0][both]), shift=True)
        fitted = line.of(values)
        valid = label.valid & (fitted > 0) & (line.scale > 0)
        label = replace(label, value=fitted[..., None].astype(np.float32), valid=valid)
    unsure = None if label.confidence is None else Unsure(label.confidence)
    label = replace(label, unsure=unsure)
    return inverse_label(label) if up_to.inverse else label


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
