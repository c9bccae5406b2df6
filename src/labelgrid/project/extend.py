"""Adds images and tasks to a project, and recognises moved and changed images. Loads no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labelgrid.errors import ImageError, with_unchanged
from labelgrid.labels.grid import ImageRow, State, TaskRow
from labelgrid.labels.views import CONTENTS
from labelgrid.progress import Progress
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.image_files import Check, find_images, rows_of
from labelgrid.project.requests import request_heldout


@dataclass(frozen=True)
class Added:
    """The result of `add`.

    Args:
        new: the number of images that were not known.
        moved: the number of known images that are now in another folder.
        changed: the number of known images without labels or requests whose file has changed.
    """

    new: int
    moved: int
    changed: int

    def __str__(self) -> str:
        """A summary in words."""
        parts = [f"{self.new} images are new"]
        parts += [f"{self.moved} had moved"] if self.moved else []
        parts += [f"{self.changed} were updated to their new content"] if self.changed else []
        return ", ".join(parts)


@with_unchanged("Nothing was added.")
def add(
    project: ProjectFolder, images: Sequence[Path], tasks: Sequence[TaskRow], check: Check, progress: Progress
) -> Added:
    """Add images, each to the split of its group, and tasks.

    A known image whose file has disappeared is looked up in the given folders; it is moved there if the content is the
    same.

    Raises:
        ImageError: an image cannot be used, or an image with labels has changed. LedgerError: a name is taken.
    """
    store, group = project.store, project.settings.group
    rows = list(rows_of(find_images(images), check, group, progress)) if images else []
    with store.transaction():
        known = {row.image_id: row for row in store.images()}
        moved = [_updated(known[row.image_id], row) for row in rows if _has_moved(row, known)]
        changed = [_updated(known[row.image_id], row) for row in rows if _has_changed(row, known)]
        _refuse_answered(project, known, changed)
        splits = {row.group: row.split for row in known.values() if row.group and row.split != "train"}
        placed = [replace(row, split=splits.get(row.group, "train")) for row in rows]
        _refuse_twins(placed, known)
        for task in tasks:
            store.add_task(task)
        held = {row.image_id for row in known.values() if row.split == "heldout"}
        store.update_images([*moved, *changed])
        if changed:
            store.put(CONTENTS, store.get(CONTENTS, 0) + 1)
        added = store.add_images(placed)
        new = [row.image_id for row in store.images(("heldout",)) if row.image_id not in held]
        request_heldout(store, new, [task.name for task in store.tasks()])
        request_heldout(store, sorted(held), [task.name for task in tasks])
    return Added(added, len(moved), len(changed))


def _updated(old: ImageRow, row: ImageRow) -> ImageRow:
    """The row of a known image with the new location and content of its file."""
    if not row.digest:
        return replace(old, root=row.root)
    return replace(old, root=row.root, digest=row.digest, height=row.height, width=row.width)


def _has_moved(row: ImageRow, known: Mapping[str, ImageRow]) -> bool:
    old = known.get(row.image_id)
    if old is None or old.root == row.root or Path(old.root, old.image_id).exists():
        return False
    return not old.digest or old.digest == row.digest


def _has_changed(row: ImageRow, known: Mapping[str, ImageRow]) -> bool:
    old = known.get(row.image_id)
    return old is not None and old.root == row.root and bool(row.digest) and old.digest != row.digest


def _refuse_answered(project: ProjectFolder, known: Mapping[str, ImageRow], changed: Sequence[ImageRow]) -> None:
    """Refuse changed files of images with labels or requests, because these may belong to another picture.

    If the old content is unknown, a label of another size shows that the picture differs.
    """
    rows, tasks, answered = {row.image_id: row for row in changed}, project.tasks(), set()
    for cell in project.store.cells() if rows else ():
        row = rows.get(cell.cell.image_id)
        if row is None or row.image_id in answered:
            continue
        if known[row.image_id].digest:
            answered.add(row.image_id)
        elif cell.state == State.LABELLED:
            label = tasks[cell.cell.task].read(project.inside(cell.path))
            answered |= {row.image_id} if label.size != (row.height, row.width) else set()
    if answered:
        raise ImageError(
            f"{len(answered)} images with labels or requests changed on disk since they were added; the first is "
            f"'{min(answered)}'.",
            next_step="Put the old files back, or give the new pictures other names.",
        )


def _refuse_twins(rows: Sequence[ImageRow], known: Mapping[str, ImageRow]) -> None:
    """Refuse new training images with the same content as an image of another split."""
    measuring = {row.digest: row for row in known.values() if row.digest and row.split != "train"}
    for row in rows:
        twin = measuring.get(row.digest)
        if twin and row.split == "train" and row.image_id not in known:
            raise ImageError(
                f"'{row.image_id}' is the same picture as '{twin.image_id}' of split '{twin.split}', not for training.",
                next_step="Take it out; or, if the folder was moved, give the folder that image ids are relative to.",
            )
