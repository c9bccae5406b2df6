"""Reads images and labels of a data set completely, and says what is there: counts, values, and what is wrong."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np

from labelgrid import plugins
from labelgrid.annotate.answers import Fault
from labelgrid.data.dataset import Dataset, DescribedDataset, LocatedDataset
from labelgrid.errors import EmptyLabelError, ImageError, LabelError, ProjectError
from labelgrid.formats.codec import codec
from labelgrid.ledger.grid import Cell
from labelgrid.progress import Progress
from labelgrid.project.dataset_remarks import LabelFacts, label_facts, task_remarks
from labelgrid.project.task_spec import name_task_file, task_rows, task_rows_of
from labelgrid.tasks.task import TaskDef, definitions
from labelgrid.words import count_text, join_names


@dataclass(frozen=True, kw_only=True)
class TaskContents:
    """What a data set has of one task, in the images that were read.

    Args:
        kind: of the task.
        labels, empty, missing, damaged: images with a label, with one that has no valid pixel,
            without one, and with one that is wrong.
        valid: the share of the labels' pixels that is valid; 0 without labels.
        lowest, highest: of the valid values of all channels; None without labels, or with classes.
        mean: of the valid values of one channel; None without labels, or with classes or several
            channels.
        classes: the share of the valid pixels by class; empty for a task without classes, or
            without labels.
    """

    kind: str
    labels: int
    empty: int
    missing: int
    damaged: int
    valid: float
    lowest: float | None
    highest: float | None
    mean: float | None
    classes: Mapping[str, float]

    @property
    def values(self) -> str:
        """The range of the values, or the classes that no label has, in words."""
        if self.lowest is not None:
            mean = "" if self.mean is None else f", mean {self.mean:.3g}"
            return f"{self.lowest:.4g} to {self.highest:.4g}{mean}"
        absent = [name for name, share in self.classes.items() if not share]
        never = f", not {join_names(absent, 5)}" if absent else ""
        return (
            f"{len(self.classes) - len(absent)} of {len(self.classes)} classes{never}"
            if self.classes
            else "–"
        )


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What was found in a data set.

    Args:
        images, read: of the data set; how many of them were read.
        sizes: how many of these have each size, HEIGHTxWIDTH, the most frequent first.
        splits: the number of images by split.
        tasks: by name.
        layout: sentences on what the layout lacks.
        faults: of images, labels and splits that are wrong.
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
class _Seen:
    """One image, and its labels by task; tasks whose labels are missing are left out."""

    image_id: str
    size: str = ""
    labels: dict[str, LabelFacts] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def tasks_of(dataset: Dataset, root: Path, file: Path | None) -> dict[str, TaskDef]:
    """The tasks of a file, or those of the data set itself.

    Raises:
        ProjectError: there is no file, and the data set does not know its tasks. RecipeError: the
            file is wrong.
    """
    if file is not None:
        return definitions(task_rows(file))
    tables = dataset.tasks() if isinstance(dataset, DescribedDataset) else {}
    if not tables:
        raise ProjectError(
            "The data set does not say which tasks it has.",
            where=str(root),
            next_step="Name a file of tasks with --tasks, or write tasks.toml into a data set of the layout `folder`.",
        )
    return definitions(task_rows_of(tables, root))


def layout_faults(name: str, root: Path) -> list[str]:
    """The sentences of the layout's own `check`, if its module has one."""
    check = getattr(plugins.module("layouts", name), "check", None)
    return check(root) if check else []


def read_contents(
    dataset: Dataset,
    tasks: Mapping[str, TaskDef],
    image_ids: Sequence[str],
    layout: Sequence[str],
    progress: Progress,
) -> Contents:
    """Read the given images and their labels of the tasks.

    `layout` is what `layout_faults` found.
    """
    splits, wrong = _splits(dataset, layout)
    progress.start("Reading images and labels", len(image_ids), "images")
    found = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for seen in threads.map(partial(_seen, dataset, tasks), image_ids):
            found.append(seen)
            progress.advance()
    sizes = Counter(seen.size for seen in found if seen.size)
    by_task = {name: _contents(task, found) for name, task in tasks.items()}
    faults = [*wrong, *(fault for seen in found for fault in seen.faults)]
    return Contents(
        images=len(dataset.images()),
        read=len(found),
        sizes=dict(sizes.most_common()),
        splits=splits,
        tasks=by_task,
        layout=layout,
        faults=faults,
        remarks=[text for name in tasks for text in task_remarks(name, _labels(name, found))],
    )


