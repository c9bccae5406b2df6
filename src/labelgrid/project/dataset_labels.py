"""Which labels of a published data set belong to a project's images."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from labelgrid.annotate.answers import Answer, Answers, Fault
from labelgrid.errors import LabelError
from labelgrid.labels.grid import SPLITS, Cell, Split
from labelgrid.project.folder import ProjectFolder

if TYPE_CHECKING:
    from labelgrid.data.dataset import Dataset


def answers_of(dataset: "Dataset", project: ProjectFolder, split: Split | None, where: str) -> Answers:
    """The data set's labels of the project's images; with a split, of those in the data set's split of that name.

    An image of the data set is the project's image of the same id or, if there is exactly one, of the same file name
    without its extension.

    Raises:
        LabelError: the data set has splits, but not this one.
    """
    names = _of_split(dataset, split, where)
    ours, ambiguous = _project_images(names, project)
    tasks = project.tasks()
    labels = [
        Answer(Cell(image, task.name), f"{name} ({task.name})", partial(dataset.label, name, task))
        for name, image in ours.items()
        for task in tasks.values()
    ]
    return Answers(labels, [], ambiguous, foreign=len(names) - len(ours) - len(ambiguous))


def _of_split(dataset: "Dataset", split: Split | None, where: str) -> Sequence[str]:
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


def _project_images(names: Sequence[str], project: ProjectFolder) -> tuple[dict[str, str], list[Fault]]:
    """Data set's id -> project's id; and a fault for each id that could mean several of the project's images."""
    ids, bare = set(names), {_bare(name) for name in names}
    same: set[str] = set()
    alike: dict[str, list[str]] = defaultdict(list)
    for image in project.store.grid(SPLITS).images:
        if image in ids:
            same.add(image)
        if (own := _bare(image)) in bare:
            alike[own].append(image)
    ours: dict[str, str] = {}
    faults: list[Fault] = []
    for name in names:
        found = [name] if name in same else alike[_bare(name)]
        if len(found) == 1:
            ours[name] = found[0]
        elif found:
            what = f"It could be the image {' or '.join(found[:3])}{' or others' if len(found) > 3 else ''}."
            faults.append(Fault(name, what, "Name the project's images as the data set does."))
    return ours, faults


def _bare(name: str) -> str:
    return PurePosixPath(name).stem
