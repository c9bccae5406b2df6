"""What a request is: the cells whose labels are wanted, with their images and the model's predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labelgrid.labels.grid import Cell
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True)
class RequestItem:
    """One requested cell: a line of a request's manifest.

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
    """All that a connector is given to send.

    Args:
        items: the requested cells, best first.
        tasks: the definitions of their tasks.
        images: image id -> its file.
        prelabels: cell -> a label file with the model's own prediction, where there is one.
    """

    items: Sequence[RequestItem]
    tasks: Mapping[str, TaskDef]
    images: Mapping[str, Path]
    prelabels: Mapping[Cell, Path]
