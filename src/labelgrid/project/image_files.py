"""Lists the image files of folders and list files, and checks that they can be read.

Loads no torch.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from labelgrid.errors import ImageError
from labelgrid.images.listing import read_list, scan_folder
from labelgrid.images.reading import check_image
from labelgrid.ledger.grid import ImageRow
from labelgrid.progress import Progress
from labelgrid.project.settings import group_of
from labelgrid.words import count_text, join_names

Check = Literal["full", "none"]


@dataclass(frozen=True)
class ImageFolder:
    """Image files below one folder: the root and their ids.

    `others` is the number of other files by the end of their names.
    """

    root: Path
    image_ids: list[str]
    others: Mapping[str, int] = field(default_factory=dict)


def find_images(paths: Sequence[Path]) -> list[ImageFolder]:
    """The images of folders and list files (one path per line, relative to the list).

    Raises:
        ImageError: a path does not exist or holds no images, or two paths hold different images
            with the same id.
    """
    for path in paths:
        if not path.exists():
            raise ImageError(
                "There is no such folder of images, and no such list.",
                where=str(path),
                next_step="Check the path.",
            )
    folders = []
    for path in paths:
        if path.is_dir():
            folders.append(ImageFolder(path.resolve(), *scan_folder(path)))
        else:
            folders.append(ImageFolder(path.resolve().parent, read_list(path)))
    if len(folders) > 1:
        _refuse_equal_ids(folders)
    return folders


def _refuse_equal_ids(folders: Sequence[ImageFolder]) -> None:
    roots: dict[str, Path] = {}
    for folder in folders:
        for image_id in folder.image_ids:
            root = roots.setdefault(image_id, folder.root)
            if root != folder.root:
                raise ImageError(
                    f"Two images have the id '{image_id}': one below {root}, one below "
                    f"{folder.root}.",
                    next_step="Give the folder above both, so that their paths differ.",
                )


def other_files_text(others: Mapping[str, int]) -> str:
    """Counts of files by the end of their names, in words; the most frequent first.

    Example:
        >>> other_files_text({".gif": 2, "": 1})
        '2 .gif, 1 without an extension'
    """
    ordered = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {ending or 'without an extension'}" for ending, count in ordered)


def say_other_files(folders: Iterable[ImageFolder], progress: Progress) -> None:
    """Say how many files of which kind were not taken."""
    others: Counter[str] = Counter()
    for folder in folders:
        others.update(folder.others)
    if others:
        progress.say(
            f"Not taken, because they are not images that can be read: {other_files_text(others)}."
        )


def rows_of(
    folders: Iterable[ImageFolder], check: Check, group: str, progress: Progress
) -> Iterator[ImageRow]:
    """Ledger rows of the images; `full` reads every file to its end, `none` opens no file.

    Raises:
        ImageError: lists the images that cannot be used.
    """
    folders = list(folders)
    total = sum(len(folder.image_ids) for folder in folders)
    progress.start("Checking images" if check == "full" else "Listing images", total, "images")
    faults: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for folder in folders:
            if check == "none":
                for image_id in folder.image_ids:
                    yield ImageRow(
                        image_id=image_id, root=str(folder.root), group=group_of(group, image_id)
                    )
                progress.advance(len(folder.image_ids))
                continue
            for row in threads.map(partial(_read_row, folder.root, group), folder.image_ids):
                progress.advance()
                if isinstance(row, str):
                    faults.append(row)
                else:
                    yield row
    if faults:
        raise ImageError(
            f"{len(faults)} of {count_text(total, 'image')} cannot be used:\n    "
            + join_names(faults, between="\n    "),
            next_step="Fix or remove them.",
        )


def _read_row(root: Path, group: str, image_id: str) -> ImageRow | str:
    """The row of an image, or what is wrong with its file."""
    try:
        height, width, digest = check_image(root / image_id)
    except ImageError as error:
        return f"{image_id}: {error.what} {error.next_step}"
    return ImageRow(
        image_id=image_id,
        root=str(root),
        digest=digest,
        height=height,
        width=width,
        group=group_of(group, image_id),
    )
