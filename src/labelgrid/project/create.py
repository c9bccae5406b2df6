"""How a project is created: all of it or nothing, held-out images drawn at random. Loads no torch."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from labelgrid.errors import ProjectError, with_unchanged
from labelgrid.files import remove_folder, write_text
from labelgrid.labels.grid import ImageRow, TaskRow
from labelgrid.labels.store import Store
from labelgrid.progress import Progress
from labelgrid.project.folder import DATABASE, SETTINGS, ProjectFolder, check_new
from labelgrid.project.image_files import Check, find_images, rows_of
from labelgrid.project.requests import request_heldout
from labelgrid.project.settings import Settings, check_pattern, settings_text
from labelgrid.recipes.files import load_recipe
from labelgrid.recipes.resolve import check_options, check_recipe
from labelgrid.streams import image_key, keyed_uniform, seed_of


@with_unchanged("Nothing was made.")
def create(
    folder: Path,
    images: Sequence[Path],
    tasks: Sequence[TaskRow],
    settings: Settings,
    progress: Progress,
    *,
    holdout: int = 0,
    check: Check = "full",
) -> ProjectFolder:
    """Make a project: all of it, or nothing.

    Held-out images are drawn at random (whole groups, if there are groups) and their labels requested at once, as
    round 0; they measure, and are never trained on.

    Raises:
        LabelgridError: what was given cannot be used; nothing was made.
    """
    check_new(folder)
    check_pattern(settings.group)
    check_recipe(load_recipe(settings.recipe, settings.changes, beside=folder))
    check_options("select", settings.strategy)
    if not tasks:
        raise ProjectError("A project needs a task.", next_step="Add --task depth, say.")
    found = find_images(images)
    _check_holdout(holdout, sum(len(part.names) for part in found))
    with new_project(folder, settings, tasks) as store:
        store.add_images(rows_of(found, check, settings.group, progress))
        hold_out(store, settings.seed, holdout)
    return ProjectFolder.open(folder)


@contextmanager
def new_project(folder: Path, settings: Settings, tasks: Sequence[TaskRow]) -> Iterator[Store]:
    """The ledger of a project that is there, whole, when the block ends well; else nothing is.

    Raises:
        ProjectError: the disk refuses.
    """
    with whole(folder, settings) as building:
        building.mkdir(parents=True)
        with Store.create(building / DATABASE) as store, store.transaction():
            for row in tasks:
                store.add_task(row)
            yield store


@contextmanager
def whole(folder: Path, settings: Settings) -> Iterator[Path]:
    """Where to make a folder that becomes the project, with these settings, when the block ends well.

    Raises:
        ProjectError: the disk refuses.
    """
    folder = folder.absolute()
    building = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    remove_folder(building)  # a killed process of this number may have left it
    try:
        yield building
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
    store.update_images(replace(row, split="heldout") for row in taken)
    request_heldout(store, [row.name for row in taken], [task.name for task in store.tasks()])
