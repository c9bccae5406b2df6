"""How images and tasks are added to a project; moved or changed images are recognised. Loads no torch."""

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
    """What an addition did.

    Args:
        new: images that were not known.
        moved: known images that lie in another folder now.
        changed: known images without an answer or a request whose file has another content now.
    """

    new: int
    moved: int
    changed: int

    def __str__(self) -> str:
        """A sentence."""
        told = [f"{self.new} images are new"]
        told += [f"{self.moved} had moved"] if self.moved else []
        told += [f"{self.changed} were taken with the content they have now"] if self.changed else []
        return ", ".join(told)


@with_unchanged("Nothing was added.")
def add(
    project: ProjectFolder, images: Sequence[Path], tasks: Sequence[TaskRow], check: Check, progress: Progress
) -> Added:
    """Add images, each in the split that its group is in, and tasks.

    Known images whose file is gone and lies, with the same content, in a folder named here are found there from now on.

    Raises:
        ImageError: an image cannot be used, or one that has labels changed. LedgerError: a name is taken.
    """
    store, group = project.store, project.settings.group
    rows = list(rows_of(find_images(images), check, group, progress)) if images else []
    with store.transaction():
        known = {row.name: row for row in store.images()}
        moved = [_now(known[row.name], row) for row in rows if _has_moved(row, known)]
        changed = [_now(known[row.name], row) for row in rows if _has_changed(row, known)]
        _refuse_answered(project, known, changed)
        splits = {row.group: row.split for row in known.values() if row.group and row.split != "train"}
        placed = [replace(row, split=splits.get(row.group, "train")) for row in rows]
        _refuse_twins(placed, known)
        for task in tasks:
            store.add_task(task)
        held = {row.name for row in known.values() if row.split == "heldout"}
        store.update_images([*moved, *changed])
        if changed:
            store.put(CONTENTS, store.get(CONTENTS, 0) + 1)
        added = store.add_images(placed)
        new = [row.name for row in store.images(("heldout",)) if row.name not in held]
        request_heldout(store, new, [task.name for task in store.tasks()])
        request_heldout(store, sorted(held), [task.name for task in tasks])
    return Added(added, len(moved), len(changed))


def _now(old: ImageRow, row: ImageRow) -> ImageRow:
    """A known image where and what its file is now."""
    if not row.digest:
        return replace(old, root=row.root)
    return replace(old, root=row.root, digest=row.digest, height=row.height, width=row.width)


def _has_moved(row: ImageRow, known: Mapping[str, ImageRow]) -> bool:
    old = known.get(row.name)
    if old is None or old.root == row.root or Path(old.root, old.name).exists():
        return False
    return not old.digest or old.digest == row.digest


def _has_changed(row: ImageRow, known: Mapping[str, ImageRow]) -> bool:
    old = known.get(row.name)
    return old is not None and old.root == row.root and bool(row.digest) and old.digest != row.digest


def _refuse_answered(project: ProjectFolder, known: Mapping[str, ImageRow], changed: Sequence[ImageRow]) -> None:
    """Labels of a file that has another content now may be of another picture.

    Where the old content is not known, a label of another size tells.
    """
    rows, tasks, answered = {row.name: row for row in changed}, project.tasks(), set()
    for cell in project.store.cells() if rows else ():
        row = rows.get(cell.cell.image)
        if row is None or row.name in answered:
            continue
        if known[row.name].digest:
            answered.add(row.name)
        elif cell.state == State.LABELLED:
            label = tasks[cell.cell.task].read(project.inside(cell.path))
            answered |= {row.name} if label.size != (row.height, row.width) else set()
    if answered:
        raise ImageError(
            f"{len(answered)} images changed on disk since they were added, and have labels or requests; the first is "
            f"'{min(answered)}'.",
            next_step="Put the old files back, or give the new pictures other names.",
        )


def _refuse_twins(rows: Sequence[ImageRow], known: Mapping[str, ImageRow]) -> None:
    """A new image with the content of one that measures would be trained on."""
    measuring = {row.digest: row for row in known.values() if row.digest and row.split != "train"}
    for row in rows:
        twin = measuring.get(row.digest)
        if twin and row.split == "train" and row.name not in known:
            raise ImageError(
                f"'{row.name}' is the same picture as '{twin.name}' of split '{twin.split}': not to be trained on.",
                next_step="Take it out; or, if the folder was moved, name the folder that image ids are relative to.",
            )
