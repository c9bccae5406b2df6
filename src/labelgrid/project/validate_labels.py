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
    """A label that can be taken in.

    Args:
        answer: where it comes from.
        row: what the ledger knows of its cell.
        digest: of its file.
        suffix: of its file's name.
        fate: what becomes of the cell's label.
        predicted: it is the model's own prediction, unchanged.
    """

    answer: Answer
    row: CellRow
    digest: str
    suffix: str
    fate: ImportStatus
    predicted: bool = False


@dataclass(frozen=True)
class ValidatedLabels:
    """What an import would do.

    Args:
        labels: to take in, by cell.
        skips: of requested cells, by cell.
        moved: images that are to change their split.
        faults: why it may do nothing of it.
    """

    labels: Sequence[AcceptedLabel]
    skips: Sequence[Skip]
    moved: Sequence[ImageRow]
    faults: Sequence[Fault]


def check(
    project: ProjectFolder, answers: Answers, *, split: Split | None, replace: bool, progress: Progress
) -> ValidatedLabels:
    """Check every label, and collect all that is wrong instead of stopping at the first."""
    faults = [*answers.faults, *_twice(answers)]
    cells = [answer.cell for answer in answers.labels] + [skip.cell for skip in answers.skips]
    rows = project.store.find(cells)
    labels: list[AcceptedLabel] = []
    progress.start("Checking labels", len(answers.labels), "files")
    checker = Checker(project, rows, replace)
    for answer in sorted(answers.labels, key=lambda answer: answer.cell):
        found = checker.check(answer)
        progress.advance()
        if isinstance(found, Fault):
            faults.append(found)
        elif found:
            labels.append(found)
    skips, refused = _skips(answers.skips, rows)
    moved, stuck = _moved(project, {taken.row.cell.image for taken in labels}, split)
    return ValidatedLabels(labels, skips, moved, [*faults, *refused, *stuck])


class Checker:
    """Checks one label after another; none is kept in memory.

    Args:
        project: whose labels they are to be.
        rows: what the ledger knows of their cells.
        replace: another label of a cell gives way.
    """

    def __init__(self, project: ProjectFolder, rows: Mapping[Cell, CellRow], replace: bool) -> None:
        self.project, self.rows, self.replace = project, rows, replace
        self.tasks = project.tasks()

    def check(self, answer: Answer) -> AcceptedLabel | Fault | None:
        """The label if it can be taken in, what is wrong with it, or None where there is none after all."""
        try:
            with as_file(answer, self.tasks[answer.cell.task]) as path:
                return self._check(answer, path) if path else None
        except (LabelError, ImageError) as error:
            return Fault(answer.where, error.what, error.next_step, answer.cell)
        except OSError as error:
            return Fault(answer.where, f"The label cannot be read: {error.strerror}.", "", answer.cell)

    def _check(self, answer: Answer, path: Path) -> AcceptedLabel | Fault:
        row, task = self.rows[answer.cell], self.tasks[answer.cell.task]
        content = digest(path)
        if row.state == State.LABELLED and row.digest == content:
            return AcceptedLabel(answer, row, content, path.suffix, "unchanged")
        height, width = task.read(path).size
        if (height, width) != (size := _size(self.project.store.image(answer.cell.image))):
            own = f" ({step} times its file's)" if (step := task.form.stride) > 1 else ""
            what = f"The label is {height}x{width}{own}, its image is {size[0]}x{size[1]} (height x width)."
            wanted = f"1/{step} of the image's sides" if step > 1 else "the image's size"
            return Fault(answer.where, what, f"Make it at {wanted}, upright.", answer.cell)
        if row.state == State.LABELLED and not self.replace:
            what = f"The cell has a label with other content, taken in with round {row.round} ({row.path})."
            return Fault(answer.where, what, "Say --replace if this one is to count; the old one is kept.", answer.cell)
        fate: ImportStatus = "replaced" if row.state == State.LABELLED else "new"
        return AcceptedLabel(answer, row, content, path.suffix, fate, self._predicted(row, task, content))

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
    with files.disk(Path(gettempdir()), UNCHANGED), TemporaryDirectory(prefix="labelgrid-") as room:
        path = Path(room, f"label{codec(task.spec.codec).EXTENSIONS[0]}")
        try:
            task.write(path, label)
        except LabelError as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from error
            raise
        yield path


def _size(image: ImageRow) -> tuple[int, int]:
    """Height and width; read from the image's header where the ledger does not know them."""
    return (image.height, image.width) if image.height else image_size(Path(image.root) / image.name)


def _twice(answers: Answers) -> Iterator[Fault]:
    """The files that answer a cell that another file, or a line of skips, answers too."""
    first: dict[Cell, str] = {}
    every: list[Answer | Skip] = [*answers.labels, *answers.skips]
    for answer in sorted(every, key=lambda one: one.where):
        other = first.setdefault(answer.cell, answer.where)
        if other is not answer.where:
            yield Fault(answer.where, f"{other} answers the same cell.", "Take one of the two out.", answer.cell)


def _skips(skips: Sequence[Skip], rows: Mapping[Cell, CellRow]) -> tuple[list[Skip], list[Fault]]:
    new: list[Skip] = []
    faults: list[Fault] = []
    for skip in sorted(skips, key=lambda skip: skip.cell):
        state = rows[skip.cell].state
        if state == State.REQUESTED:
            new.append(skip)
        elif state != State.SKIPPED:
            what = f"The request is no longer open: its cell is {state.name.lower()}."
            faults.append(Fault(skip.where, what, "Take the line out.", skip.cell))
    return new, faults


def _moved(project: ProjectFolder, names: set[str], split: Split | None) -> tuple[list[ImageRow], list[Fault]]:
    """The images, with the others of their groups, that are not in the split yet; and those that may not go there."""
    if split is None:
        return [], []
    groups = {row.group for row in project.store.images() if row.name in names and row.group}
    moving = [
        row for row in project.store.images() if row.split != split and (row.name in names or row.group in groups)
    ]
    labelled = {row.cell.image for row in project.store.cells(state=State.LABELLED)}
    faults = []
    for row in moving:
        if row.split == "heldout":
            faults.append(Fault(row.name, f"The image is held out; it cannot go to '{split}'.", "Leave --split away."))
        elif row.name in labelled:
            what = f"The image has labels in the split '{row.split}'; it cannot go to '{split}'."
            faults.append(Fault(row.name, what, f"Say --split {row.split}, or take it out."))
    return moving, faults
