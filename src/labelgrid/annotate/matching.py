"""How connectors find the cell and the file of an answer: by request id, inside its folder, in a known format."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from labelgrid.annotate.answers import Fault
from labelgrid.labels.codec import codec
from labelgrid.labels.grid import Cell
from labelgrid.tasks.task import TaskDef


def cell_of(request_id: str, where: str, requests: Mapping[str, Cell]) -> Cell | Fault:
    """The cell of a request id.

    Example:
        >>> str(cell_of("r1-7", "answers line 3", {}))
        "answers line 3: No request 'r1-7' waits for an answer. Check the id."
    """
    cell = requests.get(request_id)
    return cell or Fault(where, f"No request '{request_id}' waits for an answer.", "Check the id.")


def leaves(path: PurePosixPath) -> bool:
    """Whether a relative path leads out of the folder it is relative to.

    Example:
        >>> leaves(PurePosixPath("../a.png")), leaves(PurePosixPath("depth/a.png"))
        (True, False)
    """
    return path.is_absolute() or ".." in path.parts


def is_inside(folder: Path, name: str) -> bool:
    """Whether the file of this name below the folder lies in it, links followed."""
    return (folder / name).resolve().is_relative_to(folder.resolve())


def answer_file(folder: Path, name: str, where: str, cell: Cell, task: TaskDef) -> Path | Fault:
    """The label file that an answer names by its path below the answer's folder.

    A path or link that leads out of the folder, a missing file and a wrong extension are faults.
    """
    path = PurePosixPath(name)
    if leaves(path):
        return Fault(where, f"The path '{path}' leaves the folder.", "Put the label into the folder.", cell)
    if not is_inside(folder, name):
        return Fault(where, LINK, "Copy the label itself into the folder.", cell)
    if not (folder / name).is_file():
        return Fault(where, f"There is no file '{path}'.", "Put the label there.", cell)
    return wrong_extension(name, where, cell, task) or folder / name


#: What is said of a link to a file elsewhere.
LINK = "The file is a link that leaves the folder."


def wrong_extension(name: str, where: str, cell: Cell, task: TaskDef) -> Fault | None:
    """What is wrong with a label file's extension, if anything."""
    extensions = codec(task.spec.codec).EXTENSIONS
    ending = PurePosixPath(name).suffix
    if ending.lower() in extensions:
        return None
    read = " or ".join(extensions)
    return Fault(where, f"Labels of {cell.task} are {read} files, not '{ending}'.", "Convert it, or take it out.", cell)
