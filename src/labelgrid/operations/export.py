"""Exports open requests and labels as files. Loads no torch."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from labelgrid.annotate.connector import Connector, ToolServer
from labelgrid.annotate.earlier_request import foreign_folder_error, is_vacant
from labelgrid.annotate.image_copies import copy_names, is_shown_as_read
from labelgrid.annotate.request import Request, RequestItem
from labelgrid.basics import files, plugins
from labelgrid.basics.errors import LedgerError, ProjectError, UsageError, command
from labelgrid.basics.files import digest, read_bytes
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.shown import Shown
from labelgrid.basics.spreadsheets import csv_text, unescape_formula
from labelgrid.basics.words import join_names
from labelgrid.formats.codec import check_digest
from labelgrid.formats.naming import label_name, whole_names
from labelgrid.images.places import held_image_file, image_file
from labelgrid.images.reading import changed_image_error, image_size
from labelgrid.ledger.grid import SPLITS, Cell, ImageRow, Move, Pick, State
from labelgrid.operations.next_step import next_step
from labelgrid.project.cells.measuring_cells import MeasuringCells
from labelgrid.project.derived_labels import brought_labels
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.image_files import size_of
from labelgrid.project.images.unusable_images import usable_images
from labelgrid.project.records import read_picks
from labelgrid.project.requests import open_requests, prelabel

COLUMNS = ("image", "task", "path", "round", "cost", "weight", "split", "seconds", "annotator")
LIST = "labels.csv"


@dataclass(frozen=True, kw_only=True, repr=False)
class Exported(Shown):
    """The result of an export.

    Args:
        folders: the written folders.
        tasks: task -> the number of requests, or of copied labels.
        prelabels: the number of requests with a prediction of the model.
        server: the server to which requests were sent; empty: none.
        new: how many of them were not there before.
        left: task -> the number of requests that the tool does not take.
        rest: the rest of the message: which requests were left, and the command that exports them.
        contents: the kind of what was written, for messages: requests or labels.
    """

    folders: tuple[Path, ...]
    tasks: Mapping[str, int]
    prelabels: int = 0
    server: str = ""
    new: int = 0
    left: Mapping[str, int] = field(default_factory=dict)
    rest: str = field(default="", repr=False)
    contents: str = field(default="requests", repr=False)

    def __str__(self) -> str:
        counts = _counts_text(self.tasks)
        rest = f"\n{self.rest}" if self.rest else ""
        predicted = ""
        if self.prelabels:
            predicted = f", {self.prelabels} of them with the model's prediction"
        if self.server:
            return (
                f"On {self.server} are {self.contents} ({counts}{predicted}): {self.new} new.{rest}"
            )
        folders = ", ".join(map(str, self.folders))
        return f"Wrote {self.contents} ({counts}{predicted}) to {folders}.{rest}"


def _counts_text(tasks: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {task}" for task, count in tasks.items())


def export(
    project: ProjectFolder,
    out: Path | None = None,
    *,
    round: int | None = None,
    task: str | Iterable[str] = (),
    link: bool = False,
    tool: str = "folder",
    server: ToolServer | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write the open requests for a labelling tool; called again, it updates the folder.

    Requests that the tool does not take, such as depth, are left out with a message, unless the
    tool takes none at all.

    Args:
        project: the project.
        out: the folder to write; None: `rounds/NNNN/request` in the project, one per round.
        round: only this round's requests; 0: those of the held-out images.
        task: only the requests of this task, or of these; empty: all.
        link: link to the images instead of copying them.
        tool: a connector: a plug-in of `labelgrid.annotate`, or "package.module:build".
        server: send the requests to this server of the tool instead.
        progress: reports each file.

    Raises:
        PluginError: there is no such connector.
        ServerError: the server cannot be reached, refuses, or stores something other than what was
            sent.
        UsageError: the tool takes none of the requests, or only receives, or has no server.
        ProjectError: no request is open, the folder holds something else, or the disk reports an
            error.
    """
    progress = progress or Silent()
    requested = _requested(project, round, [task] if isinstance(task, str) and task else list(task))
    image_ids = {cell.image_id for cell in requested}
    if link and any(row.is_remote for row in project.store.images(names=image_ids)):
        raise UsageError(
            "Images in a store of objects cannot be linked.",  # a copy leaves the cache again
            next_step="Leave out --link: they are copied.",
            unchanged="Nothing was written.",
        )
    usable = set(usable_images(project, sorted(image_ids), progress))
    requested = {cell: move for cell, move in requested.items() if cell.image_id in usable}
    connector = _connector(tool, server)
    left = _untaken(project, connector, requested)
    requested = {cell: move for cell, move in requested.items() if cell.task not in left}
    by_folder: dict[Path, dict[Cell, Move]] = defaultdict(dict)
    for cell, move in requested.items():
        by_folder[out or project.round_folder(move.round) / "request"][cell] = move
    prelabels = 0
    new = 0
    for folder, moves in by_folder.items():
        files.remove_abandoned(folder, deep=True)
        with ExitStack() as held:
            request = _request(project, moves, progress, held)
            prelabels += len(request.prelabels)
            if server:
                new += connector.upload(request, folder, server, progress)
            else:
                connector.send(request, folder, progress, link=link)
    return Exported(
        folders=tuple(by_folder),
        tasks=Counter(cell.task for cell in requested),
        prelabels=prelabels,
        server=str(server or ""),
        new=new,
        left=left,
        rest=_rest_text(project, tool, left, round=round, out=next(iter(by_folder))),
    )


