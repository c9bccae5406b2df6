"""Sets aside images with missing, changed or unreadable files, so that no command stops.

Loads no torch.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from labelgrid.basics.errors import ImageError, command
from labelgrid.basics.files import digest
from labelgrid.basics.progress import Progress
from labelgrid.basics.words import count_text, join_names
from labelgrid.images.places import existing_images, is_remote
from labelgrid.ledger.grid import ImageRow
from labelgrid.project.folder import ProjectFolder

#: The ledger's note of the images that are set aside: image id -> the reason.
SET_ASIDE = "set_aside"
#: The number of images that a warning names.
SHOWN = 5


def find_unusable_images(
    project: ProjectFolder, image_ids: Collection[str], progress: Progress
) -> frozenset[str]:
    """Check the files of images, warn of faults, and return the images to leave out.

    An image is left out if its file is missing, unreadable, or not the file that was added. An
    image that can be read again is used again. The result depends on the files only.
    """
    if project.settings.oracle or not image_ids:
        return frozenset()
    rows: list[ImageRow] = []
    remote: list[ImageRow] = []
    for row in project.store.images(names=image_ids):
        (remote if row.is_remote else rows).append(row)
    faults = _remote_faults(remote, progress, ahead=True)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for row, reason in zip(rows, threads.map(_find_fault, rows), strict=True):
            if reason:
                faults[row.image_id] = reason
    _note_and_warn(project, set(image_ids), faults, progress)
    return frozenset(faults)


def unusable_objects(
    project: ProjectFolder, image_ids: Collection[str], progress: Progress
) -> dict[str, str]:
    """The reasons why objects of some images are missing or have changed, by image.

    Who reads an image from the cache does not notice it. Other faults are found by who reads it.
    """
    if project.settings.oracle or not any(map(is_remote, project.store.image_roots())):
        return {}
    rows = [row for row in project.store.images(names=image_ids) if row.is_remote]
    return _remote_faults(rows, progress, ahead=False)


def note_unusable_images(
    project: ProjectFolder,
    image_ids: Collection[str],
    faults: Mapping[str, str],
    progress: Progress,
) -> None:
    """Note and warn of the images that a run could not use.

    `image_ids` were read; `faults` has the reasons why some could not be used.
    """
    reasons = dict(faults)
    if faults:  # in the words of a check of the files, where the check finds a fault
        for row in project.store.images(names=faults):
            reason = "" if row.is_remote else _find_fault(row)
            reasons[row.image_id] = reason or reasons[row.image_id]
    _note_and_warn(project, image_ids, reasons, progress)


def usable_images(
    project: ProjectFolder, image_ids: Sequence[str], progress: Progress
) -> list[str]:
    """The images, in order, but for the unusable ones.

    Raises:
        ImageError: there are images, and none of them can be used.
    """
    unusable = find_unusable_images(project, image_ids, progress)
    usable = [image_id for image_id in image_ids if image_id not in unusable]
    if unusable and not usable:
        first = min(unusable)
        reason = project.store.get(SET_ASIDE, {}).get(first, "")
        raise ImageError(
            f"No image that is needed can be read. '{first}': {reason}",
            where=project.folder,
            next_step="Put them back; if the folder was moved, "
            f"`{command('add', project.folder, '--images', 'NEW-PLACE')}` finds them again.",
        )
    return usable


def images_without_files(project: ProjectFolder, image_ids: Sequence[str]) -> frozenset[str]:
    """The images whose files are missing; no file is opened, and no store of objects is asked."""
    rows = [row for row in project.store.images(names=image_ids) if not row.is_remote]
    there = existing_images((row.root, row.image_id) for row in rows)
    return frozenset(row.image_id for row in rows if (row.root, row.image_id) not in there)


def noted_unusable_images(project: ProjectFolder) -> dict[str, str]:
    """The images set aside by the last commands that are still unusable, with reasons.

    No store of objects is asked: images there count as they were found last.
    """
    faults = {}
    noted = project.store.get(SET_ASIDE, {})
    for row in project.store.images(names=noted):
        reason = noted[row.image_id] if row.is_remote else _find_fault(row)
        if reason:
            faults[row.image_id] = reason
    return faults


def _remote_faults(rows: Sequence[ImageRow], progress: Progress, *, ahead: bool) -> dict[str, str]:
    """The faults of images in stores of objects, by image.

    With `ahead`, missing objects are fetched into the cache; otherwise faults are found on reading.
    """
    if not rows:
        return {}
    # Most projects have no objects.
    from labelgrid.project.images.object_faults import object_faults

    errors = object_faults(rows, progress, ahead=ahead, cached=not ahead)
    return {image_id: error.what for image_id, error in errors.items()}


def _find_fault(row: ImageRow) -> str:
    """The fault of an image's file on this machine; "" if usable."""
    # Slow to load, and most projects have no fault.
    from labelgrid.images.reading import changed_image_error, check_image

    path = Path(row.root) / row.image_id
    try:
        if not path.exists():
            return "There is no such file."
        if not row.digest:
            check_image(path)
        elif digest(path) != row.digest:
            return changed_image_error(path).what
    except ImageError as error:
        return error.what
    except (OSError, ValueError) as error:
        return f"The file cannot be read: {getattr(error, 'strerror', None) or error}."
    return ""


def _note_and_warn(
    project: ProjectFolder, checked: Collection[str], faults: Mapping[str, str], progress: Progress
) -> None:
    _note(project, checked, faults)
    if not faults:
        return
    reasons = [f"'{name}': {reason.rstrip('.')}" for name, reason in sorted(faults.items())]
    images = count_text(
        len(faults),
        "image is set aside, with its cells, until its file is back",
        "images are set aside, with their cells, until their files are back",
    )
    progress.say(
        f"{images} ({join_names(reasons, SHOWN, '; ')}). `labelgrid remove` takes images out."
    )


def _note(project: ProjectFolder, checked: Collection[str], faults: Mapping[str, str]) -> None:
    store = project.store
    if not faults and store.get(SET_ASIDE, {}).keys().isdisjoint(checked):
        return
    with store.transaction():
        before = store.get(SET_ASIDE, {})
        others = {}
        for image_id in before:
            if image_id not in checked:
                others[image_id] = before[image_id]
        after = {**others, **faults}
        if after != before:
            store.put(SET_ASIDE, after)
