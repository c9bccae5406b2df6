"""Refuses a path that no labelling tool recognises, and describes the path."""

import json
import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

from labelgrid.annotate.answers import spelling_hint
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.other_names import task_and_image
from labelgrid.basics.encodings import begin, decode
from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import open_regular, walk
from labelgrid.basics.words import join_names
from labelgrid.formats.naming import stem
from labelgrid.images.opening import format_of

#: The first bytes of packed files that are not read, and what these are.
_PACKED = {
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
}
#: Where a tar file says that it is one.
_TAR = slice(257, 262)
#: How many bytes of a file are read to say what it is, and of a JSON file.
_START = 4096
_LARGEST = 2**26
#: Formats that hold no picture.
_NO_PICTURES = frozenset({"PDF", "PostScript", "ZIP", "NPY", "a film"})


def refuse_unknown(path: Path, shown: Path, tools: Sequence[str], index: ProjectIndex) -> None:
    """Refuse a path that no tool recognises, except a possible folder of labels.

    Args:
        path: the answer: a file, a folder, or the folder that a zip file was unpacked to.
        shown: the path that was given.
        tools: the names of the known labelling tools.
        index: the project's tasks and requests.

    Raises:
        LabelError: there is nothing, or it is a file, or a zip file without labels.
    """
    is_of_a_task = path == shown or index.options.task in index.tasks
    if path.is_dir() and (is_of_a_task or can_hold_labels(path, index)):
        return
    folder_hint = (
        f"Labels of your own are a folder or zip of TASK/IMAGE.png ({', '.join(index.tasks)})."
    )
    others = [name for name in tools if name != "folder"]
    tools_hint = ""
    if others:
        tools_hint = (
            f"Known are {join_names(others)}, see `labelgrid list tools`; if it is of one of them, "
            f"name that: `--format {others[0]}`. "
        )
    next_step = tools_hint + folder_hint
    if not path.exists():
        message = "There is no such file or folder."
        next_step = "Check the path."
    elif path.is_dir():
        names = _names(path)
        content = "it holds no file"
        if names:
            endings = Counter(PurePosixPath(name).suffix.lower() for name in names)
            counts = [f"{count} {end or 'without an extension'}" for end, count in endings.items()]
            content = f"it holds {join_names(sorted(counts), 5)}, the first '{names[0]}'"
        message = f"No labelling tool that is known packs such a zip file: {content}."
    else:
        kind, advice = _kind(path)
        message = f"It is {kind}, and no labelling tool that is known writes such a file."
        next_step = advice or next_step
    raise LabelError(message, where=shown, next_step=next_step, unchanged="Nothing was imported.")


def _names(folder: Path) -> list[str]:
    paths = []
    for prefix, _, names in walk(folder):
        paths += [prefix + name for name in names]
    return sorted(paths)


def can_hold_labels(folder: Path, index: ProjectIndex) -> bool:
    """Whether a file lies in a folder named like a task, or is named after a request."""
    tasks = sorted({*index.tasks, *index.removed().tasks})
    request_ids = set()
    for name in _names(folder):
        path = PurePosixPath(stem(name))
        request_ids.add(path.name)
        task, image = task_and_image(path)
        if image and (task in tasks or spelling_hint(task, tasks)):
            return True
    return bool(index.requests(request_ids) or index.removed().requests & request_ids)


def _kind(path: Path) -> tuple[str, str]:
    try:
        with open_regular(path) as file:
            start = file.read(_START)
    except OSError as error:
        return f"a file that cannot be read ({error.strerror})", "Fix its permissions."
    unpack = "Unpack it and import the folder, or pack it as a zip file."
    for beginning, kind in _PACKED.items():
        if start.startswith(beginning):
            return kind, unpack
    if start[_TAR] == b"ustar":
        return "a tar archive", unpack
    format = format_of(start[:16])
    if format == "ZIP":
        return "a zip file by another name", "Rename it to end in .zip."
    if format and format not in _NO_PICTURES:
        advice = "Put it into a folder as TASK/IMAGE.png, and import the folder, if it is a label."
        return f"a picture ({format})", advice
    if format:
        return f"a file of the kind {format}", ""
    return _kind_of_text(path, start), ""


def _kind_of_text(path: Path, start: bytes) -> str:
    text = begin(start).decode("utf-8-sig", errors="replace").lstrip()
    if not text:
        return "an empty file"
    if text.startswith("<"):
        element = re.search(r"<([A-Za-z_][\w.:-]*)", text)
        if element:
            return f"an XML file that begins with <{element[1]:.40}>"
        return "an XML file"
    if path.suffix.lower() == ".json" or text[0] in "[{":
        return _kind_of_json(path)
    return f"a file that ends in '{path.suffix}'"


def _kind_of_json(path: Path) -> str:
    try:
        with open_regular(path, _LARGEST) as file:
            value = json.loads(decode(file.read()).text)
    except OSError:
        return "a large JSON file"
    except (ValueError, RecursionError) as error:
        return f"a damaged JSON file ({error!s:.80})"
    if isinstance(value, dict):
        return f"a JSON file with {_keys(value)}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"a JSON file with a list, whose entries have {_keys(value[0])}"
    return "a JSON file"


def _keys(value: Collection[str]) -> str:
    if not value:
        return "no keys"
    return f"the keys {join_names([repr(key)[:40] for key in value], 6)}"
