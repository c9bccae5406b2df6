"""Which of the labels to import are valid: each is read, measured and compared with the ledger."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Literal

from labelgrid import files
from labelgrid.annotate.answers import Answer, Answers, Fault, Skip
from labelgrid.errors import ImageError, LabelError
from labelgrid.labels.codec import codec, digest
from labelgrid.labels.grid import Cell, ImageRow, Split, State
from labelgrid.labels.images import image_size
from labelgrid.labels.store import CellRow
from labelgrid.progress import Progress
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.requests import prelabel
from labelgrid.tasks.task import TaskDef

UNCHANGED = "Nothing was imported."
ImportStatus = Literal["new", "replaced", "unchanged"]


@dataclass(frozen=True)
class AcceptedLabel:
    """A label that can be imported.

    Args:
        answer: the answer it is from.
        row: the ledger's row of its cell.
        digest: of its file's content.
        suffix: of its file's name.
        status: whether it is new, replaces the cell's label, or is that label.
        predicted: it is the model's own prediction, unchanged.
    """

    answer: Answer
    row: CellRow
    digest: str
    suffix: str
    status: ImportStatus
    predicted: bool = False


@dataclass(frozen=True)
class ValidatedLabels:
    """What an import would change.

    Args:
        labels: to import, in order of cells.
        skips: of requested cells, in order of cells.
        moved: images that are to change their split.
        faults: the reasons to refuse the import; empty if there are none.
    """

    labels: Sequence[AcceptedLabel]
    skips: Sequence[Skip]
    moved: Sequence[ImageRow]
    faults: Sequence[Fault]


def validate_labels(
    project: ProjectFolder, answers: Answers, *, split: Split | None, replace: bool, progress: Progress
) -> ValidatedLabels:
    """Read, measure and compare every label with the ledger; all faults are collected.

    Args:
        project: whose labels they are to be.
        answers: what was received.
        split: the split that the labels' images are to be in; None: they stay where they are.
        replace: a label that differs from the cell's replaces it.
        progress: told of each label.
    """
    faults = [*answers.faults, *_twice(answers)]
    cells = [answer.cell for answer in answers.labels] + [skip.cell for skip in answers.skips]
    rows = project.store.find(cells)
    labels: list[AcceptedLabel] = []
    progress.start("Checking labels", len(answers.labels), "files")
    validator = LabelValidator(project, rows, replace)
    for answer in sorted(answers.labels, key=lambda answer: answer.cell):
        found = validator.validate(answer)
        progress.advance()
        if isinstance(found, Fault):
            faults.append(found)
        elif found:
            labels.append(found)
    skips, refused = _skips(answers.skips, rows)
    moved, stuck = _moved(project, {label.row.cell.image_id for label in labels}, split)
    return ValidatedLabels(labels, skips, moved, [*faults, *refused, *stuck])


class LabelValidator:
    """Validates one label at a time; none is kept in memory.

    Args:
        project: whose labels they are to be.
        rows: the ledger's rows of their cells.
        replace: a label that differs from the cell's replaces it.
    """

    def __init__(self, project: ProjectFolder, rows: Mapping[Cell, CellRow], replace: bool) -> None:
        self.project, self.rows, self.replace = project, rows, replace
        self.tasks = project.tasks()

    def validate(self, answer: Answer) -> AcceptedLabel | Fault | None:
        """The label if it can be imported, what is wrong with it, or None if the source has none for this cell."""
        try:
            with as_file(answer, self.tasks[answer.cell.task]) as path:
                return self._compared(answer, path) if path else None
        except (LabelError, ImageError) as error:
            return Fault(answer.where, error.what, error.next_step, answer.cell)
        except OSError as error:
            return Fault(answer.where, f"The label cannot be read: {error.strerror}.", "", answer.cell)

    def _compared(self, answer: Answer, path: Path) -> AcceptedLabel | Fault:
        row, task = self.rows[answer.cell], self.tasks[answer.cell.task]
        content = digest(path)
        if row.state == State.LABELLED and row.digest == content:
            return AcceptedLabel(answer, row, content, path.suffix, "unchanged")
        height, width = task.read(path).size
        if (height, width) != (size := _size(self.project.store.image(answer.cell.image_id))):
            own = f" ({step} times its file's)" if (step := task.form.stride) > 1 else ""
            what = f"The label is {height}x{width}{own}, its image is {size[0]}x{size[1]} (height x width)."
            wanted = f"1/{step} of the image's sides" if step > 1 else "the image's size"
            return Fault(answer.where, what, f"Make it at {wanted}, upright.", answer.cell)
        if row.state == State.LABELLED and not self.replace:
            what = f"The cell has a label with other content, imported in round {row.round} ({row.path})."
            return Fault(answer.where, what, "Use --replace to replace it; the old label is kept.", answer.cell)
        status: ImportStatus = "replaced" if row.state == State.LABELLED else "new"
        return AcceptedLabel(answer, row, content, path.suffix, status, self._predicted(row, task, content))

    def _predicted(self, row: CellRow, task: TaskDef, content: str) -> bool:
        """Whether the answer is the very file that came with the request."""
        given = prelabel(self.project, row, task)
        return given is not None and digest(given) == content


@contextmanager
def as_file(answer: Answer, task: TaskDef) -> Iterator[Path | None]:
    """The label as a file: its own, or one that is written for as long as it is needed; None if there is no label.

    Raises:
        LabelError: the label cannot be read, or is none of this task. ProjectError: the disk refuses.
    """
    if isinstance(answer.label, Path):
        yield answer.label
        return
    label = answer.label()
    if label is None:
        yield None
        return
    with files.disk(Path(gettempdir()), UNCHANGED), TemporaryDirectory(prefix="labelgrid-") as folder:
        path = Path(folder, f"label{codec(task.spec.codec).EXTENSIONS[0]}")
        try:
            task.write(path, label)
        except LabelError as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from error
            raise
        yield path


def _size(image: ImageRow) -> tuple[int, int]:
    """Height and width; read from the image's header where the ledger does not know them."""
    return (image.height, image.width) if image.height else image_size(Path(image.root) / image.image_id)


