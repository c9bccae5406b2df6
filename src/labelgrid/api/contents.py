"""Provides what a project holds as Python values, such as its cells, labels and picks."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labelgrid.api.cells import CellContents
from labelgrid.api.door import Count, Positive, check_methods, steady
from labelgrid.api.request import takes
from labelgrid.api.requests import CellsRequest
from labelgrid.basics.errors import LabelgridError, LedgerError
from labelgrid.basics.words import count_text
from labelgrid.ledger.grid import Cell, Pick, State
from labelgrid.ledger.image_pages import ImageFilter, ImagePage, ListedImage
from labelgrid.project.cells.cell_table import each_cell

if TYPE_CHECKING:  # each method imports the modules that it needs
    import numpy as np
    from numpy.typing import NDArray

    from labelgrid.operations.class_rows import ClassRow
    from labelgrid.operations.next_step import NextStep
    from labelgrid.project.label_filter import LabelFilter, MatchingImages


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How much a project holds.

    Args:
        images: the number of its images.
        heldout: the number of those that are held out for measuring.
        tasks: the number of its tasks.
        labels: the number of its labels.
        rounds: the number of its rounds, without round 0.
    """

    images: int
    heldout: int
    tasks: int
    labels: int
    rounds: int

    def __str__(self) -> str:
        """The counts in words."""
        images = f"{count_text(self.images, 'image')} ({self.heldout:,} held out)"
        tasks = count_text(self.tasks, "task")
        labels = count_text(self.labels, "label")
        return f"{images}, {tasks}, {labels}, {count_text(self.rounds, 'round')}"


@dataclass(frozen=True)
class ChangedCells:
    """The cells that a call changed.

    Args:
        cells: all of them.
        heldout: those of held-out images, which no strategy picks.
    """

    cells: Sequence[Cell]
    heldout: Sequence[Cell]


