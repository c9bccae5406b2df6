"""Validates the labels of an import: reads each label, checks its size, and compares it with the ledger."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Literal

from labelgrid import files
from labelgrid.annotate.answers import Answer, Answers, Fault, Skip, wrong_annotator, wrong_time
from labelgrid.errors import ImageError, LabelError
from labelgrid.files import digest
from labelgrid.formats.codec import LabelArray, codec
from labelgrid.images.reading import image_size
from labelgrid.ledger.grid import Cell, ImageRow, Split, State, is_annotator, is_time
from labelgrid.ledger.store import CellRow
from labelgrid.progress import Progress
from labelgrid.project.cancel import withdrawn_labels
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.requests import prelabel
from labelgrid.project.stored_labels import is_intact, name_task_commands
from labelgrid.tasks.task import TaskDef

UNCHANGED = "Nothing was imported."
ImportStatus = Literal["new", "replaced", "repaired", "unchanged"]
#: Is told the label of a cell.
Seen = Callable[[Cell, LabelArray], None]


@dataclass(frozen=True, kw_only=True)
class AcceptedLabel:
    """A label that can be imported.

    Args:
        answer: the answer that holds it.
        row: the ledger's row of its cell.
        digest: the content hash of its file.
        suffix: the suffix of its file's name.
        status: whether it is new, replaces the cell's label, repairs the label's file, or is the
            same label.
        predicted: whether it is identical to the model's prediction.
        taken_back: whether it is a withdrawn label of the cell, which was paid when it was imported
            first.
    """

    answer: Answer
    row: CellRow
    digest: str
    suffix: str
    status: ImportStatus
    predicted: bool = False
    taken_back: bool = False


@dataclass(frozen=True)
class ValidatedLabels:
    """The changes that an import would make.

    Args:
        labels: the labels to import, ordered by cell.
        skips: the skips of requested cells, ordered by cell.
        moved: the images that change their split.
        faults: the reasons to refuse the import; empty if there are none.
    """

    labels: Sequence[AcceptedLabel]
    skips: Sequence[Skip]
    moved: Sequence[ImageRow]
    faults: Sequence[Fault]


def validate_labels(
    project: ProjectFolder,
    answers: Answers,
    *,
    split: Split | None,
    replace: bool,
    progress: Progress,
    seen: Seen | None = None,
) -> ValidatedLabels:
    """Read every label, check its size, and compare it with the ledger; collects all faults.

    Args:
        project: the project that gets the labels.
        answers: the received answers.
        split: the new split of the labels' images; None: unchanged.
        replace: accept labels of cells that have another label.
        progress: reports each label.
        seen: called with each label that was read and can be imported, so that nobody needs to read
            it again.
    """
    faults = [*answers.faults, *_duplicates(answers)]
    cells = [answer.cell for answer in answers.labels] + [skip.cell for skip in answers.skips]
    rows = project.store.find(cells)
    labels: list[AcceptedLabel] = []
    progress.start("Checking labels", len(answers.labels), "files")
    validator = LabelValidator(project, rows, replace, seen)
    for answer in sorted(answers.labels, key=lambda answer: answer.cell):
        result = validator.validate(answer)
        progress.advance()
        if isinstance(result, Fault):
            faults.append(result)
        elif result:
            labels.append(result)
    skips = [
        skip
        for skip in sorted(answers.skips, key=lambda s: s.cell)
        if rows[skip.cell].state == State.REQUESTED
    ]
    moved, fixed = _moved(project, {label.row.cell.image_id for label in labels}, split)
    return ValidatedLabels(labels, skips, moved, [*faults, *fixed])


class LabelValidator:
    """Validates one label at a time; no label stays in memory.

    Args:
        project: the project that gets the labels.
        rows: the ledger's rows of the labels' cells.
        replace: accept labels of cells that have another label, and labels that were withdrawn.
        seen: called with each label that was read and can be imported.
    """

    def __init__(
        self,
        project: ProjectFolder,
        rows: Mapping[Cell, CellRow],
        replace: bool,
        seen: Seen | None = None,
    ) -> None:
        self.project = project
        self.rows = rows
        self.replace = replace
        self.seen = seen
        self.tasks = project.tasks()
        self.withdrawn = withdrawn_labels(project, rows)
        self.images = {
            row.image_id: row
            for row in project.store.images(names={cell.image_id for cell in rows})
        }

    def validate(self, answer: Answer) -> AcceptedLabel | Fault | None:
        """Return the label if it can be imported, its fault, or None if the source has no label for this cell."""
        if answer.seconds is not None and not is_time(answer.seconds):
            return wrong_time(answer.where, answer.seconds, answer.cell)
        if not is_annotator(answer.annotator):
            return wrong_annotator(answer.where, answer.annotator, answer.cell)
        try:
            with (
                name_task_commands(self.project, answer.cell.task),
                as_file(answer, self.tasks[answer.cell.task]) as path,
            ):
                return self._compared(answer, path) if path else None
        except (LabelError, ImageError) as error:
            return Fault(answer.where, error.what, error.next_step, answer.cell)
        except OSError as error:
            return Fault(
                answer.where, f"The label cannot be read: {error.strerror}.", "", answer.cell
            )

    def _compared(self, answer: Answer, path: Path) -> AcceptedLabel | Fault:
        row = self.rows[answer.cell]
        task = self.tasks[answer.cell.task]
        content = digest(path)
        if row.state == State.LABELLED and row.digest == content:
            known: ImportStatus = "unchanged" if is_intact(self.project, row) else "repaired"
            return AcceptedLabel(
                answer=answer, row=row, digest=content, suffix=path.suffix, status=known
            )
        taken_back = content in self.withdrawn.get(answer.cell, ())
        if taken_back and not self.replace:
            what = "This label was withdrawn."
            advice = "Leave the file out, or use --replace to take the label back."
            return Fault(answer.where, what, advice, answer.cell)
        size = _size(self.images[answer.cell.image_id])
        stored = (
            task.stored_size(path) or size
        )  # compared before the label is decoded, which may take much memory
        label = task.read(path) if stored == size else None
        found = label.size if label else stored
        if found != size:
            return _wrong_size(answer, found, size, task.form.stride)
        if row.state == State.LABELLED and not self.replace:
            what = f"The cell has a label with other content, imported in round {row.round} ({row.path})."
            return Fault(
                answer.where,
                what,
                "Use --replace to replace it; the old label is kept.",
                answer.cell,
            )
        status: ImportStatus = "replaced" if row.state == State.LABELLED else "new"
        predicted = self._predicted(row, task, content)
        if self.seen and label:
            self.seen(answer.cell, label)
        return AcceptedLabel(
            answer=answer,
            row=row,
            digest=content,
            suffix=path.suffix,
            status=status,
            predicted=predicted,
            taken_back=taken_back,
        )

    def _predicted(self, row: CellRow, task: TaskDef, content: str) -> bool:
        """Whether the answer is identical to the prelabel of the request."""
        path = prelabel(self.project, row, task)
        return path is not None and digest(path) == content


def _wrong_size(answer: Answer, found: tuple[int, int], size: tuple[int, int], step: int) -> Fault:
    scaled = f" ({step} times its file's)" if step > 1 else ""
    what = f"The label is {found[0]}x{found[1]}{scaled}, its image is {size[0]}x{size[1]} (height x width)."
    wanted = f"1/{step} of the image's sides" if step > 1 else "the image's size"
    return Fault(answer.where, what, f"Make it at {wanted}, upright.", answer.cell)


@contextmanager
def as_file(answer: Answer, task: TaskDef) -> Iterator[Path | None]:
    """Provide the label as a file: its own, or a temporary one; None if there is no label.

    Raises:
        LabelError: the label cannot be read, or is not a label of this task. ProjectError: the disk
            reports an error.
    """
    if isinstance(answer.label, Path):
        yield answer.label
        return
    label = answer.label()
    if label is None:
        yield None
        return
    with (
        files.disk_errors(Path(gettempdir()), UNCHANGED),
        TemporaryDirectory(prefix="labelgrid-") as folder,
    ):
        path = Path(folder, f"label{codec(task.spec.codec).EXTENSIONS[0]}")
        try:
            task.write(path, label)
        except LabelError as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from error
            raise
        yield path


def _size(image: ImageRow) -> tuple[int, int]:
    """Height and width; read from the image's header if they are not in the ledger."""
    return (
        (image.height, image.width)
        if image.height
        else image_size(Path(image.root) / image.image_id)
    )


