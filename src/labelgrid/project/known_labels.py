"""Reads a project's labels, by which further labels are judged. Loads no torch."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property

from labelgrid.basics.errors import LabelgridError
from labelgrid.data.project_source import ProjectSource
from labelgrid.evidence.known_labels import Rows
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import SPLITS, Cell, ImageRow, State
from labelgrid.ledger.store import CellRow
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.requests import prelabel
from labelgrid.project.sources import OracleSource, source_of
from labelgrid.project.stored_labels import read_stored_label
from labelgrid.recipes.resolve import load_recipe
from labelgrid.relations.bound import BoundRelation, bind, undeclared_relations
from labelgrid.relations.choice import RelationChoice


class ProjectLabels:
    """The labels of a project: a `KnownLabels`.

    Args:
        project: the project.
    """

    def __init__(self, project: ProjectFolder) -> None:
        self.project = project
        self.tasks = project.tasks()
        self._rows = dict[Cell, CellRow]()

    @cached_property
    def relations(self) -> list[BoundRelation]:
        """As `KnownLabels.relations`.

        The relations of the recipe, on or off, and shipped relations that fit the tasks without
        options.
        """
        settings = self.project.settings
        declared: Mapping[str, RelationChoice] = {}
        with suppress(LabelgridError):  # commands that need the recipe say so
            declared = load_recipe(settings.recipe, settings.changes, self.project.folder).relations
        choices = {**declared, **undeclared_relations(declared, self.tasks)}
        relations = []
        for name, choice in choices.items():
            with suppress(LabelgridError):
                relations.append(bind(name, choice, self.tasks))
        return relations

    @cached_property
    def cameras(self) -> ProjectSource | OracleSource:
        """As `KnownLabels.cameras`."""
        return source_of(self.project)

    @cached_property
    def image_ids(self) -> Sequence[str]:
        """As `KnownLabels.image_ids`."""
        return self.project.store.grid(SPLITS).images

    def images(self, names: Collection[str] | None = None) -> Iterable[ImageRow]:
        """As `KnownLabels.images`."""
        return self.project.store.images(names=names)

    def labelled(self, task: str | None = None) -> Sequence[CellRow]:
        """As `KnownLabels.labelled`; without a task, of all."""
        rows = list(self.project.store.cells(state=State.LABELLED, task=task))
        self._rows |= {row.cell: row for row in rows}
        return rows

    def by_image(self) -> dict[str, Rows]:
        """The rows of all labels, by image and task."""
        rows: dict[str, dict[str, CellRow]] = defaultdict(dict)
        for row in self.labelled():
            rows[row.cell.image_id][row.cell.task] = row
        return dict(rows)

    def label(self, cell: Cell) -> LabelArray | None:
        """As `KnownLabels.label`."""
        row = self.row(cell)
        if row is None or row.state != State.LABELLED:
            return None
        with suppress(LabelgridError, OSError):
            return read_stored_label(self.project, row, self.tasks[cell.task])
        return None

    def prediction(self, cell: Cell) -> LabelArray | None:
        """As `KnownLabels.prediction`."""
        row = self.row(cell)
        task = self.tasks[cell.task]
        path = prelabel(self.project, row, task) if row else None
        with suppress(LabelgridError, OSError):
            return task.read(path) if path else None
        return None

    def row(self, cell: Cell) -> CellRow | None:
        """The row of a cell, which may be known from `labelled`."""
        return self._rows.get(cell) or self.project.store.find([cell]).get(cell)
