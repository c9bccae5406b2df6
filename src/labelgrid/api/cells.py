"""Provides what a project holds of a cell: its label, its history, and what else is known."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelgrid.api.door import check_methods, steady
from labelgrid.basics.errors import LedgerError, command
from labelgrid.basics.progress import Progress
from labelgrid.ledger.grid import Cell, State
from labelgrid.ledger.image_pages import ImageFilter
from labelgrid.ledger.store import CellRow
from labelgrid.project.cells.cell_names import named_cells
from labelgrid.project.folder import ProjectFolder

if TYPE_CHECKING:  # each method imports the modules that it needs
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    from labelgrid.annotate.answers import Fault
    from labelgrid.formats.codec import LabelArray
    from labelgrid.project.cells.cell_notes import CellNote
    from labelgrid.project.other_labels import OtherLabel
    from labelgrid.tasks.task import TaskDef

#: A cell as `IMAGE:TASK`, or as a pair of both.
CellName = str | Cell | tuple[str, str]


@check_methods
@steady
class CellContents:
    """What a project holds of a cell; each value is read when it is asked for."""

    #: What the last `create`, `add` or `predict` with `leave_out` could not read.
    left_out: "Sequence[Fault]"
    _project: ProjectFolder
    _progress: Progress

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return self._project.folder

    @property
    def tasks(self) -> "dict[str, TaskDef]":
        """The tasks by name, in the order they were added."""
        return self._project.tasks()

    def cell(self, name: str) -> Cell:
        """The cell that is named as `IMAGE:TASK`.

        Raises:
            LedgerError: there is no such cell.
        """
        return self._cell_row(name).cell

    def history(self, cell: CellName) -> list[dict[str, Any]]:
        """All that happened to a cell, the first event first.

        Also to one of a removed image or of a dropped task.

        Args:
            cell: an image and a task as `IMAGE:TASK`.

        Returns:
            `event` (its number), `at` (UTC), `command`, `before`, `after` (states), `round`, `why`,
            `cost`, `seconds`, `annotator`, `hint` (what was shown while the label was drawn, or
            None) and `path` (of the label's file, or "").

        Raises:
            LedgerError: there is no such cell.
        """
        named = self._named_cell(cell, removed=True)
        history = self._project.store.history(named)
        if not history:
            self._cell_row(named)  # refuses an unknown cell
        events = []
        for event in history:
            move = event.move
            values = {
                "event": event.id,
                "at": event.operation.at,
                "command": event.operation.command,
                "before": event.before.name.lower(),
                "after": move.to.name.lower(),
                "round": move.round,
                "why": move.why,
                "cost": move.cost,
                "seconds": move.seconds,
                "annotator": move.annotator,
                "hint": move.hint,
                "path": move.path,
            }
            events.append(values)
        return events

    def label(self, cell: CellName) -> "LabelArray":
        """The label of a cell, given as `IMAGE:TASK`, as arrays.

        Returns:
            `value` [h, w, c] (classes or float32) and `valid` [h, w]; where not valid, a value
            means nothing. `annotated` [classes]: which classes it knows; None: all.

        Raises:
            LedgerError: there is no such cell, or it has no label.
            LabelError: its file is missing, or has changed since its import.
        """
        from labelgrid.project.sources import dataset_of
        from labelgrid.project.stored_labels import limit_to_known, read_stored_label

        row = self._labelled_row(cell)
        task = self.tasks[row.cell.task]
        oracle = self._project.settings.oracle
        if oracle is None:
            label = read_stored_label(self._project, row, task)
            return limit_to_known(self._project.store, row, label, task)
        found = dataset_of(oracle).label(row.cell.image_id, task)
        if found is None:
            raise LedgerError("The data set has lost this label.", where=str(oracle.root))
        return found

    def other_labels(self, cell: CellName) -> "list[OtherLabel]":
        """What else is known of a cell's label: predicted, derived from others, or supplied.

        Args:
            cell: an image and a task as `IMAGE:TASK`.

        Raises:
            LedgerError: there is no such cell.
        """
        from labelgrid.project.other_labels import other_labels

        return other_labels(self._project, self._cell_row(cell).cell, self.label)

    def measures(self, cell: str | Cell) -> str:
        """What the label of a cell measures, as half a sentence; empty: nothing.

        Such a label is drawn without a prediction on screen: on a held-out image, as one of a pair,
        to audit a supplier, or as a control.

        Args:
            cell: an image and a task as `IMAGE:TASK`.

        Raises:
            LedgerError: there is no such cell.
        """
        from labelgrid.project.cells.measuring_cells import MeasuringCells

        return MeasuringCells(self._project).purpose(self._cell_row(cell).cell)

    def predicted_requests(self, cells: "Iterable[Cell]") -> "set[Cell]":
        """Those of the cells whose request came with a prediction; unknown cells are left out."""
        from labelgrid.project.requests import prelabel

        found = set()
        for cell, row in self._project.store.find(cells).items():
            if cell.task in self.tasks and prelabel(self._project, row, self.tasks[cell.task]):
                found.add(cell)
        return found

    def statistics(self, cell: CellName) -> dict[str, float]:
        """The statistics of a cell and of its image that were scored last, by name.

        Raises:
            LedgerError: there is no such cell.
        """
        from labelgrid.project.known_uncertainty import cell_statistics

        return cell_statistics(self._project, self._cell_row(cell).cell)

    def uncertainty_map(self, cell: CellName) -> Path | None:
        """The picture of the uncertainty that a round drew of a picked cell, if one did.

        Raises:
            LedgerError: there is no such cell.
        """
        from labelgrid.project.known_uncertainty import uncertainty_map

        return uncertainty_map(self._project, self._cell_row(cell).cell)

    def next_request(self, cell: CellName) -> Cell | None:
        """The next requested cell of the same task, in the order of the images; None: no other.

        The first one follows the last one.

        Raises:
            LedgerError: there is no such cell.
        """
        here = self._cell_row(cell).cell
        store = self._project.store
        wanted = ImageFilter(task=here.task, state=State.REQUESTED)
        _, following = store.neighbours(wanted, here.image_id)
        if not following:
            first = store.image_page(wanted, count=1).images
            following = first[0].image_id if first else ""
        return Cell(following, here.task) if following not in ("", here.image_id) else None

    def notes(self, cell: CellName) -> "list[CellNote]":
        """The notes that people wrote on a cell, the first one first.

        Raises:
            LedgerError: there is no such cell.
        """
        from labelgrid.project.cells.cell_notes import read_notes

        return read_notes(self._project, self._cell_row(cell).cell)

    def image_file(self, image_id: str) -> Path:
        """The file of an image; of one in a store of objects, that of its copy in the cache.

        The copy stays until this thread has asked for some more.

        Raises:
            LedgerError: the id is unknown.
            ImageError: its object does not exist, or has changed.
            StorageError: its store refuses or does not answer.
        """
        from labelgrid.images.places import image_file

        row = self._project.store.image(image_id)
        return image_file(row.root, image_id, row.digest)

    def held_image_file(self, image_id: str) -> "AbstractContextManager[Path]":
        """The file of an image, also of one in a store, under its own name for a `with` block.

        Raises:
            LedgerError: the id is unknown.
            ImageError: as `image_file`.
            StorageError: as `image_file`.
        """
        from labelgrid.images.places import held_image_file

        row = self._project.store.image(image_id)
        return held_image_file(row.root, image_id, row.digest)

    def image_size(self, image_id: str) -> tuple[int, int]:
        """The height and width of an image, upright.

        Raises:
            LedgerError: the id is unknown.
            ImageError: its size is not known, and its file cannot be read.
        """
        from labelgrid.project.images.image_files import size_of

        return size_of(self._project.store.image(image_id))

    def _labelled_row(self, cell: CellName) -> CellRow:
        """The row of a cell with a label."""
        row = self._cell_row(cell)
        cell = row.cell
        if row.state != State.LABELLED:
            raise LedgerError(
                f"'{cell.image_id}:{cell.task}' has no label: it is {row.state.name.lower()}.",
                where=str(self.folder),
                next_step='`cells(state="labelled")` lists the cells with a label.',
            )
        return row

    def _cell_row(self, cell: CellName) -> CellRow:
        """The row of a cell, given as `IMAGE:TASK` or as a pair."""
        named = self._named_cell(cell)
        row = self._project.store.find([named]).get(named)
        if row is None:
            raise self._no_cell(f"{named.image_id}:{named.task}")
        return row

    def _named_cell(self, cell: CellName, *, removed: bool = False) -> Cell:
        """The cell that is given as `IMAGE:TASK` or as a pair; the project may not have it."""
        if isinstance(cell, Cell):
            return cell
        if isinstance(cell, tuple):
            return Cell(*cell)
        cells = named_cells(self._project, [cell], removed=removed)
        if cell not in cells:
            raise self._no_cell(cell)
        return cells[cell]

    def _no_cell(self, name: str) -> LedgerError:
        return LedgerError(
            f"The project has no cell '{name}'.",
            where=str(self.folder),
            next_step="A cell is IMAGE:TASK, such as room/0003.png:depth; "
            f"`{command('cells', self.folder)}` lists all.",
        )
