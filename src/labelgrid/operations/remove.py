"""Takes images out of a project and brings images back, without loss of history.

Loads no torch.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from labelgrid.basics.errors import LedgerError, note_unchanged
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.shown import Shown
from labelgrid.basics.words import count_text, join_names
from labelgrid.ledger.grid import ImageRow, State
from labelgrid.ledger.store import CellRow, Store
from labelgrid.operations.cancel import cancel_all
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.holdout import families
from labelgrid.project.images.strides import check_strides
from labelgrid.project.requests import request_heldout
from labelgrid.project.stored_labels import refuse_changed, refuse_misfits


@dataclass(frozen=True, repr=False)
class Removed(Shown):
    """The result of `remove`: the number of images, of cancelled requests, and of their labels."""

    images: int
    cancelled: int
    labels: int

    def __str__(self) -> str:
        images = count_text(self.images, "image")
        text = f"Removed {images}, cancelled {count_text(self.cancelled, 'request')}."
        if not self.labels:
            return text
        return f"{text} {count_text(self.labels, 'label stays', 'labels stay')} on disk, unused."


@dataclass(frozen=True, repr=False)
class Restored(Shown):
    """The result of `restore`: the number of images, and of their labels."""

    images: int
    labels: int

    def __str__(self) -> str:
        return (
            f"Restored {count_text(self.images, 'image')}, with {count_text(self.labels, 'label')}."
        )


def remove(project: ProjectFolder, image_ids: Sequence[str]) -> Removed:
    """Take images out of the project, all or none.

    Neither image files nor label files are touched. Open requests are cancelled. What was spent on
    the images counts as spent. `restore` brings images back.

    Raises:
        LedgerError: the project has no such image; the error lists them. Nothing was removed.
    """
    store = project.store
    wanted = list(dict.fromkeys(image_ids))
    with store.transaction("remove"):
        unknown = set(wanted) - {row.image_id for row in store.images(names=wanted)}
        if unknown:
            raise LedgerError(
                f"The project has no image {join_names(list(map(repr, sorted(unknown))))}.",
                where=project.folder,
                next_step="An image is named by its path below the folder that was given to `init` "
                "or `add`.",
                unchanged="Nothing was removed.",
            )
        requested = []
        labels = 0
        for image_id in wanted:
            for row in store.cells(image_id=image_id):
                labels += row.state == State.LABELLED
                if row.state == State.REQUESTED:
                    requested.append(row)
        cancelled = cancel_all(store, requested, "image removed")
        count = store.remove("images", wanted)
    return Removed(count, cancelled, labels)


def restore(
    project: ProjectFolder, image_ids: Sequence[str], progress: Progress | None = None
) -> Restored:
    """Bring removed images back, all or none, with their labels.

    Missing labels of held-out images are requested again.

    Raises:
        LedgerError: an image was not removed, or an image of its group or with its content is in
            another split now.
        LabelError: labels do not fit what their tasks declare today; lists them. Damaged files are
            left to `verify`.
        ImageError: a task's stride does not divide an image's sides. Nothing was restored.
    """
    store = project.store
    wanted = list(dict.fromkeys(image_ids))
    with (
        note_unchanged("Nothing was restored."),
        store.as_restored("images", wanted),
    ):  # read before the ledger is locked
        tasks = store.tasks()
        labelled = _labels_of(store, wanted)
        refuse_misfits(project, labelled, progress or Silent())
    with note_unchanged("Nothing was restored."), store.transaction("remove"):
        removed = store.removed("images")
        unknown = set(wanted) - set(removed)
        if unknown:
            raise LedgerError(
                f"The project has no removed image {join_names(list(map(repr, sorted(unknown))))}.",
                where=project.folder,
                next_step=f"Removed: {join_names(sorted(removed)) or 'none'}.",
            )
        store.restore("images", wanted)
        rows = list(store.images())
        restored = [row for row in rows if row.image_id in set(wanted)]
        refuse_other_split(rows, restored)
        check_strides(store)
        refuse_changed(project, tasks, labelled, _labels_of(store, wanted))
        heldout = [row.image_id for row in restored if row.split == "heldout"]
        request_heldout(store, heldout, [task.name for task in store.tasks()])
    return Restored(len(wanted), len(labelled))


def _labels_of(store: Store, image_ids: Sequence[str]) -> list[CellRow]:
    labels: list[CellRow] = []
    for image_id in image_ids:
        labels += store.cells(image_id=image_id, state=State.LABELLED)
    return labels


def refuse_other_split(rows: Sequence[ImageRow], restored: Sequence[ImageRow]) -> None:
    """Refuse to restore an image if its family is in another split now.

    The family of an image are its copies and the images of its group.

    Raises:
        LedgerError: one was.
    """
    family = families(rows)
    splits = defaultdict[str, dict[str, str]](dict)
    for row in rows:
        splits[family[row.image_id]][row.split] = row.image_id
    for row in restored:
        for split, other in splits[family[row.image_id]].items():
            if split == row.split:
                continue
            raise LedgerError(
                f"'{row.image_id}' is of the split '{row.split}', but '{other}', of the same group "
                f"or with the same content, is of '{split}' now.",
                next_step="Leave it out.",
            )
