"""Creates a project atomically and draws its held-out images at random. Loads no torch."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from labelgrid.annotate.answers import Fault
from labelgrid.basics.config import check_pattern
from labelgrid.basics.errors import LedgerError, ProjectError, note_unchanged
from labelgrid.basics.files import remove_folder, write_text
from labelgrid.basics.progress import Progress
from labelgrid.evidence.near_duplicates import MOST
from labelgrid.images.places import is_remote
from labelgrid.images.thumbnails import Thumbnail
from labelgrid.ledger.creation import discard
from labelgrid.ledger.grid import TaskRow
from labelgrid.ledger.place import LedgerPlace, place_in
from labelgrid.ledger.store import Store
from labelgrid.project.folder import MARKER, SETTINGS, ProjectFolder, check_new, remove_unfinished
from labelgrid.project.images.holdout import hold_out, holdout_count, say_leaks, say_not_compared
from labelgrid.project.images.image_files import (
    Check,
    find_images,
    rows_of,
    say_other_files,
    write_left_out,
)
from labelgrid.project.images.known_cameras import take_cameras
from labelgrid.project.images.strides import check_strides
from labelgrid.project.settings import Settings, read_settings, settings_text
from labelgrid.recipes.resolve import check_options, check_recipe, load_recipe
from labelgrid.relations.bound import declared_relations
from labelgrid.tasks.task import definitions

if TYPE_CHECKING:  # most projects have no images in stores of objects
    from labelgrid.storage.addresses import Address


@note_unchanged("Nothing was made.")
def create(
    folder: Path,
    images: "Sequence[Path | Address]",
    tasks: Sequence[TaskRow],
    settings: Settings,
    progress: Progress,
    *,
    holdout: int | str = 0,
    check: Check = "full",
    left_out: list[Fault] | None = None,
) -> ProjectFolder:
    """Create a project, or on any error nothing.

    Held-out images are drawn at random (whole groups, if there are groups, and with all copies of a
    picture). Their labels are requested at once, as round 0. They are used for measuring and never
    trained on. `holdout` is their number, or a share such as "20%". Images that cannot be read are
    added to `left_out` and listed in a file of the project; without it, they are an error. If there
    is one folder of images, a `camera.toml` beside it is copied.

    Raises:
        LabelgridError: an argument cannot be used; nothing was created.
    """
    check_new(folder)
    if not images:
        raise ProjectError("No images were named.", next_step="Name a folder of images.")
    check_pattern(settings.group)
    recipe = load_recipe(settings.recipe, settings.changes, beside=folder)
    check_recipe(recipe)
    check_options("strategies", settings.strategy)
    if not tasks:
        raise ProjectError(
            "A project needs a task.", next_step="Add one, for example --task depth."
        )
    declared_relations(recipe.relations, definitions(list(tasks)))
    folders = find_images(images, left_out)
    say_other_files(folders, progress)
    total = sum(len(folder.image_ids) for folder in folders)
    count = _held_out(holdout, total)
    with new_project(folder, settings, tasks) as (building, store):
        is_compared = count and total <= MOST and check == "full"
        thumbnails: dict[str, Thumbnail] | None = {} if is_compared else None
        rows = rows_of(
            folders, check, settings.group, progress, left_out=left_out, thumbnails=thumbnails
        )
        total = store.add_images(rows)
        count = _held_out(holdout, total)
        check_strides(store)
        write_left_out(building, left_out or ())
        if len(folders) == 1 and not is_remote(folders[0].root):
            take_cameras(Path(folders[0].root), building, progress)
        hold_out(store, settings.seed, count, progress)
        say_leaks(store, settings.seed, thumbnails or {}, progress)
    if count and thumbnails is None:
        say_not_compared(folder, progress)
    return ProjectFolder.open(folder)


@contextmanager
def new_project(
    folder: Path, settings: Settings, tasks: Sequence[TaskRow]
) -> Iterator[tuple[Path, Store]]:
    """Yield the folder and the ledger of a new project, which exists only if the block succeeds.

    The folder is a temporary one, which becomes the project.

    Raises:
        ProjectError: the disk reports an error.
        LedgerError: there is a ledger in the database that the settings name, or it cannot be used.
    """
    made: LedgerPlace | None = None
    try:
        with atomic_project(folder, settings) as building:
            building.mkdir(parents=True)
            ledger = place_in(building, settings.ledger)
            with Store.creation(ledger, "init") as store:
                for row in tasks:
                    store.add_task(row)
                yield building, store
            made = ledger
    except BaseException:
        if made is not None and settings.ledger:
            with suppress(LedgerError):  # the cause is what the user must know
                discard(made)
        raise


@contextmanager
def atomic_project(folder: Path, settings: Settings) -> Iterator[Path]:
    """Yield a temporary folder that becomes the project if the block succeeds.

    The project has these settings.

    Raises:
        ProjectError: the disk reports an error, or another call made a project meanwhile.
    """
    folder = folder.absolute()
    building = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    remove_folder(building)  # a killed process with the same id may have left it
    try:
        yield building
        write_text(building / SETTINGS, settings_text(settings))
        read_settings(building / SETTINGS)  # what cannot be read back is refused now
        _move_into_place(building, folder)
    except UnicodeEncodeError as error:
        raise ProjectError(
            f"The settings are not Unicode: {error.object!r}.",
            next_step="Rename the file or folder that they name.",
        ) from error
    except OSError as error:
        raise ProjectError(
            f"The project cannot be created: {error.strerror}.",
            where=folder,
            next_step="Free some space or fix the folder's permissions, or give another folder.",
        ) from error
    finally:
        remove_folder(building)


def _move_into_place(building: Path, folder: Path) -> None:
    """Rename the finished project to `folder`, which still must be new.

    Files are moved into an existing empty folder one by one, the settings last. A marker shows that
    the files belong to a stopped call, so that the next call may remove them. One call at a time
    moves its files: other calls wait, and then find the project.
    """
    if not folder.exists():
        with suppress(OSError):  # another call made the folder since, or the disk reports why below
            building.rename(folder)
            return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # ends with the process
        check_new(folder)
        remove_unfinished(folder)
        # Made in the folder that is locked, so that no other call's folder can take its place.
        os.close(os.open(MARKER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=handle))
        for path in sorted(building.iterdir(), key=lambda path: path.name == SETTINGS):
            path.rename(folder / path.name)
        (folder / MARKER).unlink()
        building.rmdir()
    finally:
        os.close(handle)


def _held_out(holdout: int | str, total: int) -> int:
    count = holdout_count(holdout, total)
    if count >= total:
        raise ProjectError(
            f"--holdout {count} of {total} images leaves none to train on.",
            next_step="Hold out fewer images.",
        )
    return count
