"""Lists the images of a folder or of a list file; opens no image."""

import os
import posixpath
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from labelgrid.errors import ImageError
from labelgrid.files import read_text
from labelgrid.images.opening import FORMATS

#: The file extensions of images.
EXTENSIONS = frozenset(FORMATS)


def list_images(folder: Path) -> list[str]:
    """The ids of all images below a folder: their relative paths with forward slashes, sorted, without hidden files.

    Raises:
        ImageError: the folder does not exist or holds no image, or a name is not Unicode.
    """
    return scan_folder(folder)[0]


def scan_folder(folder: Path) -> tuple[list[str], Counter[str]]:
    """The ids of all images below a folder, as `list_images`, and the number of other files by the end of their names.

    Raises:
        ImageError: as `list_images`.
    """
    if not folder.is_dir():
        raise ImageError(
            "There is no such folder of images.", where=str(folder), next_step="Check the path."
        )
    image_ids: list[str] = []
    others: Counter[str] = Counter()
    for parent, folders, files in _walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        prefix = "" if parent == folder else parent.relative_to(folder).as_posix() + "/"
        shown = [name for name in files if not name.startswith(".")]
        image_ids += [prefix + name for name in shown if _ending(name) in EXTENSIONS]
        others.update(ending for name in shown if (ending := _ending(name)) not in EXTENSIONS)
    if not image_ids:
        found = ", ".join(f"{count} {ending}" for ending, count in sorted(others.items()))
        raise ImageError(
            f"The folder holds no images{f', but {found}' if found else ''}.",
            where=str(folder),
            next_step=f"Images are files that end in {', '.join(sorted(EXTENSIONS))}.",
        )
    return sorted(_unicode(image_id, folder) for image_id in image_ids), others


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """As `os.walk`, but also through linked folders, and each folder only once."""
    visited: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        yield Path(parent), folders, files


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a Path each is slow for a million names


def _unicode(name: str, folder: Path) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ImageError(
            f"The file name {name!r} is not Unicode.", where=str(folder), next_step="Rename it."
        ) from error
    return name


def read_list(path: Path) -> list[str]:
    """The ids in a list file, in its order: one path per line, relative to the list's folder.

    Empty lines are ignored.

    Raises:
        ImageError: the list does not exist or is empty, or a line leaves the list's folder, has no
            image extension or appears twice.
    """
    try:
        lines = read_text(path, "utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        fault = error.strerror if isinstance(error, OSError) else error
        raise ImageError(
            f"The list cannot be read: {fault}.",
            where=str(path),
            next_step="Give a folder, or a text file of paths.",
        ) from error
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        image_id = _listed_id(line.strip(), path, number)
        if image_id in line_of:
            raise ImageError(
                f"'{image_id}' is on lines {line_of[image_id]} and {number}.", where=str(path)
            )
        line_of[image_id] = number
    if not line_of:
        raise ImageError(
            "The list names no images.", where=str(path), next_step="Write one path per line."
        )
    return list(line_of)


def _listed_id(line: str, path: Path, number: int) -> str:
    image_id = posixpath.normpath(line)
    if image_id.startswith(("/", "../")):
        raise ImageError(
            f"Line {number}, '{line}', leaves the list's folder.",
            where=str(path),
            next_step="Put the list above its images and write paths relative to it.",
        )
    if _ending(line) not in EXTENSIONS:
        raise ImageError(
            f"Line {number}, '{line}', does not have the extension of an image.", where=str(path)
        )
    return image_id
