"""Imports labels: all of them in one ledger transaction, or none and a list of faults."""

import dataclasses
import inspect
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath

import numpy as np

from labelgrid import files, plugins
from labelgrid.annotate.answers import FEW, Answer, Answers, Fault, ImportRefused
from labelgrid.annotate.connector import Connector, ProjectIndex
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.annotate.unknown_answers import refuse_unknown
from labelgrid.annotate.unpacking import unpacked
from labelgrid.errors import LabelError, LedgerError, ProjectError, UsageError
from labelgrid.files import digest
from labelgrid.formats.naming import shorten_path, stem
from labelgrid.ledger.grid import Move, Split, State
from labelgrid.progress import Progress, Silent
from labelgrid.project.dataset_labels import answers_of
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.suspicion import SHEET, Summaries, check_plausible
from labelgrid.project.validate_labels import (
    UNCHANGED,
    AcceptedLabel,
    ValidatedLabels,
    as_file,
    validate_labels,
)
from labelgrid.recognition import recognitions
from labelgrid.streams import image_keys, keyed_uniform, seed_of
from labelgrid.tasks.task import TaskDef
from labelgrid.words import count_text, join_names

#: The file of the project that lists the faults of a refused import.
FAULTS = "import-faults.txt"


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The counts of one task in an import.

    `repaired` are known labels whose file in the project had changed or disappeared; `predicted`
    are new labels identical to the model's prediction.
    """

    new: int = 0
    replaced: int = 0
    repaired: int = 0
    unchanged: int = 0
    skipped: int = 0
    predicted: int = 0

    def __str__(self) -> str:
        parts = []
        for field in fields(self):
            count = getattr(self, field.name)
            if count and field.name != "predicted":
                parts.append(f"{count} {field.name}")
        return ", ".join(parts) or "nothing"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """The result of an import, by task.

    Args:
        tasks: the counts.
        foreign: the number of labelled images that are not in the project.
        empty: the number of images without any region in a tool's file, which were left out.
        stray: files that cannot be labels and were left out.
        removed: files of removed images and dropped tasks, which were left out.
        closed: lines of skips whose requests were cancelled or withdrawn since, which were left
            out.
        notes: how the answer was read, where that is not obvious.
    """

    tasks: Mapping[str, Tally]
    foreign: int = 0
    empty: int = 0
    stray: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{task}: {tally}." for task, tally in self.tasks.items()]
        lines += self.notes
        predicted = sum(tally.predicted for tally in self.tasks.values())
        if predicted:
            same = count_text(predicted, "new label is", "new labels are")
            lines.append(f"{same} identical to the model's prediction.")
        if self.foreign:
            other = count_text(self.foreign, "other labelled image is", "other labelled images are")
            lines.append(f"{other} not in the project.")
        if self.empty:
            without = count_text(self.empty, "image has", "images have")
            lines.append(f"{without} no region, and stay unlabelled.")
        reasons = {
            "they are no labels": self.stray,
            "their image was removed or their task dropped": self.removed,
            "their request is not open any more": self.closed,
        }
        for why, names in reasons.items():
            if names:
                lines.append(f"Left out, since {why}: {join_names(names)}.")
        return "\n".join(lines)


def import_labels(
    project: ProjectFolder,
    folder: Path,
    *,
    format: str | None = None,
    split: Split | None = None,
    replace: bool = False,
    accept: bool = False,
    limit: int = 0,
    seed: int = 0,
    options: ImportOptions | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Import labels, all of them or none.

    Importing again changes nothing, and a killed import changes no cell.

    Files are copied first, under names with a part of their content's hash, so that no file is ever
    overwritten, except one whose content is no longer what was imported, by the right one. Then one
    ledger transaction labels all cells.

    Args:
        project: the project that gets the labels.
        folder: the answer of a labelling tool (a folder, a file or a zip file), a folder of labels,
            or a data set's root.
        format: a connector of `labelgrid.annotate`, a layout of `labelgrid.data`, or
            "package.module:build" of either. None: the connector that recognises the labels, else
            "folder".
        split: moves the labels' images (and all others of their groups) into this split.
        replace: replace labels of cells that have another label; the old file and event are kept.
        accept: import labels that look wrong; see `suspicion.check_plausible`.
        limit: import only this many images, drawn with `seed`; 0: all.
        seed: of that draw.
        options: what a person says about the answer.
        progress: reports each file.

    Raises:
        ImportRefused: lists every fault, or why labels look wrong.
        LabelError: there is no label.
        PluginError: there is no such format.
        ProjectError: the disk reports an error.
        LedgerError: the ledger cannot be written. No cell was changed.
    """
    if limit < 0:
        raise UsageError(f"--limit must not be below 0. Found {limit}.", unchanged=UNCHANGED)
    progress = progress or Silent()
    with _refuse_changes(project), unpacked(folder) as answer:
        answers = _receive(project, answer, format, split, options, shown=folder)
        if limit:
            answers.labels = _draw_images(answers.labels, limit, seed)
        summaries = None
        if not accept:
            summaries = Summaries(project, [label.cell for label in answers.labels])
        validated = validate_labels(
            project,
            answers,
            split=split,
            replace=replace,
            progress=progress,
            seen=summaries.add if summaries else None,
        )
        _check_faults(project, folder, answers, validated)
        if summaries:
            check_plausible(
                project, validated.labels, str(folder), progress, summaries=summaries.made
            )
        _record(project, validated, _copy_labels(project, validated.labels, progress), split)
    return _count_labels(project, validated, answers)