def _twice(answers: Answers) -> Iterator[Fault]:
    """Cells answered twice: by two files, or by a file and a skip."""
    first: dict[Cell, str] = {}
    every: list[Answer | Skip] = [*answers.labels, *answers.skips]
    for answer in sorted(every, key=lambda one: one.where):
        other = first.setdefault(answer.cell, answer.where)
        if other is not answer.where:
            yield Fault(answer.where, f"{other} answers the same cell.", "Remove one of the two.", answer.cell)


def _skips(skips: Sequence[Skip], rows: Mapping[Cell, CellRow]) -> tuple[list[Skip], list[Fault]]:
    new: list[Skip] = []
    faults: list[Fault] = []
    for skip in sorted(skips, key=lambda skip: skip.cell):
        state = rows[skip.cell].state
        if state == State.REQUESTED:
            new.append(skip)
        elif state != State.SKIPPED:
            what = f"The request is no longer open: its cell is {state.name.lower()}."
            faults.append(Fault(skip.where, what, "Remove the line.", skip.cell))
    return new, faults


def _moved(project: ProjectFolder, names: set[str], split: Split | None) -> tuple[list[ImageRow], list[Fault]]:
    """The images, with the others of their groups, that are not in the split yet; and those that may not go there."""
    if split is None:
        return [], []
    groups = {row.group for row in project.store.images() if row.image_id in names and row.group}
    moving = [
        row for row in project.store.images() if row.split != split and (row.image_id in names or row.group in groups)
    ]
    labelled = {row.cell.image_id for row in project.store.cells(state=State.LABELLED)}
    faults = []
    for row in moving:
        if row.split == "heldout":
            faults.append(
                Fault(row.image_id, f"The image is held out; it cannot go to '{split}'.", "Leave out --split.")
            )
        elif row.image_id in labelled:
            what = f"The image has labels in the split '{row.split}'; it cannot go to '{split}'."
            faults.append(Fault(row.image_id, what, f"Use --split {row.split}, or remove the label."))
    return moving, faults