def _requested(project: ProjectFolder, round: int | None, tasks: Sequence[str]) -> dict[Cell, Move]:
    requested = open_requests(project, round)
    if tasks:
        requested = {cell: move for cell, move in requested.items() if cell.task in tasks}
    if not requested:
        of_task = f" of {join_names(list(map(repr, tasks)))}" if tasks else ""
        fault = f"No request{of_task} is open."
        if round is not None:
            fault = f"Round {round} has no open request{of_task}."
        raise ProjectError(
            fault,
            where=project.folder,
            next_step=f"Next: {next_step(project).line}.",
            unchanged="Nothing was written.",
        )
    return requested


def _untaken(
    project: ProjectFolder, connector: Connector, requested: Iterable[Cell]
) -> dict[str, int]:
    """The number of requests of each task that a connector does not take.

    Empty if the connector takes no request at all, and so says itself why.
    """
    takes = getattr(connector, "takes", None)
    tasks = project.tasks()
    counts = Counter(cell.task for cell in requested)
    left = {name: count for name, count in counts.items() if takes and not takes(tasks[name])}
    if len(left) < len(counts):
        return left
    return {}


def _rest_text(
    project: ProjectFolder, tool: str, left: Mapping[str, int], *, round: int | None, out: Path
) -> str:
    """A sentence on the requests left out, with the command for their export, or ""."""
    if not left:
        return ""
    words: list[object] = []
    for name in left:
        words += ["--task", name]
    if round is not None:
        words += ["--round", round]
    again = command("export", project.folder, *words, "--out", out.with_name(f"{out.name}-others"))
    return f"Not for {tool}: {_counts_text(left)}. `{again}` writes them to a folder."


def _connector(tool: str, server: ToolServer | None) -> Connector:
    connector: Connector = plugins.create("tools", tool)
    if server and not hasattr(connector, "upload"):
        raise UsageError(
            f"'{tool}' has no server: --url cannot be used.",
            next_step="Leave it out, or use --to label-studio.",
            unchanged="Nothing was sent.",
        )
    if not hasattr(connector, "send"):
        raise UsageError(
            f"'{tool}' only receives labels: no request can be exported for it.",
            next_step="Use --to folder, or another tool of `labelgrid list tools`.",
            unchanged="Nothing was written.",
        )
    return connector


def _request(
    project: ProjectFolder, moves: Mapping[Cell, Move], progress: Progress, held: ExitStack
) -> Request:
    """The request of some cells; the files of objects stay as long as `held` is open."""
    tasks = project.tasks()
    picks = _picks(project, {move.round for move in moves.values()}, progress)
    image_ids = {cell.image_id for cell in moves}
    every_id = project.store.grid(SPLITS).images
    whole = whole_names(image_ids, every_id)
    brought = brought_labels(project, moves)
    rows = list(project.store.images(names=image_ids))
    splits = {row.image_id: row.split for row in rows}
    measuring = MeasuringCells(project)
    items = []
    prelabels = {}
    for cell, move in moves.items():
        task = tasks[cell.task]
        is_whole = cell.image_id in whole
        name = label_name(cell.image_id, task.codec.EXTENSIONS[0], is_whole)
        item = RequestItem(
            pick=_requested_pick(move, picks.get((move.round, cell))),
            path=f"labels/{cell.task}/{name}",
            format=task.spec.codec,
            round=move.round,
            brings=brought.get(cell, ()),
        )
        items.append(item)
        prelabel_path = prelabel(project, move, task, is_whole)
        if prelabel_path and not measuring.purpose_of(cell, splits[cell.image_id], [move.why]):
            prelabels[cell] = prelabel_path
    images = {row.image_id: _image_file(row, held) for row in rows}
    copied = []
    for image_id, path in images.items():
        if not is_shown_as_read(path):
            copied.append(image_id)
    return Request(
        items=items,
        tasks=tasks,
        images=images,
        names={image_id: image_id for image_id in images} | copy_names(copied, every_id),
        sizes={row.image_id: size_of(row) for row in rows},
        prelabels=prelabels,
    )


