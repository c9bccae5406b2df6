"""What a request is: the cells that are asked for, and how label files are named after their images."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labelgrid.labels.grid import Cell
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True)
class Ask:
    """One cell that is asked for: a line of a request's manifest.

    Args:
        request_id: what the ledger knows the request by.
        image: the image's id.
        task: the task's name.
        path: where the label is expected, below the request's folder.
        format: the label format, a module of `labelgrid.labels.formats`.
        score: why it was picked, as a number, where a strategy picked it.
        cost: what the label is to cost.
        why: why it was picked, in words.
    """

    request_id: str
    image: str
    task: str
    path: str
    format: str
    score: float | None
    cost: float
    why: str

    @property
    def cell(self) -> Cell:
        """The cell."""
        return Cell(self.image, self.task)


@dataclass(frozen=True)
class Request:
    """All that a labelling tool is given.

    Args:
        asks: best first.
        tasks: the definitions of their tasks.
        images: image id -> its file.
        prelabels: cell -> a label file with the model's own prediction, where there is one.
    """

    asks: Sequence[Ask]
    tasks: Mapping[str, TaskDef]
    images: Mapping[str, Path]
    prelabels: Mapping[Cell, Path]


def stem(name: str) -> str:
    """A path without its extension.

    Example:
        >>> stem("room.1/0001.jpg")
        'room.1/0001'
    """
    return os.path.splitext(name)[0]  # noqa: PTH122 - a million names: a Path each is slow


def label_name(image: str, extension: str, whole: bool) -> str:
    """The name of a label file below its task's folder; see `whole_names` for `whole`.

    Example:
        >>> label_name("a/0001.jpg", ".png", whole=False), label_name("a/0001.jpg", ".png", whole=True)
        ('a/0001.png', 'a/0001.jpg.png')
    """
    return (image if whole else stem(image)) + extension


def whole_names(wanted: Collection[str], images: Iterable[str]) -> frozenset[str]:
    """Those of the images whose labels must carry the image's whole name, because its stem means other images too.

    Args:
        wanted: image ids.
        images: all ids there are.

    Example:
        >>> sorted(whole_names(["a.jpg", "b.jpg"], ["a.jpg", "a.png", "b.jpg"]))
        ['a.jpg']
    """
    stems = {stem(image) for image in wanted}
    sharing: Counter[str] = Counter()
    for image in images:
        own = stem(image)
        if own in stems:
            sharing[own] += 1
        if image in stems:  # an image 'a.jpg' beside an image 'a.jpg.png'
            sharing[image] += 1
    return frozenset(image for image in wanted if sharing[stem(image)] > 1)
