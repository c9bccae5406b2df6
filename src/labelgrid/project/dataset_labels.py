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
    from labelgrid.data.dataset import Source


def answers_of(source: "Source", project: ProjectFolder, split: Split | None, where: str) -> Answers:
    """The labels of the source's images (of its split of that name, where it has splits) that the project has.

    An image of the source is the project's image of the same id or, where only one has it, of the same file name
    without its extension.

    Raises:
        LabelError: the source has splits, but not this one.
    """
    names = _of_split(source, split, where)
    ours, twice = _ours(names, project)
    tasks = project.tasks()
    labels = [
        Answer(Cell(image, task.name), f"{name} ({task.name})", partial(source.label, name, task))
        for name, image in ours.items()
        for task in tasks.values()
    ]
    return Answers(labels, [], twice, foreign=len(names) - len(ours) - len(twice))


def _of_split(source: "Source", split: Split | None, where: str) -> Sequence[str]:
    splits = source.splits()
    if split is None or not splits:
        return source.images()
    if split not in splits:
        raise LabelError(
            f"The data set has no split '{split}'.",
            where=where,
            next_step=f"Its splits are {', '.join(splits)}.",
            unchanged="Nothing was imported.",
        )
    return splits[split]


def _ours(names: Sequence[str], project: ProjectFolder) -> tuple[dict[str, str], list[Fault]]:
    """Source's id -> project's id; and the ids that could mean several of the project's images."""
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
            faults.append(Fault(name, what, "Give the images in the data set's own folders."))
    return ours, faults


def _bare(name: str) -> str:
    return PurePosixPath(name).stem