def _requested_pick(move: Move, explained: Pick | None) -> Pick:
    """The pick of a request, with the explanation from the round's files if there is any."""
    pick = Pick(
        cell=move.cell,
        score=move.score,
        weight=move.weight,
        why=move.why,
        cost=move.cost,
        request_id=move.request_id,
    )
    if explained is None:
        return pick
    return replace(pick, terms=explained.terms, explanation=explained.explanation)


def _picks(
    project: ProjectFolder, rounds: Collection[int], progress: Progress
) -> dict[tuple[int, Cell], Pick]:
    """The picks that explain the requests of some rounds; damaged files are said and left out."""
    picks: dict[tuple[int, Cell], Pick] = {}
    for number in sorted(rounds):
        try:
            of_round = read_picks(project.round_folder(number))
        except ProjectError as error:
            progress.say(
                f"The requests of round {number} are not explained. {error.what} {error.where}"
            )
            continue
        picks |= {(number, pick.cell): pick for pick in of_round}
    return picks


def _image_file(image: ImageRow, held: ExitStack) -> Path:
    """The image's file; that of an object stays as long as `held` is open.

    Raises:
        ImageError: the file is no image, or its content has changed since `add`.
    """
    if image.is_remote:
        return held.enter_context(held_image_file(image.root, image.image_id, image.digest))
    path = image_file(image.root, image.image_id)
    with files.disk_errors(path):
        # Also of an image that was never read: it may be a device.
        if digest(path) != image.digest and image.digest:
            raise changed_image_error(path)
        image_size(path)  # a ledger may name any file; only images are copied
    return path


def export_labels(
    project: ProjectFolder, out: Path, *, progress: Progress | None = None
) -> Exported:
    """Copy all labels to `<out>/<task>/<image path>.<ext>`, with a list of them, `labels.csv`.

    Importing that folder into a project with the same images gives the same labels. Called again,
    it updates the folder.

    Raises:
        LabelError: a label's file has changed since its import.
        LedgerError: it is damaged.
        ProjectError: there is no label, the folder holds something else, or the disk reports an
            error.
    """
    progress = progress or Silent()
    rows = _labels(project)
    if not rows:
        raise ProjectError(
            "There are no labels yet.", where=project.folder, unchanged="Nothing was written."
        )
    with files.disk_errors(out):
        earlier = _earlier_files(out)
        files.remove_abandoned(out, deep=True)
        files.remove_files(out, earlier - {str(row["path"]) for row, *_ in rows})
        files.write_text(out / LIST, csv_text(COLUMNS, (row for row, *_ in rows)))
        progress.start("Copying labels", len(rows), "files")
        for row, source, expected in rows:
            check_digest(source, expected)
            files.copy_file(source, out / str(row["path"]))
            progress.advance()
    tasks = Counter(str(row["task"]) for row, *_ in rows)
    return Exported(folders=(out,), tasks=tasks, contents="labels")


def _labels(project: ProjectFolder) -> list[tuple[dict[str, object], Path, str]]:
    """The lines of the list, and each label's file with the expected content hash."""
    cells = list(project.store.cells(state=State.LABELLED))
    image_ids = {row.cell.image_id for row in cells}
    whole = whole_names(image_ids, project.store.grid(SPLITS).images)
    split = {row.image_id: row.split for row in project.store.images(names=image_ids)}
    if len(split) < len(image_ids):
        missing = min(image_ids - split.keys())
        raise LedgerError(
            f"The ledger has a label of an image that it does not find: '{missing:.80}'.",
            where=str(project.folder),
            next_step="It is damaged: restore it from a copy.",
            unchanged="Nothing was exported.",
        )
    lines: list[tuple[dict[str, object], Path, str]] = []
    for row in cells:
        image_id = row.cell.image_id
        task = row.cell.task
        source = project.inside(row.path)
        path = f"{task}/{label_name(image_id, source.suffix, image_id in whole)}"
        values = (
            image_id,
            task,
            path,
            row.round,
            row.cost,
            row.weight,
            split[image_id],
            row.seconds,
            row.annotator,
        )
        lines.append((dict(zip(COLUMNS, values, strict=True)), source, row.digest))
    return lines


def _earlier_files(out: Path) -> set[str]:
    if is_vacant(out):
        return set()
    try:
        reader = csv.DictReader(io.StringIO(read_bytes(out / LIST).decode(), newline=""))
        if tuple(reader.fieldnames or ()) == COLUMNS:
            return {unescape_formula(row["path"]) for row in reader}
    except (OSError, ValueError, csv.Error):
        pass
    raise foreign_folder_error(out, "export of labels")
