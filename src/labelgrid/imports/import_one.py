"""Imports the label of one cell, handed in by a person, with all checks of an import."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from labelgrid.annotate.answers import Answer, Answers, Fault
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.annotate.matching import wrong_extension
from labelgrid.basics.errors import LabelError
from labelgrid.basics.progress import Progress
from labelgrid.imports.import_doubts import SHEET
from labelgrid.imports.import_labels import LabelImport
from labelgrid.imports.import_place import import_place
from labelgrid.imports.imported import Imported
from labelgrid.imports.validate_labels import UNCHANGED, ValidatedLabels
from labelgrid.project.folder import ProjectFolder


def import_one(
    project: ProjectFolder,
    answer: Answer,
    progress: Progress,
    *,
    accept: bool = False,
    confirm: Callable[[], object] = lambda: None,
) -> Imported:
    """Import the label of one cell; an earlier label's file and event are kept.

    `confirm` is called in the transaction that labels the cell; its error stops the import.

    Raises:
        DoubtedImport: it looks wrong.
        LabelError: it cannot be imported.
    """
    with import_place(project.folder) as place, project.store.steady():
        run = OneLabelImport(
            project=project,
            place=place,
            sources=[(Path(answer.where), Path(answer.where))],
            replace=True,
            accept=accept,
            index=ProjectIndex(project.store, project.tasks(), ImportOptions()),
            progress=progress,
            given=answer,
            confirm=confirm,
        )
        return run.carry_out()


@dataclass(kw_only=True)
class OneLabelImport(LabelImport):
    """An import of the label of one cell.

    Args:
        given: the label.
        confirm: as in `import_one`.
    """

    outdated: ClassVar[tuple[str, ...]] = (SHEET,)
    given: Answer
    confirm: Callable[[], object]

    def _receive(self) -> Answers:
        return Answers(labels=[self.given])

    def _validate(self, answers: Answers) -> ValidatedLabels:
        given = self.given
        if isinstance(given.label, Path):
            task = self.project.tasks()[given.cell.task]
            fault = wrong_extension(given.label.name, given.where, given.cell, task)
            if fault:
                raise _error(fault)
        validated = super()._validate(answers)
        for fault in validated.faults:
            raise _error(fault)
        return validated

    def _keep(self, validated: ValidatedLabels, paths: Sequence[str]) -> ValidatedLabels:
        with self.project.store.transaction("import"):
            self.confirm()
            return super()._keep(validated, paths)

    def _draw(self, result: Imported, validated: ValidatedLabels, name: str) -> Imported:
        del validated, name
        return result


def _error(fault: Fault) -> LabelError:
    return LabelError(fault.what, where=fault.where, next_step=fault.next_step, unchanged=UNCHANGED)
