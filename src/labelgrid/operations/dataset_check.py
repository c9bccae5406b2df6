"""Reads the images and labels of a data set completely, and says what is there.

That is counts, values, and what is wrong.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np

from labelgrid.annotate.answers import Fault
from labelgrid.basics import plugins
from labelgrid.basics.errors import EmptyLabelError, ImageError, LabelError, ProjectError
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Json
from labelgrid.basics.words import count_text, join_names
from labelgrid.data.dataset import Dataset, DescribedDataset, LocatedDataset
from labelgrid.evidence.dataset_remarks import LabelFacts, check_remarks, label_facts, task_remarks
from labelgrid.formats.codec import RESIZED, size_error
from labelgrid.ledger.grid import Cell
from labelgrid.project.task_spec import name_task_file, task_rows, task_rows_of
from labelgrid.tasks.task import TaskDef, TaskDefs, definitions


@dataclass(frozen=True, kw_only=True)
class TaskContents:
    """The labels of a task in the images of a data set that were read.

    Args:
        kind: the kind of the task. labels, empty, missing, damaged: the number of images with a
            label, with a label without valid pixels, without a label, and with a damaged label.
        valid: the share of the labels' pixels that is valid; 0 without labels.
        lowest, highest: the range of the valid values of all channels; None without labels, or with
            classes.
        mean: the mean of the valid values of one channel; None without labels, or with classes or
            several channels.
        classes: the share of the valid pixels by class; empty for a task without classes, or
            without labels.
    """

    kind: str
    labels: int
    empty: int
    missing: int
    damaged: int
    valid: float = 0.0
    lowest: float | None = None
    highest: float | None = None
    mean: float | None = None
    classes: Mapping[str, float] = field(default_factory=dict)

    @property
    def values(self) -> str:
        """The range of the values, or the classes that no label has, in words."""
        if self.lowest is not None:
            mean = "" if self.mean is None else f", mean {self.mean:.3g}"
            return f"{self.lowest:.4g} to {self.highest:.4g}{mean}"
        if not self.classes:
            return "–"
        absent = [name for name, fraction in self.classes.items() if not fraction]
        never = f", not {join_names(absent, 5)}" if absent else ""
        return f"{len(self.classes) - len(absent)} of {len(self.classes)} classes{never}"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """The findings of a check of a data set.

    Args:
        images, read: the number of images in the data set, and of those that were read.
        sizes: how many of these have each size, HEIGHTxWIDTH, the most frequent first.
        splits: the number of images by split.
        tasks: the tasks by name.
        layout: sentences on what the layout lacks.
        faults: the faults of images, labels and splits.
        remarks: sentences on what may be right, but is unusual.
    """

    images: int
    read: int
    sizes: Mapping[str, int]
    splits: Mapping[str, int]
    tasks: Mapping[str, TaskContents]
    layout: Sequence[str]
    faults: Sequence[Fault]
    remarks: Sequence[str] = ()


@dataclass
class _ImageFacts:
    """An image with the facts of its labels by task, without missing labels."""

    image_id: str
    size: str = ""
    labels: dict[str, LabelFacts] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def tasks_of(dataset: Dataset, root: Path, file: Path | None) -> dict[str, TaskDef]:
    """The tasks of a file, or those of the data set itself.

    Raises:
        ProjectError: there is no file, and the data set does not know its tasks.
        RecipeError: the file is wrong.
    """
    if file is not None:
        return definitions(task_rows(file))
    tables = dataset.tasks() if isinstance(dataset, DescribedDataset) else {}
    if not tables:
        raise ProjectError(
            "The data set does not say which tasks it has.",
            where=root,
            next_step="Name a file of tasks with --tasks, or write tasks.toml into a data set of "
            "the layout `folder`.",
        )
    return definitions(task_rows_of(tables, root))


def layout_faults(name: str, root: Path) -> list[str]:
    """The sentences of the layout's own `check`, if there is such a function."""
    check = getattr(plugins.module("layouts", name), "check", None)
    return check(root) if check else []


def read_contents(
    dataset: Dataset,
    tasks: TaskDefs,
    image_ids: Sequence[str],
    layout: Sequence[str],
    progress: Progress,
) -> Contents:
    """Read the given images and their labels of the tasks.

    `layout` is what `layout_faults` found.
    """
    splits, faults = _splits(dataset, layout)
    progress.start("Reading images and labels", len(image_ids), "images")
    images = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for image in threads.map(partial(_read_image, dataset, tasks), image_ids):
            images.append(image)
            faults += image.faults
            progress.advance()
    sizes = Counter(image.size for image in images if image.size)
    remarks = []
    for name, task in tasks.items():
        labels = _labels(name, images)
        remarks += [*task_remarks(name, labels), *check_remarks(task, labels.values())]
    return Contents(
        images=len(dataset.images()),
        read=len(images),
        sizes=dict(sizes.most_common()),
        splits=splits,
        tasks={name: _contents(task, images) for name, task in tasks.items()},
        layout=layout,
        faults=faults,
        remarks=remarks,
    )


