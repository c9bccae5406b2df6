"""Provides a project's content as Python values, such as cells, labels and picks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelgrid.api.cells import CellName, ProjectCell, read_image
from labelgrid.api.door import Count, Positive, check_methods, steady, takes
from labelgrid.api.former_members import where_now
from labelgrid.api.requests import CellsRequest
from labelgrid.basics.errors import LabelgridError, LedgerError, escape_control_characters
from labelgrid.basics.progress import Progress
from labelgrid.basics.shown import Shown, table, text_block
from labelgrid.basics.words import count_text, join_names
from labelgrid.ledger.grid import Cell, Pick
from labelgrid.project.cells.cell_table import each_cell
from labelgrid.project.folder import ProjectFolder

if TYPE_CHECKING:  # each method imports the modules that it needs
    import numpy as np
    from numpy.typing import NDArray

    from labelgrid.annotate.answers import Fault
    from labelgrid.formats.codec import LabelArray
    from labelgrid.operations.next_step import NextStep
    from labelgrid.tasks.task import TaskDef

#: The states of cells whose counts a notebook shows.
STATES = ("labelled", "requested", "skipped", "missing")


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


@dataclass(frozen=True, repr=False)
class ChangedCells(Shown):
    """The cells that a call changed.

    Args:
        cells: all changed cells.
        heldout: the changed cells of held-out images, which no strategy picks.
    """

    cells: Sequence[Cell]
    heldout: Sequence[Cell]

    def __str__(self) -> str:
        names = [f"{cell.image_id}:{cell.task}" for cell in self.cells]
        held = f", {len(self.heldout):,} of them held out" if self.heldout else ""
        return f"{count_text(len(names), 'cell')}{held}: {join_names(names, 3)}."


@check_methods
@steady
class ProjectContents(Shown):
    """The content of a project, whose values are read when they are asked for."""

    #: What the last `create`, `add` or `predict` with `leave_out` could not read.
    left_out: "Sequence[Fault]"
    _project: ProjectFolder
    _progress: Progress

    def __repr__(self) -> str:
        return escape_control_characters(f"<Project {self}>")

    def __str__(self) -> str:
        try:
            return f"{self.folder}: {counts_of(self._project)}"
        except LabelgridError as error:
            return f"{self.folder}: {error.what}"

    def _parts(self) -> Iterator[str]:
        try:
            status = self.status()
        except LabelgridError as error:
            yield text_block(error.what)
            return
        measured = {line["task"]: line["text"] for line in status["headlines"]}
        columns = ("task", *STATES, "spent", "on held-out images")[: 6 + bool(measured)]
        rows = []
        for name, task in status["tasks"].items():
            counts = [task[state] for state in STATES]
            headline = measured.get(name, "").removeprefix(f"{name} ")
            rows.append((name, *counts, task["spent"], headline)[: len(columns)])
        yield table(columns, rows)
        yield text_block(f"Next: {status['next']}")

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return self._project.folder

    @property
    def tasks(self) -> "dict[str, TaskDef]":
        """The tasks by name, in the order they were added."""
        return self._project.tasks()

    def status(self) -> dict[str, Any]:
        """The images, cells by state, costs and rounds, as `status --json` prints them.

        `advice` is the best purchase that `advise` names; "" while it is too early to say, or
        `next` is no query. `relations` names labels that may follow from others by undeclared
        relations; "" if there are none, and before two trainings.
        """
        return status_and_step(self._project)[0]

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
        check_round(self._project, request.round)
        return list(each_cell(self._project, **request))

    def cell(self, name: CellName | ProjectCell) -> ProjectCell:
        """A cell with its label, history, statistics, notes, predictions and supplied labels.

        Args:
            name: an image and a task as `IMAGE:TASK`.

        Raises:
            LedgerError: there is no such cell.
        """
        cell = name.key if isinstance(name, ProjectCell) else name
        return ProjectCell(self._project, cell, self._progress)

    def label(self, cell: CellName | ProjectCell) -> "LabelArray":
        """The label of a cell, given as `IMAGE:TASK`, as arrays; see `ProjectCell.label`."""
        return self.cell(cell).label()

    def log(self, cell: str = "", *, last: Positive = 20) -> list[dict[str, Any]]:
        """Show the newest operations of a project, or all that happened to a cell.

        An operation is a command that moved cells.

        Args:
            cell: an image and a task as `IMAGE:TASK`: the result is that of `ProjectCell.history`.
                Empty: the operations, the last one first.
            last: the most operations.

        Returns: `operation` (its number), `at` (UTC), `command`, `moves` (`before`, `after`, and
        the number of `cells`), `rounds` (that requested the cells), and `undone` (true or false).

        Raises:
            LedgerError: there is no such cell.
        """
        from labelgrid.operations.operation_log import operation_rows

        if cell:
            return self.cell(cell).history()
        return operation_rows(self._project, last)

    def image(self, image_id: str) -> "NDArray[np.uint8]":
        """An image as RGB, uint8 [h, w, 3], upright.

        Raises:
            LedgerError: the id is unknown.
            ImageError: its file is missing, damaged, or has changed since it was added.
        """
        return read_image(self._project, image_id)

    def picks(self, round: Count) -> list[Pick]:
        """The picks of a round, best first, with their scores, reasons and terms.

        `pandas.DataFrame(project.picks(1))` reads them.

        Raises:
            LedgerError: there is no such round.
            ProjectError: the round's file of picks is damaged.
        """
        from labelgrid.project.records import read_picks

        check_round(self._project, round, of_queries=True)
        return read_picks(self._project.round_folder(round))

    if not TYPE_CHECKING:  # it would hide wrong names from type checkers

        def __getattr__(self, name: str) -> Any:
            """Say where a former member is."""
            raise AttributeError(where_now(name), name=name, obj=self)


def counts_of(project: ProjectFolder) -> Counts:
    """The number of images, tasks, labels and rounds."""
    store = project.store
    by_task = store.counts()
    return Counts(
        images=store.count_images(),
        heldout=store.count_images(("heldout",)),
        tasks=len(by_task),
        labels=sum(count.labelled for count in by_task.values()),
        rounds=len(store.rounds()),
    )


def status_and_step(project: ProjectFolder) -> "tuple[dict[str, Any], NextStep]":
    """As `Project.status`, with the next step, which takes no second count of the cells."""
    from labelgrid.advice.advice_sentence import advice_sentence, relations_sentence
    from labelgrid.operations.next_step import next_step
    from labelgrid.operations.status import status_of

    counts = project.store.counts()
    step = next_step(project, counts)
    status = status_of(project, counts, step)
    status["relations"] = relations_sentence(project)
    status["advice"] = advice_sentence(project, step)
    return status, step


def check_round(project: ProjectFolder, round: int | None, *, of_queries: bool = False) -> None:
    """Refuse a round that there is not; round 0, outside the rounds, has requests alone."""
    numbers = [row.number for row in project.store.rounds()]
    if round in numbers or (not of_queries and round in (None, 0)):
        return
    raise LedgerError(
        f"The project has no round {round}.",
        where=str(project.folder),
        next_step=f"Its rounds are: {', '.join(map(str, numbers)) or 'none yet'}.",
        unchanged="Nothing was changed.",
    )
