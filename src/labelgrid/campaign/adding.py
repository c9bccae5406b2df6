"""How a project grows: new images and tasks; images that moved or changed on disk are known again. Loads no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labelgrid.campaign.finding import Check, find_images, rows_of
from labelgrid.campaign.project import Project
from labelgrid.campaign.setup import request_heldout
from labelgrid.errors import ImageError, leaving
from labelgrid.labels.grid import ImageRow, TaskRow
from labelgrid.progress import Progress


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
        parts = [f"{self.new} images"]
        parts += [f"found {self.moved} that had moved"] if self.moved else []
        parts += [f"took {self.changed} that had changed as they are now"] if self.changed else []
        return ", ".join(parts)


@leaving("Nothing was added.")
def add(project: Project, images: Sequence[Path], tasks: Sequence[TaskRow], check: Check, progress: Progress) -> Added:
    """Add images, each in the split that its group is in, and tasks.

    Known images whose file is gone and lies, with the same content, in a folder named here are found there from now on.

    Raises:
        ImageError: an image cannot be used, or one that has labels changed. LedgerError: a name is taken.
    """
    store, group = project.store, project.settings.group
    rows = list(rows_of(find_images(images), check, group, progress)) if images else []
    known = {row.name: row for row in store.images()} if rows else {}
    moved = [replace(known[row.name], root=row.root) for row in rows if _has_moved(row, known)]
    changed = [
        replace(known[row.name], digest=row.digest, height=row.height, width=row.width)
        for row in rows
        if _has_changed(row, known)
    ]
    _refuse_answered(project, changed)
    splits = {row.group: row.split for row in known.values() if row.group and row.split != "train"}
    with store.transaction():
        for task in tasks:
            store.add_task(task)
        held = {row.name for row in store.images(("heldout",))}
        store.update_images([*moved, *changed])
        added = store.add_images(replace(row, split=splits.get(row.group, "train")) for row in rows)
        new = [row.name for row in store.images(("heldout",)) if row.name not in held]
        request_heldout(store, new, [task.name for task in store.tasks()])
        request_heldout(store, sorted(held), [task.name for task in tasks])
    return Added(added, len(moved), len(changed))


def _has_moved(row: ImageRow, known: Mapping[str, ImageRow]) -> bool:
    old = known.get(row.name)
    if old is None or old.root == row.root or Path(old.root, old.name).exists():
        return False
    return not old.digest or old.digest == row.digest


def _has_changed(row: ImageRow, known: Mapping[str, ImageRow]) -> bool:
    old = known.get(row.name)
    return old is not None and old.root == row.root and bool(row.digest) and old.digest != row.digest


def _refuse_answered(project: Project, changed: Sequence[ImageRow]) -> None:
    """Labels of a file that has another content now may be of another picture."""
    names = {row.name for row in changed if project.store.image(row.name).digest}
    answered = sorted({row.cell.image for row in project.store.cells() if row.cell.image in names}) if names else []
    if answered:
        raise ImageError(
            f"{len(answered)} images changed on disk since they were added, and have labels or requests; the first is "
            f"'{answered[0]}'.",
            next_step="Put the old files back, or give the new pictures other names.",
        )
