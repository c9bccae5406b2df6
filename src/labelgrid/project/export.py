"""How requests and labels are exported as files. Loads no torch."""

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
    """What was written.

    Args:
        folders: where.
        tasks: task -> how many labels are requested, or were copied.
        prelabels: how many come with the model's own prediction.
    """

    folders: tuple[Path, ...]
    tasks: Mapping[str, int]
    prelabels: int = 0
    what: str = field(default="requests", repr=False)

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {task}" for task, count in self.tasks.items())
        with_them = f", {self.prelabels} of them with the model's own prediction" if self.prelabels else ""
        return f"Wrote {self.what} ({counts}{with_them}) to {', '.join(map(str, self.folders))}."


def export(
    project: ProjectFolder,
    out: Path | None = None,
    *,
    round: int | None = None,
    link: bool = False,
    tool: str = "folder",
    progress: Progress | None = None,
) -> Exported:
    """Write the open requests for a labelling tool; any number of times, each time as the requests are now.

    Args:
        project: whose requests.
        out: the folder to write; None: `rounds/NNNN/request` in the project, one a round.
        round: only this round's requests; 0 is the held-out images'.
        link: link to the images instead of copying them.
        tool: a connector: a plug-in of `labelgrid.annotate`, or "package.module:build".
        progress: told of each file.

    Raises:
        PluginError: there is no such connector.
        ProjectError: no request is open, the folder holds something else, or the disk refuses.
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
    names = {cell.image_id for cell in moves}
    whole = whole_names(names, project.store.grid(SPLITS).images)
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
        if given := prelabel(project, move, task, cell.image_id in whole):
            prelabels[cell] = given
    return Request(items, tasks, {name: _unchanged(project.store.image(name)) for name in names}, prelabels)


def _unchanged(image: ImageRow) -> Path:
    """The image's file, if it is still the one that was added."""
    path = Path(image.root) / image.image_id
    with files.disk(path):
        if image.digest and digest(path) != image.digest:
            raise changed_image(path)
    return path


def export_labels(project: ProjectFolder, out: Path, *, progress: Progress | None = None) -> Exported:
    """Copy all labels to `<out>/<task>/<image path>.<ext>`, with a list of them, `labels.csv`.

    Importing that folder into a project with the same images gives the same labels. Written again, the folder
    becomes what the labels are now.

    Raises:
        ProjectError: there is no label, the folder holds something else, or the disk refuses.
    """
    progress = progress or Silent()
    rows = _labels(project)
    if not rows:
        raise ProjectError("There are no labels yet.", where=str(project.folder), unchanged="Nothing was written.")
    with files.disk(out):
        before = _listed(out)
        files.remove_files(out, before - {str(row["path"]) for row, _ in rows})
        files.write_text(out / LIST, _table(row for row, _ in rows))
        progress.start("Copying labels", len(rows), "files")
        for row, source in rows:
            files.copy_file(source, out / str(row["path"]))
            progress.advance()
    return Exported((out,), Counter(str(row["task"]) for row, _ in rows), what="labels")


def _labels(project: ProjectFolder) -> list[tuple[dict[str, object], Path]]:
    """The lines of the list, and each label's file."""
    kept = list(project.store.cells(state=State.LABELLED))
    names = {row.cell.image_id for row in kept}
    whole = whole_names(names, project.store.grid(SPLITS).images)
    split = {name: project.store.image(name).split for name in names}
    lines: list[tuple[dict[str, object], Path]] = []
    for row in kept:
        image, task, source = row.cell.image_id, row.cell.task, project.inside(row.path)
        path = f"{task}/{label_name(image, source.suffix, image in whole)}"
        values = (image, task, path, row.round, row.cost, row.weight, split[image])
        lines.append((dict(zip(COLUMNS, values, strict=True)), source))
    return lines


def _listed(out: Path) -> set[str]:
    """The copies that an earlier export made.

    Raises:
        ProjectError: the folder holds something else than an export of labels.
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
