"""Says which labels of a project follow from others, and what they would have cost."""

from dataclasses import dataclass

from labelgrid.project.folder import ProjectFolder


@dataclass(frozen=True)
class DerivedCount:
    """The labels of a task that follow from others, of training images.

    Args:
        derived: the number of missing cells whose label follows.
        saved: what these labels would have cost.
    """

    derived: int
    saved: float


def derived_counts(project: ProjectFolder) -> dict[str, DerivedCount]:
    """The labels that follow from others, by task; only tasks of which a relation gives labels."""
    relations = project.relations()
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