def _splits(dataset: Dataset, layout: Sequence[str]) -> tuple[dict[str, int], list[Fault]]:
    """The number of images by split.

    None, and a fault that is not in `layout`, if they cannot be read.
    """
    try:
        splits = dataset.splits()
    except ImageError as error:
        known = any(error.what in text for text in layout)
        return {}, [] if known else [Fault(error.where, error.what, error.next_step)]
    return {name: len(members) for name, members in splits.items()}, list(
        _overlaps(dataset, splits)
    )


def _overlaps(dataset: Dataset, splits: Mapping[str, Sequence[str]]) -> Iterator[Fault]:
    """A fault for every two splits with the same images, but not for one that others make up, such as trainval."""
    sets = {name: frozenset(members) for name, members in splits.items()}
    parts = {name: [other for other in sets.values() if other < own] for name, own in sets.items()}
    single = [name for name, own in sets.items() if own != frozenset().union(*parts[name])]
    for one, other in combinations(single, 2):
        both = sorted(sets[one] & sets[other])
        if both:
            images = count_text(len(both), "image is", "images are")
            yield Fault(
                ", ".join(_split_file(dataset, split) for split in (one, other)),
                f"{images} in both splits, {one} and {other}, the first is '{both[0]}'.",
                "Take each out of one of them.",
            )


def _split_file(dataset: Dataset, split: str) -> str:
    return str(dataset.split_file(split)) if isinstance(dataset, LocatedDataset) else split


def _seen(dataset: Dataset, tasks: Mapping[str, TaskDef], image_id: str) -> _Seen:
    seen = _Seen(image_id)
    size = None
    try:
        size = dataset.image(image_id).shape[:2]
        seen.size = f"{size[0]}x{size[1]}"
    except ImageError as error:
        seen.faults.append(Fault(error.where, error.what, error.next_step))
    for task in tasks.values():
        try:
            with name_task_file():
                label = dataset.label(image_id, task)
            if label is not None:
                seen.labels[task.name] = label_facts(label, task)
                if size is not None and label.size != size:
                    raise _other_size(
                        dataset,
                        image_id,
                        task=task,
                        found=f"{label.size[0]}x{label.size[1]}",
                        image=seen.size,
                    )
        except EmptyLabelError:
            seen.labels[task.name] = LabelFacts()
        except LabelError as error:
            seen.labels.pop(task.name, None)
            seen.faults.append(
                Fault(error.where, error.what, error.next_step, Cell(image_id, task.name))
            )
    return seen


def _other_size(
    dataset: Dataset, image_id: str, task: TaskDef, found: str, image: str
) -> LabelError:
    path = dataset.label_file(image_id, task) if isinstance(dataset, LocatedDataset) else None
    return LabelError(
        f"The label is {found}, its image {image} (height x width).",
        where=str(path or image_id),
        next_step="Replace the one that was resized, cropped or turned.",
    )


def _labels(task: str, found: Sequence[_Seen]) -> dict[str, LabelFacts]:
    """The facts of a task's labels by image."""
    return {seen.image_id: seen.labels[task] for seen in found if task in seen.labels}


def _contents(task: TaskDef, found: Sequence[_Seen]) -> TaskContents:
    facts = [*_labels(task.name, found).values()]
    damaged = sum(
        fault.cell is not None and fault.cell.task == task.name
        for seen in found
        for fault in seen.faults
    )
    filled = [one for one in facts if one.valid]
    valid = sum(one.valid for one in filled)
    counts = [one.counts for one in filled if one.counts is not None]
    values = bool(filled) and not counts
    return TaskContents(
        kind=task.kind,
        labels=len(filled),
        empty=len(facts) - len(filled),
        missing=len(found) - len(facts) - damaged,
        damaged=damaged,
        valid=valid / sum(one.pixels for one in filled) if filled else 0.0,
        lowest=min(one.lowest for one in filled) if values else None,
        highest=max(one.highest for one in filled) if values else None,
        mean=sum(one.total for one in filled) / valid
        if values and codec(task.spec.codec).CHANNELS == 1
        else None,
        classes=dict(zip(task.options.names, (np.sum(counts, 0) / valid).tolist(), strict=True))
        if counts
        else {},
    )
