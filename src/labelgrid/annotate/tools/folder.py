"""Exchanges requests and labels as a plain folder, which any tool or script can read and fill."""

import textwrap
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from labelgrid.annotate import answer_folder, lists
from labelgrid.annotate.answer_folder import PRELABELS, README
from labelgrid.annotate.answers import Answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.earlier_request import foreign_folder_error, is_vacant
from labelgrid.annotate.image_copies import copy_image
from labelgrid.annotate.lists import SKIPS, FolderLists
from labelgrid.annotate.manifest import (
    COLUMNS,
    IMAGES,
    LABELS,
    MANIFEST,
    MANIFEST_TABLE,
    ManifestEntry,
    is_request,
    read_manifest,
    write_manifest,
)
from labelgrid.annotate.request import Request
from labelgrid.basics import files
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Progress
from labelgrid.basics.recognition import Recognition
from labelgrid.basics.spreadsheets import csv_text
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.legend import coloured, legend_text
from labelgrid.tasks.task import TaskDef

T = TypeVar("T")
#: The file that says what to do; a line that ends with a backslash goes on in the next one.
_TEXT = """\
A request of labelgrid. Labels: {labels}. Images: {images}.

manifest.json (and, shorter, manifest.csv) lists the requests, best first. \
Put each label at its `path`, below this
folder. A file named after its request id, such as `<request_id>.png`, \
is found anywhere in this folder.

images/     the images, upright; those that a browser cannot show are JPEG copies: \
see `file` in the manifest.
            A label has exactly its image's size (unless its task says otherwise, see below).
prelabels/  the model's predictions, if there is a model: a starting point, not a label. \
Correct a copy of them.
            Classes are numbers with colours, which legend.csv lists.
skips.csv   the requests that cannot be labelled, one per line: `request_id,reason`.
seconds     optional: how long a label took. \
Fill in this column of manifest.csv, or this key of manifest.json.
annotator   optional: who or what made a label, in the same files.

Put only labels into labels/. When labels are done, even only some, \
run: labelgrid import PROJECT THIS_FOLDER
"""
#: The file with the names and colours of the numbers in a task's predictions.
LEGEND = "legend.csv"


class FolderConnector:
    """Writes requests as folders and reads answers from folders.

    See `labelgrid.annotate.connector.Connector`.
    """

    def send(self, request: Request, out: Path, progress: Progress, *, link: bool = False) -> None:
        """Write the request.

        An earlier request in the folder is updated, and labels in it are kept.

        The manifest is written first: it marks the folder as a request, so that a call after a kill
        completes it.
        """
        legends = _legends(request)
        with files.disk_errors(out, "Labels in it were not changed."):
            earlier = _earlier_files(out)
            sources = _sources(request)
            said = lists.read_lists(out)
            if said.faults:
                fault = said.faults[0]
                raise ProjectError(
                    f"{fault.where}: {fault.what}",
                    where=out,
                    next_step=fault.next_step,
                    unchanged="Nothing was written.",
                )
            files.remove_files(out, earlier - sources.keys() - legends.keys())
            write_manifest(out / MANIFEST, _entries(request, said, in_manifest=True))
            lines = [entry.as_columns() for entry in _entries(request, said, in_manifest=False)]
            files.write_text(out / MANIFEST_TABLE, csv_text(COLUMNS, lines))
            files.write_text(out / README, _readme(request))
            if not (out / SKIPS).exists():
                files.write_text(out / SKIPS, "request_id,reason\n")
            (out / LABELS).mkdir(exist_ok=True)
            for name, text in legends.items():
                files.write_text(out / name, text)
            progress.start("Writing the request", len(sources), "files")
            for name, (source, task) in sources.items():
                if task:
                    _write_prelabel(task, source, out / name)
                else:
                    copy_image(source, out / name, link=link)
                progress.advance()

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        """Read the labels and skips of a folder: an answered request, or any folder of labels.

        See `answer_folder.read_answers`.
        """
        return answer_folder.read_answers(answer, index)

    def recognise(self, path: Path) -> Recognition | None:
        """Recognise an answered request by its manifest, and labels with a list by the list."""
        row = lists.first_row(path)
        if is_request(row):
            return Recognition("a request's folder", 1.0)
        if lists.has_table(path):
            return Recognition("a folder of labels with a list", 0.8)
        return None