@contextmanager
def _refuse_changes(project: ProjectFolder) -> Iterator[None]:
    """Refuse an import during which another command takes its tasks or images out.

    Raises:
        LedgerError: one did.
    """
    before = (project.store.tasks(), project.store.removed("images"))
    try:
        yield
    except KeyError as error:
        if (project.store.tasks(), project.store.removed("images")) == before:
            raise
        raise _changed_error() from error


def _changed_error() -> LedgerError:
    return LedgerError(
        "The ledger changed while the labels were checked.",
        next_step="Run the same command again.",
        unchanged=UNCHANGED,
    )


def _check_faults(
    project: ProjectFolder, folder: Path, answers: Answers, validated: ValidatedLabels
) -> None:
    """Refuse an import with faults or without labels; remove the reports of earlier refusals."""
    if validated.faults:
        raise ImportRefused(validated.faults, str(folder), _list_faults(project, validated.faults))
    if not (validated.labels or answers.skips or answers.removed or answers.closed):
        raise LabelError(
            "There are no labels of the project's images.", where=str(folder), unchanged=UNCHANGED
        )
    for report in (FAULTS, SHEET):
        (project.folder / report).unlink(missing_ok=True)


def _list_faults(project: ProjectFolder, faults: Sequence[Fault]) -> Path | None:
    """Write all faults to a file of the project, one a line.

    None if there are so few that the message shows them all, or the disk is full.
    """
    path = project.folder / FAULTS
    if len(faults) <= FEW:
        return None
    lines = sorted(" ".join(str(fault).splitlines()) for fault in faults)
    with suppress(ProjectError):
        files.write_text(path, "".join(f"{line}\n" for line in lines))
        return path
    return None


def _receive(
    project: ProjectFolder,
    folder: Path,
    format: str | None,
    split: Split | None,
    options: ImportOptions | None,
    *,
    shown: Path,
) -> Answers:
    """The answers from a connector, or the labels of a data set.

    The `build` of a data set needs its root.
    """
    index = ProjectIndex(project.store, project.tasks(), options or ImportOptions())
    format = format or _surest_tool(folder)
    if not format:
        refuse_unknown(folder, shown, plugins.names("tools"), index)
        format = "folder"
    build = plugins.resolve_in_folders(("tools", "layouts"), format)
    if needs_root(build):
        dataset = plugins.call("layouts", format, build, folder)
        return answers_of(dataset, project, split, str(folder))
    connector: Connector = plugins.call("tools", format, build)
    return connector.receive(folder, index)


def _surest_tool(path: Path) -> str:
    """The labelling tool whose connector recognises an answer best; empty if none does."""
    tools = {name: plugins.create("tools", name) for name in plugins.names("tools")}
    return next(iter(recognitions(tools, path)), "")


def needs_root(build: Callable[..., object]) -> bool:
    """Whether a plug-in's `build` needs an argument, as a data set's layout needs its root.

    Example:
        >>> needs_root(plugins.resolve("layouts", "folder"))
        True
        >>> needs_root(plugins.resolve("tools", "folder"))
        False
    """
    try:
        parameters = inspect.signature(build).parameters.values()
    except (TypeError, ValueError):  # of an object that cannot be called, or of a built-in function
        return False
    for parameter in parameters:
        is_variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and not is_variadic:
            return True
    return False


def _draw_images(labels: Sequence[Answer], limit: int, seed: int) -> list[Answer]:
    """The labels of `limit` images, drawn by image id: the order of the files does not matter."""
    image_ids = sorted({answer.cell.image_id for answer in labels})
    keys = image_keys(image_ids)
    draws = keyed_uniform(keys, seed_of(seed, "import"))
    sample = {image_ids[int(index)] for index in np.argsort(draws, kind="stable")[:limit]}
    return [answer for answer in labels if answer.cell.image_id in sample]


