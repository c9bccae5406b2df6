"""Which image files are named, and whether they can be read. Loads no torch."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from labelgrid.errors import ImageError
from labelgrid.labels.grid import ImageRow
from labelgrid.labels.images import check_image, list_images, read_list
from labelgrid.progress import Progress
from labelgrid.project.settings import group_of

Check = Literal["full", "none"]


@dataclass(frozen=True)
class Found:
    """Image files below one folder: their root and ids."""

    root: Path
    names: list[str]


def find_images(places: Sequence[Path]) -> list[Found]:
    """The images of folders and list files (one path a line, relative to the list).

    Raises:
        ImageError: a place is not there or holds none, or two places hold different images of one id.
    """
    for place in places:
        if not place.exists():
            raise ImageError(
                "There is no such folder of images, and no such list.", where=str(place), next_step="Check the path."
            )
    found = [
        Found(p.resolve(), list_images(p)) if p.is_dir() else Found(p.resolve().parent, read_list(p)) for p in places
    ]
    first: dict[str, Path] = {}
    for part in found if len(found) > 1 else []:
        for name in part.names:
            other = first.setdefault(name, part.root)
            if other != part.root:
                raise ImageError(
                    f"Two images have the id '{name}': one below {other}, one below {part.root}.",
                    next_step="Give the folder above both, so that their paths differ.",
                )
    return found


def rows_of(found: Iterable[Found], check: Check, group: str, progress: Progress) -> Iterator[ImageRow]:
    """Ledger rows of the images, read to their end first (`full`) or not opened at all (`none`).

    Raises:
        ImageError: lists the images that cannot be used.
    """
    found = list(found)
    progress.start(
        "Checking images" if check == "full" else "Listing images", sum(len(f.names) for f in found), "images"
    )
    faults: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for part in found:
            if check == "none":
                for name in part.names:
                    yield ImageRow(name, str(part.root), group=group_of(group, name))
                progress.advance(len(part.names))
                continue
            for row in threads.map(lambda name, root=part.root: _checked(root, name, group), part.names):
                progress.advance()
                if isinstance(row, str):
                    faults.append(row)
                else:
                    yield row
    if faults:
        shown = "\n    ".join(faults[:20]) + (f"\n    and {len(faults) - 20} more" if len(faults) > 20 else "")
        raise ImageError(
            f"{len(faults)} of {sum(len(f.names) for f in found)} images cannot be used:\n    {shown}",
            next_step="Mend or remove them.",
        )


def _checked(root: Path, name: str, group: str) -> ImageRow | str:
    try:
        height, width, digest = check_image(root / name)
    except ImageError as error:
        return f"{name}: {error.what} {error.next_step}"
    return ImageRow(name, str(root), digest, height, width, group=group_of(group, name))
