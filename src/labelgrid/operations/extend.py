"""Adds images and tasks to a project, and recognises moved and changed images. Loads no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from labelgrid.annotate.answers import Fault
from labelgrid.basics.errors import ImageError, command, note_unchanged
from labelgrid.basics.progress import Progress
from labelgrid.basics.shown import Shown
from labelgrid.basics.words import count_text, join_names
from labelgrid.evidence.near_duplicates import MOST, read_thumbnails
from labelgrid.images.places import existing_images, is_remote
from labelgrid.images.thumbnails import Thumbnail
from labelgrid.ledger.grid import ImageRow, Split, State, TaskRow
from labelgrid.ledger.store import Store
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.holdout import hold_out, holdout_count, say_leaks, say_not_compared
from labelgrid.project.images.image_files import (
    Check,
    ImageFolder,
    find_images,
    rows_of,
    say_other_files,
    write_left_out,
)
from labelgrid.project.images.strides import check_strides
from labelgrid.project.records import all_fits
from labelgrid.project.requests import request_heldout
from labelgrid.project.stored_labels import read_stored_label

if TYPE_CHECKING:  # most projects have no images in stores of objects
    from labelgrid.storage.addresses import Address

#: The splits of images that are measured on.
MEASURED: tuple[Split, ...] = ("val", "test", "heldout")


@dataclass(frozen=True, kw_only=True, repr=False)
class Added(Shown):
    """The result of `add`.

    Args:
        new: the number of images that were not known.
        moved: the number of known images that are now in another folder.
        changed: the number of known images without labels or requests whose file has changed.
        removed: the number of images that were removed from the project, and are left out.
        held: the number of images that are held out from now on.
    """

    new: int
    moved: int
    changed: int
    removed: int = 0
    held: int = 0

    def __str__(self) -> str:
        parts = [count_text(self.new, "new image")]
        if self.moved:
            parts.append(f"{self.moved:,} moved")
        if self.changed:
            parts.append(f"{self.changed:,} updated to the new content")
        if self.removed:
            parts.append(f"{self.removed:,} left out, because of `labelgrid remove`")
        if self.held:
            parts.append(f"{self.held:,} held out now")
        return ", ".join(parts)


@note_unchanged("Nothing was added.")
def add(
    project: ProjectFolder,
    images: "Sequence[Path | Address]",
    tasks: Sequence[TaskRow],
    check: Check,
    progress: Progress,
    *,
    holdout: int | str = 0,
    left_out: list[Fault] | None = None,
) -> Added:
    """Add images, each to the split of its group, and tasks; then hold out images.

    A known image whose file has disappeared is looked up in the given folders; it is moved there if
    the content is the same. A removed image is left out, and its file is not read. `holdout` is a
    number of further images to hold out, or a share of the training images such as "20%"; images
    that were trained on are never held out. Images that cannot be read are added to `left_out` and
    listed in a file of the project; without it, they are an error.

    Raises:
        ImageError: an image cannot be used, or an image with labels has changed.
        LedgerError: a name is taken.
        ProjectError: too few images can be held out.
    """
    store = project.store
    group = project.settings.group

    def remote_roots() -> set[str]:
        return set(filter(is_remote, store.image_roots()))

    folders = find_images(images, left_out, remote_roots) if images else []
    say_other_files(folders, progress)
    folders, removed = _without_removed(project, folders, progress)
    rows: list[ImageRow] = []
    thumbnails = _wanted_thumbnails(store, check, holdout)
    if images:
        rows += rows_of(folders, check, group, progress, left_out=left_out, thumbnails=thumbnails)
    with store.transaction("add"):
        old_rows = {row.image_id: row for row in store.images()}
        moved, changed = _moved_and_changed(rows, old_rows)
        _refuse_answered(project, old_rows, changed)
        placed = _place_in_splits(rows, old_rows)
        _refuse_twins(placed, old_rows)
        for task in tasks:
            store.add_task(task)
        store.update_images([*moved, *changed])
        if changed:
            store.count_change()
        added = store.add_images(placed)
        check_strides(store)
        new_ids = {row.image_id for row in placed} - old_rows.keys()
        held_out = hold_out(
            store,
            project.settings.seed,
            count=holdout_count(holdout, store.count_images(("train",))),
            progress=progress,
            fits=all_fits(project.folder),
            new=new_ids,
        )
        _request_heldout(store, old_rows, tasks)
        if thumbnails is not None and (new_ids or held_out):
            read_thumbnails(store.images(None if held_out else MEASURED), thumbnails)
            say_leaks(store, project.settings.seed, thumbnails, progress)
    if thumbnails is None and (held_out or (new_ids and store.count_images(MEASURED))):
        say_not_compared(project.folder, progress)
    if left_out is not None:
        write_left_out(project.folder, left_out)
    return Added(new=added, moved=len(moved), changed=len(changed), removed=removed, held=held_out)


def _request_heldout(
    store: Store, old_rows: Mapping[str, ImageRow], tasks: Sequence[TaskRow]
) -> None:
    """Request all labels of newly held-out images, and labels of new tasks of all held out."""
    now = [row.image_id for row in store.images(("heldout",))]
    before = set()
    for name, row in old_rows.items():
        if row.split == "heldout":
            before.add(name)
    names = [task.name for task in store.tasks()]
    request_heldout(store, [name for name in now if name not in before], names)
    request_heldout(store, sorted(before), [task.name for task in tasks])


def _wanted_thumbnails(
    store: Store, check: Check, holdout: int | str
) -> dict[str, Thumbnail] | None:
    """An empty collection of thumbnails; None if no images for measuring can be compared."""
    measuring = store.count_images(MEASURED) or holdout_count(holdout, 1)
    if check == "full" and measuring and store.count_images() <= MOST:
        return {}
    return None


def _without_removed(
    project: ProjectFolder, folders: Sequence[ImageFolder], progress: Progress
) -> tuple[list[ImageFolder], int]:
    removed = set(project.store.removed("images"))
    left_out: set[str] = set()
    rest = []
    for folder in folders:
        left_out |= removed.intersection(folder.image_ids)
        image_ids = [image_id for image_id in folder.image_ids if image_id not in removed]
        rest.append(replace(folder, image_ids=image_ids))
    if left_out:
        names = sorted(left_out)
        count = count_text(len(names), "image was", "images were")
        progress.say(
            f"Left out, since {count} removed: {join_names(names, 5)}. To bring one back: "
            f"{command('remove', project.folder, '--restore', names[0])}"
        )
    return rest, len(left_out)


def _moved_and_changed(
    rows: Sequence[ImageRow], old_rows: Mapping[str, ImageRow]
) -> tuple[list[ImageRow], list[ImageRow]]:
    moved = []
    changed = []
    pairs = [(old_rows[row.image_id], row) for row in rows if row.image_id in old_rows]
    there = existing_images((old.root, old.image_id) for old, row in pairs if old.root != row.root)
    for old, row in pairs:
        new = replace(old, root=row.root)
        if row.digest:
            new = replace(new, digest=row.digest, height=row.height, width=row.width)
        if old.root == row.root and new.digest != old.digest:
            changed.append(new)
        is_gone = old.root != row.root and (old.root, old.image_id) not in there
        if is_gone and old.digest in ("", row.digest):
            moved.append(new)
    return moved, changed


def _place_in_splits(rows: Sequence[ImageRow], old_rows: Mapping[str, ImageRow]) -> list[ImageRow]:
    old_splits = [(old.group, old.split) for old in old_rows.values() if old.group]
    splits = {group: split for group, split in old_splits if split != "train"}
    return [replace(row, split=splits.get(row.group, "train")) for row in rows]


def _refuse_answered(
    project: ProjectFolder, old_rows: Mapping[str, ImageRow], changed: Sequence[ImageRow]
) -> None:
    """Refuse changed files of images with labels or requests.

    These may belong to another picture. If the old content is unknown, a label of another size
    shows that the picture differs.
    """
    if not changed:
        return
    rows = {row.image_id: row for row in changed}
    tasks = project.tasks()
    in_part = project.store.parts(image_ids=rows)
    answered = {row.cell.image_id for row in in_part}  # a partition is of one picture
    for cell in project.store.cells():
        row = rows.get(cell.cell.image_id)
        if row is None or row.image_id in answered:
            continue
        if old_rows[row.image_id].digest:
            answered.add(row.image_id)
        elif cell.state == State.LABELLED:
            label = read_stored_label(project, cell, tasks[cell.cell.task])
            if label.size != (row.height, row.width):
                answered.add(row.image_id)
    if answered:
        raise ImageError(
            f"{count_text(len(answered), 'image')} with labels or requests changed on disk; "
            f"the first is '{min(answered)}'.",
            next_step="Put the old files back, or give the new pictures other names.",
        )


def _refuse_twins(rows: Sequence[ImageRow], old_rows: Mapping[str, ImageRow]) -> None:
    measuring = {}
    for old in old_rows.values():
        if old.split != "train":
            measuring[old.digest] = old
    for row in rows:
        twin = measuring.get(row.digest) if row.digest else None
        if twin and row.split == "train" and row.image_id not in old_rows:
            raise ImageError(
                f"'{row.image_id}' is the same picture as '{twin.image_id}' of split "
                f"'{twin.split}', not for training.",
                next_step="Take it out; or, if the folder was moved, give the folder that image "
                "ids are relative to.",
            )
