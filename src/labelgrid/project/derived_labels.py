"""Says which labels of a project follow from others, and what they would have cost."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labelgrid.project.folder import ProjectFolder

if TYPE_CHECKING:  # slow to load, and a status without relations needs none of it
    from labelgrid.relations.bound import BoundRelation


@dataclass(frozen=True)
class DerivedCount:
    """The labels of a task that follow from others, of training images.

    Args:
        derived: the number of missing cells whose label follows.
        saved: what these labels would have cost.
    """

    derived: int
    saved: float


def relations_of(project: ProjectFolder) -> "list[BoundRelation]":
    """The relations of the project's recipe that are on, the most trusted first.

    Raises:
        RecipeError: the recipe or a relation is wrong.
    """
    from labelgrid.recipes.resolve import load_recipe

    settings = project.settings
    recipe = load_recipe(settings.recipe, settings.changes, beside=project.folder)
    if not recipe.relations:
        return []
    from labelgrid.relations.bound import bind_relations

    return bind_relations(recipe.relations, project.tasks())


def derived_counts(project: ProjectFolder) -> dict[str, DerivedCount]:
    """The labels that follow from others, by task; only tasks of which a relation gives labels."""
    relations = relations_of(project)
    if not relations:
        return {}
    from labelgrid.select.following import known_labels

    grid = project.store.grid()
    counts = known_labels(grid, relations).sum(0).tolist()
    costs = grid.cost.tolist()
    derived = {relation.gives for relation in relations}
    found = {}
    for task, count, cost in zip(grid.tasks, counts, costs, strict=True):
        if task in derived:
            found[task] = DerivedCount(count, count * cost)
    return found
