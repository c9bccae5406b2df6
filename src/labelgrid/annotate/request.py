"""Defines a request: the cells to label, with their images and the model's predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labelgrid.basics.type_names import Size
from labelgrid.ledger.grid import Cell, Pick
from labelgrid.tasks.task import TaskDefs


@dataclass(frozen=True, kw_only=True)
class RequestItem:
    """One requested cell, and the path of the expected label.

    Args:
        pick: the cell, with its cost, the id of its request and the reason for it.
        path: the expected path of the label, below the request's folder.
        format: the label format, a module of `labelgrid.formats.codecs`.
        round: the round that requested it.
        brings: the tasks whose label of the image follows from this label, by relations.
    """

    pick: Pick
    path: str
    format: str
    round: int = 0
    brings: tuple[str, ...] = ()

    @property
    def cell(self) -> Cell:
        """The requested cell."""
        return self.pick.cell

    @property
    def request_id(self) -> str:
        """The request's id in the ledger, by which an answer may name the cell."""
        return self.pick.request_id


@dataclass(frozen=True, kw_only=True)
class Request:
    """The content of a request, for a connector to send.

    Args:
        items: the requested cells, best first.
        tasks: the definitions of their tasks.
        images: image id -> image file.
        names: image id -> the name of the copy that is sent, see `image_copies`.
        sizes: image id -> height and width, upright.
        prelabels: cell -> label file with the model's prediction, if there is one.
    """

    items: Sequence[RequestItem]
    tasks: TaskDefs
    images: Mapping[str, Path]
    names: Mapping[str, str]
    sizes: Mapping[str, Size]
    prelabels: Mapping[Cell, Path]
