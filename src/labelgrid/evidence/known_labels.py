"""Says what labels are judged by: tasks, relations, and functions that read images and labels."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from labelgrid.data.dataset import ImageSource
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell, ImageRow
from labelgrid.ledger.store import CellRow
from labelgrid.relations.bound import BoundRelation
from labelgrid.tasks.task import TaskDef

#: The labels of an image, by task.
Rows = Mapping[str, CellRow]


class KnownLabels(Protocol):
    """What is known, and read when it is asked for."""

    @property
    def tasks(self) -> Mapping[str, TaskDef]:
        """The tasks."""

    @property
    def relations(self) -> Sequence[BoundRelation]:
        """The relations that labels are held against."""

    @property
    def cameras(self) -> ImageSource:
        """Knows the cameras of the images."""

    @property
    def image_ids(self) -> Sequence[str]:
        """All images."""

    def images(self, names: Collection[str] | None = None) -> Iterable[ImageRow]:
        """Where some images are, or all."""

    def labelled(self, task: str) -> Sequence[CellRow]:
        """The cells of a task that have a label."""

    def label(self, cell: Cell) -> LabelArray | None:
        """The label of a cell; None if there is none, or if it cannot be read."""

    def prediction(self, cell: Cell) -> LabelArray | None:
        """A model's prediction of a cell, which its request had; None as of `label`."""
