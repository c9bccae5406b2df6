"""Copies labels into a project, under names with a part of their content's hash."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from labelgrid.basics import files
from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import digest
from labelgrid.basics.progress import Progress
from labelgrid.formats.naming import shorten_path, stem
from labelgrid.imports.validate_labels import UNCHANGED, AcceptedLabel, as_file
from labelgrid.project.folder import ProjectFolder
from labelgrid.tasks.task import TaskDef

#: The folder of a project's labels.
LABELS = "labels"


def copy_labels(
    project: ProjectFolder,
    labels: Sequence[AcceptedLabel],
    progress: Progress,
    *,
    folder: str = LABELS,
) -> list[str]:
    """Copy the labels into a folder of the project and flush them to the disk.

    What a killed import was writing is removed. Returns the paths in the project.

    Raises:
        LabelError: a label changed since it was validated.
        ProjectError: the disk reports an error.
    """
    tasks = project.tasks()
    root = project.folder.resolve()
    paths = []
    copies = []
    with files.disk_errors(project.folder, UNCHANGED):
        project.remove_abandoned()
        progress.start("Copying labels", len(labels), "files")
        for label in labels:
            path = _choose_path(project, label, folder)
            paths.append(path)
            if label.status != "unchanged":
                # A link that took the place of a file is replaced, not followed.
                inner = PurePosixPath(path)
                target = project.inside(str(inner.parent)) / inner.name
                if not target.is_file() or target.is_symlink() or digest(target) != label.digest:
                    task = tasks[label.row.cell.task]
                    _copy(label, task, target, within=root / PurePosixPath(folder).parts[0])
                copies.append(target)
            progress.advance()
        progress.start("Flushing labels to the disk", len(copies), "files")
        for _ in files.flush(copies):
            progress.advance()
        folders = set()
        for parent in {path.parent for path in copies}:
            folders |= {parent, *parent.parents}
        for _ in files.flush(parent for parent in folders if parent.is_relative_to(root)):
            pass
    return paths


def _choose_path(project: ProjectFolder, label: AcceptedLabel, folder: str) -> str:
    if not label.is_fresh:
        return label.row.path
    cell = label.row.cell
    start = f"{folder}/{cell.task}/{stem(cell.image_id)}."
    end = label.suffix.lower()
    short = shorten_path(f"{start}{label.digest[:8]}{end}")
    existing = project.folder / short
    if existing.exists() and digest(existing) != label.digest:
        return shorten_path(f"{start}{label.digest}{end}")
    return short


def _copy(label: AcceptedLabel, task: TaskDef, target: Path, *, within: Path) -> None:
    with (
        as_file(label.answer, task, label.size) as source,
        files.atomic_write(target, within=within) as temporary,
    ):
        if not source or files.copy_hashed(source, temporary) != label.digest:
            raise LabelError(
                "The label changed while it was imported.",
                where=label.answer.where,
                next_step="Run the same command again.",
                unchanged=UNCHANGED,
            )