def _duplicates(answers: Answers) -> Iterator[Fault]:
    """A fault for each cell that is answered twice: by two files, or by a file and a skip."""
    first: dict[Cell, str] = {}
    both: list[Answer | Skip] = [*answers.labels, *answers.skips]
    for answer in sorted(both, key=lambda answer: answer.where):
        other = first.setdefault(answer.cell, answer.where)
        if other is not answer.where:
            yield Fault(
                answer.where,
                f"{other} answers the same cell.",
                "Remove one of the two.",
                answer.cell,
            )


def _moved(
    project: ProjectFolder, image_ids: set[str], split: Split | None
) -> tuple[list[ImageRow], list[Fault]]:
    """The images, with the others of their groups, that must change their split.

    And a fault for each that cannot.
    """
    if split is None:
        return [], []
    named = list(project.store.images(names=image_ids))
    groups = {row.group for row in named if row.group}
    candidates = project.store.images() if groups else named
    moving = [
        row
        for row in candidates
        if row.split != split and (row.image_id in image_ids or row.group in groups)
    ]
    labelled = {row.cell.image_id for row in project.store.cells(state=State.LABELLED)}
    faults = []
    for row in moving:
        if row.split == "heldout":
            faults.append(
                Fault(
                    row.image_id,
                    f"The image is held out; it cannot move to '{split}'.",
                    "Leave out --split.",
                )
            )
        elif row.image_id in labelled:
            what = f"The image has labels in the split '{row.split}'; it cannot move to '{split}'."
            faults.append(
                Fault(row.image_id, what, f"Use --split {row.split}, or remove the label.")
            )
    return moving, faults
