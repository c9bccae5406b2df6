"""Validates the labels of an import: files, sizes, and the ledger's rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Literal

from labelgrid.annotate.answers import Answer, Answers, Fault, Skip, wrong_annotator, wrong_time
from labelgrid.annotate.repeated_answers import repeated_faults, without_cells
from labelgrid.basics import files
from labelgrid.basics.errors import ImageError, LabelError, LabelSizeError
from labelgrid.basics.files import digest
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Size
from labelgrid.formats.codec import Form, LabelArray, size_error
from labelgrid.images.places import orientation_or_upright
from labelgrid.ledger.grid import Cell, ImageRow, Split, State, is_annotator, is_time
from labelgrid.ledger.store import CellRow
from labelgrid.operations.cancel import withdrawn_labels
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.image_files import size_of
from labelgrid.project.requests import prelabel_folder, prelabel_in
from labelgrid.project.stored_labels import is_intact, name_task_commands
from labelgrid.tasks.legend import coloured
from labelgrid.tasks.other_kinds import other_kind
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
        size: height and width of its image.
        status: whether it is new, replaces the cell's label, repairs the label's file, or is the
            same label.
        predicted: whether it is identical to the model's prediction.
        taken_back: whether the label is a withdrawn label of the cell, which was paid at its first
            import.
    """

    answer: Answer
    row: CellRow
    digest: str
    suffix: str
    size: Size
    status: ImportStatus
    predicted: bool = False
    taken_back: bool = False

    @property
    def is_fresh(self) -> bool:
        """Whether the cell did not have this label before."""
        return self.status in ("new", "replaced")


@dataclass(frozen=True, kw_only=True)
class ValidatedLabels:
    """The changes that an import would make.

    Args:
        labels: the labels to import, ordered by cell.
        skips: the skips of requested cells, ordered by cell.
        moved: the images that change their split.
        faults: the reasons to refuse the import; empty if there are none.
        left_out: the faults of entries and labels that are left out instead.
    """

    labels: Sequence[AcceptedLabel]
    skips: Sequence[Skip]
    moved: Sequence[ImageRow]
    faults: Sequence[Fault]
    left_out: Sequence[Fault] = ()


def validate_labels(
    project: ProjectFolder,
    answers: Answers,
    *,
    split: Split | None,
    replace: bool,
    progress: Progress,
    seen: Seen | None = None,
    rows: Mapping[Cell, CellRow] | None = None,
    leave_out: bool = False,
) -> ValidatedLabels:
    """Read every label, check size and row, and collect all faults.

    Args:
        project: the project that gets the labels.
        answers: the received answers.
        split: the new split of the labels' images; None: unchanged.
        replace: accept labels of cells that have another label.
        progress: reports each label.
        seen: called with each label that was read and can be imported, so that nobody needs to read
            it again.
        rows: the rows of the cells; None: the ledger's.
        leave_out: leave out wrong entries instead of refusing the import, if any label is left. A
            cell with a fault gets no answer.
    """
    faults = [*answers.faults, *repeated_faults(answers)]
    if leave_out:
        answers = without_cells(answers, {fault.cell for fault in faults})
    cells = [answer.cell for answer in answers.labels] + [skip.cell for skip in answers.skips]
    if rows is None:
        rows = project.store.find(cells)
    labels = []
    progress.start("Checking labels", len(answers.labels), "files")
    validator = LabelValidator(project, rows, replace, seen)
    for answer in sorted(answers.labels, key=lambda answer: answer.cell):
        result = validator.validate(answer)
        progress.advance()
        if isinstance(result, Fault):
            faults.append(result)
        elif result:
            labels.append(result)
    skips = [skip for skip in answers.skips if rows[skip.cell].state == State.REQUESTED]
    skips.sort(key=lambda skip: skip.cell)
    image_ids = {label.row.cell.image_id for label in labels}
    moving, move_faults = _find_moving_images(project, image_ids, split)
    left_out = []
    if leave_out and (labels or skips):
        left_out = faults
        faults = []
    return ValidatedLabels(
        labels=labels, skips=skips, moved=moving, faults=[*faults, *move_faults], left_out=left_out
    )


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
        self.prelabel_folder = cache(partial(prelabel_folder, project))
        self.withdrawn = withdrawn_labels(project, rows)
        image_ids = {cell.image_id for cell in rows}
        self.images = {image.image_id: image for image in project.store.images(names=image_ids)}
        self._sizes = dict[str, Size]()

    def validate(self, answer: Answer) -> AcceptedLabel | Fault | None:
        """Return the label if it can be imported, or a fault.

        None if the source has no label for this cell.
        """
        if answer.seconds is not None and not is_time(answer.seconds):
            return wrong_time(answer.where, answer.seconds, answer.cell)
        if not is_annotator(answer.annotator):
            return wrong_annotator(answer.where, answer.annotator, answer.cell)
        try:
            with (
                name_task_commands(self.project, answer.cell.task),
                as_file(answer, self.tasks[answer.cell.task], self._size(answer)) as path,
            ):
                if not path:
                    return None
                return self._compare(answer, path)
        except LabelSizeError as error:
            return Fault(answer.where, error.what, error.next_step, answer.cell)
        except (LabelError, ImageError) as error:
            text = error.what
            if isinstance(answer.label, Path):
                text += other_kind(answer.label, self.tasks[answer.cell.task])
            return Fault(answer.where, text, error.next_step, answer.cell)
        except OSError as error:
            text = f"The label cannot be read: {error.strerror}."
            return Fault(answer.where, text, "", answer.cell)

    def _size(self, answer: Answer) -> Size:
        image_id = answer.cell.image_id
        if image_id not in self._sizes:
            self._sizes[image_id] = size_of(self.images[image_id])
        return self._sizes[image_id]

    def _compare(self, answer: Answer, path: Path) -> AcceptedLabel | Fault:
        row = self.rows[answer.cell]
        task = self.tasks[answer.cell.task]
        content = digest(path)
        size = self._size(answer)
        accept = partial(
            AcceptedLabel, answer=answer, row=row, digest=content, suffix=path.suffix, size=size
        )
        if row.state == State.LABELLED and row.digest == content:
            return accept(status="unchanged" if is_intact(self.project, row) else "repaired")
        taken_back = content in self.withdrawn.get(answer.cell, ())
        if taken_back and not self.replace:
            text = "This label was withdrawn."
            advice = "Leave the file out, or use --replace to take the label back."
            return Fault(answer.where, text, advice, answer.cell)
        # Compared before the label is decoded, which may take much memory.
        stored = task.stored_size(path) or size
        if stored != size:
            raise self._size_error(stored, row.cell, task.form)
        label = task.read(path, size)
        if label.size != size:
            raise self._size_error(label.size, row.cell, task.form)
        if row.state == State.LABELLED and not self.replace:
            text = (
                f"The cell has a label with other content, imported in round {row.round} "
                f"({row.path})."
            )
            advice = "Use --replace to replace it; the old label is kept."
            return Fault(answer.where, text, advice, answer.cell)
        predicted = self._is_prediction(row, task, content)
        if self.seen:
            self.seen(answer.cell, label)
        status: ImportStatus = "replaced" if row.state == State.LABELLED else "new"
        return accept(status=status, predicted=predicted, taken_back=taken_back)

    def _size_error(self, label: Size, cell: Cell, form: Form) -> LabelSizeError:
        """The error about a label of another size, with the orientation that may be the cause."""
        row = self.images[cell.image_id]
        height, width = size_of(row)
        if form.stride > 1:
            return LabelSizeError(
                f"The label is {label[0]}x{label[1]} ({form.stride} times its file's), its image "
                f"is {height}x{width} (height x width).",
                next_step=f"Make it at 1/{form.stride} of the image's sides, upright.",
            )
        advice = "Make it at the image's size, upright."
        orientation = orientation_or_upright(row.root, row.image_id, row.digest)
        if label == (width, height) and orientation > 1:
            advice = (
                "Make it upright: its photograph declares EXIF orientation "
                f"{orientation}, and the label may lie in the stored orientation."
            )
        return size_error(label, (height, width), advice)

    def _is_prediction(self, row: CellRow, task: TaskDef, content: str) -> bool:
        """Whether the answer is identical to the prelabel of the request, with colours or not."""
        folder = self.prelabel_folder(row.round, task.name)
        path = prelabel_in(folder, row.cell.image_id, task) if folder else None
        if path is None:
            return False
        predicted = files.read_bytes(path)
        return content in (files.digest_of(predicted), files.digest_of(coloured(task, predicted)))


