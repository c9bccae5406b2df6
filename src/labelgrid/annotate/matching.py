"""Matches answers with cells and files: looks up request ids, checks paths and extensions."""

import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from labelgrid.annotate.answers import Answers, Fault, Skip
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.other_kinds import other_kind
from labelgrid.tasks.task import TaskDef


def cell_of(request_id: str, where: str, requests: Mapping[str, Cell]) -> Cell | Fault:
    """The cell of a request id, or the fault of an unknown id.

    Example:
        >>> str(cell_of("r1-7", "answers line 3", {}))
        "answers line 3: The project has no request 'r1-7'. Check the id."
    """
    cell = requests.get(request_id)
    return cell or Fault(where, f"The project has no request '{request_id}'.", "Check the id.")


def add_skips(
    answers: Answers,
    skips: Iterable[tuple[str, str, str]],
    requests: Mapping[str, Cell],
    closed: Collection[str],
) -> None:
    """Add the lines of `skips.csv`: as skips, as lines of closed requests, or as faults.

    A skip is a line, the id of a request and a reason.
    """
    for where, request_id, reason in skips:
        if request_id in closed:
            answers.closed.append(where)
            continue
        cell = cell_of(request_id, where, requests)
        if isinstance(cell, Fault):
            answers.faults.append(cell)
        else:
            answers.skips.append(Skip(cell, where, reason))


def leads_outside(path: PurePosixPath) -> bool:
    """Whether a relative path leads out of its base folder.

    Example:
        >>> leads_outside(PurePosixPath("../a.png")), leads_outside(PurePosixPath("depth/a.png"))
        (True, False)
    """
    return path.is_absolute() or ".." in path.parts


def is_inside(folder: Path, path: Path) -> bool:
    """Whether a file is inside the folder after following links."""
    if "\0" in str(path):
        return False
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def link_fault(where: str, thing: str = "file", cell: Cell | None = None) -> Fault:
    """The fault of a link to a file outside the folder."""
    return Fault(where, LINK, f"Copy the {thing} itself into the folder.", cell)


def is_file_there(path: Path) -> bool:
    """Whether a file of a name exists; a name by a stranger may be too long for any."""
    with suppress(OSError, ValueError):
        return path.is_file()
    return False


def links_outside(folder: Path, name: str) -> bool:
    """Whether a file or folder, found below a folder, is a link out of the folder."""
    path = folder / name
    return path.is_symlink() and not is_inside(folder, path)


def answer_file(folder: Path, name: str, where: str, cell: Cell, task: TaskDef) -> Path | Fault:
    """The label file at a path below an answer's folder.

    A path or link that leads out of the folder, a missing file and a wrong extension are faults.
    """
    relative = PurePosixPath(name)
    path = folder / name
    if leads_outside(relative):
        message = f"The path '{relative}' leads out of the folder."
        return Fault(where, message, "Put the label into the folder.", cell)
    if not is_inside(folder, path):
        return link_fault(where, "label", cell)
    if not is_file_there(path):
        return Fault(where, f"There is no file '{relative}'.", "Put the label there.", cell)
    return wrong_extension(name, where, cell, task, path=path) or path


#: The extensions of pictures that are stored with losses, and their formats' names.
_LOSSY = {".jpg": "JPEG", ".jpeg": "JPEG"}
#: The fault of a link to a file outside the folder.
LINK = "The file is a link that leads out of the folder."


def wrong_extension(
    name: str, where: str, cell: Cell, task: TaskDef, *, path: Path | None = None
) -> Fault | None:
    """A fault if the label file's extension does not fit the task's format, else None.

    If its `path` is given, the fault names the other kind of task that the file seems to belong to.
    """
    extensions = task.codec.EXTENSIONS
    ending = PurePosixPath(name).suffix
    lossy = _LOSSY.get(ending.lower())
    if ending.lower() in extensions:
        return None
    message = f"Labels of {cell.task} are {' or '.join(extensions)} files, not '{ending}'."
    if path:
        message += other_kind(path, task)
    advice = "Convert it, or remove it."
    if lossy:
        advice = f"{lossy} changes the numbers of pixels: get the label as PNG."
    if lossy and hasattr(task.options, "threshold"):
        advice += " Or convert it to PNG, and declare from which number on a pixel is 'yes': "
        advice += "`threshold = 128`."
    return Fault(where, message, advice, cell)
