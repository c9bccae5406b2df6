"""Creates a project atomically and draws its held-out images at random. Loads no torch."""

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
    """Create a project, or on any error nothing.

    Held-out images are drawn at random (whole groups, if there are groups). Their labels are requested at once, as
    round 0. They are used for measuring and never trained on.

    Raises:
        LabelgridError: an argument cannot be used; nothing was created.
    """
    check_new(folder)
    check_pattern(settings.group)
    check_recipe(load_recipe(settings.recipe, settings.changes, beside=folder))
    check_options("select", settings.strategy)
    if not tasks:
        raise ProjectError("A project needs a task.", next_step="Add one, for example --task depth.")
    folders = find_images(images)
    _check_holdout(holdout, sum(len(folder.image_ids) for folder in folders))
    with new_project(folder, settings, tasks) as store:
        store.add_images(rows_of(folders, check, settings.group, progress))
        hold_out(store, settings.seed, holdout)
    return ProjectFolder.open(folder)


@contextmanager
def new_project(folder: Path, settings: Settings, tasks: Sequence[TaskRow]) -> Iterator[Store]:
    """Yield the ledger of a new project; the project exists only if the block succeeds.

    Raises:
        ProjectError: the disk reports an error.
    """
    with atomic_project(folder, settings) as building:
        building.mkdir(parents=True)
        with Store.create(building / DATABASE) as store, store.transaction():
            for row in tasks:
                store.add_task(row)
            yield store


@contextmanager
def atomic_project(folder: Path, settings: Settings) -> Iterator[Path]:
    """Yield a temporary folder that becomes the project, with these settings, if the block succeeds.

    Raises:
        ProjectError: the disk reports an error.
    """
    folder = folder.absolute()
    building = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    remove_folder(building)  # a killed process with the same id may have left it
    try:
        yield building
        write_text(building / SETTINGS, settings_text(settings))
        _move_into_place(building, folder)
    except OSError as error:
        raise ProjectError(
            f"The project cannot be created: {error.strerror}.",
            where=str(folder),
            next_step="Free some space or fix the folder's permissions, or give another folder.",
        ) from error
    finally:
        remove_folder(building)


def _move_into_place(building: Path, folder: Path) -> None:
    """Rename the finished project to `folder`; into an existing empty folder file by file, the settings last."""
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
            f"--holdout {count} of {total} images leaves none to train on.", next_step="Hold out fewer images."
        )


def hold_out(store: Store, seed: int, count: int) -> None:
    """Hold out `count` images drawn at random (or whole groups, until `count` is reached); request their labels."""
    if not count:
        return
    rows = list(store.images(("train",)))
    keys = np.array([image_key(row.group or row.image_id) for row in rows], np.uint64)
    draws = keyed_uniform(keys, seed_of(seed, "holdout"))
    held: list[ImageRow] = []
    for index in np.lexsort((keys, draws)):
        row = rows[int(index)]
        if len(held) >= count and (not row.group or row.group != held[-1].group):
            break
        held.append(row)
    if len(held) >= len(rows):
        raise ProjectError(
            "All images would be held out: their groups are too large.",
            next_step="Hold out fewer, or give a finer --group.",
        )
    store.update_images(replace(row, split="heldout") for row in held)
    request_heldout(store, [row.image_id for row in held], [task.name for task in store.tasks()])
