"""Provides a project and its disk to the page and to the screens of commands."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from labelgrid.api.contents import Counts, check_round, counts_of
from labelgrid.api.door import takes
from labelgrid.api.project import Project
from labelgrid.api.requests import CellsRequest
from labelgrid.ledger.grid import Cell, State
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.ledger.roster import unknown_task_error
from labelgrid.project.cells.cell_table import each_cell
from labelgrid.project.folder import ProjectFolder

if TYPE_CHECKING:
    from labelgrid.tasks.task import TaskDef


class ProjectReader(Project):
    """A project with its folder, for the page and the commands.

    An operation that users of Python do not need is a function of its package, which takes `disk`.
    """

    @property
    def disk(self) -> ProjectFolder:
        """The project on disk: the ledger, the settings and the files."""
        return self._project

    def counts(self) -> Counts:
        """The number of images, tasks, labels and rounds."""
        return counts_of(self.disk)

    @takes(CellsRequest)
    def each_cell(self, request: CellsRequest) -> Iterator[dict[str, Any]]:
        """The dictionaries of `cells`, read while they are consumed: for very many cells."""
        check_round(self.disk, request.round)
        return each_cell(self.disk, **request)

    def offered_relations(self, *, labelled: bool = False) -> str:
        """A sentence on the shipped relations that may give labels, with the command to measure.

        They fit the tasks, and nobody declared them; "" if there is none.

        Args:
            labelled: only relations between tasks that have labels of training images.
        """
        from labelgrid.suppliers.relation_offers import offers_text, relation_offers

        offers = relation_offers(self.disk)
        if labelled:
            offers = [offer for offer in offers if offer.labelled]
        return offers_text(offers, self.folder)

    def declared_task(self, name: str) -> "TaskDef":
        """The task of a name, which a cell of a dropped task has not.

        Raises:
            LedgerError: the project has none of this name.
        """
        task = self.tasks.get(name)
        if task is None:
            raise unknown_task_error(name)
        return task

    def image_size(self, image_id: str) -> tuple[int, int]:
        """The height and width of an image, upright.

        Raises:
            LedgerError: the id is unknown.
            ImageError: its size is not known, and its file cannot be read.
        """
        from labelgrid.project.images.image_files import size_of

        return size_of(self.disk.store.image(image_id))

    def next_request(self, cell: Cell) -> Cell | None:
        """The next requested cell of the same task, in the order of the images; None: no other.

        The first one follows the last one.
        """
        store = self.disk.store
        wanted = ImageFilter(task=cell.task, state=State.REQUESTED)
        _, following = store.neighbours(wanted, cell.image_id)
        if not following:
            first = store.image_page(wanted, count=1).images
            following = first[0].image_id if first else ""
        if following in ("", cell.image_id):
            return None
        return Cell(following, cell.task)
