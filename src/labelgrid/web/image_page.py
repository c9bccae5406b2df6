"""Collects what the page of an image shows: its labels, their history, and what can be done."""

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from labelgrid.api.project import Project
from labelgrid.errors import LedgerError
from labelgrid.formats.colours import colour_codes, colour_text
from labelgrid.ledger.grid import Cell
from labelgrid.ledger.image_pages import ListedImage
from labelgrid.tasks.pictures import palette
from labelgrid.web.grid_page import GridQuery


class ImageQuery(GridQuery):
    """An image's page: its address also holds the grid that the user came from."""

    image: str = Field(description="The image's id.")
    shown: str = Field("", description="The task that is shown large; empty: a labelled one.")


@dataclass(frozen=True, kw_only=True)
class ShownCell:
    """A cell on its image's page.

    Args:
        task: its task.
        state: its state, in lower case.
        classes: the task's classes with their colours ("#rrggbb"); empty of other kinds.
        history: its events.
        seen: the number of its last event: who changes the cell says what he saw. 0 without one.
    """

    task: str
    state: str
    classes: list[tuple[str, str]]
    history: list[dict[str, Any]]
    seen: int


@dataclass(frozen=True, kw_only=True)
class ImageView:
    """The page of an image.

    Args:
        image: the image, with the states of its cells.
        cells: its cells, in the order of the tasks.
        chosen: the task that is shown large.
        before: the image before this one in the grid that the user came from; empty: none.
        after: the one after it.
        query: that grid.
    """

    image: ListedImage
    cells: list[ShownCell]
    chosen: str
    before: str
    after: str
    query: GridQuery

    @property
    def cell(self) -> ShownCell:
        """The cell that is shown large."""
        return next(cell for cell in self.cells if cell.task == self.chosen)


def image_view(project: Project, query: ImageQuery) -> ImageView:
    """The page of an image.

    Raises:
        LedgerError: there is no such image or task.
    """
    image = project.listed_image(query.image)
    task = query.shown
    if task and task not in image.states:
        raise LedgerError(f"The project has no task '{task:.80}'.")
    cells = [_shown_cell(project, image, name) for name in image.states]
    labelled = [cell.task for cell in cells if cell.state == "labelled"]
    before, after = project.neighbours(query.filter(), query.image, order=query.order)
    return ImageView(
        image=image,
        cells=cells,
        chosen=task or next(iter([*labelled, *image.states])),
        before=before,
        after=after,
        query=query,
    )


def _shown_cell(project: Project, image: ListedImage, task: str) -> ShownCell:
    history = project.history(Cell(image.image_id, task))
    return ShownCell(
        task=task,
        state=image.states[task].name.lower(),
        classes=_classes(project, task),
        history=history,
        seen=history[-1]["event"] if history else 0,
    )


def _classes(project: Project, task: str) -> list[tuple[str, str]]:
    """The classes of a task with their colours; empty if its kind has none."""
    names = project.tasks[task].class_names
    colours = colour_codes(palette(len(names))).tolist()
    return list(zip(names, map(colour_text, colours), strict=True))
