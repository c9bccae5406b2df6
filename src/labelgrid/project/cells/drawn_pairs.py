"""Keeps the training images drawn at random as pairs, with the tasks of each.

On these images relations are measured. Loads no torch.
"""

from collections.abc import Collection, Sequence

from labelgrid.basics.errors import LedgerError, RecipeError
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.relations.bound import related_tasks
from labelgrid.relations.offered import offered_tasks

#: The ledger's key of the drawn images with their tasks, the first drawn first.
DRAWN_IMAGES = "drawn pairs"


def drawn_pairs(project: ProjectFolder, tasks: Collection[str]) -> list[str]:
    """The training images that queries drew at random as pairs of some tasks, in order.

    They are a random sample of the training images, whatever strategies picked. Their labels may
    still be missing. Images drawn only for other tasks are no pairs of these tasks: a strategy may
    have picked their labels. Images that were removed or held out since are left out, too.

    Raises:
        LedgerError: the ledger's note is damaged.
    """
    wanted = set(tasks)
    drawn = []
    for image_id, of in noted_pairs(project).items():
        if wanted <= {*of}:
            drawn.append(image_id)
    training = {row.image_id for row in project.store.images(("train",), drawn)}
    return [image_id for image_id in drawn if image_id in training]


def note_pairs(project: ProjectFolder, image_ids: Sequence[str], tasks: Sequence[str]) -> None:
    """Note that images were drawn as pairs of some tasks.

    Call it in the transaction that requests the pairs' cells.
    """
    if not image_ids:
        return
    noted = noted_pairs(project)
    for image_id in image_ids:
        noted[image_id] = sorted({*noted.get(image_id, ()), *tasks})
    project.store.put(DRAWN_IMAGES, [list(pair) for pair in noted.items()])


def noted_pairs(project: ProjectFolder) -> dict[str, list[str]]:
    """All images ever drawn as pairs, in order, with their tasks.

    Raises:
        LedgerError: it holds something else.
    """
    note = project.store.get(DRAWN_IMAGES, [])
    if isinstance(note, list) and all(map(_is_image_with_tasks, note)):
        return dict(note)
    raise LedgerError(
        f"The ledger's note '{DRAWN_IMAGES}' does not say which images were drawn: {note!r:.80}.",
        where=project.folder,
        next_step="Restore the project from a backup.",
    )


def _is_image_with_tasks(entry: object) -> bool:
    match entry:
        case [str(), list()]:
            return True
    return False


def connected_tasks(project: ProjectFolder) -> list[str]:
    """The tasks that the recipe's relations connect, on or off, in order of addition.

    Raises:
        RecipeError: the recipe declares a wrong relation.
        PluginError: there is no such relation.
    """
    return related_tasks(project.recipe().relations, project.tasks())


def paired_tasks(project: ProjectFolder) -> list[str]:
    """The tasks whose labels an image gets if it is drawn as a pair.

    These are the `connected_tasks`, or, if the recipe declares no relation, the tasks connected by
    shipped relations that may hold.

    Raises:
        RecipeError: no relation is declared and none fits, or the recipe declares a wrong one.
        PluginError: there is no such relation.
    """
    tasks = project.tasks()
    declared = project.recipe().relations
    connected = related_tasks(declared, tasks) if declared else offered_tasks(tasks)
    if not connected:
        raise RecipeError(
            "No relation between tasks is declared, and none fits the project's tasks, so no "
            "labels make a pair.",
            where=project.folder / SETTINGS,
            next_step="Add a table [changes.relations.NAME]; `labelgrid list relations` shows all.",
            unchanged="Nothing was requested.",
        )
    return connected
