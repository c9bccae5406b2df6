"""Refuses an import whose labels look wrong beside what is known of the project. Loads no torch."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

from labelgrid.annotate.answers import Fault, ImportRefused
from labelgrid.basics.errors import LabelError, LabelgridError
from labelgrid.basics.files import write_bytes
from labelgrid.basics.progress import Progress
from labelgrid.evidence.batch_doubts import BatchDoubts, Summaries
from labelgrid.evidence.doubts import Doubt
from labelgrid.formats.codec import LabelArray
from labelgrid.imports.validate_labels import UNCHANGED, AcceptedLabel, as_file
from labelgrid.ledger.grid import Cell
from labelgrid.ledger.store import CellRow
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.known_labels import ProjectLabels

#: The picture of the project that shows the labels of a doubted import.
SHEET = "import-suspicious.png"
#: What to do about most doubts.
CHECK = (
    "Check the unit, the axes and the class numbers; if these labels are right, repeat with "
    "--accept."
)


class DoubtedImport(ImportRefused):
    """An import whose labels look wrong; `rows` lists why, one fault per doubt."""

    def __init__(self, doubts: Sequence[Doubt], where: str, sheet: Path | None) -> None:
        lines = [f"{doubt.task}: {doubt.what}" for doubt in doubts]
        if sheet:
            lines.append(f"{sheet} shows some of them and why, and below them earlier ones.")
        lines += dict.fromkeys(doubt.next_step or CHECK for doubt in doubts)
        LabelError.__init__(
            self,
            "The labels look wrong.",
            where=where,
            next_step="\n  ".join(lines),
            unchanged=UNCHANGED,
        )
        self.rows = tuple(Fault(doubt.task, doubt.what) for doubt in doubts)


def refuse_doubted(
    project: ProjectFolder,
    labels: Sequence[AcceptedLabel],
    where: str,
    progress: Progress,
    *,
    summaries: Summaries,
    doubts: Iterable[Doubt] = (),
    left_bare: AbstractSet[str] = frozenset(),
    sheet: Path | None = None,
) -> None:
    """Refuse labels that look wrong, with numbers and a picture of some.

    Args:
        project: the project that would get the labels.
        labels: the labels of the import; those that are in the project already are not judged.
        where: the imported folder, for the message.
        progress: reports each task that is compared.
        summaries: the summaries of the import's labels.
        doubts: the known doubts.
        left_bare: the tasks whose pixels that no region covers are said to be not labelled.
        sheet: the file for a picture of labels that look wrong; None: draw none.

    Raises:
        DoubtedImport: the labels look wrong.
    """
    fresh = {label.row.cell: label for label in labels if label.is_fresh}
    if not fresh or project.settings.oracle:
        return
    digests = {cell: label.digest for cell, label in fresh.items()}
    drawn = set()
    for cell, label in fresh.items():
        if not isinstance(label.answer.label, Path):
            drawn.add(cell)
    bare = {cell for cell in drawn if cell.task in left_bare}
    batch = BatchDoubts(_LabelsWith(project, fresh), digests, drawn, summaries, left_bare=bare)
    tasks = {cell.task for cell in fresh}
    names = [name for name in batch.tasks if name in tasks]
    progress.start("Comparing labels", len(names), "tasks")
    all_doubts = list(doubts)
    for name in names:
        all_doubts += batch.doubts(name)
        progress.advance()
    if all_doubts:
        is_drawn = sheet is not None and _draw_sheet(batch, all_doubts, sheet)
        raise DoubtedImport(all_doubts, where, sheet if is_drawn else None)


class _LabelsWith(ProjectLabels):
    """The labels of a project with an import in place.

    A prediction is the pre-label of the request that an imported label answers.
    """

    def __init__(self, project: ProjectFolder, fresh: Mapping[Cell, AcceptedLabel]) -> None:
        super().__init__(project)
        self.fresh = fresh

    def label(self, cell: Cell) -> LabelArray | None:
        if cell not in self.fresh:
            return super().label(cell)
        task = self.tasks[cell.task]
        label = self.fresh[cell]
        with suppress(LabelgridError, OSError), as_file(label.answer, task, label.size) as path:
            return task.read(path) if path else None
        return None

    def row(self, cell: Cell) -> CellRow | None:
        return self.fresh[cell].row if cell in self.fresh else super().row(cell)


def _draw_sheet(batch: BatchDoubts, doubts: Sequence[Doubt], path: Path) -> bool:
    """Draw doubted labels and earlier ones; False if a file cannot be read or written."""
    from labelgrid.evidence.doubt_sheet import doubted_labels, draw_batch  # slow to load

    with suppress(LabelgridError, OSError):
        write_bytes(path, draw_batch(doubted_labels(batch, doubts), doubts))
        return True
    return False
