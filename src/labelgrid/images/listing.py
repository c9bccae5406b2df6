"""Lists the images of a folder or of a list file; opens no image."""

import os
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from labelgrid.basics.errors import ImageError
from labelgrid.basics.files import read_foreign_text, walk
from labelgrid.images.opening import FORMATS

#: The file extensions of images.
EXTENSIONS = frozenset(FORMATS)
#: Gets the errors of images that are left out, by name; None: such an image is an error.
LeftOut = dict[str, ImageError] | None


def list_images(folder: Path) -> list[str]:
    """List the ids of all images below a folder, sorted, without hidden files.

    An id is the relative path with forward slashes.

    Raises:
        ImageError: the folder does not exist or holds no image, or a name is not Unicode.
    """
    return scan_folder(folder)[0]


def scan_folder(folder: Path, left_out: LeftOut = None) -> tuple[list[str], Counter[str]]:
    """List the images below a folder as `list_images`, and count the remaining files by extension.

    Linked folders are entered, too, but each folder only once.

    Images whose names are not Unicode go to `left_out`, by their names as text.

    Raises:
        ImageError: as `list_images`.
    """
    if not folder.is_dir():
        raise ImageError(
            "There is no such folder of images.", where=folder, next_step="Check the path."
        )
    image_ids = []
    others: Counter[str] = Counter()
    for prefix, folders, files in walk(folder, links=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            extension = _extension(name)
            if name.startswith("."):
                continue
            if extension in EXTENSIONS:
                image_ids.append(prefix + name)
            else:
                others[extension] += 1
    if not image_ids:
        fault = "The folder holds no images"
        if others:
            counts = [f"{count} {extension}" for extension, count in sorted(others.items())]
            fault += f", but {', '.join(counts)}"
        raise ImageError(
            f"{fault}.",
            where=folder,
            next_step=f"Images are files that end in {', '.join(sorted(EXTENSIONS))}.",
        )
    return sorted(_unicode_names(image_ids, folder, left_out)), others


def _unicode_names(image_ids: Iterable[str], folder: Path, left_out: LeftOut) -> Iterator[str]:
    for image_id in image_ids:
        try:
            image_id.encode()
        except UnicodeEncodeError as fault:
            error = ImageError(
                f"The file name {image_id!r} is not Unicode.", where=folder, next_step="Rename it."
            )
            if left_out is None:
                raise error from fault
            left_out[image_id.encode(errors="replace").decode()] = error
        else:
            yield image_id


def _extension(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a Path each is slow for a million names


def read_list(path: Path) -> list[str]:
    """Read the ids in a list file, in order.

    Each line is a path relative to the list's folder. Empty lines are ignored.

    Raises:
        ImageError: the list does not exist or is empty, or a line leaves the list's folder, has no
            image extension or appears twice.
    """
    try:
        lines = read_foreign_text(path).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        fault = error.strerror if isinstance(error, OSError) else error
        raise ImageError(
            f"The list cannot be read: {fault}.",
            where=path,
            next_step=getattr(error, "advice", "Give a folder, or a text file of paths."),
        ) from error
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        listed = line.strip()
        image_id = posixpath.normpath(listed)
        if image_id.startswith(("/", "../")):
            raise ImageError(
                f"Line {number}, '{listed}', leaves the list's folder.",
                where=path,
                next_step="Put the list above its images and write paths relative to it.",
            )
        if _extension(listed) not in EXTENSIONS:
            raise ImageError(
                f"Line {number}, '{listed}', does not have the extension of an image.", where=path
            )
        if image_id in line_of:
            raise ImageError(
                f"'{image_id}' is on lines {line_of[image_id]} and {number}.", where=path
            )
        line_of[image_id] = number
    if not line_of:
        raise ImageError(
            "The list names no images.", where=path, next_step="Write one path per line."
        )
    return list(line_of)
