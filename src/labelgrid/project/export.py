"""Exports open requests and labels as files. Loads no torch."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from labelgrid import files, plugins
from labelgrid.annotate.connector import Connector
from labelgrid.annotate.request import Request, RequestItem
from labelgrid.errors import ProjectError
from labelgrid.labels.codec import codec, digest
from labelgrid.labels.grid import SPLITS, Cell, ImageRow, Move, State
from labelgrid.labels.images import changed_image
from labelgrid.labels.naming import label_name, whole_names
from labelgrid.progress import Progress, Silent
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.requests import open_requests, prelabel

COLUMNS = ("image", "task", "path", "round", "cost", "weight", "split")
LIST = "labels.csv"


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Args:
        folders: the written folders.
        tasks: task -> the number of requests, or of copied labels.
        prelabels: the number of requests with a prediction of the model.
        what: what was written, for messages: requests or labels.
    """

    folders: tuple[Path, ...]
    tasks: Mapping[str, int]
    prelabels: int = 0
    what: str = field(default="requests", repr=False)

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {task}" for task, count in self.tasks.items())
        predicted = f", {self.prelabels} of them with the model's prediction" if self.prelabels else ""
        return f"Wrote {self.what} ({counts}{predicted}) to {', '.join(map(str, self.folders))}."


def export(
    project: ProjectFolder,
    out: Path | None = None,
    *,
    round: int | None = None,
    link: bool = False,
    tool: str = "folder",
    progress: Progress | None = None,
) -> Exported:
    """Write the open requests for a labelling tool; called again, it updates the folder.

    Args:
        project: the project.
        out: the folder to write; None: `rounds/NNNN/request` in the project, one per round.
        round: only this round's requests; 0: those of the held-out images.
        link: link to the images instead of copying them.
        tool: a connector: a plug-in of `labelgrid.annotate`, or "package.module:build".
        progress: reports each file.

    Raises:
        PluginError: there is no such connector.
        ProjectError: no request is open, the folder holds something else, or the disk reports an error.
    """
    requested = open_requests(project, round)
    if not requested:
        raise ProjectError(
            "No request is open." if round is None else f"Round {round} has no open request.",
            where=str(project.folder),
            next_step=f"`labelgrid query {project.folder} --budget 60` makes requests.",
            unchanged="Nothing was written.",
        )
    by_folder: dict[Path, dict[Cell, Move]] = defaultdict(dict)
    for cell, move in requested.items():
        by_folder[out or project.round_folder(move.round) / "request"][cell] = move
    connector: Connector = plugins.resolve("annotate", tool)()
    prelabels = 0
    for folder, moves in by_folder.items():
        request = _request(project, moves)
        prelabels += len(request.prelabels)
        connector.send(request, folder, progress or Silent(), link=link)
    return Exported(tuple(by_folder), Counter(cell.task for cell in requested), prelabels)


def _request(project: ProjectFolder, moves: Mapping[Cell, Move]) -> Request:
    tasks = project.tasks()
    image_ids = {cell.image_id for cell in moves}
    whole = whole_names(image_ids, project.store.grid(SPLITS).images)
    items, prelabels = [], {}
    for cell, move in moves.items():
        task = tasks[cell.task]
        name = label_name(cell.image_id, codec(task.spec.codec).EXTENSIONS[0], cell.image_id in whole)
        path = f"labels/{cell.task}/{name}"
        items.append(
            RequestItem(
                move.request_id, cell.image_id, cell.task, path, task.spec.codec, move.score, move.cost, move.why
            )
        )
        if prelabel_path := prelabel(project, move, task, cell.image_id in whole):
            prelabels[cell] = prelabel_path
    images = {image_id: _unchanged(project.store.image(image_id)) for image_id in image_ids}
    return Request(items, tasks, images, prelabels)


def _unchanged(image: ImageRow) -> Path:
    """The image's file; raises `ImageError` if its content changed since it was added."""
    path = Path(image.root) / image.image_id
    with files.disk(path):
        if image.digest and digest(path) != image.digest:
            raise changed_image(path)
    return path


def export_labels(project: ProjectFolder, out: Path, *, progress: Progress | None = None) -> Exported:
    """Copy all labels to `<out>/<task>/<image path>.<ext>`, with a list of them, `labels.csv`.

    Importing that folder into a project with the same images gives the same labels. Called again, it updates the
    folder.

    Raises:
        ProjectError: there is no label, the folder holds something else, or the disk reports an error.
    """
    progress = progress or Silent()
    rows = _labels(project)
    if not rows:
        raise ProjectError("There are no labels yet.", where=str(project.folder), unchanged="Nothing was written.")
    with files.disk(out):
        earlier = _earlier_files(out)
        files.remove_files(out, earlier - {str(row["path"]) for row, _ in rows})
        files.write_text(out / LIST, _table(row for row, _ in rows))
        progress.start("Copying labels", len(rows), "files")
        for row, source in rows:
            files.copy_file(source, out / str(row["path"]))
            progress.advance()
    return Exported((out,), Counter(str(row["task"]) for row, _ in rows), what="labels")


def _labels(project: ProjectFolder) -> list[tuple[dict[str, object], Path]]:
    """The lines of the list, and each label's file."""
    cells = list(project.store.cells(state=State.LABELLED))
    image_ids = {row.cell.image_id for row in cells}
    whole = whole_names(image_ids, project.store.grid(SPLITS).images)
    split = {image_id: project.store.image(image_id).split for image_id in image_ids}
    lines: list[tuple[dict[str, object], Path]] = []
    for row in cells:
        image_id, task, source = row.cell.image_id, row.cell.task, project.inside(row.path)
        path = f"{task}/{label_name(image_id, source.suffix, image_id in whole)}"
        values = (image_id, task, path, row.round, row.cost, row.weight, split[image_id])
        lines.append((dict(zip(COLUMNS, values, strict=True)), source))
    return lines


def _earlier_files(out: Path) -> set[str]:
    """The paths of the files that an earlier export copied.

    Raises:
        ProjectError: the folder holds something other than an export of labels.
    """
    if not out.exists() or (out.is_dir() and all(path.name.startswith(".") for path in out.iterdir())):
        return set()
    try:
        with (out / LIST).open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) == COLUMNS:
                return {row["path"] for row in reader}
    except (OSError, ValueError, csv.Error):
        pass
    raise ProjectError(
        "The folder is neither empty nor an earlier export of labels.",
        where=str(out),
        next_step="Name a new one with --out.",
        unchanged="Nothing was written.",
    )


def _table(rows: Iterable[Mapping[str, object]]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()