def _copy_labels(
    project: ProjectFolder, labels: Sequence[AcceptedLabel], progress: Progress
) -> list[str]:
    """Copy the labels into the project and flush them to the disk.

    Returns their paths in the project.
    """
    tasks = project.tasks()
    root = project.folder.resolve()
    paths: list[str] = []
    copies: list[Path] = []
    with files.disk_errors(project.folder, UNCHANGED):
        progress.start("Copying labels", len(labels), "files")
        for label in labels:
            path = _choose_path(project, label)
            paths.append(path)
            if label.status != "unchanged":
                target = _target(project, path)
                if not target.is_file() or target.is_symlink() or digest(target) != label.digest:
                    _copy(label, tasks[label.row.cell.task], target)
                copies.append(target)
            progress.advance()
        progress.start("Flushing labels to the disk", len(copies), "files")
        for _ in files.flush(copies):
            progress.advance()
        folders = set()
        for folder in {path.parent for path in copies}:
            folders |= {folder, *folder.parents}
        for _ in files.flush(folder for folder in folders if folder.is_relative_to(root)):
            pass
    return paths


def _target(project: ProjectFolder, path: str) -> Path:
    """The file to write a label to: a link that took its place is replaced, not followed."""
    return project.inside(str(PurePosixPath(path).parent)) / PurePosixPath(path).name


def _choose_path(project: ProjectFolder, label: AcceptedLabel) -> str:
    """The label's path in the project; no other label has the same path."""
    if label.status in ("unchanged", "repaired"):
        return label.row.path
    cell = label.row.cell
    start = f"labels/{cell.task}/{stem(cell.image_id)}."
    end = label.suffix.lower()
    short = shorten_path(f"{start}{label.digest[:8]}{end}")
    existing = project.folder / short
    if existing.exists() and digest(existing) != label.digest:
        return shorten_path(f"{start}{label.digest}{end}")
    return short


def _copy(label: AcceptedLabel, task: TaskDef, target: Path) -> None:
    with as_file(label.answer, task) as source, files.atomic_write(target) as temporary:
        if source:
            shutil.copyfile(source, temporary)
        if not source or digest(temporary) != label.digest:
            raise LabelError(
                "The label changed while it was imported.",
                where=label.answer.where,
                next_step="Run the same command again.",
                unchanged=UNCHANGED,
            )


def _record(
    project: ProjectFolder, validated: ValidatedLabels, paths: Sequence[str], split: Split | None
) -> None:
    """Record the import in the ledger, in one transaction.

    Refuse if a cell has changed since it was validated.
    """
    store = project.store
    tasks = project.tasks()
    number = max((row.number for row in store.rounds()), default=0)
    moves: list[Move] = []
    for label, path in zip(validated.labels, paths, strict=True):
        moves += _moves(label, path, tasks[label.row.cell.task], number)
    moves += [Move(cell=skip.cell, to=State.SKIPPED, why=skip.reason) for skip in validated.skips]
    with store.transaction("import"):
        now = store.find(label.row.cell for label in validated.labels)
        if any(now.get(label.row.cell) != label.row for label in validated.labels):
            raise _changed_error()
        store.move(moves)
        if split:
            store.update_images(dataclasses.replace(row, split=split) for row in validated.moved)


def _moves(label: AcceptedLabel, path: str, task: TaskDef, number: int) -> Iterator[Move]:
    """The moves that make the cell labelled; its round, request id and weight are kept.

    `number` is the newest round's.
    """
    row = label.row
    if label.status in ("unchanged", "repaired"):
        return
    if row.state in (State.LABELLED, State.SKIPPED):
        why = "replaced" if row.state == State.LABELLED else "labelled after all"
        yield Move(
            cell=row.cell,
            to=State.MISSING,
            round=row.round,
            request_id=row.request_id,
            weight=row.weight,
            why=why,
        )
    yield Move(
        cell=row.cell,
        to=State.LABELLED,
        round=number if row.state == State.MISSING else row.round,
        request_id=row.request_id,
        path=path,
        digest=label.digest,
        cost=_label_cost(label, task.cost),
        weight=row.weight,
        why="the model's own prediction" if label.predicted else "",
        seconds=label.answer.seconds,
        annotator=label.answer.annotator,
        classes=task.classes,
    )


def _label_cost(label: AcceptedLabel, price: float) -> float:
    """What a label costs: no label is paid twice, and a request's answer costs what was promised.

    Another label costs the task's price.
    """
    if label.taken_back:
        return 0.0
    if label.row.state == State.REQUESTED:
        return label.row.cost
    return price


def _count_labels(project: ProjectFolder, validated: ValidatedLabels, answers: Answers) -> Imported:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    counts.update({name: Counter() for name in project.tasks()})
    for label in validated.labels:
        task_counts = counts[label.row.cell.task]
        task_counts[label.status] += 1
        task_counts["predicted"] += label.predicted
    for skip in validated.skips:
        counts[skip.cell.task]["skipped"] += 1
    for skip in set(answers.skips) - set(validated.skips):
        counts[skip.cell.task]["unchanged"] += 1
    tallies = {name: Tally(**count) for name, count in counts.items()}
    return Imported(
        tasks=tallies,
        foreign=answers.foreign,
        empty=answers.empty,
        stray=tuple(answers.stray),
        removed=tuple(answers.removed),
        closed=tuple(answers.closed),
        notes=tuple(answers.notes),
    )
