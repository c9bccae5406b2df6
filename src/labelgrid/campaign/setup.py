"""How a project begins and grows: images checked before anything is made, held-out images drawn. Loads no torch."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from labelgrid.campaign.project import (
    DATABASE,
    SETTINGS,
    Project,
    Settings,
    check_new,
    check_pattern,
    group_of,
    remove_folder,
    settings_text,
    write_text,
)
from labelgrid.errors import ImageError, ProjectError, leaving
from labelgrid.labels.grid import Cell, ImageRow, Move, Split, State, TaskRow
from labelgrid.labels.images import check_image, list_images, read_list
from labelgrid.labels.store import Store
from labelgrid.progress import Progress
from labelgrid.streams import image_key, keyed_uniform, seed_of

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
        Found(p.absolute(), list_images(p)) if p.is_dir() else Found(p.parent.absolute(), read_list(p)) for p in places
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


@leaving("Nothing was made.")
def create(
    folder: Path,
    images: Sequence[Path],
    tasks: Sequence[TaskRow],
    settings: Settings,
    progress: Progress,
    *,
    holdout: int = 0,
    check: Check = "full",
) -> Project:
    """Make a project: all of it, or nothing.

    Held-out images are drawn at random (whole groups, if there are groups) and their labels requested at once, as
    round 0; they measure, and are never trained on.

    Raises:
        LabelgridError: what was given cannot be used; nothing was made.
    """
    check_new(folder)
    check_pattern(settings.group)
    if not tasks:
        raise ProjectError("A project needs a task.", next_step="Add --task depth, say.")
    found = find_images(images)
    _check_holdout(holdout, sum(len(part.names) for part in found))
    folder = folder.absolute()
    building = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    remove_folder(building)  # a killed process of this number may have left it
    try:
        building.mkdir(parents=True)
        with Store.create(building / DATABASE) as store, store.transaction():
            for row in tasks:
                store.add_task(row)
            store.add_images(rows_of(found, check, settings.group, progress))
            hold_out(store, settings.seed, holdout)
        write_text(building / SETTINGS, settings_text(settings))
        _put(building, folder)
    except OSError as error:
        raise ProjectError(
            f"The project cannot be made: {error.strerror}.",
            where=str(folder),
            next_step="Free some space or mend the folder's permissions, or name another folder.",
        ) from error
    finally:
        remove_folder(building)
    return Project.open(folder)


def _put(building: Path, folder: Path) -> None:
    """Move a made project to its place; into an empty folder that is there piece by piece, the settings last."""
    if not folder.exists():
        building.rename(folder)
        return
    for path in sorted(building.iterdir(), key=lambda path: path.name == SETTINGS):
        path.rename(folder / path.name)
    building.rmdir()


def _check_holdout(count: int, total: int) -> None:
    if count < 0:
        raise ProjectError(f"--holdout must not be below 0. Found {count}.")
    if count >= total:
        raise ProjectError(
            f"--holdout {count} of {total} images leaves none to learn from.", next_step="Hold out fewer images."
        )


def hold_out(store: Store, seed: int, count: int) -> None:
    """Put `count` images drawn at random (or whole groups, until there are so many) aside and request their labels."""
    if not count:
        return
    rows = list(store.images(("train",)))
    keys = np.array([image_key(row.group or row.name) for row in rows], np.uint64)
    draws = keyed_uniform(keys, seed_of(seed, "holdout"))
    taken: list[ImageRow] = []
    for place in np.lexsort((keys, draws)):
        row = rows[int(place)]
        if len(taken) >= count and (not row.group or row.group != taken[-1].group):
            break
        taken.append(row)
    if len(taken) >= len(rows):
        raise ProjectError(
            "The held-out images would be all images: their groups are too large.",
            next_step="Hold out fewer, or give a finer --group.",
        )
    store.update_images(_in_split(row, "heldout") for row in taken)
    request_heldout(store, [row.name for row in taken], [task.name for task in store.tasks()])


def request_heldout(store: Store, names: Sequence[str], tasks: Sequence[str]) -> None:
    """Request the missing cells of held-out images for these tasks, as round 0."""
    cells = [Cell(name, task) for name in names for task in tasks]
    cost = {task.name: task.cost for task in store.tasks()}
    known = store.find(cells)
    store.move(
        [
            Move(cell, State.REQUESTED, 0, request_id(0, cell), cost=cost[cell.task], why="held out for measuring")
            for cell in cells
            if known[cell].state == State.MISSING
        ]
    )


def _in_split(row: ImageRow, split: Split) -> ImageRow:
    return ImageRow(row.name, row.root, row.digest, row.height, row.width, split, row.group)


def request_id(round: int, cell: Cell) -> str:
    """The id of a request: the same for the same round and cell.

    Example:
        >>> request_id(3, Cell("a.jpg", "depth")) == request_id(3, Cell("a.jpg", "depth"))
        True
    """
    return f"r{round}-{seed_of(0, cell.image, cell.task):016x}"


@leaving("Nothing was added.")
def add(project: Project, images: Sequence[Path], tasks: Sequence[TaskRow], check: Check, progress: Progress) -> int:
    """Add images (each in the split that its group is in) and tasks; returns how many images were new."""
    store, group = project.store, project.settings.group
    rows = list(rows_of(find_images(images), check, group, progress)) if images else []
    splits = {row.group: row.split for row in store.images(("val", "test", "heldout")) if row.group}
    with store.transaction():
        for task in tasks:
            store.add_task(task)
        known = {row.name for row in store.images(("heldout",))}
        added = store.add_images(_in_split(row, splits.get(row.group, "train")) for row in rows)
        new = [row.name for row in store.images(("heldout",)) if row.name not in known]
        request_heldout(store, new, [task.name for task in store.tasks()])
        request_heldout(store, sorted(known), [task.name for task in tasks])
    return added
