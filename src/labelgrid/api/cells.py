"""Provides a cell of a project: its label, history, statistics, notes and predictions."""

from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelgrid.api.door import Amount, check_methods, steady
from labelgrid.api.places import Place
from labelgrid.basics.errors import LabelgridError, LedgerError, command
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.shown import Shown, figure, gallery, table, text_block
from labelgrid.ledger.grid import Cell, Hint, State
from labelgrid.ledger.store import CellRow
from labelgrid.project.cells.cell_names import named_cells
from labelgrid.project.folder import ProjectFolder

if TYPE_CHECKING:  # each method imports the modules that it needs
    import numpy as np
    from numpy.typing import NDArray

    from labelgrid.formats.codec import LabelArray
    from labelgrid.imports.imported import Imported
    from labelgrid.project.cells.cell_notes import CellNote
    from labelgrid.project.other_labels import OtherLabel

#: The width of a picture in a notebook, in pixels.
PICTURE = 320
#: What a notebook shows of an event.
EVENT = ("at", "command", "before", "after", "why")
#: A cell as `IMAGE:TASK`, or as a pair of both.
CellName = str | Cell | tuple[str, str]


@check_methods
@steady
class ProjectCell(Shown):
    """A cell of a project, as `Project.cell` finds it, whose values are read when asked for.

    Args:
        project: its project.
        name: an image and a task as `IMAGE:TASK`.
        progress: receives the progress of an import.

    Raises:
        LedgerError: there is no such cell, and there never was.
    """

    def __init__(
        self, project: ProjectFolder, name: CellName, progress: Progress | None = None
    ) -> None:
        self._project = project
        self._progress = progress or Silent()
        #: Its image and its task.
        self.key = self._named(name)
        if not project.store.find([self.key]) and not project.store.history(self.key):
            raise self._unknown(f"{self.key.image_id}:{self.key.task}")

    @property
    def image_id(self) -> str:
        """The id of its image."""
        return self.key.image_id

    @property
    def task(self) -> str:
        """The name of its task."""
        return self.key.task

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProjectCell) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        row = self._project.store.find([self.key]).get(self.key)
        state = row.state.name.lower() if row else "of a removed image or a dropped task"
        return f"{self.key.image_id}:{self.key.task}, {state}."

    def _parts(self) -> Iterator[str]:
        try:
            yield gallery(self._pictures())
            yield table(("statistic", "scored last"), self.statistics().items())
        except LabelgridError as error:
            yield text_block(error.what)
        yield table(EVENT, map(itemgetter(*EVENT), self.history()))

    def _pictures(self) -> Iterator[str]:
        from labelgrid.drawings.overlay import draw_overlay
        from labelgrid.tasks.pictures import jpeg

        photograph = read_image(self._project, self.key.image_id)
        yield figure(jpeg(photograph), self.key.image_id, ["photograph"], width=PICTURE)
        if self.state == State.LABELLED:
            task = self._project.tasks()[self.key.task]
            drawn = draw_overlay(photograph, task, self.label())
            yield figure(jpeg(drawn), f"{task.name} over it", [task.name], width=PICTURE)

    @property
    def state(self) -> State:
        """Its state.

        Raises:
            LedgerError: its image was removed, or its task was dropped.
        """
        return self._row().state

    def history(self) -> list[dict[str, Any]]:
        """All that happened to the cell, the first event first.

        Also if its image was removed or its task was dropped.

        Returns:
            `event` (its number), `at` (UTC), `command`, `before`, `after` (states), `round`, `why`,
            `cost`, `seconds`, `annotator`, `hint` (what was shown while the label was drawn, or
            None) and `path` (of the label's file, or "").
        """
        events = []
        for event in self._project.store.history(self.key):
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

    def label(self) -> "LabelArray":
        """The label as arrays.

        Returns:
            `value` [h, w, c] (classes or float32) and `valid` [h, w]; where not valid, a value
            means nothing. `annotated` [classes]: which classes it knows; None: all.

        Raises:
            LedgerError: the cell has no label.
            LabelError: its file is missing, or has changed since its import.
        """
        from labelgrid.project.sources import dataset_of
        from labelgrid.project.stored_labels import limit_to_known, read_stored_label

        row = self._row()
        if row.state != State.LABELLED:
            raise LedgerError(
                f"'{row.cell.image_id}:{row.cell.task}' has no label: it is "
                f"{row.state.name.lower()}.",
                where=str(self._project.folder),
                next_step='`cells(state="labelled")` lists the cells with a label.',
            )
        task = self._project.tasks()[row.cell.task]
        oracle = self._project.settings.oracle
        if oracle is None:
            label = read_stored_label(self._project, row, task)
            return limit_to_known(self._project.store, row, label, task)
        shown = dataset_of(oracle).label(row.cell.image_id, task)
        if shown is None:
            raise LedgerError("The data set has lost this label.", where=str(oracle.root))
        return shown

    def other_labels(self) -> "list[OtherLabel]":
        """The predicted, derived and supplied labels of the cell."""
        from labelgrid.project.other_labels import other_labels

        def label_of(cell: Cell) -> "LabelArray":
            return ProjectCell(self._project, cell).label()

        return other_labels(self._project, self._row().cell, label_of)

    def statistics(self) -> dict[str, float]:
        """The statistics of the cell and of its image in the newest scores, by name."""
        from labelgrid.project.known_uncertainty import cell_statistics

        return cell_statistics(self._project, self._row().cell)

    def uncertainty_map(self) -> Path | None:
        """The picture of the uncertainty from the round that picked the cell; None: no picture."""
        from labelgrid.project.known_uncertainty import uncertainty_map

        return uncertainty_map(self._project, self._row().cell)

    def notes(self) -> "list[CellNote]":
        """The notes of people on the cell, the first note first."""
        from labelgrid.project.cells.cell_notes import read_notes

        return read_notes(self._project, self._row().cell)

    def note(self, text: str) -> None:
        """Write a note on the cell: one paragraph.

        Raises:
            UsageError: the note is empty or too long.
        """
        from labelgrid.project.cells.cell_notes import add_note

        add_note(self._project, self._row().cell, text)

    def import_label(
        self,
        label: "Place | Callable[[], LabelArray]",
        *,
        seconds: Amount | None = None,
        annotator: str = "",
        hint: Hint | None = None,
        accept: bool = False,
        confirm: Callable[[], object] = lambda: None,
    ) -> "Imported":
        """Import the cell's label in place of any label it has.

        Args:
            label: the label's file, or a function that returns the label as arrays.
            seconds: how long the label took; None: not known.
            annotator: who made it; empty: not known.
            hint: what was shown while it was drawn; None: not known.
            accept: import it even if it looks wrong beside other labels.
            confirm: called once the label is found right, while nobody else can change the cell;
                its error stops the import.

        Raises:
            LabelgridError: the label cannot be imported.
        """
        from labelgrid.annotate.answers import Answer
        from labelgrid.imports.import_one import import_one

        given = Path(label) if isinstance(label, str) else label
        answer = Answer(
            cell=self._row().cell,
            where=given.name if isinstance(given, Path) else "the drawn label",
            label=given,
            seconds=seconds,
            annotator=annotator,
            hint=hint,
        )
        return import_one(self._project, answer, self._progress, accept=accept, confirm=confirm)

    def _row(self) -> CellRow:
        row = self._project.store.find([self.key]).get(self.key)
        if row is None:
            raise self._unknown(f"{self.key.image_id}:{self.key.task}")
        return row

    def _named(self, name: CellName) -> Cell:
        if isinstance(name, Cell):
            return name
        if isinstance(name, tuple):
            return Cell(*name)
        cells = named_cells(self._project, [name], removed=True)
        if name not in cells:
            raise self._unknown(name)
        return cells[name]

    def _unknown(self, name: str) -> LedgerError:
        return LedgerError(
            f"The project has no cell '{name}'.",
            where=str(self._project.folder),
            next_step="A cell is IMAGE:TASK, such as room/0003.png:depth; "
            f"`{command('cells', self._project.folder)}` lists all.",
        )


def read_image(project: ProjectFolder, image_id: str) -> "NDArray[np.uint8]":
    """An image as RGB; see `Project.image`."""
    from labelgrid.images.places import read_placed_image
    from labelgrid.project.sources import dataset_of

    row = project.store.image(image_id)
    oracle = project.settings.oracle
    if oracle is not None:
        return dataset_of(oracle).image(image_id)
    return read_placed_image(row.root, image_id, row.digest)