@contextmanager
def as_file(answer: Answer, task: TaskDef, size: Size) -> Iterator[Path | None]:
    """Provide the label as a file: its own, or a temporary file; None if there is no label.

    If the task says so, the label is resampled to the size of the image.

    Raises:
        LabelError: the label cannot be read, or is not a label of this task.
        ProjectError: the disk reports an error.
    """
    with task.bounded(size):
        given = answer.label if isinstance(answer.label, Path) else answer.label()
    suffix = task.codec.EXTENSIONS[0]
    if isinstance(given, Path):
        label = _resampled(given, task, size)
        if label is None:
            yield given
            return
        suffix = _suffix_of_copy(given, task)
    else:
        if given is None:
            yield None
            return
        label = task.form.at_size(given, size)
        suffix = answer.suffix or suffix
    with (
        files.disk_errors(Path(gettempdir()), UNCHANGED),
        TemporaryDirectory(prefix="labelgrid-") as folder,
    ):
        path = Path(folder, f"label{suffix}")
        try:
            task.write(path, label)
        except LabelError as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from error
            raise
        yield path


def _resampled(path: Path, task: TaskDef, size: Size) -> LabelArray | None:
    if not task.form.resample or task.stored_size(path) == size:
        return None
    label = task.read(path, size)
    resampled = task.form.at_size(label, size)
    return None if resampled is label else resampled


def _suffix_of_copy(path: Path, task: TaskDef) -> str:
    """The suffix of a changed copy of a label's file, in a format that loses nothing."""
    extensions = task.codec.EXTENSIONS
    if path.suffix.lower() != extensions[0] and ".npy" in extensions:
        return ".npy"
    return extensions[0]


def _find_moving_images(
    project: ProjectFolder, image_ids: set[str], split: Split | None
) -> tuple[list[ImageRow], list[Fault]]:
    """The images to move to a split, and a fault for each image that cannot move.

    Other images of their groups are among them.
    """
    if split is None:
        return [], []
    rows = list(project.store.images(names=image_ids))
    groups = {row.group for row in rows if row.group}
    if groups:
        rows = list(project.store.images())
    meant = [row for row in rows if row.image_id in image_ids or row.group in groups]
    moving = [row for row in meant if row.split != split]
    store = project.store
    labels = chain(store.cells(state=State.LABELLED), store.parts(state=State.LABELLED))
    labelled = {row.cell.image_id for row in labels}
    faults = []
    for row in moving:
        if row.split == "heldout":
            text = f"The image is held out; it cannot move to '{split}'."
            faults.append(Fault(row.image_id, text, "Leave out --split."))
        elif row.image_id in labelled:
            text = f"The image has labels in the split '{row.split}'; it cannot move to '{split}'."
            advice = f"Use --split {row.split}, or remove the label."
            faults.append(Fault(row.image_id, text, advice))
    return moving, faults