def _splits(dataset: Dataset, layout: Sequence[str]) -> tuple[dict[str, int], list[Fault]]:
    """The number of images by split, and the faults of splits that are not in `layout`."""
    try:
        splits = dataset.splits()
    except ImageError as error:
        if any(error.what in text for text in layout):
            return {}, []
        return {}, [Fault(error.where, error.what, error.next_step)]
    counts = {name: len(members) for name, members in splits.items()}
    return counts, list(_overlaps(dataset, splits))


def _overlaps(dataset: Dataset, splits: Mapping[str, Sequence[str]]) -> Iterator[Fault]:
    """A fault for every two splits with common images, but for unions of splits like trainval."""
    sets = {name: frozenset(members) for name, members in splits.items()}
    own_splits = []
    for name, members in sets.items():
        parts = [other for other in sets.values() if other < members]
        if members != frozenset().union(*parts):
            own_splits.append(name)
    for first, second in combinations(own_splits, 2):
        both = sorted(sets[first] & sets[second])
        if both:
            images = count_text(len(both), "image is", "images are")
            yield Fault(
                f"{_split_file(dataset, first)}, {_split_file(dataset, second)}",
                f"{images} in both splits, {first} and {second}, the first is '{both[0]}'.",
                "Take each out of one of them.",
            )


def _split_file(dataset: Dataset, split: str) -> str:
    if not isinstance(dataset, LocatedDataset):
        return split
    return str(dataset.split_file(split))


def _read_image(dataset: Dataset, tasks: TaskDefs, image_id: str) -> _ImageFacts:
    image = _ImageFacts(image_id)
    size = None
    try:
        size = dataset.image(image_id).shape[:2]
        image.size = f"{size[0]}x{size[1]}"
    except ImageError as error:
        image.faults.append(Fault(error.where, error.what, error.next_step))
    for task in tasks.values():
        try:
            with name_task_file():
                label = dataset.label(image_id, task)
                if label is not None:
                    image.labels[task.name] = label_facts(label, task)
                    if size is not None and label.size != size:
                        where = _label_place(dataset, image_id, task)
                        raise size_error(label.size, size, RESIZED, where)
        except EmptyLabelError:
            image.labels[task.name] = LabelFacts()
        except LabelError as error:
            image.labels.pop(task.name, None)
            image.faults.append(
                Fault(error.where, error.what, error.next_step, Cell(image_id, task.name))
            )
    return image


def _label_place(dataset: Dataset, image_id: str, task: TaskDef) -> str:
    if not isinstance(dataset, LocatedDataset):
        return image_id
    return str(dataset.label_file(image_id, task) or image_id)


def _labels(task: str, images: Sequence[_ImageFacts]) -> dict[str, LabelFacts]:
    labels = {}
    for image in images:
        if task in image.labels:
            labels[image.image_id] = image.labels[task]
    return labels


def _contents(task: TaskDef, images: Sequence[_ImageFacts]) -> TaskContents:
    labels = _labels(task.name, images).values()
    damaged = 0
    for image in images:
        for fault in image.faults:
            damaged += fault.cell is not None and fault.cell.task == task.name
    filled = [label for label in labels if label.valid]
    return TaskContents(
        kind=task.kind,
        labels=len(filled),
        empty=len(labels) - len(filled),
        missing=len(images) - len(labels) - damaged,
        damaged=damaged,
        **_value_facts(task, filled),
    )


def _value_facts(task: TaskDef, labels: Sequence[LabelFacts]) -> Json:
    """The fields of `TaskContents` that depend on the values of labels with valid pixels."""
    if not labels:
        return {}
    valid = sum(label.valid for label in labels)
    facts: Json = {"valid": valid / sum(label.pixels for label in labels)}
    counts = [label.counts for label in labels if label.counts is not None]
    if counts:
        fractions = (np.sum(counts, 0) / valid).tolist()
        return facts | {"classes": dict(zip(task.options.names, fractions, strict=True))}
    facts["lowest"] = min(label.lowest for label in labels)
    facts["highest"] = max(label.highest for label in labels)
    if task.codec.CHANNELS == 1:
        facts["mean"] = sum(label.total for label in labels) / valid
    return facts
