"""Finds images without a split, and puts them into a split. Loads no torch.

Older versions let Python code put images into splits that no command reads.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from labelgrid.basics.errors import LedgerError, command, note_unchanged
from labelgrid.basics.words import count_text, join_names
from labelgrid.ledger.grid import NO_SPLIT, SPLITS, OpenSplit
from labelgrid.ledger.roster import SplitlessImages
from labelgrid.project.folder import ProjectFolder

if TYPE_CHECKING:  # slow to load, and needed where there are such images alone
    from labelgrid.annotate.answers import Fault


def splitless_sentence(project: ProjectFolder) -> str:
    """Sentences on images without a split, with the commands that give a split; "" if none."""
    return " ".join(f"{fault.what} {fault.next_step}" for fault in splitless_faults(project))


def splitless_faults(project: ProjectFolder) -> "list[Fault]":
    """As `splitless_sentence`, as faults: one for each unknown split."""
    return [_fault(project, images) for images in project.store.splitless_images()]


def _fault(project: ProjectFolder, images: SplitlessImages) -> "Fault":
    from labelgrid.annotate.answers import Fault

    names = [*images.names, "others"] if images.count > len(images.names) else images.names
    verb = count_text(images.count, "image is", "images are")
    words = ("split", project.folder, "train", "--was", images.split)
    return Fault(
        images.names[0],
        f"{verb} in the unknown split '{images.split}', and in no training: {join_names(names)}.",
        f"`{command(*words)}` puts all of it into training; val and test are possible, too.",
    )


@note_unchanged("Nothing was changed.")
def set_split(
    project: ProjectFolder, split: OpenSplit, image_ids: Sequence[str] = (), was: str = ""
) -> list[str]:
    """Put images without a split into a split, all or none.

    Without `image_ids`, all of them, or those of the unknown split `was`.

    Returns:
        their ids, ordered.

    Raises:
        LedgerError: an image is unknown or already in a split; or an image of its group or with its
            content is in another split.
    """
    from labelgrid.operations.remove import refuse_other_split  # slow to load

    store = project.store
    with store.transaction("split"):
        for image_id in image_ids:
            store.image(image_id)  # refuses unknown ones
        rows = list(store.images())
        chosen = set(image_ids) or {row.image_id for row in rows if row.split not in SPLITS}
        moved = [row for row in rows if row.image_id in chosen]
        if was:
            moved = [row for row in moved if row.split == f"{NO_SPLIT}{was}"]
        _refuse_known(project, [row.image_id for row in moved if row.split in SPLITS], bool(moved))
        names = {row.image_id for row in moved}
        store.keep()  # an operation, which moves no cell
        store.update_images(replace(row, split=split) for row in moved)
        refuse_other_split(list(store.images()), [replace(row, split=split) for row in moved])
    return sorted(names)


def _refuse_known(project: ProjectFolder, in_split: Sequence[str], is_any: bool) -> None:
    if in_split:
        images = count_text(len(in_split), "image is", "images are")
        fault = f"{images} in a split already: {join_names(in_split, 5)}."
    elif not is_any:
        fault = "The project has no such image that is in no split."
    else:
        return
    raise LedgerError(
        fault,
        where=project.folder,
        next_step="`labelgrid status` names the images that are in none.",
    )
