"""Limits a measurement to the pixels that a published protocol counts: a crop, a range of depth."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from labelgrid.basics.errors import ProjectError, UsageError
from labelgrid.basics.type_names import Json
from labelgrid.data.dataset import Source, WrappedImages
from labelgrid.formats.codec import LabelArray
from labelgrid.tasks.crops import Crop, read_crop
from labelgrid.tasks.task import Task, TaskDef, TaskDefs, Tasks


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Which pixels count.

    Args:
        crop: the part of each image that counts, for all tasks; empty: the whole image.
        least: labels at or below this depth in metres do not count, and predictions are raised to
            it.
        most: labels at or above this depth in metres do not count, and predictions are lowered to
            it.
    """

    crop: str = ""
    least: float | None = None
    most: float | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every pixel with a label counts."""
        return self == WHOLE

    @property
    def is_capped(self) -> bool:
        """Whether depth has a range."""
        return self.least is not None or self.most is not None

    @property
    def range(self) -> tuple[float, float]:
        """The ends of the range of depth, in metres."""
        least = 0.0 if self.least is None else self.least
        return least, math.inf if self.most is None else self.most

    def as_json(self) -> Json:
        """What was limited, as JSON values."""
        return {"crop": self.crop, "min_depth": self.least, "max_depth": self.most}

    def check(self, definitions: TaskDefs) -> None:
        """Refuse a wrong crop or range, or a range of depth where no task has depths.

        Raises:
            UsageError: it is refused.
        """
        if self.crop:
            read_crop(self.crop)
        least, most = self.range
        if not 0 <= least < most:
            raise UsageError(
                f"The range of depth must begin at 0 m or later and end after that. Found "
                f"--min-depth {least:g}, --max-depth {most:g}.",
                next_step="Give metres, such as --min-depth 0.001 --max-depth 10.",
                unchanged="Nothing was written.",
            )
        if self.is_capped and not any(map(has_metres, definitions.values())):
            raise UsageError(
                "No task has depths in metres, to which --min-depth and --max-depth apply.",
                next_step="Leave them out.",
                unchanged="Nothing was written.",
            )

    def check_counted(self, labels: Mapping[str, int], definitions: TaskDefs) -> None:
        """Refuse a measurement in which no pixel counts, or no depth with a range of depth.

        Args:
            labels: the number of labels of each measured task of which a pixel counts.
            definitions: the tasks.

        Raises:
            ProjectError: it is refused.
        """
        depths = []
        for name, count in labels.items():
            if has_metres(definitions[name]):
                depths.append(count)
        if self.is_whole or any(depths if self.is_capped and depths else labels.values()):
            return
        raise ProjectError(
            f"No pixel of the labels{' of depth' if any(labels.values()) else ''} lies in the crop "
            "and in the range of depth.",
            next_step="Name a larger part, or a wider range, in metres.",
            unchanged="Nothing was written.",
        )

    def source(self, source: Source, definitions: TaskDefs) -> Source:
        """The images and labels, valid only at the pixels that count."""
        if self.is_whole:
            return source
        crop = read_crop(self.crop) if self.crop else None
        capped = set()
        for name, task in definitions.items():
            if has_metres(task):
                capped.add(name)
        range = self.range if self.is_capped else None
        return CountedSource(source=source, crop=crop, range=range, capped=frozenset(capped))

    def tasks(self, tasks: Tasks, definitions: TaskDefs) -> dict[str, Task]:
        """The tasks, with metrics that bring predictions of depth into the range."""
        if not self.is_capped:
            return dict(tasks)
        from labelgrid.pixel.capped_metric import CappedMetric

        least, most = self.range
        capped = dict(tasks)
        for name, task in tasks.items():
            if has_metres(definitions[name]):
                metrics = {}
                for metric, create in task.metrics.items():
                    metrics[metric] = partial(CappedMetric, create, least, most)
                capped[name] = replace(task, metrics=metrics)
        return capped


#: Every pixel with a label counts.
WHOLE = Protocol()


def has_metres(task: TaskDef) -> bool:
    """Whether the values of a task's labels are depths in metres."""
    return task.spec.in_metres(task.options)


@dataclass(frozen=True, kw_only=True)
class CountedSource(WrappedImages):
    """A `Source` whose labels are valid only where they count.

    Args:
        source: the source of the whole labels.
        crop: the part of each image that counts; None: the whole.
        range: the range of the depths that count, without its ends; None: all.
        capped: the tasks whose labels are depths.
    """

    source: Source
    crop: Crop | None
    range: tuple[float, float] | None
    capped: frozenset[str]

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`; None if no pixel of it counts."""
        label = self.source.label(image_id, task)
        if label is None:
            return None
        valid = label.valid
        if self.crop:
            valid = valid & self.crop.mask(label.size)
        if self.range and task.name in self.capped:
            least, most = self.range
            depth = np.where(valid, label.value[..., 0], 0)  # others may be anything
            valid = valid & (depth > least) & (depth < most)
        if not valid.any():
            return None
        return replace(label, valid=valid)