build = FolderConnector


def _sources(request: Request) -> dict[str, tuple[Path, TaskDef | None]]:
    """Path below the folder -> the source file, and of a prediction its task."""
    sources: dict[str, tuple[Path, TaskDef | None]] = {}
    for image_id, path in sorted(request.images.items()):
        sources[f"{IMAGES}/{request.names[image_id]}"] = (path, None)
    for item in request.items:
        prelabel = request.prelabels.get(item.cell)
        if prelabel:
            sources[_prelabel(item.path)] = (prelabel, request.tasks[item.cell.task])
    return sources


def _legends(request: Request) -> dict[str, str]:
    """Path below the folder -> the legend of a task that has classes and predictions."""
    names = {cell.task for cell in request.prelabels}
    texts = {_legend(name): legend_text(request.tasks[name]) for name in sorted(names)}
    return {path: text for path, text in texts.items() if text}


def _legend(task: str) -> str:
    return f"{PRELABELS}/{task}/{LEGEND}"


def _write_prelabel(task: TaskDef, source: Path, target: Path) -> None:
    """Copy a prediction; classes get colours, and keep their numbers."""
    content = files.read_bytes(source)
    shown = coloured(task, content)
    if shown == content:
        files.copy_file(source, target)
    elif not target.is_file() or files.read_bytes(target) != shown:
        with files.atomic_write(target) as temporary:
            temporary.write_bytes(shown)


def _prelabel(path: str) -> str:
    return PRELABELS + path.removeprefix(LABELS)


def _earlier_files(out: Path) -> set[str]:
    if is_vacant(out):
        return set()
    rows = None
    if (out / MANIFEST).is_file():
        rows = read_manifest(out / MANIFEST)
    if rows is None or not all(map(is_request, rows)):
        raise foreign_folder_error(out)
    earlier = set()
    for row in rows:
        image = row.get("file", f"{IMAGES}/{row['image']}")  # none in the first version
        earlier |= {image, _prelabel(row["path"]), _legend(row["task"])}
    return earlier


def _said_in(values: Mapping[Cell, tuple[T, str]], cell: Cell, in_manifest: bool) -> T | None:
    """The value of a cell in `manifest.json`, or in another list."""
    value, where = values.get(cell, (None, ""))
    return value if (where == MANIFEST) == in_manifest else None


def _entries(request: Request, earlier: FolderLists, *, in_manifest: bool) -> list[ManifestEntry]:
    """The entries of a manifest, with earlier answers from the manifest or from the other lists."""
    entries = []
    for item in request.items:
        pick = item.pick
        entry = ManifestEntry(
            request_id=pick.request_id,
            image=pick.cell.image_id,
            file=f"{IMAGES}/{request.names[pick.cell.image_id]}",
            task=pick.cell.task,
            path=item.path,
            format=item.format,
            score=pick.score,
            cost=pick.cost,
            why=pick.why,
            seconds=_said_in(earlier.seconds, item.cell, in_manifest),
            annotator=_said_in(earlier.annotators, item.cell, in_manifest) or "",
            brings=item.brings,
            terms=pick.terms,
            explanation=pick.explanation,
        )
        entries.append(entry)
    return entries


def _readme(request: Request) -> str:
    text = _TEXT.format(labels=len(request.items), images=len(request.images))
    for name, count in sorted(Counter(item.cell.task for item in request.items).items()):
        task = request.tasks[name]
        extensions = " or ".join(task.codec.EXTENSIONS)
        text += f"\n{name}, labels: {count}, {LABELS}/{name}/… as {extensions}\n"
        for line in task.describe().splitlines():
            text += textwrap.fill(line, 110, initial_indent="  ", subsequent_indent="  ") + "\n"
    return text