@check_methods
@steady
class ProjectContents(CellContents):
    """What a project holds; each value is read when it is asked for."""

    def __repr__(self) -> str:
        try:
            return f"<Project {self.folder}: {self.counts()}>"
        except LabelgridError as error:
            return f"<Project {self.folder}: {error.what}>"

    def counts(self) -> Counts:
        """The number of images, tasks, labels and rounds."""
        store = self._project.store
        by_task = store.counts()
        return Counts(
            images=store.count_images(),
            heldout=store.count_images(("heldout",)),
            tasks=len(by_task),
            labels=sum(count.labelled for count in by_task.values()),
            rounds=len(store.rounds()),
        )

    def status(self) -> dict[str, Any]:
        """The images, cells by state, costs and rounds, as `status --json` prints them.

        `advice` is the best purchase that `advise` names; "" while it is too early to say, or
        `next` is no query. `relations` says which labels may follow from others by relations that
        nobody declared; "" if there are none, and before two trainings.
        """
        return self.status_and_step()[0]

    def status_and_step(self) -> "tuple[dict[str, Any], NextStep]":
        """As `status`, with the next step, which takes no second count of the cells."""
        from labelgrid.advice.advice_sentence import advice_sentence, relations_sentence
        from labelgrid.operations.next_step import next_step
        from labelgrid.operations.status import status_of

        project = self._project
        counts = project.store.counts()
        step = next_step(project, counts)
        status = status_of(project, counts, step)
        status["relations"] = relations_sentence(project)
        status["advice"] = advice_sentence(project, step)
        return status, step

    def next_command(self) -> str:
        """The next command of the campaign."""
        from labelgrid.operations.next_step import next_step

        return next_step(self._project).line

    def first_command(self) -> str:
        """The command of a new project's first round: it requests labels, and exports them.

        Where no label is left to request, it is the next command.
        """
        from labelgrid.operations.next_step import first_query

        return first_query(self._project) or self.next_command()

    def offered_relations(self, *, labelled: bool = False) -> str:
        """Which labels may follow from others, and the command that measures how well.

        By shipped relations that fit the tasks and that nobody declared; "" without one.

        Args:
            labelled: only relations between tasks that have labels of training images.
        """
        from labelgrid.suppliers.relation_offers import offers_text, relation_offers

        offers = relation_offers(self._project)
        if labelled:
            offers = [offer for offer in offers if offer.labelled]
        return offers_text(offers, self.folder)

    def warnings(self) -> list[str]:
        """What would stop or disappoint later, each line with the command that helps."""
        from labelgrid.operations.early_warnings import early_warnings

        return early_warnings(self._project)

    @takes(CellsRequest)
    def cells(self, request: CellsRequest) -> list[dict[str, Any]]:
        """The cells as a table: a dictionary for each, ordered by image, then task.

        `pandas.DataFrame(project.cells())` reads it, and so does `pyarrow.Table.from_pylist`.

        Returns:
            `image`, `task`, `split`, `state`, `round` (that asked for the label; 0 outside the
            rounds), `cost` (of the label or its request), `weight` (in training), `seconds` (that
            the label took, or None) and `path` (of the label's file, or "").

        Raises:
            LedgerError: there is no such task or round.
            UsageError: there is no such state or split.
        """
        return list(self.each_cell(**request))

    @takes(CellsRequest)
    def each_cell(self, request: CellsRequest) -> Iterator[dict[str, Any]]:
        """The dictionaries of `cells`, read while they are consumed: for very many cells."""
        self._check_round(request.round)
        return each_cell(self._project, **request)

    def image_page(
        self,
        wanted: ImageFilter,
        *,
        order: str = "",
        labels: "LabelFilter | None" = None,
        first: Count = 0,
        count: Count = 60,
    ) -> ImagePage:
        """The images with a cell that matches, from number `first` on, with their cells' states.

        Only these are read, so a page of a large project takes no longer than one of a small one.

        Args:
            wanted: which images.
            order: one of `image_orders`; empty: by their ids.
            labels: which labels they have; None: any.
            first: the number of the first one in this order.
            count: the most images.

        Raises:
            LedgerError: there is no such task.
            UsageError: there is no such order or class.
        """
        store = self._project.store
        if not order and (labels is None or labels.is_empty):
            return store.image_page(wanted, first=first, count=count)
        found = self._ordered(wanted, order, labels)
        listed = store.listed_images(found.names[first : first + count])
        return ImagePage(len(found.names), listed, found.unread)

    def image_orders(self) -> list[str]:
        """The orders of images: "changed", losses, scored statistics, and shares of classes.

        "changed" has the last changed first, "loss/TASK" the labels on which networks of an audit
        that did not learn them have the largest loss, a statistic the images with the highest
        values in the newest scores, and "share/TASK:CLASS" those of which most is predicted as a
        class.
        """
        from labelgrid.project.image_order import image_orders

        return image_orders(self._project)

    def _ordered(
        self, wanted: ImageFilter, order: str, labels: "LabelFilter | None"
    ) -> "MatchingImages":
        """All images that match, in an order."""
        from labelgrid.project.image_order import ordered_images

        return ordered_images(self._project, wanted, order, labels)

    def annotators(self) -> list[str]:
        """Who or what made labels, in alphabetical order."""
        return self._project.store.annotators()

    def last_event(self) -> int:
        """The number of the newest event of the history; 0 without any."""
        return self._project.store.last_event()

    def requested_at(self) -> str:
        """When the last request was made (UTC, ISO 8601); "" before the first one."""
        return self._project.store.last_time(State.REQUESTED)

    def listed_image(self, image_id: str) -> ListedImage:
        """An image with the states of its cells.

        Raises:
            LedgerError: the id is unknown, or the image was removed.
        """
        return self._project.store.listed_image(image_id)

    def neighbours(
        self,
        wanted: ImageFilter,
        image_id: str,
        *,
        order: str = "",
        labels: "LabelFilter | None" = None,
    ) -> tuple[str, str]:
        """The matching images before and after this one, as ordered by `image_page`; "" for none.

        In another order than by ids, an image that does not match has none.
        """
        if not order and (labels is None or labels.is_empty):
            return self._project.store.neighbours(wanted, image_id)
        names = self._ordered(wanted, order, labels).names
        if order and image_id not in names:
            return "", ""
        here = names.index(image_id) if order else bisect_left(names, image_id)
        after = here + (image_id in names[here : here + 1])
        return "".join(names[max(here - 1, 0) : here]), "".join(names[after : after + 1])

    def classes(self) -> "dict[str, list[ClassRow]]":
        """The classes of each task on the held-out labels in the newest measured round.

        The worst are first. Empty before the first one.
        """
        from labelgrid.operations.class_rows import class_rows
        from labelgrid.project.records import measured_rounds

        return class_rows(measured_rounds(self.folder, newest=2))

    def log(self, cell: str = "", *, last: Positive = 20) -> list[dict[str, Any]]:
        """Show the newest operations of a project, or all that happened to a cell.

        An operation is a command that moved cells.

        Args:
            cell: an image and a task as `IMAGE:TASK`: the result is that of `history`. Empty: the
                operations, the last one first.
            last: the most operations.

        Returns:
            `operation` (its number), `at` (UTC), `command`, `moves` (`before`, `after`, and the
            number of `cells`), `rounds` (that its cells were requested in), and whether it was
            `undone`.

        Raises:
            LedgerError: there is no such cell.
        """
        from labelgrid.operations.operation_log import operation_rows

        return self.history(cell) if cell else operation_rows(self._project, last)

    def image(self, image_id: str) -> "NDArray[np.uint8]":
        """An image as RGB, uint8 [h, w, 3], upright.

        Raises:
            LedgerError: the id is unknown.
            ImageError: its file is missing, damaged, or has changed since it was added.
        """
        from labelgrid.images.places import read_placed_image
        from labelgrid.project.sources import dataset_of

        row = self._project.store.image(image_id)
        oracle = self._project.settings.oracle
        if oracle is not None:
            return dataset_of(oracle).image(image_id)
        return read_placed_image(row.root, image_id, row.digest)

    def rounds(self) -> list[int]:
        """The numbers of the rounds, without round 0."""
        return [row.number for row in self._project.store.rounds()]

    def round_rows(self) -> list[dict[str, Any]]:
        """The rounds as `status` shows them: `round`, `strategy`, `budget`, `unit` and `state`."""
        from labelgrid.operations.status import round_rows

        return round_rows(self._project)

    def picks(self, round: Count) -> list[Pick]:
        """The picks of a round, best first, with their scores, reasons and terms.

        `pandas.DataFrame(project.picks(1))` reads them.

        Raises:
            LedgerError: there is no such round.
            ProjectError: the round's file of picks is damaged.
        """
        from labelgrid.project.records import read_picks

        self._check_round(round, of_queries=True)
        return read_picks(self._project.round_folder(round))

    def _check_round(self, round: int | None, *, of_queries: bool = False) -> None:
        """Refuse a round that there is not; round 0, outside the rounds, has requests alone."""
        numbers = self.rounds()
        if round in numbers or (not of_queries and round in (None, 0)):
            return
        raise LedgerError(
            f"The project has no round {round}.",
            where=str(self.folder),
            next_step=f"Its rounds are: {', '.join(map(str, numbers)) or 'none yet'}.",
            unchanged="Nothing was changed.",
        )
