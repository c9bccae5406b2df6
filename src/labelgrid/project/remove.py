"""Takes images out of a project; their history stays in the ledger. Loads no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from labelgrid.errors import LedgerError
from labelgrid.labels.grid import Move, State
from labelgrid.project.cancel import SHOWN
from labelgrid.project.folder import ProjectFolder


@dataclass(frozen=True)
class Removed:
    """The result of `remove`: the number of images, of their cancelled requests, and of their labels."""

    images: int
    cancelled: int
    labels: int

    def __str__(self) -> str:
        """A summary in words."""
        labels = f"; their {self.labels} labels stay on disk and are not used" if self.labels else ""
        return f"{self.images} images were removed, {self.cancelled} requests were cancelled{labels}."


def remove(project: ProjectFolder, image_ids: Sequence[str]) -> Removed:
    """Take images out of the project, all or none. Neither their files nor those of their labels are touched.

    Open requests are cancelled. What was spent on the images counts as spent. `add` brings an image back, with its
    labels if its content is the same.

    Args:
        project: the project.
        image_ids: the images.

    Raises:
        LedgerError: the project has no such image; the error lists them. Nothing was removed.
    """
    store, wanted = project.store, list(dict.fromkeys(image_ids))
    with store.transaction():
        known = {row.image_id for row in store.images()}
        unknown = [image_id for image_id in wanted if image_id not in known]
        if unknown:
            more = f", and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
            raise LedgerError(
                f"The project has no image {', '.join(map(repr, unknown[:SHOWN]))}{more}.",
                where=str(project.folder),
                next_step="An image is named by its path below the folder that was given to `init` or `add`.",
                unchanged="Nothing was removed.",
            )
        rows = [row for image_id in wanted for row in store.cells(image_id=image_id)]
        cancelled = [row for row in rows if row.state == State.REQUESTED]
        store.move(
            [
                Move(row.cell, State.MISSING, row.round, row.request_id, weight=row.weight, why="image removed")
                for row in cancelled
            ]
        )
        count = store.remove("images", wanted)
    return Removed(count, len(cancelled), sum(row.state == State.LABELLED for row in rows))
