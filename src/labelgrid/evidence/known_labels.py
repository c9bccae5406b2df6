"""Defines the source of labels for comparisons: tasks, relations, images and labels."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from labelgrid.data.dataset import ImageSource
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell, ImageRow
from labelgrid.ledger.store import CellRow
from labelgrid.relations.bound import BoundRelation
from labelgrid.tasks.task import TaskDefs

#: The labels of an image, by task.
Rows = Mapping[str, CellRow]


class KnownLabels(Protocol):
    """The labels of a project, and their images, each read on demand."""

    @property
    def tasks(self) -> TaskDefs:
        """Definitions, in the order in which tasks were added."""

    @property
    def relations(self) -> Sequence[BoundRelation]:
        """Bound relations, in whose order labels are compared."""

    @property
    def cameras(self) -> ImageSource:
        """A source that knows the cameras of images."""

    @property
    def image_ids(self) -> Sequence[str]:
        """The project's images, labelled or not."""

    def images(self, names: Collection[str] | None = None) -> Iterable[ImageRow]:
        """Rows of the named images; None: of all images."""

    def labelled(self, task: str) -> Sequence[CellRow]:
        """The cells of a task that have a label."""

    def label(self, cell: Cell) -> LabelArray | None:
        """The label of a cell; None if there is none, or if it cannot be read."""

    def prediction(self, cell: Cell) -> LabelArray | None:
        """The prediction of a model that the request of a cell had; None as of `label`."""
