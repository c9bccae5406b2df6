"""Knows the training images that queries drew at random as pairs, and their tasks.

On these images relations are measured. Loads no torch.
"""

from collections.abc import Sequence

from labelgrid.errors import LedgerError, RecipeError
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.recipes.resolve import load_recipe
from labelgrid.relations.bound import declared_relations

#: The ledger's key of the drawn images, the first drawn first.
DRAWN_IMAGES = "pairs"


def drawn_pairs(project: ProjectFolder) -> list[str]:
    """The training images that queries drew at random as pairs, the first drawn first.

    They are a random sample of the training images, whatever strategies picked. Their labels may
    still be missing. Images that were removed or held out since are left out.

    Raises:
        LedgerError: the ledger's note is damaged.
    """
    noted = _noted_images(project)
    training = {row.image_id for row in project.store.images(("train",), noted)}
    return [image_id for image_id in noted if image_id in training]


def note_pairs(project: ProjectFolder, image_ids: Sequence[str]) -> None:
    """Add images to those that were drawn; call it in the transaction that requests their cells."""
    if image_ids:
        noted = dict.fromkeys([*_noted_images(project), *image_ids])
        project.store.put(DRAWN_IMAGES, list(noted))


def _noted_images(project: ProjectFolder) -> list[str]:
    """The images of the ledger's note.

    Raises:
        LedgerError: it is not a list of names.
    """
    note = project.store.get(DRAWN_IMAGES, [])
    if isinstance(note, list) and all(isinstance(image_id, str) for image_id in note):
        return note
    raise LedgerError(
        f"The ledger's note '{DRAWN_IMAGES}' is no list of images: {note!r:.80}.",
        where=str(project.folder),
        next_step="Restore the project from a backup.",
    )


def connected_tasks(project: ProjectFolder) -> list[str]:
    """The tasks that the recipe's relations connect, on or off, in the order they were added.

    Raises:
        RecipeError: the recipe declares a wrong relation.
        PluginError: there is no such relation.
    """
    settings = project.settings
    recipe = load_recipe(settings.recipe, settings.changes, beside=project.folder)
    tasks = project.tasks()
    connected = set[str]()
    for relation in declared_relations(recipe.relations, tasks):
        connected |= {*relation.reads, relation.gives}
    return [task for task in tasks if task in connected]


def paired_tasks(project: ProjectFolder) -> list[str]:
    """The tasks of which an image that is drawn as a pair gets all labels: `connected_tasks`.

    Raises:
        RecipeError: the recipe declares no relation, or a wrong one.
        PluginError: there is no such relation.
    """
    connected = connected_tasks(project)
    if not connected:
        raise RecipeError(
            "No relation between tasks is declared, so no labels make a pair.",
            where=str(project.folder / SETTINGS),
            next_step="Add a table such as [changes.relations.depth_normals]; "
            "`labelgrid list relations` shows all.",
            unchanged="Nothing was requested.",
        )
    return connected
