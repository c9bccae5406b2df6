"""Requests and skips the cells, and holds out the images, that a user names. Loads no torch."""

from collections.abc import Sequence

from labelgrid.basics.errors import ProjectError, UsageError
from labelgrid.basics.progress import Progress
from labelgrid.basics.words import join_names
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.operations.cancel import find_rows
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.holdout import families, images_trained_on, put_into_heldout
from labelgrid.project.records import all_fits
from labelgrid.project.requests import request_outside_rounds

#: The reason of a request by hand.
CHOSEN = "chosen by hand"
#: The longest reason of a skip.
MOST_CHARACTERS = 500


def request(project: ProjectFolder, cells: Sequence[str]) -> list[Cell]:
    """Request missing cells, all or none, outside the rounds.

    Cells are named as `IMAGE:TASK`.

    Raises:
        LedgerError: a name is unknown, or its cell is not missing; the error lists them. Nothing
            was requested.
    """
    store = project.store
    with store.transaction("request"):
        rows = find_rows(project, cells, State.MISSING, "requested")
        request_outside_rounds(store, [row.cell for row in rows], CHOSEN)
    return [row.cell for row in rows]


def skip(project: ProjectFolder, cells: Sequence[str], why: str = "") -> list[Cell]:
    """Skip requested cells, all or none: nobody can label them. They are not requested again.

    Cells are named as `IMAGE:TASK` or by request ids. The reason is one line.

    Raises:
        LedgerError: a name is unknown, or its cell is not requested; the error lists them. Nothing
            was skipped.
        UsageError: the reason is longer than a line.
    """
    if len(why) > MOST_CHARACTERS or not why.isprintable():
        raise UsageError(
            f"The reason of a skip is one line of at most {MOST_CHARACTERS} characters.",
            unchanged="Nothing was skipped.",
        )
    store = project.store
    with store.transaction("skip"):
        rows = find_rows(project, cells, State.REQUESTED, "skipped")
        store.move([Move(cell=row.cell, to=State.SKIPPED, why=why) for row in rows])
    return [row.cell for row in rows]


def hold_out(
    project: ProjectFolder, image_ids: Sequence[str], progress: Progress | None = None
) -> list[str]:
    """Hold out images with their groups and copies, and request labels for all.

    Images that were drawn at random measure more honestly; `add --holdout` draws them.

    Returns:
        the images that are held out now and were not before.

    Raises:
        LedgerError: there is no such image.
        ProjectError: a training may have used one, or none would be left to train on. Nothing was
            held out.
    """
    store = project.store
    with store.transaction("hold out"):
        for image_id in image_ids:
            store.image(image_id)  # refuses unknown ones
        rows = list(store.images())
        family = families(rows)
        chosen = {family[image_id] for image_id in image_ids}
        relatives = [row for row in rows if family[row.image_id] in chosen]
        used = images_trained_on(store, rows, all_fits(project.folder))
        fixed = {row.image_id for row in rows if row.split in ("val", "test")} | used
        unfit = [row.image_id for row in relatives if row.image_id in fixed]
        if unfit:
            raise ProjectError(
                f"A training may have used {join_names(unfit, 5)}, or it measures something else.",
                where=project.folder,
                next_step="Choose images, groups and copies that never had a label.",
                unchanged="Nothing was held out.",
            )
        held = [row for row in relatives if row.split == "train"]
        if len(held) == store.count_images(("train",)):
            raise ProjectError(
                "All images would be held out.",
                next_step="Leave some to train on.",
                unchanged="Nothing was held out.",
            )
        warning = put_into_heldout(store, held)
    if warning and progress:
        progress.say(warning)
    return [row.image_id for row in held]
