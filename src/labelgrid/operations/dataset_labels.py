"""Finds the labels of a published data set that belong to a project's images."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath

from labelgrid.annotate.answers import Answer, Answers, Fault
from labelgrid.basics.errors import LabelError
from labelgrid.data.dataset import Dataset, nonempty_label
from labelgrid.ledger.grid import SPLITS, Cell, Split
from labelgrid.project.folder import ProjectFolder


def answers_of(
    dataset: Dataset, project: ProjectFolder, split: Split | None, where: str
) -> Answers:
    """The data set's labels of the project's images.

    With `split`, only of images in the data set's split of that name.

    Images match by id or, if exactly one image of the project has it, by file name without
    extension. A label without a valid pixel counts as missing.

    Raises:
        LabelError: the data set has splits, but not this one.
    """
    source_ids = _split_images(dataset, split, where)
    matches, ambiguous = _project_images(source_ids, project)
    tasks = project.tasks()
    labels = []
    for source_id, image_id in matches.items():
        for task in tasks.values():
            cell = Cell(image_id, task.name)
            read = partial(nonempty_label, dataset, source_id, task)
            labels.append(Answer(cell=cell, where=f"{source_id} ({task.name})", label=read))
    return Answers(
        labels=labels,
        skips=[],
        faults=ambiguous,
        foreign=len(source_ids) - len(matches) - len(ambiguous),
    )


def _split_images(dataset: Dataset, split: Split | None, where: str) -> Sequence[str]:
    splits = dataset.splits()
    if split is None or not splits:
        return dataset.images()
    if split not in splits:
        raise LabelError(
            f"The data set has no split '{split}'.",
            where=where,
            next_step=f"Its splits are {', '.join(splits)}.",
            unchanged="Nothing was imported.",
        )
    return splits[split]


def _project_images(
    source_ids: Sequence[str], project: ProjectFolder
) -> tuple[dict[str, str], list[Fault]]:
    """The project's ids by the data set's ids, and a fault for each ambiguous id."""
    ids = set(source_ids)
    stems = {_stem(source_id) for source_id in source_ids}
    same_id: set[str] = set()
    same_stem: dict[str, list[str]] = defaultdict(list)
    for image_id in project.store.grid(SPLITS).images:
        if image_id in ids:
            same_id.add(image_id)
        stem = _stem(image_id)
        if stem in stems:
            same_stem[stem].append(image_id)
    matches = {}
    faults = []
    for source_id in source_ids:
        candidates = [source_id]
        if source_id not in same_id:
            candidates = same_stem[_stem(source_id)]
        if len(candidates) == 1:
            matches[source_id] = candidates[0]
        elif candidates:
            others = " or others" if len(candidates) > 3 else ""
            text = f"It could be the image {' or '.join(candidates[:3])}{others}."
            faults.append(Fault(source_id, text, "Name the project's images as the data set does."))
    return matches, faults


def _stem(image_id: str) -> str:
    return PurePosixPath(image_id).stem
