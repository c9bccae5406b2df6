"""Defines a request: the cells to label, with their images and the model's predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labelgrid.ledger.grid import Cell, Explanation
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True, kw_only=True)
class RequestItem:
    """One requested cell: a line of a request's manifest.

    Args:
        request_id: the request's id in the ledger.
        image: the image id; the manifest's key is `image`.
        task: the task's name.
        path: the expected path of the label, below the request's folder.
        format: the label format, a module of `labelgrid.formats.codecs`.
        score: its acquisition score, or None if no strategy picked it.
        cost: the cost of the label.
        why: the reason for the pick, in words.
        seconds: None, for the annotator to fill in: how long the label took.
        terms: what the score was made of, by name; empty if nothing is known of it.
        explanation: how the pick compares with the other candidates.
    """

    request_id: str
    image: str
    task: str
    path: str
    format: str
    score: float | None
    cost: float
    why: str
    seconds: float | None = None
    terms: Mapping[str, float] = field(default_factory=dict)
    explanation: Explanation = field(default_factory=Explanation)

    @property
    def cell(self) -> Cell:
        """The requested cell."""
        return Cell(self.image, self.task)


@dataclass(frozen=True)
class Request:
    """The content of a request, for a connector to send.

    Args:
        items: the requested cells, best first.
        tasks: the definitions of their tasks.
        images: image id -> image file.
        prelabels: cell -> label file with the model's prediction, if there is one.
    """

    items: Sequence[RequestItem]
    tasks: Mapping[str, TaskDef]
    images: Mapping[str, Path]
    prelabels: Mapping[Cell, Path]
