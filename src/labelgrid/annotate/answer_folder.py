"""Reads an answered folder: matches each file with a cell by the folder's lists, by request id, or by file name."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from labelgrid.annotate.answers import SHOWN, Answer, Answers, Fault, Skip, spelling_hint
from labelgrid.annotate.connector import ProjectIndex, RemovedNames
from labelgrid.annotate.lists import (
    LABEL_LIST,
    MANIFEST,
    MANIFEST_TABLE,
    SKIPS,
    ListedLabel,
    read_lists,
    skip_lines,
)
from labelgrid.annotate.matching import LINK, cell_of, is_inside, links_outside, wrong_extension
from labelgrid.errors import LabelError
from labelgrid.formats.codec import codec
from labelgrid.formats.naming import stem
from labelgrid.images.opening import FORMATS
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.task import TaskDef

README = "README.txt"
IMAGES = "images"
LABELS = "labels"
PRELABELS = "prelabels"
#: Files of a request, which are not labels.
_OTHER_FILES = frozenset({MANIFEST, MANIFEST_TABLE, README, SKIPS, LABEL_LIST})
UNKNOWN = "The label is of an unknown image or task."
#: A hidden file that is named, unlike others: people wonder about it.
_NAMED = ".DS_Store"


@dataclass
class _Known:
    """The tasks, requests and images of the project that file names in the folder may refer to."""

    tasks: Mapping[str, TaskDef]
    requests: dict[str, Cell]
    images: frozenset[str]
    by_stem: Mapping[str, list[str]] = field(default_factory=dict)


def read_answers(folder: Path, index: ProjectIndex) -> Answers:
    """Match the files below a folder with cells.

    A file is a label if (a) `manifest.json` or `labels.csv` in the folder lists its path, (b) its
    name is a request id, or (c) it is `<task>/<image path>.<ext>`, also below `labels/`, with the
    image's extension replaced or kept. A file that is none of these, or is ambiguous, is a fault;
    if nothing with its extension can be a label, it is only listed as stray. A file of a removed
    image or a dropped task is only listed, too.

    Raises:
        LabelError: there is no such folder, or no answer in it.
    """
    if not folder.is_dir():
        raise LabelError("There is no such folder.", where=str(folder), next_step="Check the path.")
    lists = read_lists(folder)
    answers = Answers(faults=lists.faults)
    listed = lists.files
    names = list(_walk(folder, set(index.tasks)))
    skips = skip_lines(folder, answers.faults)
    known = _known(
        index, [n for n in names if n not in listed], listed, {line[1] for line in skips}
    )
    unmatched: list[tuple[str, Fault]] = []
    removed = index.removed()
    for name in names:
        match = (
            _by_list(name, listed[name], folder, known)
            if name in listed
            else _by_name(name, folder, known)
        )
        if (
            isinstance(match, Fault)
            and match.cell is None
            and match.what != LINK
            and _is_stray(name, index)
        ):
            answers.stray.append(name.encode(errors="replace").decode())
        elif (
            isinstance(match, Fault)
            and match.what == UNKNOWN
            and _is_removed(name, listed.get(name), known, removed)
        ):
            answers.removed.append(name.encode(errors="replace").decode())
        elif isinstance(match, Fault):
            unmatched.append((name, match))
        else:
            answers.labels.append(
                Answer(match, name, folder / name, lists.seconds.get(match, (None,))[0])
            )
    answers.faults += _with_hints(unmatched, index)
    closed = index.closed({line[1] for line in skips} - known.requests.keys())
    answers.closed = [where for where, request_id, _ in skips if request_id in closed]
    for where, request_id, reason in (line for line in skips if line[1] not in closed):
        _add_skip(answers, known, where=where, request_id=request_id, reason=reason)
    if not (answers.labels or answers.skips or answers.faults or answers.removed or answers.closed):
        raise LabelError(
            "There is no answer in the folder: no label, no line in skips.csv.",
            where=str(folder),
            next_step="Put labels where its manifest says, or at TASK/IMAGE.png.",
            unchanged="Nothing was imported.",
        )
    return answers


def _walk(folder: Path, tasks: set[str]) -> Iterator[str]:
    """The files below the folder that should be labels; each folder is visited once.

    Links to folders are followed if they stay inside; those that lead out count as files.
    """
    seen: set[str] = set()
    for current, folders, names in os.walk(folder, onerror=_refuse_unreadable, followlinks=True):
        real = os.path.realpath(current)
        top = Path(current) == folder
        folders[:] = sorted(
            f
            for f in folders
            if not f.startswith(".") and not (top and f in {IMAGES, PRELABELS} - tasks)
        )
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        prefix = "" if top else Path(current).relative_to(folder).as_posix() + "/"
        outside = [name for name in folders if links_outside(folder, prefix + name)]
        folders[:] = [name for name in folders if name not in outside]
        for name in sorted([*names, *outside]):
            if (name == _NAMED or not name.startswith(".")) and not (top and name in _OTHER_FILES):
                yield prefix + name


def _is_stray(name: str, index: ProjectIndex) -> bool:
    """Whether a file is neither an image nor of a label format of the project."""
    formats = {
        ending for task in index.tasks.values() for ending in codec(task.spec.codec).EXTENSIONS
    }
    return PurePosixPath(name).suffix.lower() not in formats | FORMATS.keys()


def _refuse_unreadable(error: OSError) -> None:
    where = str(error.filename)
    what = f"The folder cannot be read: {error.strerror}."
    raise LabelError(
        what, where=where, next_step="Fix its permissions.", unchanged="Nothing was imported."
    ) from error


def _known(
    index: ProjectIndex, names: Iterable[str], listed: Mapping[str, ListedLabel], ids: set[str]
) -> _Known:
    """Look up the tasks, requests and images that the names may refer to.

    Each table of the ledger is read once.
    """
    stems = {stem(name) for name in names}
    ids = (
        ids
        | {PurePosixPath(s).name for s in stems}
        | {entry.request_id for entry in listed.values()} - {""}
    )
    wanted = {"/".join(PurePosixPath(s).parts[skip:]) for s in stems for skip in (1, 2)}
    exact = {entry.cell.image_id for entry in listed.values()}
    images: set[str] = set()
    by_stem: dict[str, list[str]] = defaultdict(list)
    for image_id in index.images():
        if image_id in wanted or image_id in exact:
            images.add(image_id)
        if (image_stem := stem(image_id)) in wanted:
            by_stem[image_stem].append(image_id)
    return _Known(index.tasks, index.requests(ids), frozenset(images), by_stem)


def _by_list(name: str, entry: ListedLabel, folder: Path, known: _Known) -> Cell | Fault:
    cell = entry.cell
    if not is_inside(folder, name):
        return Fault(name, LINK, "Copy the label itself into the folder.", cell)
    if cell.task not in known.tasks or cell.image_id not in known.images:
        return Fault(name, UNKNOWN, _unknown(cell, known), cell)
    requested = known.requests.get(entry.request_id, cell)
    if requested != cell:
        what = f"The list gives it request {entry.request_id}, which is for [{requested.image_id}, {requested.task}]."
        return Fault(name, what, "Restore the exported list.", cell)
    return wrong_extension(name, name, cell, known.tasks[cell.task]) or cell


def _is_removed(name: str, entry: ListedLabel | None, known: _Known, removed: RemovedNames) -> bool:
    """Whether a file that matches no cell is of a removed image or a dropped task."""
    path = PurePosixPath(stem(name))
    if path.name in removed.requests:
        return True
    task, image = (entry.cell.task, entry.cell.image_id) if entry else _parts(path)
    images = removed.images if entry else removed.images | removed.stems
    return (task in known.tasks or task in removed.tasks) and (
        image in images or bool(_images(image, known))
    )


def _unknown(cell: Cell, known: _Known) -> str:
    if cell.task not in known.tasks:
        return (
            spelling_hint(cell.task, sorted(known.tasks))
            or f"The tasks are {', '.join(known.tasks)}."
        )
    return "Add the image with `labelgrid add`, or import the folder into its own project."


def _by_name(name: str, folder: Path, known: _Known) -> Cell | Fault:
    if links_outside(folder, name):
        return Fault(name, LINK, "Copy the label itself into the folder.")
    path = PurePosixPath(stem(name))
    matches = {known.requests[path.name]} if path.name in known.requests else set()
    task, image = _parts(path)
    if task in known.tasks:
        matches |= {Cell(image_id, task) for image_id in _images(image, known)}
    if not matches:
        return Fault(name, UNKNOWN)
    if len(matches) > 1:
        cells = " or ".join(f"[{cell.image_id}, {cell.task}]" for cell in sorted(matches))
        return Fault(
            name,
            f"It could be the label of {cells}.",
            "Keep the image's extension: TASK/IMAGE.jpg.png.",
        )
    cell = matches.pop()
    return wrong_extension(name, name, cell, known.tasks[cell.task]) or cell


def _parts(path: PurePosixPath) -> tuple[str, str]:
    """The task and the image of `<task>/<image>`, also below `labels/`."""
    parts = path.parts[1:] if path.parts[0] == LABELS and len(path.parts) > 2 else path.parts
    return parts[0], "/".join(parts[1:])


def _images(name: str, known: _Known) -> set[str]:
    exact = {name} if name in known.images else set()
    return exact | set(known.by_stem.get(name, ()))


def _with_hints(unmatched: list[tuple[str, Fault]], index: ProjectIndex) -> Iterator[Fault]:
    """The faults, with the closest known name as a hint where a fault has no next step."""
    tasks = index.tasks
    images = None
    for number, (name, fault) in enumerate(unmatched):
        if fault.next_step or number >= SHOWN:  # searching for close names is slow
            yield fault
            continue
        task, image = _parts(PurePosixPath(stem(name)))
        if task not in tasks:
            hint = (
                spelling_hint(task, sorted(tasks))
                or f"Name it REQUEST_ID.png or TASK/IMAGE.png ({', '.join(tasks)})."
            )
        else:
            images = index.images() if images is None else images
            hint = (
                spelling_hint(image, images)
                or "Add the image with `labelgrid add`, or remove the file."
            )
        shown = name.encode(errors="replace").decode()  # a file name may not be valid Unicode
        yield Fault(shown, fault.what, hint)


def _add_skip(answers: Answers, known: _Known, where: str, request_id: str, reason: str) -> None:
    cell = cell_of(request_id, where, known.requests)
    if isinstance(cell, Fault):
        answers.faults.append(cell)
    else:
        answers.skips.append(Skip(cell, where, reason))
